"""An independent view of the topics: Debian's python3-confluent-kafka and python3-avro, nothing of this project."""

import io
import json
import struct
import time
import uuid

import avro.io
import avro.schema
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from harness import ROOT


def plain(schema):
    """The schema without logical types: python3-avro would want datetime objects, the wire has numbers."""
    if isinstance(schema, dict):
        return {k: plain(v) for k, v in schema.items() if k != "logicalType"}
    return [plain(s) for s in schema] if isinstance(schema, list) else schema


def schema(name):
    return avro.schema.parse(json.dumps(plain(json.loads((ROOT / "schemas" / "avro" / f"{name}.avsc").read_text()))))


def fingerprint(writer):
    """CRC-64-AVRO of the canonical form, little-endian (Avro specification, "Schema Fingerprints")."""
    empty = 0xC15D213AA4D7A795
    value = empty
    for byte in writer.canonical_form.encode():
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
    return struct.pack("<Q", value)


TICKET_EVENT = schema("ticket_event")
FEEDBACK = schema("feedback")


def datum(record, writer=TICKET_EVENT):
    out = io.BytesIO()
    avro.io.DatumWriter(writer).write(with_defaults(record, writer), avro.io.BinaryEncoder(out))
    return out.getvalue()


def with_defaults(record, writer):
    """python3-avro asks for every field: fills those left out from the schema."""
    if writer.type == "record":
        out = {}
        for field in writer.fields:
            if field.name in record:
                out[field.name] = with_defaults(record[field.name], field.type)
            else:
                assert field.has_default, f"{writer.name}.{field.name} has no default"
                out[field.name] = field.default
        return out
    if writer.type == "array":
        return [with_defaults(item, writer.items) for item in record]
    return record


def single_object(record, writer=TICKET_EVENT):
    return b"\xc3\x01" + fingerprint(writer) + datum(record, writer)


def confluent(schema_id, record, writer=TICKET_EVENT):
    return b"\0" + struct.pack(">I", schema_id) + datum(record, writer)


def decode(value, writer=TICKET_EVENT):
    assert value[:2] == b"\xc3\x01", value[:16]
    assert value[2:10] == fingerprint(writer)
    return avro.io.DatumReader(writer).read(avro.io.BinaryDecoder(io.BytesIO(value[10:])))


class Client:
    """Publishes to and reads from a stack's topics."""

    def __init__(self, stack):
        self.stack = stack
        self.producer = Producer({"bootstrap.servers": stack.brokers, "linger.ms": 1, "partitioner": "murmur2_random"})

    def publish(self, topic, value, key=None, headers=None):
        """Sends one record and waits for its acknowledgement; (partition, offset)."""
        acks = []
        self.producer.produce(self.stack.topic(topic), value=value, key=key, headers=headers or [],
                              on_delivery=lambda err, message: acks.append((err, message)))
        assert self.producer.flush(30) == 0
        err, message = acks[0]
        assert err is None, err
        return message.partition(), message.offset()

    def publish_ticket(self, ticket, headers=None, frame=single_object, **fields):
        event = dict(fields, ticket=ticket)
        key = f"{fields.get('tenant', 'default')}/{ticket.get('ticket_id') or uuid.uuid4()}"
        return self.publish("tickets.submitted", frame(event), key=key, headers=headers)

    def read(self, topic, until, seconds=60):
        """Reads `topic` from its beginning until `until(messages)` is true; all messages read."""
        consumer = Consumer({"bootstrap.servers": self.stack.brokers, "group.id": f"reader-{uuid.uuid4()}",
                             "enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 5,
                             "isolation.level": "read_committed"})
        name = self.stack.topic(topic)
        partitions = consumer.list_topics(name, 10).topics[name].partitions
        consumer.assign([TopicPartition(name, p, OFFSET_BEGINNING) for p in partitions])
        messages = []
        end = time.monotonic() + seconds
        while not until(messages) and time.monotonic() < end:
            for message in consumer.consume(500, 0.2):
                if message.error() is None:
                    messages.append(message)
        consumer.close()
        return messages

    def answers(self, ticket_ids, seconds=60):
        """The records of tickets.answered of these tickets, by ticket id (a list each)."""
        found = {}

        def complete(messages):
            found.clear()
            for message in messages:
                event = decode(message.value())
                if event["ticket"]["ticket_id"] in ticket_ids:
                    found.setdefault(event["ticket"]["ticket_id"], []).append(event)
            return len(found) == len(ticket_ids)

        self.read("tickets.answered", complete, seconds)
        return found


def header(message, name):
    """Last header called `name`, as text."""
    values = [value for key, value in message.headers() or [] if key == name]
    return values[-1].decode() if values else None
