#!/usr/bin/env bash
# Tests every page of the dashboard in a browser, as the program itself serves them over a small demo's
# data. Needs Node.js and Chromium (Debian: chromium; CHROMIUM names another one).
#
#   dashboard-tests.sh BINARY [ARGUMENT of Playwright…]
set -euo pipefail
scripts="$(cd "$(dirname "$0")" && pwd)"
binary=$(realpath "$1")
shift

data=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$data"
}
trap finish EXIT

cd "$scripts/.."
"$binary" --data "$data" demo --exit --players 500 >"$data.log" 2>&1 || {
    cat "$data.log" >&2
    exit 1
}
rm -f "$data.log"
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => {
    console.log(s.address().port); s.close(); })')
"$binary" --data "$data" --collector-listen "127.0.0.1:$port" --log-level warn serve &
server=$!
# Until it answers; curl waits by itself.
curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused --output /dev/null \
    "http://127.0.0.1:$port/readyz"
DASHBOARD_URL="http://127.0.0.1:$port" "$scripts/web.sh" e2e "$@"
