"""What goes into the system: numbered tickets straight on Kafka by an independent publisher, and users over HTTP."""

import concurrent.futures
import http.client as http_client
import json
import random
import threading
import time
import uuid

from confluent_kafka import KafkaException, Producer

import wire
from harness import http, ticket

EVENTS_PER_TICKET = 3
WOVEN = 20  # tickets whose events are sent in turns
SUBJECTS = ["Hub does not connect", "Refund for my order", "Where is my parcel", "Cannot log in", "Invoice is wrong"]


def posted_ticket(ticket_id, sequence=0):
    """As a user posts it."""
    subject = SUBJECTS[sum(ticket_id.encode()) % len(SUBJECTS)]
    return ticket(ticket_id=ticket_id, subject=f"{subject} [{ticket_id}]", description=f"Message {sequence}: {subject.lower()}.",
                  metadata={"sequence": sequence})


def numbered_ticket(ticket_id, sequence):
    """As a record has it."""
    made = posted_ticket(ticket_id, sequence)
    return dict(made, metadata=json.dumps(made["metadata"]))


class Publisher:
    """Publishes events of tickets, several of each in order; what the broker acknowledged is in the log."""

    def __init__(self, history, stack):
        self.history = history
        self.stack = stack
        self.run = uuid.uuid4().hex[:6]
        self.sent = 0
        self.acked = 0
        self.failed = 0
        self._producer = None

    def _open(self):
        # One request at a time: else a first one that is refused (the partition is just being made) and a second one that is
        # taken leave the broker without the first, which it then calls a duplicate, and librdkafka an acknowledged record.
        return Producer({"bootstrap.servers": self.stack.brokers, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                         "max.in.flight.requests.per.connection": 1,
                         "partitioner": "murmur2_random", "delivery.timeout.ms": 300000, "socket.nagle.disable": True})

    def event(self, number):
        """The `number`th event: (key, sequence, record). The tickets of a weave take turns, each event after the one before."""
        weave, rest = divmod(number, WOVEN * EVENTS_PER_TICKET)
        sequence, column = divmod(rest, WOVEN)
        ticket_id = f"{self.run}-{weave * WOVEN + column}"
        event = {"ticket": numbered_ticket(ticket_id, sequence), "event_id": str(uuid.uuid4()), "correlation_id": str(uuid.uuid4()),
                 "received_at": int(time.time() * 1000)}
        return f"default/{ticket_id}", sequence, event

    def send(self):
        """Publishes the next event without waiting for its acknowledgement."""
        key, sequence, event = self.event(self.sent)
        self.history.add("sent", event=event["event_id"], key=key, sequence=sequence)
        self.publish(event["event_id"], key, wire.single_object(event))
        self.sent += 1

    def publish(self, event, key, value, headers=None, expected=None):
        """`event` stands for it in the log; `expected` goes into its line `acked`."""
        topic = "tickets.submitted"

        def delivered(error, message):
            if error is not None:
                self.failed += 1
                self.history.add("failed", event=event, why=str(error))
            else:
                assert message.offset() is not None, "acknowledged without a place"
                self.acked += 1
                self.history.add("acked", event=event, topic=topic, partition=message.partition(), offset=message.offset(),
                                 **(expected or {}))

        while True:
            self._producer = self._producer or self._open()
            try:
                self._producer.produce(self.stack.topic(topic), value=value, key=key, headers=headers or [], on_delivery=delivered)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.5)
            except KafkaException:  # a fatal error: this producer takes nothing more
                self._producer.flush(10)
                self._producer = None

    def poll(self):
        if self._producer:
            self._producer.poll(0)

    def flush(self, seconds=300):
        """Until all is acknowledged or failed."""
        left = self._producer.flush(seconds) if self._producer else 0
        assert left == 0, f"{left} records were not acknowledged within {seconds} s"


class Progress:
    """How far the publisher's events are, from the log."""

    def __init__(self, history):
        self._follower = history.follow()
        self._sent = set()
        self.answered = set()
        self.letters = 0
        self.on = {}  # topic -> records seen, users' too
        self.runs = set()  # correlation ids answered, users' too

    def update(self):
        for line in self._follower.lines():
            if line["what"] == "sent":
                self._sent.add(line["event"])
            elif line["what"] == "seen":
                self.on[line["topic"]] = self.on.get(line["topic"], 0) + 1
                if line["topic"] == "tickets.answered":
                    self.runs.add(line["correlation"])
                    self.answered.update({line["event"]} & self._sent)
            elif line["what"] == "letter":
                self.letters += 1
        return self

    @property
    def done(self):
        return len(self.answered) + self.letters


class Users:
    """Threads that post tickets through gateways and write down what they got."""

    def __init__(self, history, stack, gateways, threads=8, wait=25, may_break=False):
        self.history = history
        self.stack = stack
        self.gateways = gateways
        self.wait = wait
        self.may_break = may_break  # gateways are killed: connections break, and new ones are refused
        self.accepted = {}  # ticket id -> correlation id
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._threads = [self._pool.submit(self._post_all) for _ in range(threads)]

    def _post_all(self):
        while not self._over.is_set():
            ticket_id = f"u-{uuid.uuid4()}"
            again = self.post(ticket_id)
            while again and not self._over.wait(again):
                again = self.post(ticket_id)

    def post(self, ticket_id):
        """0 when it was accepted, else after how many seconds to come again: a client does as it is told."""
        gateway = random.choice(self.gateways)
        line = {"key": ticket_id, "status": 0, "retry_after": None, "may_break": self.may_break}
        try:
            reply = http("POST", self.stack.url(gateway) + "/tickets/auto-orchestrate", posted_ticket(ticket_id),
                         {"Prefer": f"wait={self.wait}"}, timeout=self.wait + 60)
            line.update(status=reply.status, retry_after=reply.headers["Retry-After"])
            if reply.status not in (200, 202, 503):
                line["why"] = reply.body.decode(errors="replace")[:300]
            if reply.status in (200, 202):
                with self._lock:
                    self.accepted[ticket_id] = reply.headers["X-Correlation-Id"]
        except (OSError, http_client.HTTPException) as error:
            line["why"] = repr(error)
        self.history.add("http", **line)
        return 0 if line["status"] in (200, 202) else int(line["retry_after"] or 1)

    def stop(self):
        """Ends them; writes down which events the gateways made of their tickets."""
        self._over.set()
        self._pool.shutdown()
        for thread in self._threads:
            thread.result()

    def log_events(self):
        """A gateway makes the event: its ids are in the table of runs."""
        runs = self.stack.sql("SELECT event_id, correlation_id, ticket_id FROM runs WHERE ticket_id LIKE 'u-%%'")
        for event, correlation, ticket_id in runs:
            self.history.add("sent", event=event, key=f"default/{ticket_id}", sequence=0)
            if self.accepted.get(ticket_id) == correlation:
                self.history.add("acked", event=event, topic="tickets.submitted", partition=None, offset=None)
        unknown = set(self.accepted) - {ticket_id for _, _, ticket_id in runs}
        assert not unknown, f"accepted, but without a run: {sorted(unknown)[:5]}"
