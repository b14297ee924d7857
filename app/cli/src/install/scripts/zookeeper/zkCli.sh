#!/bin/sh
# Talks to a ZooKeeper server: zkCli.sh [-server host:port[/path]] [command].

ZOOBINDIR=$(cd "$(dirname "$([ -e "$0" ] && echo "$0" || command -v "$0")")" && pwd)
. "$ZOOBINDIR/zkEnv.sh"
flags="$CLIENT_JVMFLAGS $JVMFLAGS"
unset SERVER_JVMFLAGS CLIENT_JVMFLAGS JVMFLAGS
exec "$JAVA" java "-Dzookeeper.log.dir=$ZOO_LOG_DIR" "-Dzookeeper.root.logger=$ZOO_LOG4J_PROP" \
  "-Dzookeeper.log.file=zookeeper-$USER-cli-$ZOO_HOST.log" -cp "$CLASSPATH" $flags \
  org.apache.zookeeper.ZooKeeperMain "$@"
