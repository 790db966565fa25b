"""The knowledge base from a bucket of a real S3 server: cold, unchanged, from a change to an answer, flooded, and in how much memory.

Parts: bulk (10,000 Markdown documents: the first synchronisation, and one that finds nothing to do), change (put an object, ask by HTTP
until it is cited; delete it until it is not; found by the scan), told (the same, told by the S3 server through Apache Kafka; nobody scans),
flood (1,000 notifications a second on Apache Kafka, a third of them duplicates or late, while objects change), memory (of kb-sync and the
processes that parse for it: many objects, and one of 1 GB), search (a retrieval from 10,000 documents whose words are in memory, against
one from the database).
"""

import json
import os
import pathlib
import random
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from . import flood
from .common import S3, Kafka, Postgres, Stack, bash, children, cpu_seconds, http, own_cpu_seconds, percentile, postgres_pid, proportional_mib, row, say

DOCUMENTS, COLD_S, UNCHANGED_S = 10000, 60, 2
CHANGES, CHANGE_P99_S = 200, 2
MEMORY_MIB, MEMORY_DOCUMENTS = 128, (1000, 10000)
HUGE_BYTES = 1 << 30
ASKED, NO_ROOM = 30, "1MiB"  # tickets; too little for the words of so many documents
SCAN, NEVER = "200ms", "1d"
WORDS = ("account address answer balance battery button cable camera change charge contact contract cover customer date delivery device display "
         "door email error exchange filter fuse guide heating hub install invoice key lamp light line lock menu message meter mode motor network "
         "number order outlet packet page part password payment phone plan plug port power price printer profile receipt refund region repair "
         "replace report reset return room router safety screen sensor setting shipment signal socket speed status store switch temperature test "
         "timer token tool update user valve version voice warranty water window wire zone").split()


def add_options(parser):
    parser.add_argument("parts", nargs="*", metavar="bulk|change|told|flood|memory|search", help="all without any")


def document(number):
    """About 250 words under three headings, like a help centre's article."""
    pick = random.Random(number)
    parts = [f"# How to {pick.choice(WORDS)} the {pick.choice(WORDS)} {number}\n"]
    for _ in range(3):
        text = " ".join(pick.choice(WORDS) for _ in range(80))
        parts.append(f"\n## {pick.choice(WORDS).title()} and {pick.choice(WORDS)}\n\n{text}.\n")
    return "".join(parts)


def fill(s3, bucket, numbers):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: s3.put(bucket, f"articles/{n:06d}.md", document(n)), numbers))


def s3_settings(s3, bucket):
    return dict(s3.credentials, HELPDESK_KB_SOURCE=f"s3://{bucket}", HELPDESK_KB_ENDPOINT=s3.url, HELPDESK_KB_PATH_STYLE="true")


def stack_on(made, bucket, name):
    return Stack(f"{made.folder}/{name}", made.postgres, settings=dict(s3_settings(made.s3, bucket), HELPDESK_KB_SCAN_INTERVAL=SCAN))


def ready_count(stack):
    return stack.sql("SELECT count(*) FROM kb_documents WHERE state = 'ready'")[0][0]


def wait_count(stack, count, seconds=900):
    end = time.monotonic() + seconds
    while ready_count(stack) != count:
        if time.monotonic() > end:
            raise AssertionError(f"{ready_count(stack)} of {count} documents after {seconds} s\n{stack.log_tail()}")
        time.sleep(0.2)


class Peak:
    """The most memory of kb-sync and its children while this is open: what they share counts once."""

    def __init__(self, stack):
        self.pid = stack.pids("kb-sync")[0]
        self.most = self.most_alone = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.25):  # a look costs milliseconds of the processors that are measured
            alone = proportional_mib(self.pid)
            self.most_alone = max(self.most_alone, alone)
            self.most = max(self.most, alone + sum(map(proportional_mib, children(self.pid))))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def tell(self, what):
        say(f"{what}: kb-sync alone {self.most_alone:.1f} MiB")
        row("sync", f"memory of kb-sync with its parsers, {what} (MiB)", self.most, MEMORY_MIB, most=1)


def processor_seconds(made, stack):
    """Of kb-sync, its parsers, PostgreSQL, the S3 server so far."""
    pid = stack.pids("kb-sync")[0]
    with_ended = cpu_seconds(pid)
    alone = own_cpu_seconds(pid)
    parsers = with_ended - alone + sum(map(cpu_seconds, children(pid)))
    server = postgres_pid(made.postgres)
    database = sum(map(cpu_seconds, [server, *children(server)]))
    return alone, parsers, database, cpu_seconds(int((pathlib.Path(made.s3.folder) / "pid").read_text()))


def bulk(made):
    bucket = made.s3.bucket("bench-bulk")
    say(f"putting {DOCUMENTS} documents")
    fill(made.s3, bucket, range(DOCUMENTS))
    stack = stack_on(made, bucket, "bulk")
    stack.start()
    started, before = time.monotonic(), processor_seconds(made, stack)
    with Peak(stack) as peak:
        wait_count(stack, DOCUMENTS)
    cold = time.monotonic() - started
    used = [after - was for after, was in zip(processor_seconds(made, stack), before)]
    say("cold, seconds of a processor: kb-sync {:.1f}, its parsers {:.1f}, PostgreSQL {:.1f}, S3 server {:.1f}".format(*used))
    row("sync", f"{DOCUMENTS} Markdown documents from S3, cold (s)", cold, COLD_S, most=1)
    peak.tell(f"{DOCUMENTS} documents, cold")
    started = time.monotonic()
    state = stack.sync()
    row("sync", f"{DOCUMENTS} documents, nothing changed (s)", time.monotonic() - started, UNCHANGED_S, most=1)
    assert (state["found"], state["read"]) == (DOCUMENTS, 0), state
    stack.stop()


def cited(stack, word):
    reply = http("POST", stack.url() + "/tickets/auto-orchestrate", {
        "subject": f"The {word} light", "description": f"What does the {word} light mean?", "customer_external_id": "C-1001"},
        {"Prefer": "wait=30"})
    assert reply.status == 200, reply.body
    return f"changes/{word}.md" in json.dumps(reply.json.get("context", reply.json))


def until(condition):
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > 30:
            raise AssertionError("30 s and it is not so")
    return time.monotonic() - started


def change_and_ask(stack, s3, bucket, found_by):
    started = time.monotonic()
    assert not cited(stack, "nothing")
    say(f"the first ticket after the start: {time.monotonic() - started:.3f} s")
    put, gone = [], []
    for number in range(CHANGES):
        word = f"quux{number}zar"
        s3.put(bucket, f"changes/{word}.md", f"# The {word} light\n\nThe {word} light means that the {word} is ready.\n")
        put.append(until(lambda w=word: cited(stack, w)))
        s3.delete(bucket, f"changes/{word}.md")
        gone.append(until(lambda w=word: not cited(stack, w)))
    for what, times in (("put an object, ask: cited", put), ("delete it, ask: not cited", gone)):
        say(f"{what}, {found_by}: median {percentile(times, 0.5):.3f} s, p99 {percentile(times, 0.99):.3f} s, "
            f"most {max(times):.3f} s ({times.index(max(times)) + 1} of {len(times)})")
        row("sync", f"{what}, {found_by} (s at p99 of {len(times)})", percentile(times, 0.99), CHANGE_P99_S, most=1)


def change(made):
    bucket = made.s3.bucket("bench-change")
    fill(made.s3, bucket, range(200))
    stack = stack_on(made, bucket, "change").start()
    wait_count(stack, 200)
    change_and_ask(stack, made.s3, bucket, "found by the scan")
    stack.stop()


def told(made):
    stack = Stack(f"{made.folder}/told", made.postgres, made.kafka())
    done = stack.run("topics", "apply")  # the S3 server does not start without its topic
    assert done.returncode == 0, done.stderr
    s3 = S3(f"{made.folder}/told-s3", ["--event-kafka-url", stack.kafka.address, "--event-kafka-topic", stack.prefix + "kb.notifications"])
    bucket = s3.bucket("bench-told")
    fill(s3, bucket, range(200))
    stack.env.update(s3_settings(s3, bucket), HELPDESK_KB_SCAN_INTERVAL=NEVER)
    stack.start()
    wait_count(stack, 200)
    change_and_ask(stack, s3, bucket, "told through Kafka")
    stack.stop()
    s3.stop()


def memory(made):
    for count in MEMORY_DOCUMENTS:
        bucket = made.s3.bucket(f"bench-memory-{count}")
        fill(made.s3, bucket, range(count))
        if count == MEMORY_DOCUMENTS[0]:
            # Sparse: the server's folder of data is at hand.
            with open(pathlib.Path(made.s3.folder) / "data" / bucket / "huge.md", "wb") as file:
                file.truncate(HUGE_BYTES)
        stack = stack_on(made, bucket, f"memory-{count}").start()
        with Peak(stack) as peak:
            wait_count(stack, count)
            stack.sync()
            failed = stack.sql("SELECT object_key FROM kb_documents WHERE state = 'failed'")
            assert failed == ([("huge.md",)] if count == MEMORY_DOCUMENTS[0] else []), failed
        peak.tell(f"{count} objects{' and one of 1 GB' if count == MEMORY_DOCUMENTS[0] else ''}")
        stack.stop()


def flooded(made):
    bucket = made.s3.bucket("bench-flood")
    stack = Stack(f"{made.folder}/flood", made.postgres, made.kafka(), settings=dict(s3_settings(made.s3, bucket), HELPDESK_KB_SCAN_INTERVAL=NEVER))
    flood.run(stack, made.s3, bucket)
    stack.stop()


class Servers:
    """PostgreSQL and S3 in a folder, and an Apache Kafka for those who ask; for the others the embedded broker is enough."""

    def __init__(self, folder):
        os.chmod(folder, 0o755)
        self.folder = folder
        self.postgres = Postgres(f"{folder}/pg")
        self.s3 = S3(f"{folder}/s3")
        self.started_kafka = None

    def kafka(self):
        self.started_kafka = self.started_kafka or Kafka(f"{self.folder}/kafka")
        return self.started_kafka

    def stop(self):
        self.s3.stop()
        self.postgres.remove()
        if self.started_kafka:
            self.started_kafka.stop()


def retrievals(stack, where):
    """Milliseconds of one ticket at a time, once the words are looked for there."""
    times, counted = [], 0
    while len(times) < ASKED:
        answer = stack.ask({"subject": "The red light", "description": f"What does the light {len(times)} mean?", "customer_external_id": "C-1001"})
        before, counted = counted, stack.metric("retriever-1", f'helpdesk_word_searches_total{{in="{where}"}}')
        if counted > before:
            times.append(answer["trace"]["retrieval_latency_ms"])
    return times


def search(made):
    bucket = made.s3.bucket("bench-search")
    fill(made.s3, bucket, range(DOCUMENTS))
    stack = stack_on(made, bucket, "search")
    stack.start()
    wait_count(stack, DOCUMENTS)
    in_memory = retrievals(stack, "memory")
    say(f"the words of {DOCUMENTS} documents take {stack.metric('retriever-1', 'helpdesk_word_bytes') / 2**20:.1f} MiB")
    stack.stop()
    stack.env["HELPDESK_RETRIEVER_WORD_BYTES"] = NO_ROOM
    stack.start()
    in_database = retrievals(stack, "database")
    stack.stop()
    row("sync", f"{DOCUMENTS} documents, a retrieval, median (ms)", statistics.median(in_memory), statistics.median(in_database))


def run(options):
    bash("s3_install")
    parts = {"bulk": bulk, "change": change, "told": told, "flood": flooded, "memory": memory, "search": search}
    with tempfile.TemporaryDirectory(prefix="helpdesk-bench.") as folder:
        made = Servers(folder)
        try:
            for name in options.parts or parts:
                parts[name](made)
        finally:
            made.stop()
