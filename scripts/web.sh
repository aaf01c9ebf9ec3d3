#!/usr/bin/env bash
# Builds the dashboard (web/dist), which the binary embeds, or checks it. What is up to date is not
# done again.
#
#   web.sh build             builds it
#   web.sh build --optional  builds it if Node.js is there; says so and goes on if not
#   web.sh lint              types, lint and format
#   web.sh test              unit tests
#   web.sh e2e [ARGUMENT…]   browser tests; DASHBOARD_URL says where the pages are, CHROMIUM which browser
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

case "${1:-build}" in
    build)
        if is_built; then exit 0; fi
        if ! check_node; then
            if [ "${2:-}" != --optional ]; then exit 1; fi
            echo "The binary is built without the dashboard; all else works." >&2
            exit 0
        fi
        install
        npm run build
        ;;
    lint)
        check_node
        install
        npm run lint
        ;;
    test)
        check_node
        install
        npm run test
        ;;
    e2e)
        check_node
        install
        shift
        npm run e2e -- "$@"
        ;;
    *)
        sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
