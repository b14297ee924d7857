#!/bin/sh
# Starts and stops the ZooKeeper server of this home, and asks how it is.

ZOOBINDIR=$(cd "$(dirname "$([ -e "$0" ] && echo "$0" || command -v "$0")")" && pwd)
. "$ZOOBINDIR/zkEnv.sh"

# The values of a key in the configuration file, without the spaces around them.
value_of() {
  grep "^[[:space:]]*$1[^[:alpha:]]" "$ZOOCFG" | sed -e 's/.*=//' -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//'
}

is_number() {
  case $1 in '' | *[!0-9]*) return 1 ;; esac
}

if [ -n "$JMXDISABLE" ] && [ "$JMXDISABLE" != false ]; then
  echo "JMX disabled by user request" >&2
  ZOOMAIN=org.apache.zookeeper.server.quorum.QuorumPeerMain
elif [ -z "$JMXPORT" ]; then
  echo "ZooKeeper JMX enabled by default" >&2
  ZOOMAIN=org.apache.zookeeper.server.quorum.QuorumPeerMain
else
  echo "ZooKeeper remote JMX Port set to $JMXPORT" >&2
  echo "ZooKeeper remote JMX authenticate set to ${JMXAUTH:-false}" >&2
  echo "ZooKeeper remote JMX ssl set to ${JMXSSL:-false}" >&2
  echo "ZooKeeper remote JMX log4j set to ${JMXLOG4J:-true}" >&2
  ZOOMAIN="-Dcom.sun.management.jmxremote.port=$JMXPORT org.apache.zookeeper.server.quorum.QuorumPeerMain"
fi

# A file's name is looked for in the configuration folder, a path is taken as it is.
case $2 in
'') ;;
*/*) ZOOCFG=$2 ;;
*) ZOOCFG=$ZOOCFGDIR/$2 ;;
esac
echo "Using config: $ZOOCFG" >&2

ZOO_DATADIR=$(value_of dataDir)
ZOO_DATALOGDIR=$(value_of dataLogDir)
if [ -n "$ZOO_DATADIR_AUTOCREATE_DISABLE" ]; then
  if [ ! -d "$ZOO_DATADIR/version-2" ]; then
    echo "ZooKeeper data directory is missing at $ZOO_DATADIR fix the path or run initialize"
    exit 1
  fi
  if [ -n "$ZOO_DATALOGDIR" ] && [ ! -d "$ZOO_DATALOGDIR/version-2" ]; then
    echo "ZooKeeper txnlog directory is missing at $ZOO_DATALOGDIR fix the path or run initialize"
    exit 1
  fi
  JVMFLAGS="-Dzookeeper.datadir.autocreate=false $JVMFLAGS"
fi
if [ -z "$ZOOPIDFILE" ]; then
  [ -z "$ZOO_DATADIR" ] || mkdir -p "$ZOO_DATADIR"
  ZOOPIDFILE=$ZOO_DATADIR/zookeeper_server.pid
else
  mkdir -p "$(dirname "$ZOOPIDFILE")"
fi
mkdir -p "$ZOO_LOG_DIR"
ZOO_LOG_FILE=zookeeper-$USER-server-$ZOO_HOST.log
ZOO_OUT=$ZOO_LOG_DIR/zookeeper-$USER-server-$ZOO_HOST.out

# The server itself. Its flags stand on the command line, and are not to be read from the environment too.
server() {
  flags="$SERVER_JVMFLAGS $JVMFLAGS"
  unset SERVER_JVMFLAGS CLIENT_JVMFLAGS JVMFLAGS
  "$@" "$JAVA" java "-Dzookeeper.log.dir=$ZOO_LOG_DIR" "-Dzookeeper.log.file=$ZOO_LOG_FILE" \
    "-Dzookeeper.root.logger=$ZOO_LOG4J_PROP" -cp "$CLASSPATH" $flags $ZOOMAIN "$ZOOCFG"
}

start() {
  printf 'Starting zookeeper ... '
  if [ -f "$ZOOPIDFILE" ] && kill -0 "$(cat "$ZOOPIDFILE")" >/dev/null 2>&1; then
    echo "already running as process $(cat "$ZOOPIDFILE")."
    exit 1
  fi
  server exec nohup >"$ZOO_OUT" 2>&1 </dev/null &
  if ! printf %s "$!" >"$ZOOPIDFILE"; then
    echo FAILED TO WRITE PID
    exit 1
  fi
  sleep 1
  if ! kill -0 "$(cat "$ZOOPIDFILE")" >/dev/null 2>&1; then
    echo FAILED TO START
    exit 1
  fi
  echo STARTED
}

stop() {
  printf 'Stopping zookeeper ... '
  if [ ! -f "$ZOOPIDFILE" ]; then
    echo "no zookeeper to stop (could not find file $ZOOPIDFILE)"
    return
  fi
  pid=$(cat "$ZOOPIDFILE")
  kill "$pid"
  rm "$ZOOPIDFILE"
  await_end 1
  echo STOPPED
}

# Waits until the process $pid is gone, for so many seconds at most.
await_end() {
  tenths=$(($1 * 10))
  while [ $tenths -gt 0 ] && kill -0 "$pid" >/dev/null 2>&1; do
    sleep 0.1 2>/dev/null || sleep 1
    tenths=$((tenths - 1))
  done
}

# The client address in this server's own line: in the configuration file, or in the file it points to.
address_in_servers() {
  myid=$(cat "$ZOO_DATADIR/myid" 2>/dev/null)
  if ! is_number "$myid"; then
    echo "myid could not be determined, will not able to locate clientPort in the server configs."
    return
  fi
  found=$(sed -n "s/^[[:space:]]*server\.$myid=.*;//p" "$ZOOCFG")
  if [ -z "$found" ]; then
    echo "Client port not found in static config file. Looking in dynamic config file."
    found=$(sed -n "s/^[[:space:]]*server\.$myid=.*;//p" "$(value_of dynamicConfigFile)")
  fi
  case $found in
  '') echo "Client port not found in the server configs" ;;
  *:*) address=$(echo "${found%:*}" | tr -d '[]') ;;
  esac
  port=${found##*:}
}

status() {
  address=$(value_of clientPortAddress)
  address=${address:-localhost}
  port=$(value_of clientPort)
  ssl=false
  is_number "$port" || address_in_servers
  if [ -z "$port" ]; then
    echo "Client port not found. Looking for secureClientPort in the static config."
    port=$(value_of secureClientPort)
    if [ -z "$port" ]; then
      echo "Unable to find either secure or unsecure client port in any configs. Terminating."
      exit 1
    fi
    ssl=true
    address=$(value_of secureClientPortAddress)
    address=${address:-localhost}
  fi
  echo "Client port found: $port. Client address: $address. Client SSL: $ssl."
  mode=$("$JAVA" java $CLIENT_JVMFLAGS $JVMFLAGS org.apache.zookeeper.client.FourLetterWordMain "$address" "$port" srvr $ssl \
    2>/dev/null | grep Mode)
  if [ -z "$mode" ]; then
    echo "Error contacting service. It is probably not running."
    exit 1
  fi
  echo "$mode"
}

case $1 in
start) start ;;
start-foreground) if [ -n "$ZOO_NOEXEC" ]; then server; else server exec; fi ;;
print-cmd)
  echo "\"$JAVA\" java -Dzookeeper.log.dir=\"$ZOO_LOG_DIR\" -Dzookeeper.log.file=\"$ZOO_LOG_FILE\"" \
    "-Dzookeeper.root.logger=\"$ZOO_LOG4J_PROP\" -cp \"$CLASSPATH\" $SERVER_JVMFLAGS $JVMFLAGS $ZOOMAIN \"$ZOOCFG\"" \
    "> \"$ZOO_OUT\" 2>&1 < /dev/null"
  ;;
stop) stop ;;
version) "$JAVA" java org.apache.zookeeper.version.VersionInfoMain 2>/dev/null ;;
restart)
  shift
  export ZOOCFGDIR
  pid=$(cat "$ZOOPIDFILE" 2>/dev/null)
  sh "$ZOOBINDIR/zkServer.sh" stop "$@"
  [ -z "$pid" ] || await_end 3
  exec sh "$ZOOBINDIR/zkServer.sh" start "$@"
  ;;
status) status ;;
*) echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd}" >&2 ;;
esac
