# Sourced by tests over HTTP: serves a small demo's data on any free port of this machine, as $url,
# until the script ends.
#
#   serve_demo BINARY PLAYERS

data=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$data" "$data.log"
}
trap finish EXIT

serve_demo() {
    local binary=$1 players=$2 waited=0
    "$binary" --data "$data" demo --exit --players "$players" >"$data.log" 2>&1 || {
        cat "$data.log" >&2
        return 1
    }
    "$binary" --data "$data" --collector-listen 127.0.0.1:0 --log-level warn serve >"$data.log" &
    server=$!
    until url=$(sed -n 's/^listening on \(http:[^ ]*\).*/\1/p' "$data.log") && [ -n "$url" ]; do
        if [ "$waited" -ge 600 ] || ! kill -0 "$server" 2>/dev/null; then
            echo "The server did not begin to listen." >&2
            return 1
        fi
        waited=$((waited + 1))
        sleep 0.1
    done
}
