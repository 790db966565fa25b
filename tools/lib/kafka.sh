# A private Apache Kafka (KRaft) of one node or more, from Maven Central's jars. Sourced after common.sh.
#
#   kafka_start DIR [NODES]         starts all nodes (1), returns when they answer; the addresses are in DIR/address
#   kafka_stop DIR                  stops all; the data stays for the next start
#   kafka_node_start DIR N          starts node N of a cluster that kafka_start has made
#   kafka_node_stop DIR N [SIGNAL]  ends it: TERM (hands its leaderships over first) or KILL

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

# A port that stays the same over restarts, unless somebody else has it: kept in FILE.
kafka_port() {
    local file=$1 port
    port=$(cat "$file" 2>/dev/null || true)
    if [ -z "$port" ] || port_is_busy "$port"; then
        port=$(free_port)
    fi
    printf '%s\n' "$port" >"$file"
}

# Topics and Kafka's own are on up to three nodes; a record counts when two have it.
kafka_configure() {
    local dir=$1 nodes=$2 node voters='' copies
    copies=$((nodes < 3 ? nodes : 3))
    for node in $(seq "$nodes"); do
        mkdir -p "$dir/$node"
        kafka_port "$dir/$node/port"
        kafka_port "$dir/$node/controller"
        voters+=${voters:+,}$node@127.0.0.1:$(cat "$dir/$node/controller")
    done
    for node in $(seq "$nodes"); do
        local listeners
        listeners=PLAINTEXT://127.0.0.1:$(cat "$dir/$node/port"),CONTROLLER://127.0.0.1:$(cat "$dir/$node/controller")
        cat >"$dir/$node/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
listeners=$listeners
advertised.listeners=$listeners
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$dir/$node/data
default.replication.factor=$copies
min.insync.replicas=$((copies > 1 ? 2 : 1))
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$((copies > 1 ? 2 : 1))
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
leader.imbalance.check.interval.seconds=5
auto.create.topics.enable=false
group.coordinator.append.linger.ms=0
PROPERTIES
    done
    printf '%s\n' "$nodes" >"$dir/nodes"
}

kafka_launch() {
    local dir=$1/$2
    if [ ! -f "$dir/data/meta.properties" ]; then
        (kafka_java kafka.tools.StorageTool format -t helpdeskhelpdeskhelpdg \
            -c "$dir/server.properties") >"$dir/format.log" 2>&1 ||
            die "Kafka's storage could not be formatted: $(tail -n 3 "$dir/format.log")"
    fi
    rm -f "$dir/kafka.log" # what the last run wrote is not for kafka_wait
    (kafka_java kafka.Kafka "$dir/server.properties") >"$dir/kafka.log" 2>&1 &
    printf '%s\n' $! >"$dir/pid"
}

kafka_wait() {
    local dir=$1/$2
    wait_until 300 kafka_settled "$dir" || true
    if ! grep -q 'Kafka Server started' "$dir/kafka.log"; then
        tail -n 20 "$dir/kafka.log" >&2
        die "Apache Kafka did not start within 300 s"
    fi
}

kafka_settled() { grep -q 'Kafka Server started' "$1/kafka.log" || not_running "$(cat "$1/pid")"; }

kafka_start() {
    local dir=$1 nodes=${2:-} node addresses=''
    mkdir -p "$dir"
    nodes=${nodes:-$(cat "$dir/nodes" 2>/dev/null || echo 1)}
    kafka_configure "$dir" "$nodes"
    for node in $(seq "$nodes"); do
        kafka_launch "$dir" "$node"
        addresses+=${addresses:+,}127.0.0.1:$(cat "$dir/$node/port")
    done
    for node in $(seq "$nodes"); do
        kafka_wait "$dir" "$node"
    done
    printf '%s\n' "$addresses" >"$dir/address"
}

kafka_node_start() {
    kafka_launch "$1" "$2"
    kafka_wait "$1" "$2"
}

kafka_node_stop() {
    local dir=$1/$2 signal=${3:-TERM} pid
    pid=$(cat "$dir/pid" 2>/dev/null || true)
    [ -n "$pid" ] || return 0
    kill "-$signal" "$pid" 2>/dev/null || true
    wait_until 30 not_running "$pid" || kill -9 "$pid" 2>/dev/null || true
    rm -f "$dir/pid"
}

kafka_stop() {
    local dir=$1 node stopping=()
    for node in $(seq "$(cat "$dir/nodes" 2>/dev/null || echo 0)"); do
        kafka_node_stop "$dir" "$node" &
        stopping+=($!)
    done
    wait "${stopping[@]}"
    rm -f "$dir/address"
}

not_running() { ! kill -0 "$1" 2>/dev/null; }
