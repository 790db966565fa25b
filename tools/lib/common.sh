# What the scripts under tools/ share: messages, steps with progress, packages, the build. Sourced, never run.
# Standard output belongs to the answer; everything said to a person goes to standard error.

# shellcheck shell=bash disable=SC2034
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$ROOT/build

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
    BOLD='' DIM='' RED='' GREEN='' PLAIN=''
fi

say() { printf '%s\n' "$*" >&2; }
title() { printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN" >&2; }
die() {
    printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2
    exit 1
}

# step TEXT COMMAND...: runs the command with its output in a log, shows that it goes on, shows the log if it fails.
step() {
    local text=$1 log started=$SECONDS pid code=0
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        if [ -t 2 ]; then
            printf '\r  %s ... %ds ' "$text" $((SECONDS - started)) >&2
        elif [ $((SECONDS - started)) -gt 0 ] && [ $(((SECONDS - started) % 15)) -eq 0 ]; then
            printf '  %s ... %ds\n' "$text" $((SECONDS - started)) >&2
            sleep 0.8
        fi
        sleep 0.2
    done
    wait "$pid" || code=$?
    [ -t 2 ] && printf '\r\e[K' >&2
    if [ "$code" -ne 0 ]; then
        printf '  %sfailed%s %s (%ds)\n' "$RED" "$PLAIN" "$text" $((SECONDS - started)) >&2
        tail -n 40 "$log" >&2
        rm -f "$log"
        return "$code"
    fi
    printf '  %sok%s %s %s(%ds)%s\n' "$GREEN" "$PLAIN" "$text" "$DIM" $((SECONDS - started)) "$PLAIN" >&2
    rm -f "$log"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# ---- packages ----

PACKAGES_RUN=(gcc libc6-dev cmake ninja-build pkg-config python3 curl procps util-linux postgresql
    librdkafka-dev libavro-dev libevent-dev libcurl4-openssl-dev libpq-dev libcjson-dev libssl-dev
    libinih-dev libutf8proc-dev libcmark-gfm-dev libcmark-gfm-extensions-dev libxml2-dev libseccomp-dev libpoppler-glib-dev libzip-dev libuchardet-dev liblinear-dev uthash-dev)
PACKAGES_TEST=(libcmocka-dev clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 shellcheck pmccabe systemd git
    python3-pytest python3-venv python3-confluent-kafka python3-avro python3-requests python3-psycopg2
    python3-pytest-xdist python3-botocore)
PACKAGES_JAVA=(openjdk-17-jre-headless)
PACKAGES_MAVEN=(maven)

packages_missing() {
    local package
    for package in "$@"; do
        if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
            printf '%s ' "$package"
        fi
    done
}

# Installing PostgreSQL would also make a cluster of the system's; ours is private, so it is told not to.
packages_install() {
    local conf=/etc/postgresql-common/createcluster.d/helpdesk-none.conf
    as_root apt-get update -q
    as_root mkdir -p "$(dirname "$conf")"
    printf 'create_main_cluster = false\n' | as_root tee "$conf" >/dev/null
    local code=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" || code=$?
    as_root rm -f "$conf"
    return "$code"
}

# need_packages NAME...: installs what is missing, having listed it.
need_packages() {
    local missing
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || die "these packages are missing, and this system has no apt-get: $missing"
    say "  missing packages: $missing"
    # shellcheck disable=SC2086
    step "installing them" packages_install $missing
}

# Kafka needs a Java 17 or newer to run and Maven's client to come from its repository.
need_java() {
    local version
    version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge 17 ] || need_packages "${PACKAGES_JAVA[@]}"
    command -v mvn >/dev/null || need_packages "${PACKAGES_MAVEN[@]}"
}

# A second, independent Kafka client for the fault tests, from PyPI: PYTHON_CLIENT is the interpreter that has it.
PYTHON_CLIENT=$ROOT/.cache/python-client/bin/python

need_python_client() {
    local wanted=$ROOT/tests/faults/requirements.txt folder=$ROOT/.cache/python-client
    cmp -s "$wanted" "$folder/requirements.txt" && return 0
    step "installing another Kafka client for Python" python_client_install "$wanted" "$folder"
}

# Amazon's own client, new enough to know Converse: the stand-in for Bedrock is held against it; and a server of SQS. BOTOCORE is the interpreter that has them.
BOTOCORE=$ROOT/.cache/botocore/bin/python

need_botocore() {
    local wanted=$ROOT/tests/e2e/requirements.txt folder=$ROOT/.cache/botocore
    cmp -s "$wanted" "$folder/requirements.txt" && return 0
    step "installing Amazon's client for Python" python_client_install "$wanted" "$folder"
}

python_client_install() {
    rm -rf "$2"
    /usr/bin/python3 -m venv "$2"
    "$2/bin/pip" install --only-binary :all: -r "$1"
    cp "$1" "$2/requirements.txt"
}

# ---- the build ----

# build_program DIR [CMAKE OPTION...]: configures once, builds; one at a time per folder.
build_program() {
    local dir=$1
    shift
    mkdir -p "$dir"
    exec {build_lock}>"$dir/.lock"
    flock "$build_lock"
    cmake -S "$ROOT" -B "$dir" -G Ninja "$@"
    ninja -C "$dir"
    exec {build_lock}>&-
}

# ---- ports and waiting ----

port_is_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below those that the system gives to connections: a server that was stopped finds its port free when it comes back.
free_port() {
    local port
    while :; do
        port=$((10000 + SRANDOM % 20000))
        port_is_busy "$port" || break
    done
    printf '%s\n' "$port"
}

# wait_until SECONDS COMMAND...: until it succeeds.
wait_until() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.1
    done
}
