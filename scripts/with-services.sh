#!/usr/bin/env bash
# Runs a command with PostgreSQL, Redis, Kafka, HDFS, MongoDB and S3 running, and with the variables by
# which tests and Hadoop's clients find them. Services that ran before go on running; else they are
# stopped at the end.
#
#   with-services.sh COMMAND [ARGUMENT…]
#
#   WITH_SERVICES="postgres redis"   only these of them
set -euo pipefail
services="$(dirname "$0")/services.sh"
read -ra names <<<"${WITH_SERVICES:-}"

if ! "$services" status "${names[@]}" >/dev/null 2>&1; then
    trap '"$services" down "${names[@]}" >&2' EXIT
fi
# What runs already is left as it is.
"$services" up "${names[@]}" >&2
addresses=$("$services" env "${names[@]}")
eval "$addresses"
"$@"
