# shellcheck shell=bash
# HDFS with high availability: the name service `questlake`, which is two NameNodes and one DataNode.
# The NameNodes share their edits in a folder, as one machine allows. There is no ZooKeeper: who is
# active is decided by `services.sh activate UNIT`, so that tests know when it happens.
#
# It runs from the jars of hdfs.sh. Servers and clients read the same two files, as on a cluster.

nameservice_units() { echo nameservice-namenode-1 nameservice-namenode-2 nameservice-datanode; }
nameservice_stop_signal() { echo TERM; }
nameservice_packages() { java_packages; }
nameservice_fetch() { fetch_jars hdfs; }

nameservice_ports() {
    case "$1" in
        nameservice-namenode-*)
            echo "$((nameservice_port + ${1##*-})) $((nameservice_http_port + ${1##*-}))"
            ;;
        *)
            echo "$nameservice_datanode_port $((nameservice_datanode_port + 1))" \
                "$((nameservice_datanode_port + 2))"
            ;;
    esac
}

nameservice_address() {
    local ports
    ports=$(nameservice_ports "$1")
    echo "127.0.0.1:${ports%% *}"
}

# --- Settings ------------------------------------------------------------------------------------

# Writes the files of Hadoop that a user of the cluster has. Between the NameNodes is the space that
# Hadoop allows there.
nameservice_write_conf() {
    local folder="$run/conf/nameservice"
    mkdir -p "$folder"
    hadoop_file "$folder/core-site.xml" fs.defaultFS=hdfs://questlake
    hadoop_file "$folder/hdfs-site.xml" \
        dfs.nameservices=questlake \
        dfs.ha.namenodes.questlake='nn1, nn2' \
        dfs.namenode.rpc-address.questlake.nn1="$(nameservice_address nameservice-namenode-1)" \
        dfs.namenode.rpc-address.questlake.nn2="$(nameservice_address nameservice-namenode-2)" \
        dfs.namenode.http-address.questlake.nn1="127.0.0.1:$((nameservice_http_port + 1))" \
        dfs.namenode.http-address.questlake.nn2="127.0.0.1:$((nameservice_http_port + 2))" \
        dfs.client.failover.proxy.provider.questlake=org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider
}

# Writes a configuration file of Hadoop: hadoop_file PATH NAME=VALUE…  It appears whole, since a
# NameNode may be started while clients read it.
hadoop_file() {
    local path=$1 setting
    shift
    {
        printf '<?xml version="1.0" encoding="UTF-8"?>\n<configuration>\n'
        for setting in "$@"; do
            printf '  <property><name>%s</name><value>%s</value></property>\n' \
                "${setting%%=*}" "${setting#*=}"
        done
        printf '</configuration>\n'
    } >"$path.new"
    mv "$path.new" "$path"
}

# The standby never asks the active one for anything, so that neither waits for the other when that
# hangs; it reads the shared edits to their end when it becomes active.
nameservice_namenode_settings() {
    local number=$1
    printf '%s\n' \
        -Ddfs.ha.namenode.id="nn$number" \
        -Ddfs.namenode.name.dir="file://$run/data/nameservice/namenode-$number" \
        -Ddfs.namenode.shared.edits.dir="file://$run/data/nameservice/edits" \
        -Ddfs.ha.log-roll.period=-1 \
        -Ddfs.ha.tail-edits.period=1s \
        -Ddfs.ha.standby.checkpoints=false \
        -Ddfs.namenode.safemode.extension=0 \
        -Ddfs.namenode.redundancy.interval.seconds=1s \
        -Ddfs.namenode.datanode.registration.ip-hostname-check=false \
        -Ddfs.namenode.handler.count=8
}

nameservice_datanode_settings() {
    printf '%s\n' \
        -Ddfs.datanode.data.dir="file://$run/data/nameservice/datanode" \
        -Ddfs.datanode.address="127.0.0.1:$nameservice_datanode_port" \
        -Ddfs.datanode.ipc.address="127.0.0.1:$((nameservice_datanode_port + 1))" \
        -Ddfs.datanode.http.address="127.0.0.1:$((nameservice_datanode_port + 2))" \
        -Ddfs.datanode.hostname=127.0.0.1 \
        -Ddfs.datanode.handler.count=4
}

# A program of Hadoop, with what all of them are given, one argument a line: nameservice_java HEAP CLASS
nameservice_java() {
    local java
    read -ra java <<<"$(hdfs_java)"
    printf '%s\n' java "-Xmx$1" "${java[@]}" \
        "-Dlog4j.configuration=file:$services/hdfs/log4j.properties" \
        -cp "$run/conf/nameservice:$(jars hdfs)/*" "$2" \
        -Dhadoop.tmp.dir="$run/data/nameservice/tmp" \
        -Ddfs.replication=1 \
        -Ddfs.permissions.enabled=false \
        -Ddfs.heartbeat.interval=1s \
        -Ddfs.namenode.heartbeat.recheck-interval=2000
}

# --- Processes -----------------------------------------------------------------------------------

nameservice_start() {
    local unit=$1 program own
    # The web servers, which tell the nodes' states, want folders of pages, and the jars have none.
    mkdir -p "$run/conf/nameservice/webapps/"{hdfs,datanode,static}
    nameservice_write_conf
    if [ "$unit" = nameservice-datanode ]; then
        readarray -t program < <(nameservice_java 96m org.apache.hadoop.hdfs.server.datanode.DataNode)
        readarray -t own < <(nameservice_datanode_settings)
    else
        nameservice_format "$unit"
        readarray -t program < <(nameservice_java 128m org.apache.hadoop.hdfs.server.namenode.NameNode)
        readarray -t own < <(nameservice_namenode_settings "${unit##*-}")
    fi
    spawn "$unit" "${program[@]}" "${own[@]}"
}

# Both NameNodes begin with the same file system. What is there in part is from a start that failed.
nameservice_format() {
    local unit=$1 data="$run/data/nameservice" program own
    [ ! -e "$data/namenode-2/current/VERSION" ] || return 0
    rm -rf "$data"
    mkdir -p "$data"
    readarray -t program < <(nameservice_java 128m org.apache.hadoop.hdfs.server.namenode.NameNode)
    readarray -t own < <(nameservice_namenode_settings 1)
    "${program[@]}" "${own[@]}" -format -force -nonInteractive >>"$run/logs/$unit.log" 2>&1 || {
        show_log "$unit"
        fail "the name service could not be formatted; the end of the log is above"
    }
    cp -R "$data/namenode-1" "$data/namenode-2.new"
    mv "$data/namenode-2.new" "$data/namenode-2"
}

# `active` or `standby`; nothing if the NameNode does not answer.
nameservice_state() {
    http_get "$((nameservice_http_port + ${1##*-}))" \
        '/jmx?qry=Hadoop:service=NameNode,name=NameNodeStatus' |
        sed -n 's/.*"State" : "\([a-z]*\)".*/\1/p'
}

nameservice_counts() {
    http_get "$((nameservice_http_port + ${1##*-}))" \
        '/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState'
}

# A NameNode is ready when it can become active, which it does only out of safe mode, and knows the
# DataNode; a DataNode, when a NameNode has accepted it.
nameservice_ready() {
    local unit=$1 counts
    if [ "$unit" = nameservice-datanode ]; then
        [[ "$(http_get "$((nameservice_datanode_port + 2))" \
            '/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo')" == *'\"ActorState\":\"RUNNING\"'* ]]
        return
    fi
    counts=$(nameservice_counts "$unit")
    [[ "$counts" == *'"FSState" : "Operational"'* ]] || return 1
    [[ "$counts" == *'"NumLiveDataNodes" : 1,'* ]] || ! pid_of nameservice-datanode >/dev/null
}

# The other NameNode.
nameservice_other() { echo "nameservice-namenode-$((3 - ${1##*-}))"; }

# Without a failover controller a NameNode that starts is a standby, and stays one. The first of the
# two becomes active, unless the other may be: what hangs is not asked.
nameservice_started() {
    local unit=$1 other pid
    [[ "$unit" == nameservice-namenode-* ]] || return 0
    other=$(nameservice_other "$unit")
    if pid=$(pid_of "$other") && { is_paused "$pid" || [ "$(nameservice_state "$other")" = active ]; }; then
        return 0
    fi
    nameservice_activate "$unit"
}

# Makes a NameNode the active one. The other is asked to step back; whether it does so, or is gone, or
# hangs and is still active when it goes on, is what tests are about.
nameservice_activate() {
    local unit=$1 program
    [[ "$unit" == nameservice-namenode-* ]] || fail "$unit cannot be active: it is no NameNode"
    [ "$(nameservice_state "$unit")" != active ] || return 0
    readarray -t program < <(nameservice_java 64m org.apache.hadoop.hdfs.tools.DFSHAAdmin)
    "${program[@]}" -Ddfs.ha.fencing.methods='shell(/bin/true)' \
        -Dha.failover-controller.graceful-fence.rpc-timeout.ms=1000 \
        -Dha.failover-controller.graceful-fence.connection.retries=0 \
        -failover "nn$((3 - ${unit##*-}))" "nn${unit##*-}" >>"$run/logs/$unit.log" 2>&1 || {
        show_log "$unit"
        fail "$unit did not become active; the end of its log is above"
    }
}

nameservice_remove() { rm -rf "$run/data/nameservice"; }

nameservice_env() {
    echo "export HADOOP_CONF_DIR=$(printf '%q' "$run/conf/nameservice")"
    echo "export QUESTLAKE_TEST_NAMESERVICE_URL=hdfs://questlake"
}
