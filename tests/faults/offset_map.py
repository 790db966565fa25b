"""Reads the map of finished records in a commit's metadata, from its description in src/engine/window_map.h."""

import base64

ESCAPE = 32
PLAIN_BITS = 48


def finished_beyond(metadata, offset):
    """The offsets above the committed `offset` that count as done."""
    if not metadata:
        return set()
    raw = base64.b64decode(metadata, validate=True)
    version, k, count = raw[0], raw[1], int.from_bytes(raw[2:4], "big")
    assert version == 1, f"offset map of version {version}"
    bits = "".join(f"{byte:08b}" for byte in raw[8:])
    at = 0

    def take(n):
        nonlocal at
        at += n
        assert at <= len(bits), "offset map is cut"
        return int(bits[at - n:at] or "0", 2)

    done = set()
    unfinished = offset
    for _ in range(count):
        quotient = 0
        while quotient < ESCAPE and take(1):
            quotient += 1
        run = take(PLAIN_BITS) if quotient == ESCAPE else quotient << k | take(k)
        done.update(range(unfinished + 1, unfinished + 1 + run))
        unfinished += run + 1
    return done
