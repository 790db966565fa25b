"""Records that are no tickets, among many that are."""

import hashlib
import os
import random
import struct
import uuid

import wire
from load import numbered_ticket
from trial import scaled

RECORDS = scaled(2000, 100000)
POISON = scaled(40, 1000)
IDLE = 25  # seconds without an answer that count as a stall


def poisons(dice):
    """Values that no stage can read, or whose ticket nobody could answer: each in a way of its own."""
    good = wire.single_object({"ticket": numbered_ticket("poison", 0)})
    return [b"", b"\xc3\x01", os.urandom(dice.randint(1, 2000)), good[:dice.randint(11, len(good) - 1)],
            b"\xc3\x01" + os.urandom(8) + good[10:], good[:10] + b"\xff" * 60, b"\0" + struct.pack(">I", 99) + good[10:],
            b"{\"ticket\": {\"subject\": \"I am JSON\"}}"]


def test_poison(trial, kafka):
    """All in the dead letters byte for byte, everything else answered, nothing stalls."""
    one = trial(kafka)
    dice = random.Random(7)
    every = (RECORDS - POISON) // POISON
    for i in one.pump(RECORDS - POISON):
        if i % every == 0 and i // every < POISON:
            publish_poison(one, dice, i // every)
    verdict = one.finish()
    times = sorted(line["at"] for line in one.history.lines() if line["what"] == "seen" and line["topic"] == "tickets.answered")
    longest = max(b - a for a, b in zip(times, times[1:]))
    if longest > IDLE:
        verdict.add("stall", f"no answer came for {longest:.1f} s")
    if verdict.figures["letters"] != POISON:
        verdict.add("letters", f"{verdict.figures['letters']} dead letters of {POISON} poison records")
    one.report(verdict, longest_pause_s=round(longest, 1))


def publish_poison(one, dice, number):
    values = poisons(dice)
    event, key, headers = str(uuid.uuid4()), f"poison/{number}", {"x-number": str(number), "x-empty": ""}
    value = values[number % len(values)]
    one.history.add("sent", event=event, key=key, sequence=0)
    one.publisher.publish(event, key, value, [(name, text.encode()) for name, text in headers.items()],
                          {"expect": "letter", "key": key, "value": hashlib.sha256(value).hexdigest(), "headers": headers})
    one.publisher.sent += 1
