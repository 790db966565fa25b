# A whole helpdesk in one folder: database, broker, roles, sample data. Sourced after common.sh, postgres.sh, kafka.sh.
# The folder holds pg/, kafka/, kb/ (the documents), state/ (run.dir: addresses, the lock) and helpdesk.log.

# shellcheck shell=bash
STACK_UP_PID=''

# stack_start DIR PORT BROKER(embedded|kafka) [OPTION OF up...]: returns when every role is ready. URL in STACK_URL.
stack_start() {
    local dir=$1 port=$2 broker=$3
    shift 3
    mkdir -p "$dir/state"
    step "starting the database" pg_private_start "$dir/pg"
    DATABASE_URL=$(pg_private_start "$dir/pg") # it runs: this only tells the address
    export DATABASE_URL
    # A shell that has read the environment of an earlier trial names its broker, which is gone.
    [ "${HELPDESK_KAFKA_EMBEDDED:-}" != true ] || unset HELPDESK_KAFKA_BROKERS HELPDESK_KAFKA_EMBEDDED
    if [ "$broker" = kafka ]; then
        step "fetching Apache Kafka" kafka_install
        step "starting Apache Kafka" kafka_start "$dir/kafka"
        HELPDESK_KAFKA_BROKERS=$(cat "$dir/kafka/address")
        export HELPDESK_KAFKA_BROKERS
    fi
    if [ -z "${HELPDESK_KB_SOURCE:-}${HELPDESK_KB_SOURCES:-}" ]; then
        [ -d "$dir/kb" ] || cp -r "$ROOT/deploy/sample/kb" "$dir/kb"
        export HELPDESK_KB_SOURCE=$dir/kb HELPDESK_KB_PUBLIC_URL=file://$dir/kb/
    fi
    export HELPDESK_PORT=$port HELPDESK_RUN_DIR=$dir/state
    export HELPDESK_GENERATOR_VOICES=${HELPDESK_GENERATOR_VOICES-$ROOT/deploy/sample/voices.json}
    # A session of its own: Ctrl-C is for this script, which then stops the roles in order.
    setsid "$BUILD/helpdesk" up "$@" 2>>"$dir/helpdesk.log" &
    STACK_UP_PID=$!
    step "starting the roles" stack_wait_ready "$dir" "$STACK_UP_PID"
    STACK_URL=http://$(cat "$dir/state/gateway-1.http")
    if [ -z "${HELPDESK_KAFKA_BROKERS:-}" ]; then
        HELPDESK_KAFKA_BROKERS=$(cat "$dir/state/ready")
        export HELPDESK_KAFKA_BROKERS HELPDESK_KAFKA_EMBEDDED=true
    fi
    stack_environment >"$dir/environment"
}

# What another shell needs to work with it, but for secrets: . DIR/environment
stack_environment() {
    local name
    printf "# To be read by a shell: the helpdesk in this folder.\nexport PATH=%q:\"\$PATH\"\n" "$BUILD"
    for name in DATABASE_URL HELPDESK_PORT HELPDESK_RUN_DIR HELPDESK_KAFKA_BROKERS HELPDESK_KAFKA_EMBEDDED \
        HELPDESK_KB_SOURCE HELPDESK_KB_SOURCES HELPDESK_KB_PUBLIC_URL HELPDESK_GENERATOR_VOICES; do
        [ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
    done
}

stack_wait_ready() {
    local dir=$1 pid=$2 until=$((SECONDS + 90))
    while [ ! -f "$dir/state/ready" ]; do
        if ! kill -0 "$pid" 2>/dev/null || [ "$SECONDS" -gt "$until" ]; then
            tail -n 15 "$dir/helpdesk.log"
            return 1
        fi
        sleep 0.1
    done
}

# Sample customers, orders, past tickets; and every document of the knowledge base is in.
stack_load_samples() {
    local what
    for what in customers orders tickets; do
        step "importing sample $what" "$BUILD/helpdesk" import "$what" "$ROOT/deploy/sample/$what.csv"
    done
    step "reading the knowledge base" stack_sync "$STACK_URL"
}

stack_sync() {
    local url=$1 job state='' until=$((SECONDS + 120))
    job=$(curl -fsS -X POST -H 'Content-Type: application/json' -d '{}' "$url/kb/sync" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["job_id"])')
    while [ "$SECONDS" -lt "$until" ]; do
        state=$(curl -fsS "$url/kb/sync/$job" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])')
        case $state in
        done) return 0 ;;
        failed) break ;;
        esac
        sleep 0.1
    done
    curl -sS "$url/kb/sync/$job"
    return 1
}

# stack_stop DIR [forget]: ends every process of it; `forget` deletes the folder too.
stack_stop() {
    local dir=$1
    if [ -n "$STACK_UP_PID" ]; then
        kill "$STACK_UP_PID" 2>/dev/null || true
        wait "$STACK_UP_PID" 2>/dev/null || true
        STACK_UP_PID=''
    fi
    kafka_stop "$dir/kafka"
    if [ "${2:-}" = forget ]; then
        pg_private_remove "$dir/pg"
        rm -rf "$dir"
    else
        pg_private_stop "$dir/pg"
    fi
}
