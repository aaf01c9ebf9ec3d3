# shellcheck shell=bash
# MongoDB: the `mongod` that is installed, or else FerretDB, which speaks MongoDB's protocol and keeps
# its documents in SQLite. FerretDB comes from the Go module proxy as source.
#
# FerretDB 1.24 is the last version that needs no extension of PostgreSQL. What it lacks: transactions,
# change streams, TTL and partial indexes, pipelines in updates, nested arrays, field names with `.` or a
# leading `$`, infinite numbers. A Decimal128 or NaN makes it close the connection. Every filter reads the
# whole collection: one for an `_id` within SQLite, any other, `$in` too, by decoding each document. One
# message with more than 98 updates makes it hang, and so do smaller ones of several clients at once.

ferretdb_version=v1.24.0
ferretdb_sum=h1:7WJmezL48Bj9bYWnhT/bEJgX5gjT5s7LFdHTqkN25rA=

mongo_units() { echo mongo; }
mongo_ports() { echo "$mongo_port $mongo_tls_port"; }
mongo_address() { echo "127.0.0.1:$mongo_port"; }
mongo_stop_signal() { echo TERM; }

# The shell makes the user: MongoDB has no other way to be given a first one.
has_mongod() { has mongod && has mongosh; }

ferretdb_program() { echo "$cache/ferretdb-$ferretdb_version"; }

mongo_packages() {
    if has_mongod || [ -x "$(ferretdb_program)" ]; then return 0; fi
    go_packages "MongoDB: install mongod and mongosh (https://www.mongodb.com/docs/manual/installation)," \
        "or Go 1.21 or later (https://go.dev/dl), from which FerretDB is built instead"
}

mongo_fetch() {
    if has_mongod || [ -x "$(ferretdb_program)" ]; then return 0; fi
    note "building FerretDB $ferretdb_version with go, which takes two minutes the first time …"
    build_with_go mongo github.com/FerretDB/FerretDB "$ferretdb_version" "$ferretdb_sum" \
        ./cmd/ferretdb "$(ferretdb_program)" ferretdb_name_version
}

# The one file that a release has and the module has not.
ferretdb_name_version() { echo "$ferretdb_version" >"$1/build/version/version.txt"; }

mongo_start() {
    mkdir -p "$run/data/mongo"
    if has_mongod; then
        spawn mongo mongod --auth --bind_ip 127.0.0.1 --port "$mongo_port" \
            --dbpath "$run/data/mongo" --wiredTigerCacheSizeGB 0.25 \
            --tlsMode allowTLS --tlsCertificateKeyFile "$tls_server" --tlsCAFile "$tls_ca" \
            --tlsAllowConnectionsWithoutCertificates
        return
    fi
    mkdir -p "$run/data/mongo/state" "$run/data/mongo/sqlite"
    # Without a login: its SCRAM says one message too late that it is done, for MongoDB's driver.
    spawn mongo "$(ferretdb_program)" --handler=sqlite \
        --sqlite-url="file:$run/data/mongo/sqlite/" --listen-addr="127.0.0.1:$mongo_port" \
        --listen-tls="127.0.0.1:$mongo_tls_port" --listen-tls-cert-file="$tls_server" \
        --listen-tls-key-file="$tls_server" \
        --debug-addr=- --state-dir="$run/data/mongo/state" --telemetry=disable --log-level=WARN
}

# Sends {ping: 1, $db: "admin"} as OP_MSG, and looks for the beginning of {ok: 1.0} in the answer.
answers_ping() {
    local ping='\x33\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00'
    # shellcheck disable=SC2016
    ping+='\x1e\x00\x00\x00\x10ping\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00'
    [[ "$(exchange "$1" 38 "$ping")" == *016f6b00000000000000f03f* ]]
}

mongo_ready() {
    answers_ping "$mongo_port" || return 1
    if has_mongod; then mongod_user; else answers_tcp "$mongo_tls_port"; fi
}

# A server without users lets one be made from the same machine.
mongod_user() {
    [ ! -e "$run/data/mongo/questlake-ready" ] || return 0
    # The password is read in the shell, not here.
    # shellcheck disable=SC2016
    QUESTLAKE_PASSWORD=$(password) mongosh --quiet --host 127.0.0.1 --port "$mongo_port" admin --eval \
        'db.createUser({ user: "questlake", pwd: process.env.QUESTLAKE_PASSWORD, roles: ["root"] })' \
        >>"$run/logs/mongo.log" 2>&1 </dev/null || return 1
    touch "$run/data/mongo/questlake-ready"
}

mongo_remove() { rm -rf "$run/data/mongo"; }

mongo_env() {
    local login="" options="" tls_port=$mongo_tls_port
    if has_mongod || uses_docker; then
        # MongoDB takes both at one port.
        login="questlake:$(password)@" options="?authSource=admin" tls_port=$mongo_port
    fi
    echo "export QUESTLAKE_TEST_MONGODB_URL=mongodb://${login}127.0.0.1:$mongo_port/questlake$options"
    echo "export QUESTLAKE_TEST_MONGODB_TLS_URL=mongodb://${login}localhost:$tls_port/questlake$options"
}
