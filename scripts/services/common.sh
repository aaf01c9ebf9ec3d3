# shellcheck shell=bash
# What all services have in common: folders, ports, processes and probes. Sourced by services.sh.
#
# A service (`hdfs`) is made of one or more units (`hdfs-namenode`, `hdfs-datanode-1`): one unit is
# one process with a pid file and a log. A unit's service is its name up to the first dash.

cache="${XDG_CACHE_HOME:-$HOME/.cache}/questlake/services"
run="${QUESTLAKE_SERVICES_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/questlake/services-run}"

# Below the range from which outgoing connections take their ports.
port_base="${QUESTLAKE_SERVICES_PORTS:-27000}"
postgres_port=$((port_base + 432))
redis_port=$((port_base + 379))
redis_tls_port=$((port_base + 380))
mongo_port=$((port_base + 717))
mongo_tls_port=$((port_base + 718))
mongolike_port=$((port_base + 719))
kafka_port=$((port_base + 91))             # + 92 and + 93 are free for two more brokers
kafka_tls_port=$((port_base + 94))         # + 95 and + 96 for theirs
kafka_controller_port=$((port_base + 191)) # + 192 and + 193 for their controllers
hdfs_port=$((port_base + 800))
hdfs_http_port=$((port_base + 870))
datanode_port=$((port_base + 810))         # each + the number of the DataNode
datanode_ipc_port=$((port_base + 820))
datanode_http_port=$((port_base + 830))
nameservice_port=$((port_base + 840))      # each + the number of the NameNode
nameservice_http_port=$((port_base + 850))
nameservice_datanode_port=$((port_base + 860)) # and the two behind it
s3_port=$((port_base + 900))
s3_tls_port=$((port_base + 901))

start_seconds=120
stop_seconds=20

# --- Messages ------------------------------------------------------------------------------------

fail() {
    echo "services: $*" >&2
    exit 1
}

note() { echo "services: $*" >&2; }

has() { command -v "$1" >/dev/null 2>&1; }

# Seconds since the machine started, with a fraction; free of changes of the clock.
uptime_seconds() {
    local up rest
    read -r up rest </proc/uptime
    echo "$up"
}

seconds_since() { awk -v begin="$1" '{ printf "%.1f", $1 - begin }' /proc/uptime; }

# --- Folders -------------------------------------------------------------------------------------

# `down` removes folders, so that a folder that is somebody else's must never be taken.
make_run_folder() {
    if [ -d "$run" ] && [ ! -e "$run/.questlake-services" ] && [ -n "$(ls -A "$run")" ]; then
        fail "$run is not empty and not a folder of services; set QUESTLAKE_SERVICES_DIR to another"
    fi
    mkdir -p "$run" "$cache"
    chmod 700 "$run"
    touch "$run/.questlake-services"
    mkdir -p "$run/data" "$run/logs" "$run/pids" "$run/conf"
    if [ ! -s "$run/password" ]; then
        # Of a kind that needs no escaping in a URL. Renamed into place, so that it is whole.
        (umask 077 && od -An -N 16 -tx1 /dev/urandom | tr -d ' \n' >"$run/password.new")
        mv "$run/password.new" "$run/password"
    fi
}

remove_run_folder() {
    rm -rf "$run/data" "$run/logs" "$run/pids" "$run/conf" "$run/tls" "$run/tls.new"
    rm -f "$run/password" "$run/engine" "$run/.questlake-services"
    rmdir "$run" 2>/dev/null || note "$run holds files that are not ours, and stays"
}

# The password of PostgreSQL, Redis, MongoDB, Kafka and S3. Made anew by the first `up` after a `down`.
password() {
    [ -s "$run/password" ] || fail "no services have been started; run: scripts/services.sh up"
    cat "$run/password"
}

# --- Debian packages -----------------------------------------------------------------------------

# Daemons of packages must not be started when they are installed: the services here have their own
# folders and ports. `policy-rc.d` is how Debian is told.
install_packages() {
    [ $# -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ] || ! has apt-get; then
        fail "programs are missing. On Debian: sudo apt-get install --no-install-recommends $*"
    fi
    note "installing $* …"
    local log policy=/usr/sbin/policy-rc.d own_policy=false status=0
    log=$(mktemp)
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        own_policy=true
    fi
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes \
        --no-install-recommends "$@"; } >"$log" 2>&1 || status=$?
    if [ "$own_policy" = true ]; then
        rm -f "$policy"
    fi
    if [ "$status" != 0 ]; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        fail "could not install $*; the end of what apt-get said is above"
    fi
    rm -f "$log"
}

# On some systems `java` is there and only says that there is none.
java_packages() {
    local version=0
    if has java; then
        version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    fi
    [ "${version:-0}" -ge 17 ] || echo openjdk-17-jre-headless
    has mvn || echo maven
}

# --- Jars ----------------------------------------------------------------------------------------

jars() { echo "$cache/$1-$(sha256sum "$services/$1/pom.xml" | cut -c 1-12)"; }

# Fetches what a pom.xml names, unless it is there. The folder appears when it is whole. Maven's own
# store of files does not bear two Mavens at a time.
fetch_jars() {
    local name=$1 folder log
    folder=$(jars "$name")
    [ -d "$folder" ] && return 0
    note "fetching $name with mvn …"
    log="$run/logs/$name-fetch.log"
    exec {maven_lock}>"$cache/.maven-lock"
    flock "$maven_lock"
    # Another service of the same jars may have been faster.
    if [ -d "$folder" ]; then
        exec {maven_lock}>&-
        return 0
    fi
    rm -rf "$folder.part"
    if ! mvn --batch-mode --quiet --file "$services/$name/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$folder.part" >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        fail "$name could not be fetched from Maven Central; the end of what mvn said is above"
    fi
    mv "$folder.part" "$folder"
    exec {maven_lock}>&-
}

# --- Processes -----------------------------------------------------------------------------------

# A pid alone may have been given to another program since: the time at which the process started
# and the start of the machine are its identity, and go with it into the pid file.
identity() {
    local stat threads
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # Behind the name in brackets, which may hold anything: 3rd field of all is the state, 22nd the start.
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- "$1" $stat
    # Ended, and only waiting to be asked after; but its other threads may still be on their way out, and
    # its ports with them.
    if [ "$2" = Z ]; then
        threads=("/proc/$1/task/"*)
        [ "${#threads[@]}" -gt 1 ] || return 1
    fi
    echo "$1 ${21} $(</proc/sys/kernel/random/boot_id)"
}

# Whether a process has ended and only its pid is left.
is_zombie() { [ -e "/proc/$1" ] && ! identity "$1" >/dev/null; }

# The pid of a unit; fails if it does not run.
pid_of() {
    local recorded pid
    { read -r recorded <"$run/pids/$1"; } 2>/dev/null || return 1
    pid=${recorded%% *}
    [ -n "$pid" ] && [ "$(identity "$pid")" = "$recorded" ] || return 1
    echo "$pid"
}

# Starts a unit's process: spawn UNIT COMMAND…  It outlives this script, and holds none of its files
# open: whoever waits for the end of our output would wait for the service's end.
spawn() {
    local unit=$1 pid
    shift
    (
        for descriptor in /proc/self/fd/*; do
            descriptor=${descriptor##*/}
            [ "$descriptor" -le 2 ] || eval "exec $descriptor>&-"
        done
        cd /
        exec setsid "$@"
    ) </dev/null >>"$run/logs/$unit.log" 2>&1 &
    pid=$!
    identity "$pid" >"$run/pids/$unit.new" || true
    mv "$run/pids/$unit.new" "$run/pids/$unit"
}

# Pids of a process and all below it, itself first.
tree_of() {
    local wanted=" $1 " stat pid state parent found=true
    while [ "$found" = true ]; do
        found=false
        for stat in /proc/[0-9]*/stat; do
            pid=${stat#/proc/}
            pid=${pid%/stat}
            { read -r stat <"$stat"; } 2>/dev/null || continue
            read -r state parent _ <<<"${stat##*) }"
            if [ "$state" != Z ] && [[ "$wanted" == *" $parent "* && "$wanted" != *" $pid "* ]]; then
                wanted+="$pid "
                found=true
            fi
        done
    done
    echo "$wanted"
}

# PostgreSQL's backends are processes of their own: a crash and a halt are theirs too.
signal_tree() {
    local signal=$1 pid
    for pid in $(tree_of "$2"); do
        kill "-$signal" "$pid" 2>/dev/null || true
    done
}

# Whether a process and all in the list are gone before the time is over.
gone_within() {
    local seconds=$1 begin pid alive
    shift
    begin=$SECONDS
    while true; do
        alive=false
        for pid in "$@"; do
            if identity "$pid" >/dev/null; then
                alive=true
            fi
        done
        [ "$alive" = true ] || return 0
        [ $((SECONDS - begin)) -lt "$seconds" ] || return 1
        sleep 0.05
    done
}

# Stops a unit: asks, waits, kills. What is paused hears nothing before it goes on.
stop_unit() {
    local unit=$1 pid tree signal
    if pid=$(pid_of "$unit"); then
        read -ra tree <<<"$(tree_of "$pid")"
        signal=$("${unit%%-*}_stop_signal")
        kill "-$signal" "$pid" 2>/dev/null || true
        signal_tree CONT "$pid"
        if ! gone_within "$stop_seconds" "${tree[@]}"; then
            note "$unit did not stop within $stop_seconds s; killing it"
            kill_unit "$unit"
        fi
    fi
    rm -f "$run/pids/$unit"
}

# The crash: nothing gets to write another byte.
kill_unit() {
    local unit=$1 pid tree
    pid=$(pid_of "$unit") || return 0
    read -ra tree <<<"$(tree_of "$pid")"
    kill -KILL "${tree[@]}" 2>/dev/null || true
    gone_within "$stop_seconds" "${tree[@]}" || fail "$unit (pid $pid) does not end when killed"
    rm -f "$run/pids/$unit"
}

is_paused() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    [[ "${stat##*) }" == T* ]]
}

# Starts a unit unless it runs. What is paused goes on.
start_unit() {
    local unit=$1 port pid
    if pid=$(pid_of "$unit"); then
        if is_paused "$pid"; then signal_tree CONT "$pid"; fi
        return 0
    fi
    for port in $("${unit%%-*}_ports" "$unit"); do
        if answers_tcp "$port"; then
            fail "$unit: port $port of 127.0.0.1 is taken by another program;" \
                "set QUESTLAKE_SERVICES_PORTS to another base than $port_base"
        fi
    done
    "${unit%%-*}_start" "$unit"
}

# Waits until a unit answers a request of its own protocol.
await_unit() {
    local unit=$1 begin=$SECONDS
    until "${unit%%-*}_ready" "$unit"; do
        if ! pid_of "$unit" >/dev/null; then
            show_log "$unit"
            fail "$unit ended while it was starting; the end of its log is above"
        fi
        if [ $((SECONDS - begin)) -ge "$start_seconds" ]; then
            show_log "$unit"
            fail "$unit does not answer after $start_seconds s; the end of its log is above"
        fi
        sleep 0.1
    done
}

show_log() {
    echo "--- $run/logs/$1.log" >&2
    tail -n 30 "$run/logs/$1.log" | cut -c 1-500 >&2 || true
}

# --- Probes --------------------------------------------------------------------------------------

answers_tcp() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Sends bytes (in the notation of printf's %b) and prints the first bytes of the answer in
# hexadecimal: exchange PORT COUNT REQUEST
exchange() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf '%b' "$3" >&3
        timeout 3 head -c "$2" <&3 | od -An -v -tx1 | tr -d ' \n'
    ) 2>/dev/null || true
}

# Body and head of what a web server answers: http_get PORT PATH
http_get() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
        timeout 3 cat <&3
    ) 2>/dev/null || true
}
