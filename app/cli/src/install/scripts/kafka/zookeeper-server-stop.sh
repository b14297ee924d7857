#!/bin/sh
# Stops every zookeeper server on this machine, as the original does: SIGNAL (TERM) to the processes that run its class.

pids=$(ps ax | grep ' org\.apache\.zookeeper\.server\.quorum\.QuorumPeerMain ' | grep -v grep | awk '{print $1}')
if [ -z "$pids" ]; then
  echo "No zookeeper server to stop"
  exit 1
fi
kill -s "${SIGNAL:-TERM}" $pids
