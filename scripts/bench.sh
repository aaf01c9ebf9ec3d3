#!/usr/bin/env bash
# Measures Questlake side by side with other tools; prints a table and writes
# bench/results/latest.json. Nothing here passes or fails by the clock.
#
#   BENCH_EVENTS=5700000   events of the large rows; smaller for a quick look
#   BENCH_REPEAT=3         runs of each figure, of which the median counts
#   BENCH_ROWS="decode ingest etl growth job"
#   BENCH_CACHE=…/questlake/bench   simulated events (kept) and data folders (removed at the end)
set -euo pipefail
cd "$(dirname "$0")/.."

cache_home="${XDG_CACHE_HOME:-$HOME/.cache}/questlake"
export BENCH_CACHE="${BENCH_CACHE:-$cache_home/bench}"
export BENCH_WORK="${BENCH_WORK:-$BENCH_CACHE/work}"

# --- Programs ------------------------------------------------------------------------------------

# The whole workspace's features, as for the tests, so that dependencies are compiled once.
# shellcheck disable=SC2086
"${CARGO:-cargo}" build --release --workspace --bin questlake --bench decode ${CARGO_FLAGS:-} >&2

# The same again only to learn where the two programs are: nothing is left to compile.
# shellcheck disable=SC2086
programs=$(
    "${CARGO:-cargo}" build --release --workspace --bin questlake --bench decode ${CARGO_FLAGS:-} \
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
export BENCH_QUESTLAKE BENCH_DECODE

# --- Peers ---------------------------------------------------------------------------------------

environment="$cache_home/bench-venv"
if ! cmp --silent bench/requirements.txt "$environment/requirements.txt"; then
    echo "Installing the peers in $environment …" >&2
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check \
        --requirement bench/requirements.txt
    cp bench/requirements.txt "$environment/requirements.txt"
fi

# --- Measuring -----------------------------------------------------------------------------------

trap 'rm -rf "$BENCH_WORK"' EXIT
PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" bench/main.py
