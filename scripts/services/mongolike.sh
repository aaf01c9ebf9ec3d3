# shellcheck shell=bash
# A server of its own kind that speaks MongoDB's protocol: mongo-java-server, from Maven Central. It keeps
# everything in memory, and, other than FerretDB 1, finds and changes a document in one step, as MongoDB
# does: the contract of the hot store is held against it as against MongoDB itself.
#
# It takes no certificates and no logins, makes no index but unique ones, and forgets all when it ends.

mongolike_units() { echo mongolike; }
mongolike_ports() { echo "$mongolike_port"; }
mongolike_address() { echo "127.0.0.1:$mongolike_port"; }
mongolike_stop_signal() { echo TERM; }

# A file of Java is compiled when it is started, for which the module must be there.
mongolike_packages() {
    java_packages
    if ! has java || ! java --list-modules 2>/dev/null | grep -q '^jdk.compiler'; then
        echo default-jdk-headless
    fi
}

mongolike_fetch() { fetch_jars mongolike; }

mongolike_start() {
    spawn mongolike java -Xmx512m -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
        -Djava.net.preferIPv4Stack=true -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
        -cp "$(jars mongolike)/*" "$services/mongolike/Server.java" "$mongolike_port"
}

mongolike_ready() { answers_ping "$mongolike_port"; }

mongolike_remove() { :; }

mongolike_env() {
    echo "export QUESTLAKE_TEST_MONGOLIKE_URL=mongodb://127.0.0.1:$mongolike_port/questlake"
}
