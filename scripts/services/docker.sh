# shellcheck shell=bash
# The same services as containers, where a Docker engine answers: same ports, names and password.
# The pair of NameNodes has none: which of them is active is decided by programs of Hadoop that speak to
# both. Nor has the server that is like MongoDB, of which there is no image. Both are made of processes
# there too, and want Java and Maven on this machine.

# Whether a service, or the service of a unit, is a container.
has_container() { [[ "${1%%-*}" != @(nameservice|mongolike) ]]; }

# Decided once by `up` for all that follows.
uses_docker() {
    local engine="${QUESTLAKE_SERVICES_ENGINE:-}"
    if [ -s "$run/engine" ]; then
        engine=$(<"$run/engine")
    elif [ -z "$engine" ]; then
        engine=native
        if has docker && timeout 20 docker info >/dev/null 2>&1 &&
            docker compose version >/dev/null 2>&1; then
            engine=docker
        fi
    fi
    case "$engine" in
        native) echo native >"$run/engine"; return 1 ;;
        docker) echo docker >"$run/engine" ;;
        *) fail "QUESTLAKE_SERVICES_ENGINE is $engine; it can be native or docker" ;;
    esac
}

compose() {
    QUESTLAKE_SERVICES_PASSWORD=$(password) TLS_SERVER=$(<"$tls_server") TLS_CA=$(<"$tls_ca") \
        POSTGRES_PORT=$postgres_port REDIS_PORT=$redis_port REDIS_TLS_PORT=$redis_tls_port \
        MONGO_PORT=$mongo_port KAFKA_PORT=$kafka_port KAFKA_TLS_PORT=$kafka_tls_port \
        HDFS_PORT=$hdfs_port HDFS_HTTP_PORT=$hdfs_http_port DATANODE_PORTS=$((datanode_port / 10)) \
        DATANODE_IPC_PORTS=$((datanode_ipc_port / 10)) \
        DATANODE_HTTP_PORTS=$((datanode_http_port / 10)) S3_PORT=$s3_port S3_TLS_PORT=$s3_tls_port \
        S3_BUCKET=$s3_bucket S3_REGION=$s3_region \
        docker compose --project-name "questlake-services-$port_base" \
        --file "$services/compose.yaml" "$@"
}

docker_units() {
    local service
    for service in "$@"; do
        "${service}_units" | tr ' ' '\n'
    done
}

# By its own health check: programs that speak to it need not be on this machine.
docker_ready() {
    [ "$(compose ps --all --format '{{.State}} {{.Health}}' "$1")" = "running healthy" ]
}

await_container() {
    local unit=$1 begin=$SECONDS
    until docker_ready "$unit"; do
        if [ $((SECONDS - begin)) -ge "$start_seconds" ]; then
            compose logs --tail 30 "$unit" >&2 || true
            fail "$unit does not answer after $start_seconds s; the end of its log is above"
        fi
        sleep 0.5
    done
}

docker_up() {
    local units unit service begin
    readarray -t units < <(docker_units "$@")
    make_certificates
    begin=$(uptime_seconds)
    if ! compose up --detach --wait --wait-timeout "$start_seconds" "${units[@]}" >&2; then
        compose logs --tail 30 "${units[@]}" >&2 || true
        fail "the containers did not become healthy; the end of their logs is above"
    fi
    for service in "$@"; do
        await_service "$service" await_container
        read -r unit _ <<<"$("${service}_units")"
        ready_line "$service" "$("${service}_address" "$unit")" "$(seconds_since "$begin")"
    done
}

docker_down() {
    local units
    readarray -t units < <(docker_units "$@")
    compose rm --stop --force --volumes "${units[@]}" >&2
    if [ -z "$(compose ps --all --quiet)" ]; then
        compose down --volumes --remove-orphans >&2
    fi
}

docker_status() {
    local unit status=0 state units
    readarray -t units < <(docker_units "$@")
    for unit in "${units[@]}"; do
        state=$(compose ps --all --format '{{.State}}' "$unit")
        if [ "$state" = running ]; then
            if docker_ready "$unit"; then state=ready; else state=silent; fi
        fi
        [ "$state" = ready ] || status=1
        printf '%-22s %-8s %s\n' "$unit" "${state:-stopped}" "$("${unit%%-*}_address" "$unit")"
    done
    return "$status"
}

docker_start() {
    local unit begin
    for unit in "$@"; do
        begin=$(uptime_seconds)
        compose start "$unit" >&2
        await_container "$unit"
        ready_line "$unit" "$("${unit%%-*}_address" "$unit")" "$(seconds_since "$begin")"
    done
}

docker_stop() { compose stop --timeout "$stop_seconds" "$@" >&2; }

docker_restart() {
    docker_stop "$@"
    docker_start "$@"
}

docker_kill() { compose kill --signal KILL "$@" >&2; }
docker_pause() { compose pause "$@" >&2; }
docker_resume() { compose unpause "$@" >&2; }
docker_activate() { command_activate "$@"; }
