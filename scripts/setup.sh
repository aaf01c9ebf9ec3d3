#!/usr/bin/env bash
# Checks the tools that Questlake is built and measured with. On Debian as root it installs the
# missing system packages; elsewhere it says what to install. Quick and silent when all is there.
#
#   setup.sh          all tools, also those of the benchmarks
#   setup.sh test     what testing needs: also Python and Java, for other programs' readers, and a
#                     browser for the dashboard
#   setup.sh build    what compiling needs: neither of these
set -euo pipefail

rust_wanted="1.94"
java_wanted=17
node_wanted=20.19

# --- What is missing -----------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }

# A compiler without the C library's headers is of no use.
compiles_c() {
    has cc && printf '#include <stdio.h>\nint main(void) { return 0; }\n' |
        cc -x c -fsyntax-only - 2>/dev/null
}

# Kafka's client is compiled from C and C++, and takes OpenSSL and zlib from the system.
compiles_kafka() {
    has c++ && has pkg-config &&
        printf '#include <openssl/ssl.h>\n#include <zlib.h>\nint main(void) { return 0; }\n' |
        cc -x c -fsyntax-only - 2>/dev/null
}

# `venv` can be there without `ensurepip`, and cannot make an environment then. To look for the
# modules is much faster than to import them.
makes_environments() {
    has python3 && python3 -I -S -c '
import sys
from importlib.machinery import PathFinder
sys.exit(not all(map(PathFinder.find_spec, ["venv", "ensurepip"])))' 2>/dev/null
}

# On some systems `java` is there and only says that there is none. It tells its version as
# `openjdk version "17.0.15" …`.
runs_java() {
    has java || return 1
    local version
    version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge "$java_wanted" ]
}

# Debian's own Node.js may be older.
runs_node() {
    local version
    has npm && version=$(node --version 2>/dev/null) && at_least "${version#v}" "$node_wanted"
}

has_browser() { [ -n "${CHROMIUM:-}" ] || has chromium; }

# Whether version $1 is at least version $2; major and minor only.
at_least() {
    local major=${1%%.*} rest=${1#*.}
    local minor=${rest%%.*}
    [ "$major" -gt "${2%%.*}" ] || { [ "$major" -eq "${2%%.*}" ] && [ "$minor" -ge "${2#*.}" ]; }
}

missing=()
compiles_c || missing+=(compiler)
has make || missing+=(make)
compiles_kafka || missing+=(libraries)
if [ "${1:-all}" != build ]; then
    makes_environments || missing+=(python)
    runs_java || missing+=(java)
    # Without Node.js there is no dashboard to be tested.
    if runs_node; then has_browser || missing+=(browser); fi
fi
if [ "${1:-all}" = all ]; then
    has wrk || missing+=(wrk)
fi

# --- System packages -----------------------------------------------------------------------------

# Names of the packages for what is missing, by package manager.
packages() {
    local manager=$1 thing
    for thing in "${missing[@]}"; do
        case "$manager:$thing" in
            apt-get:compiler) echo gcc libc6-dev ;;
            apt-get:libraries) echo g++ libssl-dev zlib1g-dev pkg-config ;;
            apt-get:python) echo python3 python3-venv ;;
            apt-get:java) echo openjdk-17-jre-headless ;;
            apt-get:browser) echo chromium fonts-dejavu-core ;;
            dnf:compiler) echo gcc glibc-devel ;;
            dnf:libraries) echo gcc-c++ openssl-devel zlib-devel pkgconf ;;
            dnf:python) echo python3 ;;
            dnf:browser | apk:browser | pacman:browser) echo chromium ;;
            dnf:java) echo java-17-openjdk-headless ;;
            apk:compiler) echo gcc musl-dev ;;
            apk:libraries) echo g++ openssl-dev zlib-dev pkgconf bash ;;
            apk:python) echo python3 ;;
            apk:java) echo openjdk17-jre-headless ;;
            pacman:compiler) echo gcc ;;
            pacman:libraries) echo gcc openssl zlib pkgconf ;;
            pacman:python) echo python ;;
            pacman:java) echo jre17-openjdk-headless ;;
            *:make) echo make ;;
            *:wrk) echo wrk ;;
        esac
    done | tr '\n' ' '
}

say_what_to_install() {
    local thing
    for thing in "${missing[@]}"; do
        case "$thing" in
            compiler) echo "A C compiler with the headers of the C library is missing." >&2 ;;
            make) echo "make is missing." >&2 ;;
            libraries) echo "A C++ compiler, pkg-config, or the headers of OpenSSL and zlib are missing." >&2 ;;
            python) echo "Python 3 with venv is missing; tests and benchmarks need it." >&2 ;;
            browser) echo "Chromium is missing; the dashboard's tests need it (or CHROMIUM=…)." >&2 ;;
            java) echo "Java $java_wanted or later is missing; PySpark needs it." >&2 ;;
            wrk) echo "wrk is missing; the benchmarks of the API make their load with it." >&2 ;;
        esac
    done
    if has apt-get; then
        echo "Install with: sudo apt-get install --no-install-recommends $(packages apt-get)" >&2
    elif has dnf; then
        echo "Install with: sudo dnf install $(packages dnf)" >&2
    elif has apk; then
        echo "Install with: sudo apk add $(packages apk)" >&2
    elif has pacman; then
        echo "Install with: sudo pacman -S $(packages pacman)" >&2
    elif [ "$(uname -s)" = Darwin ]; then
        echo "Install with: xcode-select --install, and Java and wrk with: brew install openjdk@17 wrk" >&2
    fi
}

install_with_apt() {
    local log names
    log=$(mktemp)
    read -ra names <<<"$(packages apt-get)"
    echo "Installing ${names[*]} …" >&2
    if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes \
        --no-install-recommends "${names[@]}"; } >"$log" 2>&1; then
        rm "$log"
        return
    fi
    cat "$log" >&2
    rm "$log"
    return 1
}

failed=false
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && has apt-get; then
        install_with_apt || { say_what_to_install; failed=true; }
    else
        say_what_to_install
        failed=true
    fi
fi

# --- Rust ----------------------------------------------------------------------------------------

cargo=${CARGO:-cargo}
if ! has "$cargo"; then
    if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        echo "Rust is installed but not on PATH. Run: . \"${CARGO_HOME:-$HOME/.cargo}/env\"" >&2
    else
        echo "Rust is missing. Install $rust_wanted or later from https://rustup.rs" >&2
    fi
    failed=true
else
    version=$("$cargo" --version 2>/dev/null | awk '{ print $2 }')
    if ! at_least "${version:-0.0}" "$rust_wanted"; then
        echo "Rust ${version:-of unknown version} is too old; $rust_wanted or later is needed." >&2
        if has rustup; then
            echo "Update with: rustup update stable" >&2
        else
            echo "Install it from https://rustup.rs" >&2
        fi
        failed=true
    fi
fi

if ! runs_node; then
    echo "Node.js $node_wanted or later with npm is missing: the binary will have no dashboard." >&2
    echo "Install it from https://nodejs.org" >&2
fi

if [ "$failed" = true ]; then
    exit 1
fi
