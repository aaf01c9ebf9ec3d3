#!/usr/bin/env bash
# Runs the test programs of the crates in two lanes: those that wait for servers most of the time beside
# those that compute. What the former say comes at the end.
#
#   rust-tests.sh [FLAG of cargo test…]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

cargo=${CARGO:-cargo}
waiting=(services store_contracts)

# Names of all test programs beside the crates' own units.
programs() {
    "$cargo" metadata --no-deps --format-version 1 | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    for target in package["targets"]:
        if "test" in target["kind"]:
            print(target["name"])
'
}

tests() {
    "$cargo" test --release --workspace --no-fail-fast "$@"
}

"$cargo" test --release --workspace --no-run "$@" || exit 1
names=$(programs) || exit 1
mapfile -t computing < <(grep -vxF "$(printf '%s\n' "${waiting[@]}")" <<<"$names")

said=$(mktemp)
# A process group of its own: its commands take Ctrl-C as at a terminal, which a script's background
# jobs do not, and all of it can be ended.
set -m
RUST_TEST_THREADS="${RUST_TEST_THREADS:-3}" tests "${waiting[@]/#/--test=}" "$@" \
    >"$said" 2>&1 </dev/null &
lane=$!
set +m
# shellcheck disable=SC2317 # by the trap
finish() {
    kill -- "-$lane" 2>/dev/null
    cat "$said"
    rm -f "$said"
}
trap finish EXIT

failed=0
tests --lib --bins "${computing[@]/#/--test=}" "$@" || failed=1
tests --doc "$@" || failed=1
wait "$lane" || failed=1
exit "$failed"
