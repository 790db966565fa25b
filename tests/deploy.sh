#!/usr/bin/env bash
# The systemd units load without a complaint, each limits its memory, and what outlives a process has a place.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../tools/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tools/lib/common.sh"

command -v systemd-analyze >/dev/null || die "systemd-analyze is missing"
image=$(mktemp -d)
trap 'rm -rf "$image"' EXIT
mkdir -p "$image/etc/systemd/system" "$image/usr/bin" "$image/usr/lib/systemd/system"
cp -r "$ROOT"/deploy/systemd/. "$image/etc/systemd/system/"
cp -r /usr/lib/systemd/system/. "$image/usr/lib/systemd/system/"
install -m 755 "$BUILD/helpdesk" "$image/usr/bin/helpdesk"

common="$ROOT/deploy/systemd/helpdesk-.service.d/10-common.conf"
state=$(sed -n 's/^StateDirectory=//p' "$common")
[ -n "$state" ] || die "the units have no state directory"
grep -qx "Environment=HELPDESK_RUN_DIR=/var/lib/$state" "$common" || die "run.dir of the units is not their state directory"

count=0
for unit in "$ROOT"/deploy/systemd/*.service; do
    name=$(basename "$unit")
    complaints=$(systemd-analyze verify --root="$image" --man=no "$image/etc/systemd/system/${name/@/@1}" 2>&1 | grep -F helpdesk || true)
    [ -z "$complaints" ] || die "$name: $complaints"
    grep -q '^MemoryMax=' "$unit" || die "$name sets no MemoryMax"
    role=${name#helpdesk-}
    grep -qx "ExecStart=/usr/bin/helpdesk ${role%@.service}" "$unit" || die "$name starts the wrong role"
    count=$((count + 1))
done
[ "$count" -eq 7 ] || die "expected a unit for each of 7 roles, found $count"
say "  $count units verified"
