#!/usr/bin/env bash
# Measures Questlake side by side with other tools; prints a table and writes
# bench/results/latest.json. Nothing here passes or fails by the clock.
#
#   BENCH_EVENTS=5700000   events of the large rows; smaller for a quick look
#   BENCH_ADHOC_EVENTS=20000000   events of the archive that ad-hoc queries read; 200000 to try
#   BENCH_SERVICE_EVENTS=500000   events that go through Kafka into MongoDB
#   BENCH_REPEAT=3         runs of each figure, of which the median counts
#   BENCH_ROWS="decode ingest etl archive adhoc marts growth job kafka postgres api"
#   BENCH_CACHE=…/questlake/bench   simulated events and the archive of the ad-hoc queries (kept),
#                          and data folders (removed at the end)
#
# The archive of 20 million events takes some minutes and about 20 GB to make, and 2 GB to keep. The
# ad-hoc queries are in bench/adhoc; PySpark needs Java 17 or 21, and all its cold starts take minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

cache_home="${XDG_CACHE_HOME:-$HOME/.cache}/questlake"
export BENCH_CACHE="${BENCH_CACHE:-$cache_home/bench}"
export BENCH_WORK="${BENCH_WORK:-$BENCH_CACHE/work}"

# --- Programs ------------------------------------------------------------------------------------

# The whole workspace's features, as for the tests, so that dependencies are compiled once.
# shellcheck disable=SC2086
"${CARGO:-cargo}" build --release --workspace --bin questlake --bench decode --bench topic ${CARGO_FLAGS:-} >&2

# The same again only to learn where the programs are: nothing is left to compile.
# shellcheck disable=SC2086
programs=$(
    "${CARGO:-cargo}" build --release --workspace --bin questlake --bench decode --bench topic ${CARGO_FLAGS:-} \
        --quiet --message-format=json |
        python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("reason") == "compiler-artifact" and message.get("executable"):
        print(message["target"]["name"], message["executable"])'
)
BENCH_QUESTLAKE=$(awk '$1 == "questlake" { sub(/^[^ ]+ /, ""); print }' <<<"$programs")
BENCH_DECODE=$(awk '$1 == "decode" { sub(/^[^ ]+ /, ""); print }' <<<"$programs")
BENCH_TOPIC=$(awk '$1 == "topic" { sub(/^[^ ]+ /, ""); print }' <<<"$programs")
export BENCH_QUESTLAKE BENCH_DECODE BENCH_TOPIC

# --- Peers ---------------------------------------------------------------------------------------

environment="$cache_home/bench-venv"
if ! cmp --silent bench/requirements.txt "$environment/requirements.txt"; then
    echo "Installing the peers in $environment …" >&2
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check \
        --requirement bench/requirements.txt
    cp bench/requirements.txt "$environment/requirements.txt"
fi

case " ${BENCH_ROWS:-adhoc} " in
    *" adhoc "* | *" postgres "*)
        if ! command -v java >/dev/null; then
            echo "PySpark needs Java: apt install openjdk-17-jre-headless" >&2
            exit 1
        fi
        ;;
esac

case " ${BENCH_ROWS:-api} " in
    *" api "*)
        if ! command -v wrk >/dev/null; then
            echo "The load on the API is made by wrk: apt install wrk" >&2
            exit 1
        fi
        ;;
esac

# --- Servers -------------------------------------------------------------------------------------

with_services=()
case " ${BENCH_ROWS:-kafka} " in
    *" kafka "* | *" postgres "*)
        with_services=(scripts/with-services.sh)
        # None of HDFS, whose settings PySpark would take for its own.
        export WITH_SERVICES="postgres redis kafka mongo"
        driver_version=42.7.7
        export BENCH_JDBC_DRIVER="$cache_home/bench-jdbc/postgresql-$driver_version.jar"
        if [ ! -e "$BENCH_JDBC_DRIVER" ]; then
            mvn --batch-mode --quiet dependency:copy \
                -Dartifact="org.postgresql:postgresql:$driver_version" \
                -DoutputDirectory="$(dirname "$BENCH_JDBC_DRIVER")" >&2
        fi
        ;;
    *" api "*)
        with_services=(scripts/with-services.sh)
        export WITH_SERVICES="postgres redis"
        ;;
esac

# --- Measuring -----------------------------------------------------------------------------------

trap 'rm -rf "$BENCH_WORK"' EXIT
PYTHONDONTWRITEBYTECODE=1 "${with_services[@]}" "$environment/bin/python" bench/main.py
