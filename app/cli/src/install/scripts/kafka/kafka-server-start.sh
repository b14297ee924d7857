#!/bin/sh
# Starts a broker, in the foreground or as a daemon.

if [ $# -lt 1 ]; then
  echo "USAGE: $0 [-daemon] server.properties [--override property=value]*"
  exit 1
fi
bin=$(dirname "$([ -e "$0" ] && echo "$0" || command -v "$0")")
export KAFKA_LOG4J_OPTS="${KAFKA_LOG4J_OPTS:--Dlog4j.configuration=file:$bin/../config/log4j.properties}"
EXTRA_ARGS=${EXTRA_ARGS--name kafkaServer -loggc}
if [ "$1" = -daemon ]; then
  EXTRA_ARGS="-daemon $EXTRA_ARGS"
  shift
fi
exec sh "$bin/kafka-run-class.sh" $EXTRA_ARGS kafka.Kafka "$@"
