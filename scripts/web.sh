#!/usr/bin/env bash
# Builds the dashboard (web/dist), which the binary embeds, or checks it. What is up to date is not
# done again.
#
#   web.sh build            builds it
#   web.sh lint             checks types, lint and format
#   web.sh test             runs the unit tests
#   web.sh … --optional     the same if Node.js is there; says so and goes on if not
#   web.sh e2e [ARGUMENT…]  tests in a browser; DASHBOARD_URL says where the pages are, CHROMIUM which
#                           browser
set -euo pipefail
cd "$(dirname "$0")/../web"

node_wanted=20.19

has() { command -v "$1" >/dev/null 2>&1; }

# Whether a version is at least another one; major and minor only.
at_least() {
    local major=${1%%.*} rest=${1#*.}
    local minor=${rest%%.*}
    [ "$major" -gt "${2%%.*}" ] || { [ "$major" -eq "${2%%.*}" ] && [ "$minor" -ge "${2#*.}" ]; }
}

check_node() {
    local version
    if ! has node || ! has npm; then
        echo "Node.js $node_wanted or later with npm is missing." >&2
        return 1
    fi
    version=$(node --version)
    at_least "${version#v}" "$node_wanted" || {
        echo "Node.js $version is too old; $node_wanted or later is needed." >&2
        return 1
    }
}

# Exactly what the lockfile says; npm notes in this file what it has installed.
install() {
    local installed=node_modules/.package-lock.json
    if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
        npm ci --no-audit --no-fund
        touch "$installed"
    fi
}

is_built() {
    [ -e dist/index.html ] &&
        [ -z "$(find src public scripts index.html vite.config.ts tsconfig.json package-lock.json \
            -newer dist/index.html -print -quit)" ]
}

# Whether to go on: the tools are there, or the work can be left out (status 3).
prepare() {
    if check_node; then
        install
    elif [ "${1:-}" = --optional ]; then
        return 3
    else
        return 1
    fi
}

command=${1:-build}
[ $# -eq 0 ] || shift
case "$command" in
    build)
        if is_built; then exit 0; fi
        what="The binary is built without the dashboard; all else works."
        ;;
    lint | test) what="The dashboard is left out." ;;
    e2e) what= ;;
    *)
        sed -n "2,/^set /{/^set /!s/^# \{0,1\}//p}" ../scripts/web.sh >&2
        exit 2
        ;;
esac
status=0
prepare "${1:-}" || status=$?
if [ "$status" = 3 ]; then
    echo "$what" >&2
    exit 0
fi
[ "$status" = 0 ] || exit "$status"
case "$command" in
    e2e) npm run e2e -- "$@" ;;
    *) npm run "$command" ;;
esac
