# shellcheck shell=bash
# Servers that are built from the Go module proxy: pinned by the checksum of their source, whose own
# go.sum pins the rest.

# Go's own archive does not put it on the PATH.
find_go() {
    if ! has go && [ -x /usr/local/go/bin/go ]; then
        PATH="$PATH:/usr/local/go/bin"
    fi
    has go
}

# Go 1.21 and later fetch the toolchain that a module asks for.
at_least_go_1_21() { [ "$(printf '%s\n' 1.21 "$1" | sort --version-sort | head -n 1)" = 1.21 ]; }

# The Debian package that is missing; if there is none that will do, ends with what is said here.
go_packages() {
    local candidate=""
    if find_go && at_least_go_1_21 "$(go env GOVERSION | sed 's/^go//')"; then return 0; fi
    if has apt-cache; then
        candidate=$(apt-cache policy golang-go | sed -n 's/.*Candidate: [0-9]*:\([0-9.]*\).*/\1/p')
    fi
    if [ -n "$candidate" ] && at_least_go_1_21 "$candidate"; then
        echo golang-go
        return 0
    fi
    fail "$*"
}

# Builds a package of a module: build_with_go SERVICE MODULE VERSION CHECKSUM PACKAGE PROGRAM [PREPARE]
# PREPARE is called with the folder of the source. The program appears when it is whole.
build_with_go() {
    local service=$1 module=$2 version=$3 sum=$4 package=$5 program=$6 prepare=${7:-:}
    local log="$run/logs/$service-fetch.log" build="$cache/$service-build" found
    find_go || fail "$service: go is not on the PATH"
    rm -rf "$build"
    # Settings of whoever starts this must not change what is built. Debian's Go fetches no toolchain
    # unless it is told to.
    export GOFLAGS='' GOWORK=off GOTOOLCHAIN=auto
    if ! found=$(cd "$cache" && go mod download -json "$module@$version" 2>"$log"); then
        cat "$log" >&2
        printf '%s\n' "$found" >&2
        fail "$module could not be fetched from the Go module proxy; what go said is above"
    fi
    [[ "$found" == *"\"Sum\": \"$sum\""* ]] ||
        fail "$module $version is not what it was: its checksum is not $sum"
    cp -R "$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' <<<"$found")" "$build"
    chmod -R u+w "$build"
    "$prepare" "$build"
    if ! (cd "$build" && go build -mod=readonly -trimpath -buildvcs=false \
        -o "$program.part" "$package") >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail "$module could not be built; the end of what go said is above"
    fi
    mv "$program.part" "$program"
    rm -rf "$build"
}
