#!/bin/sh
# Deletes old snapshots and logs of this home's server: zkCleanup.sh -n COUNT.

ZOOBINDIR=$(cd "$(dirname "$([ -e "$0" ] && echo "$0" || command -v "$0")")" && pwd)
. "$ZOOBINDIR/zkEnv.sh"
data=$(sed -n 's/^[[:space:]]*dataDir=//p' "$ZOOCFG")
logs=$(sed -n 's/^[[:space:]]*dataLogDir=//p' "$ZOOCFG")
flags=$JVMFLAGS
unset SERVER_JVMFLAGS CLIENT_JVMFLAGS JVMFLAGS
exec "$JAVA" java "-Dzookeeper.log.dir=$ZOO_LOG_DIR" "-Dzookeeper.root.logger=$ZOO_LOG4J_PROP" \
  "-Dzookeeper.log.file=zookeeper-$USER-cleanup-$ZOO_HOST.log" -cp "$CLASSPATH" $flags \
  org.apache.zookeeper.server.PurgeTxnLog ${logs:+"$logs"} "$data" "$@"
