#!/usr/bin/env bash
# Tests every page of the dashboard in a browser, as the program itself serves them over a small demo's
# data. Needs Node.js and Chromium (Debian: chromium; CHROMIUM names another one).
#
#   dashboard-tests.sh BINARY [ARGUMENT of Playwright…]
set -euo pipefail
scripts="$(cd "$(dirname "$0")" && pwd)"
binary=$(realpath "$1")
shift
cd "$scripts/.."

. "$scripts/serve-demo.sh"
serve_demo "$binary" 500
DASHBOARD_URL="$url" "$scripts/web.sh" e2e "$@"
