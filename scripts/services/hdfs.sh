# shellcheck shell=bash
# Apache Hadoop HDFS from Maven Central: a NameNode and three DataNodes. All settings are flags, so
# that there is one place where they are.

hdfs_units() { echo hdfs-namenode hdfs-datanode-1 hdfs-datanode-2 hdfs-datanode-3; }
hdfs_stop_signal() { echo TERM; }
hdfs_packages() { java_packages; }
hdfs_fetch() { fetch_jars hdfs; }

hdfs_ports() {
    local number=${1##*-}
    if [ "$1" = hdfs-namenode ]; then
        echo "$hdfs_port $hdfs_http_port"
    else
        echo "$((datanode_port + number)) $((datanode_ipc_port + number)) $((datanode_http_port + number))"
    fi
}

hdfs_address() {
    local ports
    ports=$(hdfs_ports "$1")
    echo "127.0.0.1:${ports%% *}"
}

# The flags of both kinds of node. A DataNode that is killed or halted is avoided after 5 s and dead
# after 2 x 2 s + 10 x 1 s; Hadoop's own ten minutes are for networks and racks.
hdfs_settings() {
    printf '%s\n' \
        -Dfs.defaultFS="hdfs://127.0.0.1:$hdfs_port" \
        -Dhadoop.tmp.dir="$run/data/hdfs/tmp" \
        -Ddfs.replication=2 \
        -Ddfs.permissions.enabled=false \
        -Ddfs.heartbeat.interval=1s \
        -Ddfs.namenode.heartbeat.recheck-interval=2000 \
        -Ddfs.namenode.stale.datanode.interval=5000 \
        -Ddfs.namenode.avoid.read.stale.datanode=true \
        -Ddfs.namenode.avoid.write.stale.datanode=true
}

hdfs_namenode_settings() {
    printf '%s\n' \
        -Ddfs.namenode.name.dir="file://$run/data/hdfs/namenode" \
        -Ddfs.namenode.http-address="127.0.0.1:$hdfs_http_port" \
        -Ddfs.namenode.safemode.extension=0 \
        -Ddfs.namenode.redundancy.interval.seconds=1s \
        -Ddfs.namenode.datanode.registration.ip-hostname-check=false \
        -Ddfs.namenode.handler.count=8
}

hdfs_datanode_settings() {
    local number=$1
    printf '%s\n' \
        -Ddfs.datanode.data.dir="file://$run/data/hdfs/datanode-$number" \
        -Ddfs.datanode.address="127.0.0.1:$((datanode_port + number))" \
        -Ddfs.datanode.ipc.address="127.0.0.1:$((datanode_ipc_port + number))" \
        -Ddfs.datanode.http.address="127.0.0.1:$((datanode_http_port + number))" \
        -Ddfs.datanode.hostname=127.0.0.1 \
        -Ddfs.datanode.handler.count=4
}

hdfs_java() {
    echo "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError" \
        "-Djava.net.preferIPv4Stack=true --add-opens=java.base/java.lang=ALL-UNNAMED"
}

hdfs_start() {
    local unit=$1 java common own
    read -ra java <<<"$(hdfs_java)"
    # The web servers, which tell the nodes' states, want folders of pages, and the jars have none.
    mkdir -p "$run/conf/hdfs/webapps/"{hdfs,datanode,static}
    java+=("-Dlog4j.configuration=file:$services/hdfs/log4j.properties")
    java+=(-cp "$run/conf/hdfs:$(jars hdfs)/*")
    readarray -t common < <(hdfs_settings)
    if [ "$unit" != hdfs-namenode ]; then
        readarray -t own < <(hdfs_datanode_settings "${unit##*-}")
        spawn "$unit" java -Xmx160m "${java[@]}" \
            org.apache.hadoop.hdfs.server.datanode.DataNode "${common[@]}" "${own[@]}"
        return
    fi
    readarray -t own < <(hdfs_namenode_settings)
    if [ ! -e "$run/data/hdfs/namenode/current/VERSION" ]; then
        mkdir -p "$run/data/hdfs"
        # The identity of a new file system is not that of the one before it.
        rm -rf "$run/data/hdfs/"datanode-*
        java -Xmx160m "${java[@]}" org.apache.hadoop.hdfs.server.namenode.NameNode \
            "${common[@]}" "${own[@]}" -format -force -nonInteractive \
            >>"$run/logs/$unit.log" 2>&1 || {
            show_log "$unit"
            fail "HDFS could not be formatted; the end of the log is above"
        }
    fi
    spawn "$unit" java -Xmx256m "${java[@]}" \
        org.apache.hadoop.hdfs.server.namenode.NameNode "${common[@]}" "${own[@]}"
}

# The NameNode is ready when it is out of safe mode, a DataNode when the NameNode has accepted it.
hdfs_ready() {
    local unit=$1 answer
    if [ "$unit" = hdfs-namenode ]; then
        [[ "$(hdfs_state)" == *'"FSState" : "Operational"'* ]]
    else
        answer=$(http_get "$((datanode_http_port + ${unit##*-}))" \
            '/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo')
        [[ "$answer" == *'\"ActorState\":\"RUNNING\"'* ]]
    fi
}

hdfs_state() { http_get "$hdfs_http_port" '/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState'; }

# A new NameNode knows of no DataNode yet, and would refuse to write.
hdfs_ready_as_a_whole() { [[ "$(hdfs_state)" == *'"NumLiveDataNodes" : 3,'* ]]; }

hdfs_remove() { rm -rf "$run/data/hdfs"; }

hdfs_env() { echo "export QUESTLAKE_TEST_HDFS_URL=hdfs://127.0.0.1:$hdfs_port"; }
