#!/bin/sh
# The variables that the other scripts of this folder share. Source it with ZOOBINDIR set, or run it to check that it
# finds its home. `--config DIR` as the first two arguments names the configuration folder and is taken off.

case $0 in
*zkEnv.sh) ZOOBINDIR=$(cd "$(dirname "$0")" && pwd) ;;
esac
ZOOBINDIR=${ZOOBINDIR:-/usr/bin}
ZOOKEEPER_PREFIX=$ZOOBINDIR/..

if [ $# -gt 1 ] && [ "$1" = --config ]; then
  ZOOCFGDIR=$2
  shift 2
fi
if [ -z "$ZOOCFGDIR" ]; then
  if [ -e "$ZOOKEEPER_PREFIX/conf" ]; then ZOOCFGDIR=$ZOOBINDIR/../conf; else ZOOCFGDIR=$ZOOBINDIR/../etc/zookeeper; fi
fi
if [ -f "$ZOOCFGDIR/zookeeper-env.sh" ]; then . "$ZOOCFGDIR/zookeeper-env.sh"; fi
case ${ZOOCFG:=zoo.cfg} in
/*) ;;
*) ZOOCFG=$ZOOCFGDIR/$ZOOCFG ;;
esac
if [ -f "$ZOOCFGDIR/java.env" ]; then . "$ZOOCFGDIR/java.env"; fi

ZOO_LOG_DIR=${ZOO_LOG_DIR:-$ZOOKEEPER_PREFIX/logs}
ZOO_LOG4J_PROP=${ZOO_LOG4J_PROP:-INFO,CONSOLE}
ZOO_HOST=${HOSTNAME:-$(uname -n)}

# What runs in place of Java. The class path only says where log4j.properties lies.
JAVA=${JACKDAW:-$ZOOBINDIR/jackdaw}
CLASSPATH=$ZOOCFGDIR:$CLASSPATH

# Heap sizes mean nothing here; they are handed on when someone sets them, so that the server says so once.
if [ -n "$ZK_SERVER_HEAP" ]; then SERVER_JVMFLAGS="-Xmx${ZK_SERVER_HEAP}m $SERVER_JVMFLAGS"; fi
if [ -n "$ZK_CLIENT_HEAP" ]; then CLIENT_JVMFLAGS="-Xmx${ZK_CLIENT_HEAP}m $CLIENT_JVMFLAGS"; fi
export SERVER_JVMFLAGS CLIENT_JVMFLAGS
