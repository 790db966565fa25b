"""A flood of notifications: more than objects change, a third of them duplicates or late, while objects of the bucket change.

The notifications are written to Kafka in S3's own form. At the end the base must hold what the bucket holds, word by word.
"""

import json
import multiprocessing
import random
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Producer

from .common import http, row, say

OBJECTS, RATE, SECONDS, LAG_S = 1000, 1000, 60, 10
CHANGES_PER_S = 100  # of objects; the others only say that they changed
TICK_S = 0.01
LATE_S = (0.1, 5)
TOPIC = "kb.notifications"


def key_of(number):
    return f"docs/{number:04d}.md"


def body_of(number, version):
    return f"# Manual {number}\n\nManual {number} is of version {version}, which word{number}x{version} tells.\n"


def record(bucket, number, sequencer, removed):
    name = "ObjectRemoved:Delete" if removed else "ObjectCreated:Put"
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    return json.dumps({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventTime": at, "eventName": name,
                                    "s3": {"bucket": {"name": bucket}, "object": {"key": key_of(number), "sequencer": f"{sequencer:016X}"}}}]}).encode()


def change_objects(s3, bucket, queue, over):
    """A process of its own: puts and deletes, and tells of each afterwards."""
    pick = random.Random(5)
    def one(job):
        number, version = job
        if version is None:
            s3.delete(bucket, key_of(number))
        else:
            s3.put(bucket, key_of(number), body_of(number, version))
        queue.put((number, version is None))
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        done = 0
        while not over.is_set():
            due = int((time.monotonic() - started) * CHANGES_PER_S)
            numbers = pick.sample(range(OBJECTS), min(due - done, 50))  # no object twice at the same time
            list(pool.map(one, [(number, None if pick.random() < 0.1 else done + i) for i, number in enumerate(numbers)]))
            done += len(numbers)
            time.sleep(TICK_S)
    queue.put(None)


class Teller:
    """Writes RATE notifications a second: two of three new ones, the others told before, or held back until now."""

    def __init__(self, stack, bucket):
        self.producer = Producer({"bootstrap.servers": stack.brokers, "linger.ms": 5})
        self.topic = stack.topic(TOPIC)
        self.bucket = bucket
        self.pick = random.Random(6)
        self.sequencer = 0
        self.told = deque(maxlen=5000)
        self.late = deque()
        self.count = 0

    def write(self, message):
        self.producer.produce(self.topic, message)
        self.producer.poll(0)
        self.count += 1

    def new(self, number, removed):
        self.sequencer += 1
        return record(self.bucket, number, self.sequencer, removed)

    def tell_new(self, number, removed):
        message = self.new(number, removed)
        self.told.append(message)
        self.write(message)

    def tell_more(self):
        """The first and second of three: an object that changed as little as most; the third: an old one."""
        if self.count % 3 < 2:
            self.tell_new(self.pick.randrange(OBJECTS), False)
        elif self.late and self.late[0][0] < time.monotonic():
            self.write(self.late.popleft()[1])
        elif self.told:
            self.write(self.pick.choice(self.told))
        else:
            self.tell_new(0, False)

    def hold_back(self, number, removed):
        self.late.append((time.monotonic() + self.pick.uniform(*LATE_S), self.new(number, removed)))


def tell_all(teller, queue, over):
    """The seconds that it took. A tenth of the changes is held back; a later one of the same object may be told before it."""
    started = time.monotonic()
    while (passed := time.monotonic() - started) < SECONDS:
        while not queue.empty():
            number, removed = queue.get()
            if teller.pick.random() < 0.1:
                teller.hold_back(number, removed)
            else:
                teller.tell_new(number, removed)
        while teller.count < passed * RATE:
            teller.tell_more()
        time.sleep(TICK_S)
    over.set()
    while (last := queue.get()) is not None:
        teller.tell_new(*last)
    while teller.late:
        teller.write(teller.late.popleft()[1])
    assert teller.producer.flush(60) == 0
    return time.monotonic() - started


def outcomes(stack):
    found = {}
    for line in http("GET", stack.admin("kb-sync-1") + "/metrics").body.decode().splitlines():
        if line.startswith("helpdesk_kb_notifications_total"):
            found[line.split('"')[1]] = int(float(line.rsplit(" ", 1)[1]))
    return found


def words(text):
    return text.replace("#", "").split()


def wrong_documents(stack, s3, bucket):
    """Documents that are not in the base as they are in the bucket, or should not be there."""
    base = {key: words(text) for key, text in stack.sql("SELECT object_key, string_agg(text, ' ' ORDER BY ordinal) FROM kb_passages GROUP BY 1")}
    pages = s3.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    with ThreadPoolExecutor(4) as pool:
        texts = pool.map(lambda key: s3.client.get_object(Bucket=bucket, Key=key)["Body"].read().decode(), keys)
    there = {key: words(text.split("\n", 1)[1]) for key, text in zip(keys, texts)}
    different = {key for key in there | base if there.get(key) != base.get(key)}
    for key in sorted(different)[:5]:
        say(f"wrong: {key}: bucket {there.get(key)}, base {base.get(key)}")
    return len(different)


def run(stack, s3, bucket):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: s3.put(bucket, key_of(n), body_of(n, "first")), range(OBJECTS)))
    stack.start()
    stack.sync()
    assert wrong_documents(stack, s3, bucket) == 0
    before = outcomes(stack)
    queue, over = multiprocessing.Queue(), multiprocessing.Event()
    changing = multiprocessing.Process(target=change_objects, args=(s3, bucket, queue, over), daemon=True)
    changing.start()
    teller = Teller(stack, bucket)
    taken = tell_all(teller, queue, over)
    told = time.monotonic()
    changing.join()
    while sum((after := outcomes(stack)).values()) - sum(before.values()) < teller.count:
        assert time.monotonic() - told < 300, (after, teller.count)
        time.sleep(0.1)
    lag = time.monotonic() - told
    say(f"{teller.count} notifications in {taken:.1f} s: {({name: count - before.get(name, 0) for name, count in after.items()})}")
    row("sync", f"{RATE} notifications a second for {SECONDS} s: written (1/s)", teller.count / taken, RATE, least=0.98)
    row("sync", f"{RATE} notifications a second for {SECONDS} s, then: lag gone after (s)", lag, LAG_S, most=1)
    row("sync", f"{RATE} notifications a second for {SECONDS} s, then: documents that are wrong", wrong_documents(stack, s3, bucket), 1, most=0)
