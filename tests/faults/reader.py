"""Reads topics as a committed reader and appends what it sees to the log of a fault test (history.py).

Runs in an environment of its own with aiokafka and fastavro: neither librdkafka nor anything of this project decides
what it sees. Assigned to all partitions, in no group. When its standard input ends, it reads up to the ends of now, adds the
positions of --groups, and ends.
"""

import argparse
import asyncio
import hashlib
import io
import json
import sys

import fastavro
import fastavro.schema
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from history import History

AWAY = (KafkaError, OSError, asyncio.TimeoutError)


def schema_of(path):
    """(the first bytes of its records, the schema): Avro specification, "Single-object encoding"."""
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    form = fastavro.schema.to_parsing_canonical_form(schema)
    return b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(form, "CRC-64-AVRO")), fastavro.parse_schema(schema)


class Reader:
    def __init__(self, options):
        self.options = options
        self.schemas = dict(map(schema_of, options.schemas))  # by what single-object framing starts with
        self.history = History(options.log)
        self.ending = asyncio.Event()

    def name(self, topic):
        return topic[len(self.options.prefix):]

    def see(self, record):
        """(what, fields) of a record."""
        fields = {"topic": self.name(record.topic), "partition": record.partition, "offset": record.offset,
                  "key": record.key.decode(errors="backslashreplace") if record.key is not None else None}
        if fields["topic"].endswith(".dead"):
            headers = {name: value.decode(errors="backslashreplace") for name, value in record.headers}
            place = headers["helpdesk.error.topic"]
            headers["helpdesk.error.topic"] = self.name(place) if place.startswith(self.options.prefix) else place
            return "letter", dict(fields, headers=headers, timestamp=record.timestamp,
                                  value=hashlib.sha256(record.value or b"").hexdigest())
        try:
            event = fastavro.schemaless_reader(io.BytesIO(record.value[10:]), self.schemas[record.value[:10]])
        except Exception as error:  # whatever it is, it is no ticket
            return "unread", dict(fields, why=repr(error))
        ticket = event["ticket"]
        return "seen", dict(fields, event=event["event_id"], correlation=event["correlation_id"], state=event["state"],
                            sequence=json.loads(ticket["metadata"]).get("sequence", 0), steps=len(event["steps"]))

    async def read_some(self, consumer):
        try:
            batches = await consumer.getmany(timeout_ms=200, max_records=1000)
        except AWAY as error:
            print(f"reader: {error!r}", file=sys.stderr)
            await asyncio.sleep(0.5)
            return
        lines = {}
        for records in batches.values():
            for what, fields in map(self.see, records):
                lines.setdefault(what, []).append(fields)
        for what, many in lines.items():
            self.history.add_all(what, many)

    def client(self, kind, **settings):
        return kind(bootstrap_servers=self.options.brokers, request_timeout_ms=10000, **settings)

    async def ends(self):
        """The high watermarks, what is not yet committed included."""
        plain = self.client(AIOKafkaConsumer)
        await plain.start()
        try:
            return await plain.end_offsets(self.partitions)
        finally:
            await plain.stop()

    async def retry(self, what):
        while True:
            try:
                return await what()
            except AWAY as error:
                print(f"reader: {error!r}", file=sys.stderr)
                await asyncio.sleep(0.5)

    async def read_to_end(self, consumer):
        ends = await self.retry(self.ends)
        while True:
            behind = [p for p, end in ends.items() if await consumer.position(p) < end]
            if not behind:
                return
            await self.read_some(consumer)

    async def positions(self):
        admin = self.client(AIOKafkaAdminClient)
        await admin.start()
        try:
            for group in self.options.groups:
                found = await admin.list_consumer_group_offsets(self.options.prefix + group)
                self.history.add_all("position", [
                    {"group": group, "topic": self.name(p.topic), "partition": p.partition, "offset": at.offset,
                     "metadata": at.metadata} for p, at in found.items() if at.offset >= 0])
        finally:
            await admin.close()

    async def start(self):
        consumer = self.client(AIOKafkaConsumer, isolation_level=self.options.isolation, auto_offset_reset="earliest",
                               enable_auto_commit=False, fetch_max_wait_ms=100, metadata_max_age_ms=5000)
        try:
            await consumer.start()
            topics = [self.options.prefix + topic for topic in self.options.topics]
            known = await consumer._client.fetch_all_metadata()  # the public calls do not wait for it
            partitions = {topic: known.partitions_for_topic(topic) for topic in topics}
            if not all(partitions.values()):
                raise KafkaError(f"absent: {[topic for topic in topics if not partitions[topic]]}")
        except AWAY:
            await consumer.stop()
            raise
        self.partitions = [TopicPartition(topic, p) for topic, numbers in partitions.items() for p in numbers]
        consumer.assign(self.partitions)
        return consumer

    async def run(self):
        asyncio.get_running_loop().add_reader(sys.stdin, self.ending.set)
        consumer = await self.retry(self.start)
        while not self.ending.is_set():
            await self.read_some(consumer)
        await self.read_to_end(consumer)
        await consumer.stop()
        await self.retry(self.positions)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--prefix", required=True, help="of topics and groups; not written to the log")
    parser.add_argument("--topics", required=True, nargs="+")
    parser.add_argument("--groups", default=[], nargs="*")
    parser.add_argument("--schemas", required=True, nargs="+", help="of tickets.*, without logical types")
    parser.add_argument("--log", required=True)
    parser.add_argument("--isolation", default="read_committed", choices=["read_committed", "read_uncommitted"])
    asyncio.run(Reader(parser.parse_args()).run())


main()
