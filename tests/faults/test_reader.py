"""The reader itself: a read_committed one hides what a transaction aborted, and one under way hides all behind it."""

import time
import uuid

import pytest
import wire
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from harness import wait_until
from history import History
from load import numbered_ticket
from trial import ReaderProcess


@pytest.fixture
def topic(kafka):
    """A fresh prefix with one topic of one partition."""
    prefix = f"r{uuid.uuid4().hex[:8]}."
    admin = AdminClient({"bootstrap.servers": kafka.address})
    for made in admin.create_topics([NewTopic(prefix + "tickets.answered", 1, 1)]).values():
        made.result(60)
    return prefix


def writer(kafka):
    producer = Producer({"bootstrap.servers": kafka.address, "transactional.id": str(uuid.uuid4())})
    producer.init_transactions(60)
    return producer


def transaction(producer, prefix, events):
    producer.begin_transaction()
    for event in events:
        record = {"ticket": numbered_ticket(event, 0), "event_id": event, "correlation_id": event}
        producer.produce(prefix + "tickets.answered", wire.single_object(record), key=event)
    producer.flush(60)


def read_all(tmp_path, kafka, prefix, isolation):
    history = History(tmp_path / f"{isolation}.jsonl")
    reader = ReaderProcess(tmp_path, history, kafka.address, prefix, ["tickets.answered"], [], isolation)
    try:
        reader.drain()
    finally:
        reader.end()
    return [line["event"] for line in history.lines() if line["what"] == "seen"]


def test_committed_reader_hides_what_was_aborted(tmp_path, kafka, topic):
    producer = writer(kafka)
    for name, end in (("kept-1", producer.commit_transaction), ("aborted", producer.abort_transaction),
                      ("kept-2", producer.commit_transaction)):
        transaction(producer, topic, [f"{name}-{i}" for i in range(3)])
        end(60)
    kept = [f"kept-{n}-{i}" for n in (1, 2) for i in range(3)]
    assert read_all(tmp_path, kafka, topic, "read_committed") == kept
    assert sorted(read_all(tmp_path, kafka, topic, "read_uncommitted")) == sorted(kept + [f"aborted-{i}" for i in range(3)])


def test_committed_reader_waits_for_an_open_transaction(tmp_path, kafka, topic):
    first, second = writer(kafka), writer(kafka)
    transaction(first, topic, ["open"])
    transaction(second, topic, ["closed"])
    second.commit_transaction(60)
    history = History(tmp_path / "log")
    reader = ReaderProcess(tmp_path, history, kafka.address, topic, ["tickets.answered"], [])
    try:
        time.sleep(5)
        assert history.lines() == []
        first.commit_transaction(60)
        wait_until("both", 60, lambda: [line["event"] for line in history.lines()] == ["open", "closed"])
    finally:
        reader.end()
