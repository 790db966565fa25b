"""`helpdesk dlq` on Apache Kafka: letters are seen as they are, and go out again byte for byte, each once."""

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time
import uuid

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

import wire
from harness import PROGRAM, ticket, wait_until

ORIGIN = "tickets.submitted"
LETTERS = "classifier.dead"
POISON = b"\xc3\x01not a record\x00\xff\x1b]0;owned\x07"


class House:
    """Topics of its own, and no roles but those that a test starts."""

    def __init__(self, brokers, embedded=False):
        self.brokers = brokers
        self.prefix = f"d{uuid.uuid4().hex[:12]}."
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("HELPDESK_")}
        self.env.update(HELPDESK_KAFKA_BROKERS=brokers, HELPDESK_KAFKA_PREFIX=self.prefix, HELPDESK_KAFKA_PARTITIONS="4")
        if embedded:
            self.env["HELPDESK_KAFKA_EMBEDDED"] = "true"
        self.producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random", "linger.ms": 5,
                                  "message.max.bytes": 4_000_000})

    def topic(self, name):
        return self.prefix + name

    def run(self, *args, env=None):
        done = subprocess.run([PROGRAM, *args], env=dict(self.env, **(env or {})), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr[:6000]
        return done

    def dlq(self, *args, code=0, env=None):
        done = self.run("dlq", *args, env=env)
        assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done

    def start(self, *args):
        return subprocess.Popen([PROGRAM, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    @contextlib.contextmanager
    def role(self, name):
        process = subprocess.Popen([PROGRAM, name], env=dict(self.env, HELPDESK_INSTANCE=name), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()

    def waiting(self, *args):
        return json.loads(self.dlq("list", "--json", "--stage", "classifier", *args).stdout)["letters"]

    def publish(self, topic, value, **fields):
        self.producer.produce(self.topic(topic), value=value, **fields)

    def letter(self, value, origin=ORIGIN, cls="record_malformed", headers=(), at=None, **fields):
        """A dead letter as a stage writes it; `origin` None: without saying where it came from."""
        error = {"stage": b"classifier", "class": cls.encode(), "message": b"not a record", "attempts": b"1",
                 "partition": b"0", "offset": b"5", "at": (at or datetime.datetime.now(datetime.timezone.utc).isoformat()).encode()}
        if origin is not None:
            error["topic"] = origin if isinstance(origin, bytes) else origin.encode()
        self.publish(LETTERS, value, headers=[*headers, *((f"helpdesk.error.{k}", v) for k, v in error.items())], **fields)

    def letters(self, count):
        for i in range(count):
            self.letter(f"value {i}".encode(), key=f"default/T-{i}")
        assert self.producer.flush(60) == 0

    def read(self, topic):
        """All that a read_committed reader sees up to the end, as it is now."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": f"reader-{uuid.uuid4()}", "enable.auto.commit": False,
                             "isolation.level": "read_committed", "enable.partition.eof": True, "fetch.wait.max.ms": 20})
        name = self.topic(topic)
        partitions = consumer.list_topics(name, 20).topics[name].partitions
        consumer.assign([TopicPartition(name, p, OFFSET_BEGINNING) for p in partitions])
        messages, ended, due = [], set(), time.monotonic() + 60
        while len(ended) < len(partitions):
            assert time.monotonic() < due, "the topic has no end"
            for message in consumer.consume(500, 0.2):
                if message.error() is None:
                    messages.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
        consumer.close()
        return messages

    def values(self, topic):
        return sorted(m.value() for m in self.read(topic))


@pytest.fixture
def house(kafka):
    made = House(kafka.address)
    done = made.run("topics", "apply")
    assert done.returncode == 0, done.stderr
    return made


def expected(count):
    return sorted(f"value {i}".encode() for i in range(count))


def value_of(letter):
    return b"old" if letter["key"] == "default/old" else f"value {letter['ticket_id'][2:]}".encode()


def place(letter):
    return f"{letter['partition']}:{letter['offset']}"


def record(message):
    """All of a message that replay must keep."""
    headers = [(k, v) for k, v in message.headers() or [] if not k.startswith("helpdesk.error.")]
    return message.key(), message.value(), headers, message.timestamp()


def instant(ms):
    return datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03}Z"


def assert_tame(text):
    """No character that a terminal would obey, or that turns text around."""
    found = re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f]", text)
    assert not found, repr(text[max(0, found.start() - 40):found.start() + 40])


def test_what_a_stage_cannot_read_is_seen_and_replayed_byte_for_byte(house):
    old = int(time.time() * 1000) - 86_400_000 # the topic keeps three days
    sent = [
        dict(value=POISON, key=b"default/T-1", headers=[("a", b"1"), ("a", b"2"), ("null", None), ("empty", b"")], timestamp=old),
        dict(value=POISON + b"2", key=b"\x00\xff\x1b[31m", headers=[("x\u202ey", b"\x1b[2J\x00\xfe")], timestamp=old + 333),
        dict(value=b"", key=b"", timestamp=old + 666),
        dict(value=None, key=b"default/gone"),
        dict(value=b"x" * 300_000, key=None, headers=[("correlation-id", b"c-77")]),
        dict(value=b"\\", key="default/ünï".encode()),
    ]
    with house.role("classifier"):
        for fields in sent:
            house.publish(ORIGIN, **fields)
        assert house.producer.flush(30) == 0
        wait_until("all of them are dead letters", 60, lambda: len(house.waiting()) == len(sent))
    found = house.waiting()
    assert all(l["state"] == "waiting" and l["class"] and l["message"] and l["attempts"] == 1 for l in found)
    assert all(l["origin"]["topic"] == ORIGIN and l["died_at"] > "2026-11-01" for l in found)
    by_key = {l.get("key"): l for l in found if "key_hex" not in l}
    assert by_key["default/T-1"]["tenant"] == "default" and by_key["default/T-1"]["ticket_id"] == "T-1"
    assert by_key["default/T-1"]["timestamp"] == instant(old)
    assert by_key["default/gone"]["bytes"] is None and by_key[""]["bytes"] == 0
    assert by_key[None]["correlation_id"] == "c-77"

    listed = house.dlq("list").stdout
    assert_tame(listed)
    assert "classifier: 6 waiting" in listed and "\\x00\\xff\\x1b[31m" in listed
    hostile = next(l for l in found if l.get("key_hex") == "00ff1b5b33316d")
    shown = house.dlq("show", "classifier", place(hostile)).stdout
    assert_tame(shown)
    assert "record_malformed" in shown or hostile["class"] in shown
    whole = house.dlq("show", "classifier", place(hostile), "--json").stdout
    assert_tame(whole.replace("\t", ""))
    whole = json.loads(whole)
    assert bytes.fromhex(whole["value_hex"]) == POISON + b"2"
    assert {"name": "x\u202ey", "value_hex": "1b5b324a00fe"} in whole["headers"]

    before = house.read(ORIGIN)
    chosen = [by_key["default/T-1"], hostile]
    done = house.dlq("replay", "classifier", *(w for l in chosen for w in ("--offset", place(l))), "--reason", "fixed")
    assert done.stdout.count("replayed classifier ") == 2 and "classifier: 2 replayed" in done.stdout
    line = next(json.loads(l) for l in done.stderr.splitlines() if "dead letters replayed" in l)
    assert line["count"] == 2 and line["stage"] == "classifier" and line["user"] and line["reason"] == "fixed"
    after = house.read(ORIGIN)
    assert len(after) == len(before) + 2
    for letter in chosen:
        original, again = [m for m in after if (m.partition(), m.key()) == (
            letter["origin"]["partition"], b"default/T-1" if letter is chosen[0] else b"\x00\xff\x1b[31m")]
        assert record(again) == record(original)
        assert original.offset() == letter["origin"]["offset"]

    assert len(house.waiting()) == 4
    again = house.dlq("replay", "classifier", "--offset", place(chosen[0]))
    assert "handled before" in again.stdout and "classifier: 0 replayed" in again.stdout
    assert len(house.read(ORIGIN)) == len(after)
    waiting = house.waiting()
    kept = [l for l in chosen if any(w["partition"] == l["partition"] and w["offset"] < l["offset"] for w in waiting)]
    states = sorted(l["state"] for l in house.waiting("--all"))
    assert states == ["handled"] * len(kept) + ["waiting"] * 4 # what is handled up to the first that waits is gone

    house.dlq("replay", "classifier", "--yes")
    assert house.waiting() == []
    assert "no dead letters" in house.dlq("list", "--stage", "classifier").stdout
    rest = house.read(ORIGIN)
    assert sorted(map(repr, map(record, rest))) == sorted(list(map(repr, map(record, before))) * 2)
    with house.role("classifier"): # they die again: letters of their own
        wait_until("dead again", 60, lambda: len(house.waiting()) >= len(sent))


def test_filters_choose(house):
    died = "2026-10-02T03:04:05.000Z"
    for tenant, name, run in (("acme", "A-1", "r-1"), ("acme", "A-2", "r-2"), ("zeta", "Z-1", "r-3")):
        event = {"ticket": ticket(ticket_id=name), "tenant": tenant, "correlation_id": run}
        house.letter(wire.single_object(event), key=f"{tenant}/{name}", cls="ticket_invalid", at=died)
    house.letter(b"?", key="acme/A-9", cls="schema_unknown", headers=[("correlation-id", b"r-9")])
    assert house.producer.flush(30) == 0
    assert len(house.waiting()) == 4

    def keys(*args):
        return sorted(l["key"] for l in house.waiting(*args))
    assert keys("--class", "schema_unknown") == ["acme/A-9"]
    assert keys("--tenant", "acme") == ["acme/A-1", "acme/A-2", "acme/A-9"]
    assert keys("--ticket", "A-2") == ["acme/A-2"] and keys("--ticket", "A-9") == ["acme/A-9"]
    assert keys("--correlation", "r-3") == ["zeta/Z-1"] and keys("--correlation", "r-9") == ["acme/A-9"]
    assert keys("--key", "acme/", "--class", "ticket_invalid") == ["acme/A-1", "acme/A-2"]
    assert keys("--since", "2026-10-02T03:04:05Z", "--until", "2026-10-02T03:04:05.001Z") == ["acme/A-1", "acme/A-2", "zeta/Z-1"]
    assert keys("--until", "2026-10-02T03:04:05Z") == [] and keys("--since", "10m") == ["acme/A-9"]
    assert len(keys("--limit", "3")) == 3
    shown = json.loads(house.dlq("show", "classifier", place(house.waiting("--ticket", "Z-1")[0]), "--json").stdout)
    assert shown["type"] == "TicketEvent" and shown["record"]["ticket"]["subject"] == ticket()["subject"]
    assert '"subject"' in house.dlq("show", "classifier", place(shown)).stdout

    # What died before the brokers' memory is replayed only by its place.
    refused = house.dlq("replay", "classifier", "--tenant", "acme", code=1)
    assert refused.stderr.count("offsets.retention.minutes") == 2 and "1 replayed, 2 refused" in refused.stdout
    assert [m.key() for m in house.read(ORIGIN)] == [b"acme/A-9"]
    house.dlq("replay", "classifier", "--key", "zeta/", *(w for l in house.waiting() for w in ("--offset", place(l))))
    assert sorted(m.key() for m in house.read(ORIGIN)) == [b"acme/A-9", b"zeta/Z-1"]
    assert keys() == ["acme/A-1", "acme/A-2"]
    for i in range(3):
        house.letter(b"!", key=f"acme/B-{i}")
    assert house.producer.flush(30) == 0
    house.dlq("replay", "classifier", "--key", "acme/B", "--limit", "2")
    assert len(keys("--key", "acme/B")) == 1 and len(house.read(ORIGIN)) == 4


def test_dry_run_and_missing_consent_change_nothing(house):
    house.letters(5)
    for verb in ("replay", "discard"):
        tried = house.dlq(verb, "classifier", "--dry-run")
        assert tried.stdout.count(f"would {verb} classifier") == 5
        refused = house.dlq(verb, "classifier", code=2)
        assert "--yes" in refused.stderr
    assert len(house.waiting()) == 5 and house.read(ORIGIN) == []


def test_discarded_letters_are_handled_and_not_published(house):
    house.letters(6)
    target = next(l for l in house.waiting() if l["offset"] > 0) # behind one that waits on
    name = target["ticket_id"]
    done = house.dlq("discard", "classifier", "--ticket", name, "--reason", "spam")
    assert f"discarded classifier {place(target)}" in done.stdout
    assert any("dead letters discarded" in l and json.loads(l)["reason"] == "spam" for l in done.stderr.splitlines())
    assert len(house.waiting()) == 5 and house.read(ORIGIN) == []
    assert [l["key"] for l in house.waiting("--all") if l["state"] == "handled"] == [target["key"]]
    assert "handled" in house.dlq("show", "classifier", place(target)).stdout
    house.dlq("replay", "classifier", "--yes")
    assert house.values(ORIGIN) == [v for v in expected(6) if v != f"value {name[2:]}".encode()]
    house.dlq("discard", "classifier", "--yes")
    assert len(house.read(ORIGIN)) == 5


def test_letters_of_any_age_stay_until_they_are_handled(house):
    house.letter(b"old", key="default/old", timestamp=1_500_000_000_000)
    house.letters(40)
    topic = house.topic(LETTERS)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": house.brokers}) # which must outlive its answers
    settings = admin.describe_configs([resource])[resource].result(30)
    assert settings["retention.ms"].value == "-1"

    def first(partition):
        consumer = Consumer({"bootstrap.servers": house.brokers, "group.id": "unused"})
        low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), 30)
        consumer.close()
        return low
    letters = house.waiting("--key", "default/")
    third = sorted((l for l in letters if l["partition"] == letters[0]["partition"]), key=lambda l: l["offset"])[2]
    house.dlq("discard", "classifier", "--offset", place(third))
    assert first(third["partition"]) == 0 # two wait before it
    house.dlq("replay", "classifier", "--offset", f"{third['partition']}:0", "--offset", f"{third['partition']}:1")
    assert first(third["partition"]) == third["offset"] + 1 == 3
    house.dlq("replay", "classifier", "--yes")
    assert house.waiting("--all") == []
    assert house.values(ORIGIN) == sorted(v for v in [*expected(40), b"old"] if v != value_of(third))


def test_letters_from_elsewhere_are_refused_and_the_others_go_on(house):
    hostile = [b"tickets.answered", b"classifier.dead", b"../tickets.submitted", b"tickets.submitted\x00", b"tickets.submitted\n",
               b"\x1b[2Jtickets.submitted", b"\xff", b"", None]
    for i, origin in enumerate(hostile):
        house.letter(b"hostile", origin=origin, key=f"default/H-{i}")
    house.letters(3)
    assert_tame(house.dlq("list").stdout)
    done = house.dlq("replay", "classifier", "--yes", code=1)
    assert_tame(done.stderr)
    assert done.stderr.count("is not replayed: ") == len(hostile)
    assert f"classifier: 3 replayed, {len(hostile)} refused" in done.stdout
    assert house.values(ORIGIN) == expected(3)
    assert house.read("tickets.answered") == []
    assert len(house.waiting()) == len(hostile)
    house.dlq("discard", "classifier", "--yes")
    assert house.waiting() == []


def test_a_letter_that_its_topic_does_not_take_waits_on(house):
    house.letter(b"z" * 1_500_000, key="default/large")
    house.letters(4)
    done = house.dlq("replay", "classifier", "--yes", code=1)
    assert "large" in done.stderr.lower() and "classifier: 4 replayed, 1 refused" in done.stdout
    assert house.values(ORIGIN) == expected(4)
    assert [l["key"] for l in house.waiting()] == ["default/large"]


@pytest.mark.parametrize("point", ["dead.produced", "dead.offsets_sent", "dead.committed"])
def test_replay_killed_at_a_crash_point_happens_once(house, tmp_path, point):
    house.letters(300)
    (tmp_path / f"dlq.{point}").touch()
    house.dlq("replay", "classifier", "--yes", code=-signal.SIGKILL, env={"HELPDESK_CRASH_DIR": str(tmp_path)})
    assert not (tmp_path / f"dlq.{point}").exists()
    house.dlq("replay", "classifier", "--yes")
    assert house.values(ORIGIN) == expected(300)
    assert house.waiting() == []


def test_replay_killed_at_any_time_happens_once(house):
    house.letters(1500)
    for lines in (1, 120, 300, 520):
        process = house.start("dlq", "replay", "classifier", "--yes")
        for _ in range(lines):
            process.stdout.readline()
        process.kill()
        process.communicate(timeout=60)
    house.dlq("replay", "classifier", "--yes")
    assert house.values(ORIGIN) == expected(1500)
    assert house.waiting() == []


def test_two_replays_at_once_replay_each_letter_once(house):
    house.letters(3000)
    running = [house.start("dlq", "replay", "classifier", "--yes")]
    running[0].stdout.readline() # it is in the middle
    running += [house.start("dlq", "replay", "classifier", "--yes") for _ in range(2)]
    ended = [(process.communicate(timeout=120), process.returncode) for process in running]
    for (_, err), code in ended:
        assert code == 0 or (code == 1 and "took over" in err), err
    assert "took over" in ended[0][0][1] and any(code == 0 for _, code in ended)
    house.dlq("replay", "classifier", "--yes")
    assert house.values(ORIGIN) == expected(3000)
    assert house.waiting() == []


def commit_by_hand(brokers, group, topic, partition, metadata):
    """OffsetCommit, version 2, of offset 0 (Kafka protocol guide): Debian's client cannot send metadata."""
    def text(value):
        return struct.pack(">h", len(value)) + value.encode()
    body = (struct.pack(">hhi", 8, 2, 1) + text("test") + text(group) + struct.pack(">i", -1) + text("") + struct.pack(">qi", -1, 1) +
            text(topic) + struct.pack(">iiq", 1, partition, 0) + text(metadata))
    host, port = brokers.split(":")
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = connection.recv(4096)
    assert answer[-2:] == b"\0\0", answer # the error code


def test_a_commit_that_is_not_ours_is_not_guessed_at(house):
    house.letters(8)
    letter = house.waiting()[0]
    commit_by_hand(house.brokers, house.prefix + "classifier.dlq", house.topic(LETTERS), letter["partition"], "by hand")
    done = house.dlq("replay", "classifier", "--offset", place(letter), code=1)
    assert "not from this command" in done.stderr
    assert house.read(ORIGIN) == []


def test_what_is_not_there_is_said(house):
    house.letters(1)
    at = house.waiting()[0]["partition"]
    assert f"no letter {at}:7" in house.dlq("show", "classifier", f"{at}:7", code=1).stderr
    assert "no letter 99:0" in house.dlq("show", "classifier", "99:0", code=1).stderr
    assert f"no letter {at}:7" in house.dlq("replay", "classifier", "--offset", f"{at}:7", code=1).stderr
    house.prefix += "other."
    house.env["HELPDESK_KAFKA_PREFIX"] = house.prefix
    assert "topics apply" in house.dlq("list", code=1).stderr


@pytest.mark.parametrize("args, words", [
    ([], ["list, show, replay or discard"]),
    (["replay"], ["takes a stage"]),
    (["replay", "clasifier"], ["clasifier", "classifier"]),
    (["show", "classifier", "3-17"], ["3-17", "3:17"]),
    (["list", "--since", "yesterday"], ["--since", "yesterday", "2h"]),
    (["list", "--limit", "0"], ["--limit", "from 1 on"]),
    (["list", "--yes"], ["list knows no --yes"]),
    (["replay", "classifier", "--json"], ["replay knows no --json"]),
])
def test_wrong_arguments_say_what_would_be_right(house, args, words):
    done = house.dlq(*args, code=2)
    assert all(word in done.stderr for word in words), done.stderr


def test_on_the_embedded_broker_it_is_at_least_once_and_says_so():
    env = {k: v for k, v in os.environ.items() if not k.startswith("HELPDESK_")}
    broker = subprocess.Popen([PROGRAM, "broker"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    try:
        house = House(broker.stdout.readline().strip(), embedded=True)
        house.env["HELPDESK_KAFKA_PREFIX"] = house.prefix = "helpdesk."
        house.letters(5)
        done = house.dlq("replay", "classifier", "--ticket", "T-2")
        assert "at least once" in done.stdout and "classifier: 1 replayed" in done.stdout
        assert house.values(ORIGIN) == [b"value 2"]
        assert len(house.waiting()) == 4
        house.dlq("replay", "classifier", "--yes")
        assert house.values(ORIGIN) == expected(5) and house.waiting() == []
    finally:
        broker.kill()
        broker.wait()
