#!/bin/sh
# Runs what an upstream class stands for, with the variables that the original's script knows.

if [ $# -lt 1 ]; then
  echo "USAGE: $0 [-daemon] [-name servicename] [-loggc] classname [opts]"
  exit 1
fi
bin=$(dirname "$([ -e "$0" ] && echo "$0" || command -v "$0")")
base_dir=$bin/..
LOG_DIR=${LOG_DIR:-$base_dir/logs}
if [ -z "$KAFKA_LOG4J_OPTS" ]; then
  KAFKA_LOG4J_OPTS=-Dlog4j.configuration=file:$base_dir/config/tools-log4j.properties
elif [ ! -d "$LOG_DIR" ]; then
  mkdir -p "$LOG_DIR"
fi

daemon=
name=
while :; do
  case $1 in
  -name) name=$2 && shift 2 ;;
  -loggc) shift ;;
  -daemon) daemon=yes && shift ;;
  *) break ;;
  esac
done

set -- java "-Dkafka.logs.dir=$LOG_DIR" $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS $KAFKA_GC_LOG_OPTS $KAFKA_JMX_OPTS \
  $KAFKA_LOG4J_OPTS ${CLASSPATH:+-cp "$CLASSPATH"} $KAFKA_OPTS "$@"
# They stand on the command line now, and are not to be read from the environment too.
unset KAFKA_HEAP_OPTS KAFKA_JVM_PERFORMANCE_OPTS KAFKA_GC_LOG_OPTS KAFKA_JMX_OPTS KAFKA_LOG4J_OPTS KAFKA_OPTS
if [ -n "$daemon" ]; then
  nohup "${JACKDAW:-$bin/jackdaw}" "$@" >"$LOG_DIR/$name.out" 2>&1 </dev/null &
else
  exec "${JACKDAW:-$bin/jackdaw}" "$@"
fi
