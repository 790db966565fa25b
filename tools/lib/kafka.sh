# A private Apache Kafka of one node (KRaft), from Maven Central's jars. Sourced after common.sh.

# shellcheck shell=bash
KAFKA_JARS=${HELPDESK_KAFKA_JARS:-$ROOT/.cache/kafka}

kafka_install() {
    [ -f "$KAFKA_JARS/.complete" ] && return 0
    mkdir -p "$KAFKA_JARS"
    mvn -q -B -f "$ROOT/tools/kafka/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$KAFKA_JARS"
    touch "$KAFKA_JARS/.complete"
}

# Becomes a Java program of Kafka's: call it in a subshell.
kafka_java() {
    exec java -Xmx512m -Xms256m -XX:+UseSerialGC -XX:TieredStopAtLevel=4 -cp "$KAFKA_JARS/*" "$@"
}

# Starts it in DIR and returns when it answers; the address is in DIR/address. Data in DIR stays for the next start.
kafka_start() {
    local dir=$1 port controller
    mkdir -p "$dir"
    port=$(cat "$dir/port" 2>/dev/null || true)
    if [ -z "$port" ] || port_is_busy "$port"; then
        port=$(free_port)
    fi
    controller=$(free_port)
    printf '%s\n' "$port" >"$dir/port"
    cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$dir/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
group.coordinator.append.linger.ms=0
PROPERTIES
    if [ ! -f "$dir/data/meta.properties" ]; then
        (kafka_java kafka.tools.StorageTool format -t helpdeskhelpdeskhelpdg \
            -c "$dir/server.properties") >"$dir/format.log" 2>&1 ||
            die "Kafka's storage could not be formatted: $(tail -n 3 "$dir/format.log")"
    fi
    (kafka_java kafka.Kafka "$dir/server.properties") >"$dir/kafka.log" 2>&1 &
    printf '%s\n' $! >"$dir/pid"
    if ! wait_until 60 grep -q 'Kafka Server started' "$dir/kafka.log"; then
        tail -n 20 "$dir/kafka.log" >&2
        die "Apache Kafka did not start within 60 s"
    fi
    printf '127.0.0.1:%s\n' "$port" >"$dir/address"
}

kafka_stop() {
    local dir=$1 pid
    pid=$(cat "$dir/pid" 2>/dev/null || true)
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    wait_until 15 not_running "$pid" || kill -9 "$pid" 2>/dev/null || true
    rm -f "$dir/pid" "$dir/address"
}

not_running() { ! kill -0 "$1" 2>/dev/null; }
