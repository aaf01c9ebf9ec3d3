# shellcheck shell=bash
# Apache Kafka from Maven Central: one node that is broker and controller (KRaft). Topics are made by
# whoever needs them, never by being named.

kafka_units() { echo kafka; }
kafka_ports() { echo "$kafka_port $kafka_controller_port"; }
kafka_address() { echo "127.0.0.1:$kafka_port"; }
kafka_stop_signal() { echo TERM; }
kafka_packages() { java_packages; }
kafka_fetch() { fetch_jars kafka; }

kafka_prepare() {
    cat >"$run/conf/kafka.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$kafka_controller_port
listeners=PLAINTEXT://127.0.0.1:$kafka_port,CONTROLLER://127.0.0.1:$kafka_controller_port
controller.listener.names=CONTROLLER
log.dirs=$run/data/kafka

auto.create.topics.enable=false
num.partitions=3
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# A broker that was killed is let in again when it would have been missed.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000

# Groups of tests are complete when they begin, and are small.
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
EOF
    [ -e "$run/data/kafka/meta.properties" ] && return 0
    rm -rf "$run/data/kafka"
    java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$(jars kafka)/*" \
        "-Dlog4j2.configurationFile=$services/kafka/log4j2.properties" \
        kafka.tools.StorageTool format --config "$run/conf/kafka.properties" \
        --cluster-id cXVlc3RsYWtlLXRlc3RzLQ >>"$run/logs/kafka.log" 2>&1 || {
        show_log kafka
        fail "Kafka's folder could not be formatted; the end of its log is above"
    }
}

kafka_start() {
    kafka_prepare
    spawn kafka java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
        -Djava.net.preferIPv4Stack=true -cp "$(jars kafka)/*" \
        "-Dlog4j2.configurationFile=$services/kafka/log4j2.properties" \
        kafka.Kafka "$run/conf/kafka.properties"
}

# A metadata request of version 1 for no topic: the answer begins with its length, the correlation
# number sent and the number of brokers, of which there is none before the broker takes part.
kafka_ready() {
    local answer
    answer=$(exchange "$kafka_port" 12 \
        '\x00\x00\x00\x17\x00\x03\x00\x01\x00\x00\x00\x2a\x00\x09questlake\x00\x00\x00\x00')
    [ "${answer:8}" = 0000002a00000001 ]
}

kafka_remove() { rm -rf "$run/data/kafka"; }

kafka_env() { echo "export QUESTLAKE_TEST_KAFKA_BROKERS=127.0.0.1:$kafka_port"; }
