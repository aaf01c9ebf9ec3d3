#!/usr/bin/env bash
# `questlake demo --services` on services of its own, which are gone at the end. CARGO and
# CARGO_FLAGS are those of the Makefile.
set -euo pipefail
scripts="$(dirname "$0")"

# Beside those of the tests.
run="${XDG_CACHE_HOME:-$HOME/.cache}/questlake/services-demo"
export QUESTLAKE_SERVICES_DIR="$run" QUESTLAKE_SERVICES_PORTS=28000

# Compiled first, so that nothing waits for the compiler.
# shellcheck disable=SC2086
"${CARGO:-cargo}" build --release ${CARGO_FLAGS:-} -p questlake
data=$(mktemp -d)
trap '"$scripts/services.sh" down >&2; rm -rf "$data"' EXIT
# One NameNode is enough for a demo, and no bucket is needed.
read -ra services <<<"postgres redis kafka hdfs mongo"
"$scripts/services.sh" up "${services[@]}"
addresses=$("$scripts/services.sh" env "${services[@]}")
eval "$addresses"
export QUESTLAKE_STORES_HOT="$QUESTLAKE_TEST_MONGODB_URL"
export QUESTLAKE_STORES_WAREHOUSE="$QUESTLAKE_TEST_POSTGRES_URL"
export QUESTLAKE_STORES_LANDING="$QUESTLAKE_TEST_HDFS_URL/questlake/landing"
export QUESTLAKE_STORES_ARCHIVE="$QUESTLAKE_TEST_HDFS_URL/questlake/archive"
export QUESTLAKE_STORES_CACHE="$QUESTLAKE_TEST_REDIS_URL"
export QUESTLAKE_KAFKA_BROKERS="$QUESTLAKE_TEST_KAFKA_BROKERS"
# FerretDB takes some five hundred documents a second: with it the demo is a small one, unless its size is said.
size=()
if [ -d "$run/data/mongo/sqlite" ] && [[ " $*" != *" --players"* ]]; then
    size=(--players 250)
    echo "FerretDB stands in for MongoDB, so the demo has 250 players; --players 5000 is the usual size"
fi
echo
# shellcheck disable=SC2086
"${CARGO:-cargo}" run --quiet --release ${CARGO_FLAGS:-} -p questlake -- --data "$data" demo --services ${size[@]+"${size[@]}"} "$@"
