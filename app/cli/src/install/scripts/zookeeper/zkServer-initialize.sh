#!/bin/sh
# Makes empty data folders for this home's server, with or without an id.

ZOOBINDIR=$(cd "$(dirname "$([ -e "$0" ] && echo "$0" || command -v "$0")")" && pwd)
. "$ZOOBINDIR/zkEnv.sh"

usage() {
  printf 'usage: %s <parameters>\n  Optional parameters:\n' "$0"
  printf '     %-53s %s\n' -h 'Display this message' --help 'Display this message'
  printf '     --configfile=%-40s %s\n' "$ZOOCFG" 'ZooKeeper config file'
  printf '     %-53s %s\n' '--myid=#' 'Set the myid to be used, if any (1-255)' --force 'Force creation of the data/txnlog dirs'
  exit 1
}

folder_of() {
  sed -n "s/^[[:space:]]*$1=//p" "$ZOOCFG"
}

while [ -n "$1" ]; do
  case $1 in
  --configfile) ZOOCFG=$2 && shift ;;
  --configfile=?*) ZOOCFG=${1#*=} ;;
  --myid) myid=$2 && shift ;;
  --myid=?*) myid=${1#*=} ;;
  --force) force=yes ;;
  -h | --help) usage ;;
  *)
    echo "Unknown option: $1"
    usage
    ;;
  esac
  shift
done

if [ ! -e "$ZOOCFG" ]; then
  echo "Unable to find config file at $ZOOCFG"
  exit 1
fi
data=$(folder_of dataDir)
logs=$(folder_of dataLogDir)
if [ -z "$data" ]; then
  echo "Unable to determine dataDir from $ZOOCFG"
  exit 1
fi
if [ -n "$force" ]; then
  echo "Force enabled, data/txnlog directories will be re-initialized"
elif [ -d "$data/version-2" ]; then
  echo "ZooKeeper data directory already exists at $data (or use --force to force re-initialization)"
  exit 1
elif [ -n "$logs" ] && [ -d "$logs/version-2" ]; then
  echo "ZooKeeper txnlog directory already exists at $logs (or use --force to force re-initialization)"
  exit 1
fi
for folder in "$data" ${logs:+"$logs"}; do
  rm -rf "$folder/myid" "$folder/version-2"
  mkdir -p "$folder/version-2" || exit 1
done
if [ -n "$myid" ]; then
  echo "Using myid of $myid"
  echo "$myid" >"$data/myid"
else
  echo "No myid provided, be sure to specify it in $data/myid if using non-standalone"
fi
touch "$data/initialize"
