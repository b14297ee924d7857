#!/bin/sh
# NAME: the tool behind CLASS.

exec sh "$(dirname "$([ -e "$0" ] && echo "$0" || command -v "$0")")/kafka-run-class.sh" CLASS "$@"
