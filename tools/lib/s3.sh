# A private S3 server: versitygw, built from its Go module by a Go that comes from PyPI. Sourced after common.sh.
#
#   s3_install             builds it once; the version is S3_VERSION, the one place that names it
#   s3_start DIR [OPTION...]  starts it, returns when it answers: its address is in DIR/url, its buckets are the folders of DIR/data,
#                          the key pair is S3_ACCESS_KEY and S3_SECRET_KEY; options are versitygw's (such as --event-kafka-url)
#   s3_stop DIR            stops it; data and port stay for the next start

# shellcheck shell=bash
S3_VERSION=v1.8.0
S3_HOME=${HELPDESK_S3_HOME:-$ROOT/.cache/versitygw}
S3_REGION=us-east-1
S3_ACCESS_KEY=helpdesk
S3_SECRET_KEY=helpdesk-secret

s3_wanted() { printf '%s %s\n' "$S3_VERSION" "$(cat "$ROOT/tools/s3/requirements.txt")"; }

# Go, the modules and what they compile to are needed for the build only: 1.5 GB that do not stay.
s3_install() {
    [ "$(cat "$S3_HOME/.complete" 2>/dev/null)" != "$(s3_wanted)" ] || return 0
    rm -rf "$S3_HOME"
    mkdir -p "$S3_HOME/bin" "$S3_HOME/build"
    /usr/bin/python3 -m venv "$S3_HOME/build/go"
    "$S3_HOME/build/go/bin/pip" install --only-binary :all: -r "$ROOT/tools/s3/requirements.txt"
    env -u GOROOT GOBIN="$S3_HOME/bin" GOPATH="$S3_HOME/build/path" GOCACHE="$S3_HOME/build/cache" GOFLAGS=-modcacherw CGO_ENABLED=0 \
        "$S3_HOME/build/go/bin/go" install -ldflags '-s -w' "github.com/versity/versitygw/cmd/versitygw@$S3_VERSION"
    rm -rf "$S3_HOME/build"
    s3_wanted >"$S3_HOME/.complete"
}

s3_start() {
    local dir=$1 port scheme=http
    shift
    [[ " $* " != *" --cert "* ]] || scheme=https
    mkdir -p "$dir/data" "$dir/versions"
    dir=$(cd "$dir" && pwd)
    port=$(cat "$dir/port" 2>/dev/null || free_port)
    printf '%s\n' "$port" >"$dir/port"
    # Attributes beside the objects: a file system without extended ones (an old tmpfs) will do.
    mkdir -p "$dir/attributes"
    (ROOT_ACCESS_KEY_ID=$S3_ACCESS_KEY ROOT_SECRET_ACCESS_KEY=$S3_SECRET_KEY exec "$S3_HOME/bin/versitygw" \
        --port "127.0.0.1:$port" --region "$S3_REGION" --keep-alive --quiet "$@" \
        posix --sidecar "$dir/attributes" --versioning-dir "$dir/versions" "$dir/data") >"$dir/s3.log" 2>&1 &
    printf '%s\n' $! >"$dir/pid"
    if ! wait_until 60 s3_answers "$scheme://127.0.0.1:$port/"; then
        tail -n 20 "$dir/s3.log" >&2
        die "the S3 server did not start within 60 s"
    fi
    printf '%s://127.0.0.1:%s\n' "$scheme" "$port" >"$dir/url"
}

# Any answer will do: without a signature it is a 403.
s3_answers() { curl -sSk --max-time 5 -o /dev/null "$1"; }

s3_stop() {
    local dir=$1 pid
    pid=$(cat "$dir/pid" 2>/dev/null || true)
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    wait_until 2 s3_gone "$pid" || kill -9 "$pid" 2>/dev/null || true # it waits for clients that keep connections
    rm -f "$dir/pid"
}

s3_gone() { ! kill -0 "$1" 2>/dev/null; }
