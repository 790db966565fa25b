#!/bin/bash
# Runs a command with HELPDESK_TEST_DATABASE_URL naming a private PostgreSQL that is gone afterwards.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/../tools/lib/postgres.sh"

if [ $# -eq 0 ]; then
    echo "usage: tests/with_postgres.sh COMMAND [ARGUMENT...]" >&2
    exit 2
fi
dir=$(mktemp -d /tmp/helpdesk-test-pg.XXXXXX) || exit 1
chmod 711 "$dir"
trap 'pg_private_remove "$dir"' EXIT
trap 'exit 130' INT TERM
pg_private_start "$dir" >/dev/null || exit 1
HELPDESK_TEST_DATABASE_URL=$PG_PRIVATE_URL "$@"
