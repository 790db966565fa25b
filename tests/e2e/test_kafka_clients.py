"""Tickets straight on Kafka by independent clients, and what becomes of records that are not tickets."""

import json
import pathlib
import subprocess
import uuid

import pytest

import wire
from harness import PROGRAM, http, ticket, wait_until


@pytest.fixture
def client(stack):
    return wire.Client(stack)


def raw_ticket(**fields):
    return ticket(ticket_id=f"k-{uuid.uuid4()}", **fields)


def test_published_ticket_is_answered_on_tickets_answered(client):
    sent = raw_ticket(metadata='{"a": 1.50,  "b":[ ]}')
    client.publish_ticket(sent)
    [answer] = client.answers([sent["ticket_id"]])[sent["ticket_id"]]
    assert answer["state"] in ("completed", "completed_with_flags", "escalated_low_confidence")
    assert answer["ticket"]["metadata"] == sent["metadata"]
    assert [step["step"] for step in answer["steps"]] == ["classify", "retrieve", "generate"]
    assert answer["generation"]["primary_draft"]["text"]
    assert answer["event_id"] and answer["correlation_id"] and answer["received_at"]


def test_confluent_framing_of_a_pinned_id_is_read(client):
    sent = raw_ticket()
    client.publish_ticket(sent, frame=lambda event: wire.confluent(41, event))
    assert client.answers([sent["ticket_id"]])


def test_confluent_id_that_is_not_pinned_is_a_dead_letter(client):
    sent = raw_ticket()
    client.publish_ticket(sent, frame=lambda event: wire.confluent(7, event))
    found = dead_letter(client, "classifier", lambda m: m.value()[:5] == b"\0\0\0\0\x07" and sent["ticket_id"].encode() in m.value())
    assert "7" in wire.header(found, "helpdesk.error.message")


def test_event_id_header_is_the_event(client):
    event_id = str(uuid.uuid4())
    sent = raw_ticket()
    client.publish_ticket(sent, headers=[("event-id", event_id.encode())])
    [answer] = client.answers([sent["ticket_id"]])[sent["ticket_id"]]
    assert answer["event_id"] == event_id


def dead_letter(client, stage, match):
    found = []

    def seen(messages):
        found[:] = [m for m in messages if match(m)]
        return bool(found)

    client.read(f"{stage}.dead", seen, 30)
    assert found, "no dead letter"
    return found[0]


@pytest.mark.parametrize("value", [
    b"", b"\xc3\x01", b"not avro at all", b"\xc3\x01" + b"\0" * 8 + b"unknown schema", b"\xc3\x01" + wire.fingerprint(wire.TICKET_EVENT) + b"\xff" * 40,
], ids=["empty", "short", "text", "unknown-schema", "malformed"])
def test_undecodable_record_is_a_dead_letter_byte_for_byte(client, value):
    key = str(uuid.uuid4()).encode()
    partition, offset = client.publish("tickets.submitted", value, key=key, headers=[("x-mine", b"\x01\xff")])
    found = dead_letter(client, "classifier", lambda m: m.key() == key)
    assert (found.value() or b"") == value
    assert dict(found.headers())["x-mine"] == b"\x01\xff"
    assert wire.header(found, "helpdesk.error.stage") == "classifier"
    assert wire.header(found, "helpdesk.error.topic") == client.stack.topic("tickets.submitted") or \
        wire.header(found, "helpdesk.error.topic") == "tickets.submitted"
    assert wire.header(found, "helpdesk.error.partition") == str(partition)
    assert wire.header(found, "helpdesk.error.offset") == str(offset)
    after = raw_ticket()
    client.publish_ticket(after)
    assert client.answers([after["ticket_id"]])


def test_oversized_record_is_a_dead_letter(client):
    sent = raw_ticket(description="word " * 130_000)
    client.publish_ticket(sent)
    found = dead_letter(client, "classifier", lambda m: sent["ticket_id"].encode() in m.key())
    assert len(found.value()) > 600_000
    assert "large" in wire.header(found, "helpdesk.error.class")


def test_invalid_ticket_fails_visibly(stack, client):
    sent = raw_ticket(subject="   ")
    client.publish_ticket(sent)
    [answer] = client.answers([sent["ticket_id"]])[sent["ticket_id"]]
    assert answer["state"] == "failed"
    assert "subject" in answer["failure"]["message"]
    assert dead_letter(client, "classifier", lambda m: sent["ticket_id"].encode() in m.key())
    shown = wait_until("the log", 20, lambda: (r := http("GET", f"{stack.url()}/tickets/{sent['ticket_id']}")).status == 200
                       and r.json["state"] == "failed" and r)
    assert "subject" in json.dumps(shown.json)


def test_same_event_twice_is_one_row(stack, client):
    sent = raw_ticket()
    event = {"ticket": sent, "event_id": str(uuid.uuid4()), "received_at": 1_795_000_000_000,
             "correlation_id": str(uuid.uuid4())}
    for _ in range(2):
        client.publish("tickets.submitted", wire.single_object(event), key=f"default/{sent['ticket_id']}")
    wait_until("both answers", 60, lambda: len(client.read("tickets.answered", lambda _: False, 3)) and
               sum(wire.decode(m.value())["event_id"] == event["event_id"] for m in client.read("tickets.answered", lambda _: False, 3)) == 2)
    rows = stack.sql("SELECT kind, count(*) FROM interactions WHERE ticket_id = %s GROUP BY kind", sent["ticket_id"])
    assert dict(rows) == {"submitted": 1, "classified": 1, "enriched": 1, "answered": 1}


def test_c_library_publishes_and_consumes(stack):
    program = pathlib.Path(PROGRAM).with_name("loadgen")
    command = [str(program), "--brokers", stack.brokers, "--prefix", stack.prefix, "--tickets", "500", "--rate", "200"]
    done = subprocess.run(command + ([] if stack.kafka else ["--embedded"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["sent"] == report["answered"] == 500 and report["lost"] == 0, report


def test_auto_generated_ticket_is_never_drafted(client):
    sent = raw_ticket(auto_generated=True)
    client.publish_ticket(sent)
    [answer] = client.answers([sent["ticket_id"]])[sent["ticket_id"]]
    assert answer["generation"] is None


def test_publisher_cannot_speak_for_the_stages(stack, client):
    excerpt = "To reset the zork box hold its blue button for ten seconds. The zork box starts anew."
    brought = {"items": [{"source_id": "mine", "excerpt": excerpt, "citation_uri": "", "score": 0.95, "type": "kb", "title": "",
                          "locale": "", "metadata": "{}"}],
               "aggregate_confidence": 0.95, "customer_state": "ready", "customer": None}
    draft = {"text": "Written by nobody.", "citations": [], "confidence": 1.0, "safety_flags": [], "ready": True,
             "not_ready_because": [], "flag_details": []}
    written = {"primary_draft": draft, "alternative_draft": None, "suggested_next_steps": [], "guardrail_triggered": False}
    drafted = raw_ticket(subject="Zork box", description="How do I reset my zork box?")
    client.publish_ticket(drafted, context=brought, generation=written, plan=["generate"])
    classified = raw_ticket()
    client.publish_ticket(classified, generation=written, plan=["classify"])
    finished = raw_ticket()
    client.publish_ticket(finished, state="completed", received_at=2**62)
    answers = client.answers({sent["ticket_id"] for sent in (drafted, classified, finished)})
    [answer] = answers[drafted["ticket_id"]]
    assert answer["generation"]["primary_draft"]["text"] != draft["text"]
    assert not answer["generation"]["primary_draft"]["ready"] and answer["caller_context"]
    [answer] = answers[classified["ticket_id"]]
    assert answer["generation"] is None
    url = f"{stack.url()}/tickets/{finished['ticket_id']}"
    shown = wait_until("the result", 20, lambda: (r := http("GET", url)).status == 200 and r.json["result"] and r.json)
    assert shown["result"]["generation"]["primary_draft"]["text"]
    client.publish_ticket(dict(finished, subject="Again"))
    wait_until("the newer run", 20, lambda: http("GET", url).json["correlation_id"] != shown["correlation_id"])
