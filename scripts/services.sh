#!/usr/bin/env bash
# The real services that Questlake is tested with, on 127.0.0.1: PostgreSQL, Redis, Kafka, HDFS (a
# NameNode alone, and a pair of them as a name service), MongoDB, another server that speaks as MongoDB does,
# and S3. With a Docker engine they are containers (services/compose.yaml), all but the pair and that
# other server; else processes of this machine: from Debian's packages, from Maven Central, and built from
# the Go module proxy.
#
#   services.sh up [SERVICE…]         starts what does not run; returns when all of it answers
#   services.sh down [SERVICE…]       stops it and removes its data and logs
#   services.sh status [SERVICE…]     what runs; exit code 1 unless all of it answers
#   services.sh env [SERVICE…]        the variables by which tests find it:  eval "$(services.sh env)"
#   services.sh start | stop | restart UNIT…    data stays
#   services.sh kill UNIT…            SIGKILL: a crash
#   services.sh pause | resume UNIT…  SIGSTOP and SIGCONT: a machine that hangs
#   services.sh activate UNIT         makes this NameNode of the pair the active one
#
# All but HDFS and mongolike answer over TLS too, as `localhost`; Kafka asks for a name and a password there.
#
# Services: postgres redis kafka hdfs nameservice mongo mongolike s3. Units are these, and for hdfs: hdfs-namenode,
# hdfs-datanode-1, hdfs-datanode-2, hdfs-datanode-3 (`hdfs` stands for all four); for nameservice:
# nameservice-namenode-1, nameservice-namenode-2, nameservice-datanode; S3 over TLS is s3-tls.
#
#   QUESTLAKE_SERVICES_DIR=…          data, logs and pids; ~/.cache/questlake/services-run
#   QUESTLAKE_SERVICES_PORTS=27000    base of the ports, for a second set beside the first
#   QUESTLAKE_SERVICES_ENGINE=native  or docker; without it docker, if an engine answers
#
# Downloads stay in ~/.cache/questlake/services (XDG_CACHE_HOME moves both).
set -euo pipefail
services="$(cd "$(dirname "$0")/services" && pwd)"

# shellcheck source=scripts/services/common.sh
. "$services/common.sh"
# shellcheck source=scripts/services/tls.sh
. "$services/tls.sh"
# shellcheck source=scripts/services/postgres.sh
. "$services/postgres.sh"
# shellcheck source=scripts/services/redis.sh
. "$services/redis.sh"
# shellcheck source=scripts/services/kafka.sh
. "$services/kafka.sh"
# shellcheck source=scripts/services/hdfs.sh
. "$services/hdfs.sh"
# shellcheck source=scripts/services/nameservice.sh
. "$services/nameservice.sh"
# shellcheck source=scripts/services/go.sh
. "$services/go.sh"
# shellcheck source=scripts/services/mongo.sh
. "$services/mongo.sh"
# shellcheck source=scripts/services/mongolike.sh
. "$services/mongolike.sh"
# shellcheck source=scripts/services/s3.sh
. "$services/s3.sh"
# shellcheck source=scripts/services/docker.sh
. "$services/docker.sh"

all_services=(postgres redis kafka hdfs nameservice mongo mongolike s3)

# --- Arguments -----------------------------------------------------------------------------------

usage() {
    sed -n '2,/^set -e/ { /^#/ s/^# \{0,1\}//p }' "$0" >&2
    exit 2
}

# Checks names of services; all of them if there is none.
wanted_services() {
    local name
    if [ $# = 0 ]; then
        printf '%s\n' "${all_services[@]}"
        return
    fi
    for name in "$@"; do
        [[ " ${all_services[*]} " == *" $name "* ]] ||
            fail "there is no service $name; there are: ${all_services[*]}"
        echo "$name"
    done
}

# Checks names of units, and puts a service's units in the place of the service.
wanted_units() {
    local name service known=""
    for service in "${all_services[@]}"; do
        known+=" $("${service}_units")"
    done
    for name in "$@"; do
        if [[ "$known " == *" $name "* ]]; then
            echo "$name"
        elif [[ " ${all_services[*]} " == *" $name "* ]]; then
            "${name}_units" | tr ' ' '\n'
        else
            fail "there is no unit $name; there are:$known"
        fi
    done
}

# --- Commands ------------------------------------------------------------------------------------

ready_line() { printf '%-22s %-8s %-16s (%s s)\n' "$1" ready "$2" "$3"; }

# What a service does once a unit answers.
tell_started() {
    if declare -F "${1%%-*}_started" >/dev/null; then
        "${1%%-*}_started" "$1"
    fi
}

# Waits for a service's units, each by the function given, and for what only they can do together.
await_service() {
    local service=$1 await=$2 unit begin=$SECONDS
    for unit in $("${service}_units"); do
        "$await" "$unit"
    done
    for unit in $("${service}_units"); do
        tell_started "$unit"
    done
    if declare -F "${service}_ready_as_a_whole" >/dev/null; then
        until "${service}_ready_as_a_whole"; do
            [ $((SECONDS - begin)) -lt "$start_seconds" ] ||
                fail "$service is not complete after $start_seconds s; its logs are in $run/logs"
            sleep 0.1
        done
    fi
}

up_service() {
    local service=$1 units unit begin
    read -ra units <<<"$("${service}_units")"
    "${service}_fetch"
    begin=$(uptime_seconds)
    for unit in "${units[@]}"; do
        start_unit "$unit"
    done
    await_service "$service" await_unit
    ready_line "$service" "$("${service}_address" "${units[0]}")" "$(seconds_since "$begin")"
}

command_up() {
    local service packages jobs=() job status=0
    packages=$(tls_packages)
    for service in "$@"; do
        # Not in a pipe: what cannot be installed must end us here.
        packages+=" $("${service}_packages")"
    done
    # shellcheck disable=SC2046
    install_packages $(tr ' ' '\n' <<<"$packages" | sort -u)
    make_certificates
    for service in "$@"; do
        up_service "$service" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job" || status=1
    done
    return "$status"
}

command_down() {
    local service unit jobs=() job
    for service in "$@"; do
        for unit in $("${service}_units"); do
            stop_unit "$unit" &
            jobs+=($!)
        done
    done
    for job in "${jobs[@]}"; do
        wait "$job"
    done
    for service in "$@"; do
        "${service}_remove"
        rm -rf "$run/conf/$service" "$run/conf/$service".*
        rm -f "$run/logs/$service.log" "$run/logs/$service"-*.log
    done
}

# Memory of a unit's processes together, in MiB.
memory_of() {
    local pid total=0 kib
    for pid in $(tree_of "$1"); do
        # Proportional: pages that backends share are counted once.
        kib=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null || echo 0)
        total=$((total + ${kib:-0}))
    done
    echo $((total / 1024))
}

command_status() {
    local service unit pid state status=0
    for service in "$@"; do
        for unit in $("${service}_units"); do
            if ! pid=$(pid_of "$unit"); then
                printf '%-22s %-8s %s\n' "$unit" stopped "$("${service}_address" "$unit")"
                status=1
                continue
            fi
            if is_paused "$pid"; then
                state=paused
            elif "${service}_ready" "$unit"; then
                state=ready
            else
                state=silent
            fi
            [ "$state" = ready ] || status=1
            printf '%-22s %-8s %-16s pid %-7s %4s MiB\n' "$unit" "$state" \
                "$("${service}_address" "$unit")" "$pid" "$(memory_of "$pid")"
        done
    done
    return "$status"
}

command_start() {
    local unit begin
    make_certificates
    for unit in "$@"; do
        begin=$(uptime_seconds)
        start_unit "$unit"
        await_unit "$unit"
        tell_started "$unit"
        ready_line "$unit" "$("${unit%%-*}_address" "$unit")" "$(seconds_since "$begin")"
    done
}

command_stop() {
    local unit
    for unit in "$@"; do
        stop_unit "$unit"
    done
}

command_restart() {
    command_stop "$@"
    command_start "$@"
}

command_kill() {
    local unit
    for unit in "$@"; do
        kill_unit "$unit"
    done
}

signal_units() {
    local signal=$1 unit pid
    shift
    for unit in "$@"; do
        pid=$(pid_of "$unit") || fail "$unit does not run"
        signal_tree "$signal" "$pid"
    done
}

command_pause() { signal_units STOP "$@"; }
command_resume() { signal_units CONT "$@"; }

command_activate() {
    local unit
    for unit in "$@"; do
        declare -F "${unit%%-*}_activate" >/dev/null || fail "$unit is no unit of a pair"
        "${unit%%-*}_activate" "$unit"
    done
}

# With the last service goes the rest.
tidy_up() {
    if [ -z "$(ls -A "$run/pids")" ] &&
        { ! uses_docker || [ -z "$(compose ps --all --quiet)" ]; }; then
        remove_run_folder
    fi
}

# --- Main ----------------------------------------------------------------------------------------

[ $# -gt 0 ] || usage
[ "$(uname -s)" = Linux ] || fail "runs on Linux only; compose.yaml starts the same stores elsewhere"
command=$1
shift
case "$command" in
    up | down | status | env)
        names=$(wanted_services "$@")
        ;;
    start | stop | restart | kill | pause | resume | activate)
        [ $# -gt 0 ] || usage
        names=$(wanted_units "$@")
        ;;
    *) usage ;;
esac
readarray -t names <<<"$names"

if [ "$command" = up ]; then
    make_run_folder
elif [ ! -e "$run/.questlake-services" ]; then
    if [ "$command" = down ]; then exit 0; fi
    if [ "$command" = status ]; then
        echo "no services run; start them with: make services"
        exit 1
    fi
    fail "no services have been started; run: scripts/services.sh up"
fi

if [ "$command" = env ]; then
    for name in "${names[@]}"; do
        "${name}_env"
    done
    tls_env
    exit 0
fi

# One at a time may change what runs. To look is free.
if [ "$command" != status ]; then
    exec {lock}>"$cache/.lock"
    flock "$lock"
    make_run_folder
fi

containers=() processes=()
for name in "${names[@]}"; do
    if uses_docker && has_container "$name"; then
        containers+=("$name")
    else
        processes+=("$name")
    fi
done

# All of it is shown, whatever of it is not ready.
if [ "$command" = status ]; then
    status=0
    [ "${#containers[@]}" = 0 ] || docker_status "${containers[@]}" || status=1
    [ "${#processes[@]}" = 0 ] || command_status "${processes[@]}" || status=1
    exit "$status"
fi

if [ "${#containers[@]}" != 0 ]; then
    "docker_$command" "${containers[@]}"
fi
if [ "${#processes[@]}" != 0 ]; then
    "command_$command" "${processes[@]}"
fi
if [ "$command" = down ]; then
    tidy_up
fi
