"""The knowledge base from a bucket of a real S3 server: cold, unchanged, from a change to an answer, and in how much memory.

Parts: bulk (10,000 Markdown documents: the first synchronisation, and one that finds nothing to do), change (put an object, ask by HTTP
until it is cited; delete it until it is not), memory (of kb-sync: many objects, and one of 1 GB).
"""

import json
import os
import pathlib
import random
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from .common import S3, Postgres, Stack, bash, http, percentile, resident_mib, row, say

DOCUMENTS, COLD_S, UNCHANGED_S = 10000, 60, 2
CHANGES, CHANGE_P99_S = 100, 2
MEMORY_MIB, MEMORY_DOCUMENTS = 128, (2000, 20000)
HUGE_BYTES = 1 << 30
SCAN = "200ms"
WORDS = ("account address answer balance battery button cable camera change charge contact contract cover customer date delivery device display "
         "door email error exchange filter fuse guide heating hub install invoice key lamp light line lock menu message meter mode motor network "
         "number order outlet packet page part password payment phone plan plug port power price printer profile receipt refund region repair "
         "replace report reset return room router safety screen sensor setting shipment signal socket speed status store switch temperature test "
         "timer token tool update user valve version voice warranty water window wire zone").split()


def add_options(parser):
    parser.add_argument("parts", nargs="*", metavar="bulk|change|memory", help="all without any")


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


def stack_on(made, bucket, name):
    settings = dict(made.s3.credentials, HELPDESK_KB_SOURCE=f"s3://{bucket}", HELPDESK_KB_ENDPOINT=made.s3.url, HELPDESK_KB_PATH_STYLE="true",
                    HELPDESK_KB_SCAN_INTERVAL=SCAN)
    return Stack(f"{made.folder}/{name}", made.postgres, settings=settings)


def ready_count(stack):
    return stack.sql("SELECT count(*) FROM kb_documents WHERE state = 'ready'")[0][0]


def wait_count(stack, count, seconds=900):
    end = time.monotonic() + seconds
    while ready_count(stack) != count:
        if time.monotonic() > end:
            raise AssertionError(f"{ready_count(stack)} of {count} documents after {seconds} s\n{stack.log_tail()}")
        time.sleep(0.2)


class Peak:
    """The most resident memory of kb-sync while this is open."""

    def __init__(self, stack):
        self.pid = stack.pids("kb-sync")[0]
        self.most = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, resident_mib(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def bulk(made):
    bucket = made.s3.bucket("bench-bulk")
    say(f"putting {DOCUMENTS} documents")
    fill(made.s3, bucket, range(DOCUMENTS))
    stack = stack_on(made, bucket, "bulk")
    started = time.monotonic()
    stack.start()
    up = time.monotonic() - started
    wait_count(stack, DOCUMENTS)
    cold = time.monotonic() - started - up
    row("sync", f"{DOCUMENTS} Markdown documents from S3, cold (s)", cold, COLD_S, most=1)
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


def change(made):
    bucket = made.s3.bucket("bench-change")
    fill(made.s3, bucket, range(200))
    stack = stack_on(made, bucket, "change").start()
    wait_count(stack, 200)
    put, gone = [], []
    for number in range(CHANGES):
        word = f"quux{number}zar"
        made.s3.put(bucket, f"changes/{word}.md", f"# The {word} light\n\nThe {word} light means that the {word} is ready.\n")
        put.append(until(lambda w=word: cited(stack, w)))
        made.s3.delete(bucket, f"changes/{word}.md")
        gone.append(until(lambda w=word: not cited(stack, w)))
    for what, times in (("put an object, ask: cited", put), ("delete it, ask: not cited", gone)):
        say(f"{what}: median {percentile(times, 0.5):.3f} s, most {max(times):.3f} s")
        row("sync", f"{what}, found by the scan (s at p99)", percentile(times, 0.99), CHANGE_P99_S, most=1)
    stack.stop()


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
            stack.sync(full=False)
        row("sync", f"memory of kb-sync, {count} objects{' and one of 1 GB' if count == MEMORY_DOCUMENTS[0] else ''} (MiB)", peak.most, MEMORY_MIB,
            most=1)
        stack.stop()


class Servers:
    """PostgreSQL and S3 in a folder; the embedded broker is enough."""

    def __init__(self, folder):
        os.chmod(folder, 0o755)
        self.folder = folder
        self.postgres = Postgres(f"{folder}/pg")
        self.s3 = S3(f"{folder}/s3")

    def stop(self):
        self.s3.stop()
        self.postgres.remove()


def run(options):
    bash("s3_install")
    parts = {"bulk": bulk, "change": change, "memory": memory}
    with tempfile.TemporaryDirectory(prefix="helpdesk-bench.") as folder:
        made = Servers(folder)
        try:
            for name in options.parts or parts:
                parts[name](made)
        finally:
            made.stop()
