#!/bin/sh
# NAME: the tool behind CLASS.

exec sh "$(dirname "$(command -v "$0" || echo "$0")")/kafka-run-class.sh" CLASS "$@"
