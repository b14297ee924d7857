#!/bin/sh
# Stops every kafka server on this machine, as the original does: SIGNAL (TERM) to the processes that run its class.

pids=$(ps ax | grep ' kafka\.Kafka ' | grep -v grep | awk '{print $1}')
if [ -z "$pids" ]; then
  echo "No kafka server to stop"
  exit 1
fi
kill -s "${SIGNAL:-TERM}" $pids
