"""A schema registry in front of it all: Confluent-framed records of independent publishers, ids known and unknown, the registry's
absence, and our own records in Confluent's framing."""

import concurrent.futures
import json
import os
import signal
import struct
import uuid

import avro.io
import avro.schema
import pytest

import wire
from harness import ROOT, Stack, free_port, http, ticket, wait_until

CURRENT = json.loads((ROOT / "schemas" / "avro" / "ticket_event.avsc").read_text())
SUBMITTED = "tickets.submitted"
WRITTEN = ["tickets.submitted", "tickets.classified", "tickets.enriched", "tickets.answered", "tickets.replies", "tickets.feedback",
           "kb.notifications"]


def evolved(name):
    """A publisher's newer schema: a further field in the event and in the ticket, before those that are known."""
    schema = json.loads(json.dumps(CURRENT))
    field = {"name": name, "type": ["null", "string"], "default": None}
    schema["fields"].insert(0, field)
    next(f for f in schema["fields"] if f["name"] == "ticket")["type"]["fields"].insert(0, field)
    return schema


def parsed(schema):
    return avro.schema.parse(json.dumps(wire.plain(schema)))


def raw_ticket(**fields):
    return ticket(ticket_id=f"r-{uuid.uuid4()}", **fields)


class Publisher:
    """What a program with Confluent's serializer does: registers its schema under the topic's subject, and frames with the id."""

    def __init__(self, stack, registry, schema):
        self.client = wire.Client(stack)
        self.writer = parsed(schema)
        self.id = registry.register(stack.topic(SUBMITTED) + "-value", schema)

    def publish(self, sent, schema_id=None):
        frame = lambda event: wire.confluent(self.id if schema_id is None else schema_id, event, self.writer)  # noqa: E731
        self.client.publish_ticket(sent, frame=frame)


class Consumer(wire.Client):
    """Knows of no schema but those that the registry has."""

    def __init__(self, stack, registry):
        super().__init__(stack)
        self.registry = registry
        self.writers = {}

    def decode(self, value):
        assert value[0] == 0, value[:16]
        schema_id = struct.unpack(">I", value[1:5])[0]
        if schema_id not in self.writers:
            self.writers[schema_id] = parsed(json.loads(self.registry.call("GET", f"/schemas/ids/{schema_id}").json["schema"]))
        return avro.io.DatumReader(self.writers[schema_id]).read(avro.io.BinaryDecoder(wire.io.BytesIO(value[5:])))

    def answer(self, ticket_id):
        found = []

        def seen(messages):
            found[:] = [e for e in (self.decode(m.value()) for m in messages) if e["ticket"]["ticket_id"] == ticket_id]
            return bool(found)

        messages = self.read("tickets.answered", seen, 60)
        assert found, f"no answer among {len(messages)}"
        return found[0]


def settings(registry, **more):
    made = {"HELPDESK_SCHEMAS_REGISTRY": registry.url}
    made.update({f"HELPDESK_SCHEMAS_{name.upper()}": value for name, value in more.items()})
    return made


@pytest.fixture(scope="module")
def reading(folder, postgres, kafka, registry):
    """A stack that reads with the registry's help and writes single objects."""
    registry.call("PUT", "/config", {"compatibility": "BACKWARD"})
    stack = Stack(f"{folder}/registry-reading", postgres, kafka, settings=settings(registry)).start()
    stack.load_samples()
    yield stack
    assert stack.stop() == 0


def dead_letter(client, stage, ticket_id):
    found = []

    def seen(messages):
        found[:] = [m for m in messages if ticket_id.encode() in m.value()]
        return bool(found)

    client.read(f"{stage}.dead", seen, 60)
    assert found, "no dead letter"
    return found[0]


def test_records_of_a_registered_schema_are_read(reading, registry):
    publisher = Publisher(reading, registry, CURRENT)
    sent = raw_ticket()
    publisher.publish(sent)
    [answer] = publisher.client.answers([sent["ticket_id"]])[sent["ticket_id"]]
    assert answer["generation"]["primary_draft"]["text"]
    assert reading.metric("classifier-1", "helpdesk_registry_ids") >= 1


def test_records_of_an_evolved_schema_are_read(reading, registry):
    publisher = Publisher(reading, registry, evolved("shop"))
    sent = raw_ticket()
    publisher.publish(sent)
    assert publisher.client.answers([sent["ticket_id"]])


def test_id_that_the_registry_does_not_know_is_a_dead_letter(reading, registry):
    publisher = Publisher(reading, registry, CURRENT)
    sent = raw_ticket()
    publisher.publish(sent, schema_id=2_000_000)
    found = dead_letter(publisher.client, "classifier", sent["ticket_id"])
    assert wire.header(found, "helpdesk.error.class") == "schema_unknown"
    assert "2000000" in wire.header(found, "helpdesk.error.message")
    beyond = raw_ticket()
    publisher.publish(beyond, schema_id=4_000_000_000)
    found = dead_letter(publisher.client, "classifier", beyond["ticket_id"])
    assert wire.header(found, "helpdesk.error.class") == "schema_unknown"


def test_schema_of_another_record_is_a_dead_letter(reading, registry):
    publisher = Publisher(reading, registry, CURRENT)
    other = registry.register("orders-value", {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]})
    sent = raw_ticket()
    publisher.publish(sent, schema_id=other)
    found = dead_letter(publisher.client, "classifier", sent["ticket_id"])
    assert wire.header(found, "helpdesk.error.class") == "schema_invalid"
    assert "Order" in wire.header(found, "helpdesk.error.message")


def test_reply_of_an_id_not_met_before(reading, registry):
    """A stage that writes a schema newer than the gateway's, or in Confluent's framing before the gateway does."""
    newer = evolved("of_a_newer_stage")
    schema_id = registry.register(reading.topic("tickets.replies") + "-value", newer)
    classifiers = reading.pids("classifier")
    known = reading.metric("gateway-1", "helpdesk_registry_ids")
    for pid in classifiers:
        os.kill(pid, signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = ticket(ticket_id=f"r-{uuid.uuid4()}")
            reply = pool.submit(http, "POST", reading.url() + "/tickets/classify", asked)
            client = wire.Client(reading)
            found = []

            def seen(messages):
                found[:] = [e for e in (wire.decode(m.value()) for m in messages if m.value()[0] == 0xC3)
                            if e["ticket"]["ticket_id"] == asked["ticket_id"]]
                return bool(found)

            client.read("tickets.submitted", seen, 30)
            event = dict(found[0], state="completed", of_a_newer_stage="yes", classification={
                "category": "billing", "priority": "low", "department": "billing", "sentiment": "neutral", "confidence": 0.99,
                "reasoning_snippet": ""})
            event["ticket"]["of_a_newer_stage"] = None
            client.producer.produce(reading.topic("tickets.replies"), wire.confluent(schema_id, event, parsed(newer)),
                                    key=event["correlation_id"], partition=event["reply_to"])
            assert client.producer.flush(30) == 0
            answer = reply.result(60)
    finally:
        for pid in classifiers:
            os.kill(pid, signal.SIGCONT)
    assert answer.status == 200, answer.body
    assert answer.json["confidence"] == 0.99
    wait_until("the id in the metrics", 10, lambda: reading.metric("gateway-1", "helpdesk_registry_ids") == known + 1)


def test_absent_registry(reading, registry):
    """Known ids go on, over a restart too; an unknown one waits, and goes on when the registry is back."""
    known = Publisher(reading, registry, CURRENT)
    first = raw_ticket()
    known.publish(first)
    assert known.client.answers([first["ticket_id"]])
    unknown = Publisher(reading, registry, evolved("added_while_away"))
    registry.stop()
    try:
        second = raw_ticket()
        known.publish(second)
        assert known.client.answers([second["ticket_id"]])
        assert reading.stop() == 0
        reading.start()
        known.client = unknown.client = wire.Client(reading)
        third = raw_ticket()
        known.publish(third)
        assert known.client.answers([third["ticket_id"]])
        assert http("GET", reading.admin("classifier-1") + "/health/ready").status == 200
        waiting = raw_ticket()
        unknown.publish(waiting)

        def is_told():
            health = http("GET", reading.admin("classifier-1") + "/health/ready")
            return health.status == 503 and b"registry" in health.body
        wait_until("the health to tell", 30, is_told)
        fourth = raw_ticket()
        known.publish(fourth)
        assert known.client.answers([fourth["ticket_id"]])
    finally:
        registry.start()
    found = unknown.client.answers([waiting["ticket_id"]], 90)
    assert found, reading.log_tail()
    assert found[waiting["ticket_id"]][0]["state"] != "failed"
    wait_until("the health to heal", 30, lambda: http("GET", reading.admin("classifier-1") + "/health/ready").status == 200)
    dead = unknown.client.read("classifier.dead", lambda _: False, 3)
    assert not [m for m in dead if waiting["ticket_id"].encode() in m.value()]


def test_confluent_framing_end_to_end(folder, postgres, kafka, registry):
    registry.call("PUT", "/config", {"compatibility": "BACKWARD"})
    stack = Stack(f"{folder}/registry-writing", postgres, kafka, settings=settings(registry, framing="confluent"))
    checked = stack.run("schemas", "check")
    assert checked.returncode == 1 and "missing" in checked.stdout and "schemas register" in checked.stderr, checked
    made = stack.run("schemas", "register")
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("registered now") == len(WRITTEN), made.stdout
    assert stack.run("schemas", "register").stdout.count("registered now") == 0
    subjects = registry.call("GET", "/subjects").json
    assert {stack.topic(name) + "-value" for name in WRITTEN} <= set(subjects)
    stack.start()
    try:
        stack.load_samples()
        assert "registry   ok" in stack.run("check").stdout
        client = Consumer(stack, registry)
        sent = raw_ticket()
        assert stack.ask(sent)["generation"]["primary_draft"]["text"]
        assert client.answer(sent["ticket_id"])["generation"]["primary_draft"]["text"]
        for topic in ("tickets.submitted", "tickets.classified", "tickets.enriched", "tickets.replies"):
            [message, *_] = client.read(topic, bool, 30)
            client.decode(message.value())
            assert wire.header(message, "content-type") == "application/avro"
        question = http("POST", stack.url() + "/tickets/classify", ticket())
        assert question.status == 200, question.body
        assert stack.stop() == 0
        registry.stop()
        stack.start()  # with the ids that are known from before
        again = raw_ticket()
        assert stack.ask(again)["generation"]["primary_draft"]["text"]
    finally:
        assert stack.stop() == 0
        registry.start()


def test_schemas_register_at_start_and_waiting_for_the_registry(folder, postgres, kafka, registry):
    registry.stop()
    try:
        stack = Stack(f"{folder}/registry-waiting", postgres, kafka, settings=settings(registry, framing="confluent", register="true"))
        stack.start(wait=False)
        wait_until("the gateway", 60, lambda: (stack.state / "gateway-1.admin").exists())

        def waits():
            ready = http("GET", stack.admin("gateway-1") + "/health/ready")
            return ready.status == 503 and b'"registry"' in ready.body
        wait_until("the gateway to wait for it", 60, waits)
    finally:
        registry.start()
    stack.wait_ready()
    try:
        sent = raw_ticket()
        assert stack.ask(sent)["generation"]["primary_draft"]["text"]
        assert Consumer(stack, registry).answer(sent["ticket_id"])
    finally:
        assert stack.stop() == 0


def worker_fails(stack, **env):
    """A classifier that must not start; what it says."""
    brokers = {} if stack.kafka is None else {"HELPDESK_KAFKA_BROKERS": stack.kafka.address}
    done = stack.run("classifier", env=dict(brokers, HELPDESK_ADMIN_PORT="0", **env))
    assert done.returncode == 1, done
    return done.stderr


def test_incompatible_or_missing_schema_is_a_start_error(folder, postgres, kafka, registry):
    registry.call("PUT", "/config", {"compatibility": "BACKWARD"})
    stack = Stack(f"{folder}/registry-refused", postgres, kafka, settings=settings(registry, framing="confluent"))
    subject = stack.topic("tickets.classified") + "-value"
    said = worker_fails(stack)
    assert subject in said and "schemas.register=true" in said and "schemas register" in said
    foreign = {"type": "record", "name": "TicketEvent", "namespace": "helpdesk", "fields": [{"name": "ticket", "type": "int"}]}
    registry.register(subject, foreign)
    said = worker_fails(stack, HELPDESK_SCHEMAS_REGISTER="true")
    assert "schema_incompatible" in said and subject in said and "ticket" in said
    checked = stack.run("check", env={"HELPDESK_KAFKA_BROKERS": kafka.address})
    assert checked.returncode == 1 and "registry   FAILED" in checked.stdout and "not compatible" in checked.stdout


@pytest.mark.parametrize("env, words", [
    ({"FRAMING": "confluent"}, ["schemas.framing", "schemas.registry"]),
    ({"REGISTER": "true"}, ["schemas.register", "schemas.registry"]),
    ({"REGISTRY_AUTH": "user:secret-of-mine"}, ["schemas.registry-auth", "schemas.registry"]),
    ({"REGISTRY": "http://127.0.0.1:1", "REGISTER": "true"}, ["schemas.register", "schemas.framing"]),
    ({"REGISTRY": "ftp://registry"}, ["schemas.registry", "http"]),
    ({"REGISTRY": "http://user:secret-of-mine@registry"}, ["schemas.registry-auth"]),
], ids=["framing", "register", "auth", "register-single-object", "scheme", "credentials"])
def test_wrong_settings_are_start_errors(folder, postgres, env, words):
    stack = Stack(f"{folder}/registry-wrong-{uuid.uuid4()}", postgres)
    said = worker_fails(stack, HELPDESK_KAFKA_BROKERS=f"127.0.0.1:{free_port()}",
                        **{f"HELPDESK_SCHEMAS_{name}": value for name, value in env.items()})
    assert all(word in said for word in words), said
    assert "secret-of-mine" not in said
