#!/bin/sh
# Talks to a ZooKeeper server.

if [ $# -lt 1 ]; then
  echo "USAGE: $0 zookeeper_host:port[/path] [-zk-tls-config-file file] [args...]"
  exit 1
fi
exec sh "$(dirname "$([ -e "$0" ] && echo "$0" || command -v "$0")")/kafka-run-class.sh" org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka -server "$@"
