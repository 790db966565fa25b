# shellcheck shell=bash
# A private PostgreSQL cluster in a folder, for trial and tests: no cluster of the system is touched, nobody else can
# connect, and it keeps nothing over a power cut (fsync is off). To be sourced.
#
#   pg_private_start DIR   creates the cluster on first use, starts it if it is down, exports PG_PRIVATE_URL and prints it
#   pg_private_stop DIR    stops it; the data stays
#   pg_private_remove DIR  stops it and deletes it
#
# PostgreSQL refuses to run as root: then it runs as `postgres`, or as `nobody` where there is no such user.

pg_private_say() {
    printf 'postgres: %s\n' "$*" >&2
}

pg_private_user() {
    if [ "$(id -u)" -ne 0 ]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

# Runs a command as the cluster's user, in a folder it may enter, holding none of our open files (a lock, a pipe).
pg_private_as() {
    (
        for fd in 3 4 5 6 7 8 9; do
            eval "exec $fd>&-"
        done
        cd / || exit 1
        if [ "$(id -u)" -eq 0 ]; then
            exec runuser -u "$(pg_private_user)" -- "$@"
        fi
        exec "$@"
    )
}

# The folder of programs of the cluster's major version, or of the newest one from 15 on.
pg_private_bin() {
    local home=$1 folder major wanted=''
    [ -r "$home/data/PG_VERSION" ] && wanted=$(cat "$home/data/PG_VERSION")
    while read -r folder; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then
            major=$("$folder/postgres" -V | sed -E 's/.* ([0-9]+).*/\1/')
            if [ "$major" -ge 15 ] && { [ -z "$wanted" ] || [ "$wanted" = "$major" ]; }; then
                echo "$folder"
                return 0
            fi
        fi
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV; pg_config --bindir 2>/dev/null)
    pg_private_say "no PostgreSQL server ${wanted:-15 or newer} found; on Debian: apt-get install postgresql"
    return 1
}

# Where the cluster of DIR lives: DIR itself, or a folder of /var/tmp when its user cannot enter DIR or DIR is too long
# for the name of a socket. DIR/home says which.
pg_private_home() {
    local dir=$1 home
    if [ -r "$dir/home" ]; then
        home=$(cat "$dir/home")
        [ -d "$home" ] && { echo "$home"; return 0; }
    fi
    mkdir -p "$dir" || return 1
    dir=$(cd "$dir" && pwd -P) || return 1
    home=$dir/cluster
    if [ "${#home}" -gt 80 ] || ! pg_private_as test -x "$dir"; then
        home=$(mktemp -d /var/tmp/helpdesk-pg.XXXXXX) || return 1
    fi
    mkdir -p "$home" && chmod 700 "$home" || return 1
    [ "$(id -u)" -ne 0 ] || chown "$(pg_private_user)" "$home" || return 1
    echo "$home" >"$dir/home" || return 1
    echo "$home"
}

pg_private_create() {
    local bin=$1 home=$2
    # A cluster half made by an interrupted first start is made again.
    rm -rf "$home/making" "$home/data"
    if ! pg_private_as "$bin/initdb" -D "$home/making" -U helpdesk -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
        --no-instructions >"$home/initdb.log" 2>&1 </dev/null; then
        pg_private_say "initdb failed:"
        tail -n 5 "$home/initdb.log" >&2
        return 1
    fi
    cat >>"$home/making/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 200
fsync = off
full_page_writes = off
timezone = 'UTC'
log_timezone = 'UTC'
CONF
    mv "$home/making" "$home/data"
}

# A pid file left by a killed server may name a process that is something else today.
pg_private_clear_stale() {
    local home=$1 pid
    [ -r "$home/data/postmaster.pid" ] || return 0
    pid=$(head -n 1 "$home/data/postmaster.pid")
    if ! tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$home/data"; then
        rm -f "$home/data/postmaster.pid" "$home"/.s.PGSQL.*
    fi
}

pg_private_running() {
    pg_private_as "$1/pg_ctl" -D "$2/data" status >/dev/null 2>&1 </dev/null
}

pg_private_launch() {
    local bin=$1 home=$2 attempt
    # Backends of a server killed a moment ago may still hold its shared memory.
    for attempt in 1 2 3 4 5; do
        pg_private_clear_stale "$home"
        if pg_private_as "$bin/pg_ctl" -D "$home/data" -l "$home/server.log" -s -w -t 30 \
            -o "-k $(printf '%q' "$home")" start \
            >/dev/null 2>&1 </dev/null; then
            return 0
        fi
        sleep "$attempt"
    done
    pg_private_say "the server does not start:"
    tail -n 5 "$home/server.log" >&2
    return 1
}

pg_private_start() {
    local dir=$1 home bin host
    home=$(pg_private_home "$dir") || { pg_private_say "cannot use folder $dir"; return 1; }
    bin=$(pg_private_bin "$home") || return 1
    [ -s "$home/data/PG_VERSION" ] || pg_private_create "$bin" "$home" || return 1
    pg_private_clear_stale "$home"
    pg_private_running "$bin" "$home" || pg_private_launch "$bin" "$home" || return 1
    if [ ! -e "$home/database" ]; then
        pg_private_as "$bin/createdb" -h "$home" -U helpdesk helpdesk >/dev/null 2>&1 </dev/null ||
            pg_private_as "$bin/psql" -h "$home" -U helpdesk -d helpdesk -qc 'SELECT 1' >/dev/null </dev/null ||
            return 1
        : >"$home/database"
    fi
    host=$(printf '%s' "$home" | sed 's/%/%25/g; s/ /%20/g; s/&/%26/g; s/?/%3F/g; s/#/%23/g; s/,/%2C/g')
    export PG_PRIVATE_URL="postgresql://helpdesk@/helpdesk?host=$host"
    echo "$PG_PRIVATE_URL"
}

pg_private_stop() {
    local dir=$1 home bin
    [ -r "$dir/home" ] || return 0
    home=$(cat "$dir/home")
    [ -e "$home/data/postmaster.pid" ] || return 0
    bin=$(pg_private_bin "$home") || return 1
    pg_private_clear_stale "$home"
    pg_private_running "$bin" "$home" || return 0
    pg_private_as "$bin/pg_ctl" -D "$home/data" -s -w -t 20 -m fast stop >/dev/null 2>&1 </dev/null ||
        pg_private_as "$bin/pg_ctl" -D "$home/data" -s -w -t 20 -m immediate stop >/dev/null 2>&1 </dev/null
}

pg_private_remove() {
    local dir=$1 home
    pg_private_stop "$dir" || return 1
    if [ -r "$dir/home" ]; then
        home=$(cat "$dir/home")
        rm -rf "$home"
    fi
    rm -rf "$dir"
}
