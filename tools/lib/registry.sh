# A private schema registry with Confluent's API: Apicurio Registry from Maven Central. Sourced after common.sh.

# shellcheck shell=bash
REGISTRY_VERSION=2.6.13.Final
REGISTRY_HOME=${HELPDESK_REGISTRY_HOME:-$ROOT/.cache/registry}

registry_install() {
    [ -f "$REGISTRY_HOME/.complete" ] && return 0
    rm -rf "$REGISTRY_HOME"
    mkdir -p "$REGISTRY_HOME"
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        "-Dartifact=io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all" "-DoutputDirectory=$REGISTRY_HOME"
    tar -xzf "$REGISTRY_HOME/apicurio-registry-app-$REGISTRY_VERSION-all.tar.gz" -C "$REGISTRY_HOME"
    rm "$REGISTRY_HOME/apicurio-registry-app-$REGISTRY_VERSION-all.tar.gz"
    touch "$REGISTRY_HOME/.complete"
}

# Starts it in DIR and returns when it answers; the address of its API is in DIR/url. Data in DIR stays for the next
# start, the port too.
registry_start() {
    local dir=$1 port
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    port=$(cat "$dir/port" 2>/dev/null || free_port)
    printf '%s\n' "$port" >"$dir/port"
    (cd "$dir" && REGISTRY_DATASOURCE_URL=jdbc:h2:file:$dir/data exec java -Xmx400m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$port" -jar \
        "$REGISTRY_HOME/apicurio-registry-app-$REGISTRY_VERSION-runner.jar") >"$dir/registry.log" 2>&1 &
    printf '%s\n' $! >"$dir/pid"
    if ! wait_until 240 curl -fsS --max-time 5 "http://127.0.0.1:$port/apis/ccompat/v7/subjects"; then
        tail -n 20 "$dir/registry.log" >&2
        die "the schema registry did not start within 240 s"
    fi
    printf 'http://127.0.0.1:%s/apis/ccompat/v7\n' "$port" >"$dir/url"
}

registry_stop() {
    local dir=$1 pid
    pid=$(cat "$dir/pid" 2>/dev/null || true)
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    wait_until 15 registry_gone "$pid" || kill -9 "$pid" 2>/dev/null || true
    rm -f "$dir/pid"
}

registry_gone() { ! kill -0 "$1" 2>/dev/null; }
