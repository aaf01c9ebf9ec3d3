# shellcheck shell=bash
# PostgreSQL from Debian's package, with a cluster of its own: Debian's clusters are not touched.

postgres_units() { echo postgres; }
postgres_ports() { echo "$postgres_port"; }
postgres_address() { echo "127.0.0.1:$postgres_port"; }

# SIGTERM would wait until every client has gone.
postgres_stop_signal() { echo INT; }

# The newest installed version's folder of programs; Debian puts none but psql on the PATH.
postgres_programs() {
    local folder newest=""
    while IFS= read -r folder; do
        if [ -x "$folder/initdb" ]; then newest=$folder; fi
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort)
    if [ -z "$newest" ] && has initdb; then
        newest=$(dirname "$(readlink -f "$(command -v initdb)")")
    fi
    echo "$newest"
}

postgres_packages() { [ -n "$(postgres_programs)" ] || echo postgresql; }

postgres_fetch() { :; }

# PostgreSQL refuses to run as root.
postgres_as_user() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

# In the run folder, unless the user `postgres` cannot get there, as in /root.
postgres_data() {
    if [ "$(id -u)" = 0 ] && ! runuser -u postgres -- test -x "$run/data"; then
        echo "/var/tmp/questlake-services-$(printf '%s' "$run" | sha256sum | cut -c 1-12)-postgres"
    else
        echo "$run/data/postgres"
    fi
}

postgres_prepare() {
    local data=$1 programs=$2
    [ -e "$data/questlake-ready" ] && return 0
    rm -rf "$data"
    if [ "$(id -u)" = 0 ]; then
        install -d -m 700 -o postgres -g postgres "$data"
    else
        install -d -m 700 "$data"
    fi
    # The superuser has no password, and there is no socket for which it needs none: nobody gets in as it.
    # The other's password comes through a pipe, since arguments can be read by others.
    {
        postgres_as_user "$programs/initdb" --pgdata "$data" --username postgres \
            --auth-host scram-sha-256 --auth-local trust --encoding UTF8 --locale C.UTF-8 &&
            printf '%s\n' "CREATE ROLE questlake LOGIN CREATEDB PASSWORD '$(password)'" \
                'CREATE DATABASE questlake OWNER questlake' |
            postgres_as_user "$programs/postgres" --single -D "$data" postgres
    } >>"$run/logs/postgres.log" 2>&1 || {
        show_log postgres
        fail "the database cluster could not be made; the end of its log is above"
    }
    touch "$data/questlake-ready"
}

# A server that was killed keeps its pid until the machine's first process has heard of its end, which
# some are slow to do and some never do; PostgreSQL takes it for alive and would not start.
postgres_forget_the_dead() {
    local pid begin=$SECONDS
    { read -r pid <"$1/postmaster.pid"; } 2>/dev/null || return 0
    until ! is_zombie "$pid"; do
        if [ $((SECONDS - begin)) -ge 5 ]; then
            rm -f "$1/postmaster.pid"
            return
        fi
        sleep 0.05
    done
}

# A copy of its own: the key has to be its user's, who may not get to where the other lies.
postgres_certificate() {
    local owner=()
    if [ "$(id -u)" = 0 ]; then
        owner=(-o postgres -g postgres)
    fi
    install -m 600 "${owner[@]}" "$tls_server" "$1/server.pem"
}

postgres_start() {
    local data programs as_user=()
    data=$(postgres_data)
    programs=$(postgres_programs)
    chmod 711 "$run" "$run/data"
    postgres_prepare "$data" "$programs"
    postgres_forget_the_dead "$data"
    postgres_certificate "$data"
    # runuser would stay as a parent, and what is signalled must be the server.
    if [ "$(id -u)" = 0 ]; then
        as_user=(setpriv --reuid postgres --regid postgres --init-groups)
    fi
    # No Unix socket: /tmp is everybody's. fsync is on by default, and said here since tests rely on it.
    spawn postgres "${as_user[@]}" "$programs/postgres" -D "$data" -p "$postgres_port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=on \
        -c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.pem \
        -c max_connections=200 -c shared_buffers=64MB -c max_wal_size=512MB
}

postgres_ready() {
    PGPASSWORD=$(password) PGCONNECT_TIMEOUT=3 timeout 5 psql --no-psqlrc --tuples-only \
        --no-align --host 127.0.0.1 --port "$postgres_port" --username questlake \
        --dbname questlake --command 'SELECT 1' >/dev/null 2>&1 </dev/null
}

postgres_remove() { rm -rf "$(postgres_data)"; }

postgres_env() {
    local login plain="?sslmode=disable"
    login="questlake:$(password)"
    # Both at one port, where clients prefer TLS: what is measured should not be that.
    echo "export QUESTLAKE_TEST_POSTGRES_URL=postgres://$login@127.0.0.1:$postgres_port/questlake$plain"
    echo "export QUESTLAKE_TEST_POSTGRES_TLS_URL=postgres://$login@localhost:$postgres_port/questlake"
}
