"""Latency of auto-orchestrate, unloaded, on the embedded broker and on Apache Kafka, against a bare chain."""

import http.client
import json
import statistics
import time

from .common import Stack, chain, delivery_settings, percentile, resident_mib, row, sample_ticket, say, servers, words

HOPS = 4  # topics a ticket goes through: tickets.submitted, classified, enriched, replies
RECORD_BYTES = 8 * 1024
PAUSE_SECONDS = 0.02  # each hop has done with the ticket before: unloaded
WARMUP = 50
TARGETS = {"at_least_once": 1.25, "exactly_once": 1.5}


def orchestrate(stack, count):
    """Latencies in ms of one request at a time on one connection, and what the traces say of each step."""
    connection = http.client.HTTPConnection(stack.url()[len("http://"):], timeout=60)
    base = sample_ticket("01-clean.json")
    took, steps = [], {}
    for number in range(-WARMUP, count):
        body = json.dumps(dict(base, ticket_id=f"bench-{number}"))
        start = time.perf_counter()
        connection.request("POST", "/tickets/auto-orchestrate", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        elapsed = (time.perf_counter() - start) * 1e3
        assert answer.status == 200, text
        time.sleep(PAUSE_SECONDS)
        if number >= 0:
            took.append(elapsed)
            for name, value in json.loads(text)["trace"].items():
                if name.endswith("_latency_ms"):
                    steps.setdefault(name, []).append(value)
    return took, steps


def latency(bench, stack, broker, delivery, count):
    """The rows of one stack; the median."""
    # Baseline, ours, baseline: a machine that drifts shows in the two baselines.
    def bare(run):
        return chain("latency", delivery, stack.brokers, f"{stack.prefix}{run}.", HOPS, count, RECORD_BYTES,
                     embedded=stack.kafka is None)

    before = bare("before")
    took, steps = orchestrate(stack, count)
    after = bare("after")
    median, case = statistics.median(took), f"ms, {broker}, {words(delivery)}, {HOPS} hops"
    row(bench, f"auto-orchestrate median, {case}", median, (before["median_ms"] + after["median_ms"]) / 2, TARGETS[delivery])
    row(bench, f"auto-orchestrate p99, {case}", percentile(took, 0.99), (before["p99_ms"] + after["p99_ms"]) / 2, TARGETS[delivery])
    say(f"{case}: baseline median {before['median_ms']} and {after['median_ms']}; medians in the trace: "
        + ", ".join(f"{key} {statistics.median(values):.2f}" for key, values in steps.items()))
    say(f"{broker}: resident MiB: " + ", ".join(
        f"{role} {resident_mib(pid):.1f}" for role in ("gateway", "classifier", "retriever", "generator", "kb-sync", "logger", "broker")
        for pid in stack.pids(role)))
    return median


def with_stack(made, name, delivery, measure, **options):
    """Runs `measure(stack)` on a stack that has the samples; what it returned."""
    stack = Stack(f"{made.folder}/{name}", made.postgres, settings=delivery_settings(delivery), **options).start()
    try:
        stack.load_samples()
        return measure(stack)
    finally:
        stack.stop()


def add_options(parser):
    parser.add_argument("--count", type=int, default=400, metavar="N", help="requests of each case (400)")


def run(options):
    with servers() as made:
        for broker, kafka in (("embedded broker", None), ("Apache Kafka", made.kafka)):
            with_stack(made, broker.split()[0], "at_least_once",
                       lambda stack: latency("hop", stack, broker, "at_least_once", options.count), kafka=kafka)
