# shellcheck shell=bash
# Redis from Debian's package, with its own port and password, and nothing on disk: it is a cache.

redis_units() { echo redis; }
redis_ports() { echo "$redis_port $redis_tls_port"; }
redis_address() { echo "127.0.0.1:$redis_port"; }
redis_stop_signal() { echo TERM; }
redis_packages() { has redis-server || echo redis-server; }
redis_fetch() { :; }

redis_start() {
    # A file rather than flags: arguments can be read by others.
    (
        umask 077
        cat >"$run/conf/redis.conf" <<EOF
bind 127.0.0.1
port $redis_port
tls-port $redis_tls_port
tls-cert-file "$tls_server"
tls-key-file "$tls_server"
tls-auth-clients no
requirepass $(password)
save ""
appendonly no
daemonize no
dir $run/data
maxmemory 128mb
maxmemory-policy allkeys-lru
EOF
    )
    spawn redis redis-server "$run/conf/redis.conf"
}

# "+OK" to the password, "+PONG" to the ping.
redis_ready() {
    [ "$(exchange "$redis_port" 12 "AUTH $(password)\r\nPING\r\n")" = 2b4f4b0d0a2b504f4e470d0a ] &&
        answers_tcp "$redis_tls_port"
}

redis_remove() { :; }

redis_env() {
    echo "export QUESTLAKE_TEST_REDIS_URL=redis://:$(password)@127.0.0.1:$redis_port/0"
    echo "export QUESTLAKE_TEST_REDIS_TLS_URL=rediss://:$(password)@localhost:$redis_tls_port/0"
}
