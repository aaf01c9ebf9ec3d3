# shellcheck shell=bash
# Apache Kafka from Maven Central: one node that is broker and controller (KRaft). Topics are made by
# whoever needs them, never by being named. Over TLS it asks for the name `questlake` and the password.

kafka_units() { echo kafka; }
kafka_ports() { echo "$kafka_port $kafka_tls_port $kafka_controller_port"; }
kafka_address() { echo "127.0.0.1:$kafka_port"; }
kafka_stop_signal() { echo TERM; }
kafka_packages() { java_packages; }
kafka_fetch() { fetch_jars kafka; }

kafka_prepare() {
    cat >"$run/conf/kafka.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$kafka_controller_port
listeners=PLAINTEXT://127.0.0.1:$kafka_port,TLS://127.0.0.1:$kafka_tls_port,CONTROLLER://127.0.0.1:$kafka_controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$kafka_port,TLS://localhost:$kafka_tls_port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,TLS:SASL_SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
ssl.keystore.type=PEM
ssl.keystore.location=$tls_server
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.tls.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
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
# A test waits for it.
log.cleaner.backoff.ms=500
EOF
    [ -e "$run/data/kafka/meta.properties" ] && return 0
    rm -rf "$run/data/kafka"
    # A file rather than arguments, which can be read by others.
    (
        umask 077
        cat >"$run/conf/kafka.format" <<EOF
kafka.tools.StorageTool format --cluster-id cXVlc3RsYWtlLXRlc3RzLQ
--config "$run/conf/kafka.properties"
--add-scram SCRAM-SHA-512=[name=questlake,password=$(password)]
EOF
    )
    java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$(jars kafka)/*" \
        "-Dlog4j2.configurationFile=$services/kafka/log4j2.properties" \
        "@$run/conf/kafka.format" >>"$run/logs/kafka.log" 2>&1 || {
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
    [ "${answer:8}" = 0000002a00000001 ] && answers_tcp "$kafka_tls_port"
}

kafka_remove() { rm -rf "$run/data/kafka"; }

kafka_env() {
    local mechanism=SCRAM-SHA-512
    if uses_docker; then mechanism=PLAIN; fi
    echo "export QUESTLAKE_TEST_KAFKA_BROKERS=127.0.0.1:$kafka_port"
    echo "export QUESTLAKE_TEST_KAFKA_TLS_BROKERS=localhost:$kafka_tls_port"
    echo "export QUESTLAKE_TEST_KAFKA_SASL_MECHANISM=$mechanism"
    echo "export QUESTLAKE_TEST_KAFKA_USER=questlake"
    echo "export QUESTLAKE_TEST_KAFKA_PASSWORD=$(password)"
}
