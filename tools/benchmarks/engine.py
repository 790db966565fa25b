"""The engine by itself on Apache Kafka: HTTP calls against the ideal rate and a bare libcurl loop, and order by key.

Parts: rates (calls of a given time, achieved over ideal, with memory), peak (calls without delay against bare libcurl, and against
bare libcurl whose calls bare librdkafka reads and writes), keys (10,000 records of 0-5 ms with 1 to 10,000 keys, the table that
Confluent's Parallel Consumer publishes).
"""

import contextlib
import itertools
import random
import subprocess

from confluent_kafka import Producer

from .common import BUILD, PROGRAM, bare_environment, deliveries, delivery_settings, row, run_tool, say, servers, words

BODY_BYTES = 1000
RATES = [(100, 200, 20000), (1000, 1000, 20000), (5000, 5000, 60000)]  # in flight, ms a call, calls
RATE_TARGET = 0.97
RESIDENT_CASE, RESIDENT_MIB = 5000, 128
PEAK_IN_FLIGHT, PEAK_CALLS, PEAK_TARGET = 100, 40000, 0.7
KEYS_RECORDS, KEYS_IN_FLIGHT, KEYS_MAX_US = 10000, 100, 5000
# Number of keys: seconds in the README of github.com/confluentinc/parallel-consumer (none for what it does not list).
KEYS_PUBLISHED = {1: 26.743, 2: 13.576, 5: 5.916, 20: 2.242, 100: 2.178, 10000: 2.128}
numbers = itertools.count()


def prepare(made, delivery, in_flight, partitions, records):
    """Topics of their own with these (key, value) in tickets.submitted; the environment of the engine that is to read them."""
    prefix = f"bench{next(numbers)}."
    env = bare_environment()
    env.update(delivery_settings(delivery), HELPDESK_KAFKA_BROKERS=made.kafka.address, HELPDESK_KAFKA_PREFIX=prefix,
               HELPDESK_KAFKA_PARTITIONS=str(partitions), HELPDESK_ENGINE_IN_FLIGHT=str(in_flight), HELPDESK_INSTANCE="bench-1")
    subprocess.run([PROGRAM, "topics", "apply"], env=env, check=True, stdout=subprocess.DEVNULL)
    producer = Producer({"bootstrap.servers": made.kafka.address, "linger.ms": 5, "partitioner": "murmur2_random", "acks": "all",
                         "queue.buffering.max.messages": 1000000, "enable.idempotence": True})
    for key, value in records:
        producer.produce(f"{prefix}tickets.submitted", key=key, value=value)
        producer.poll(0)
    assert producer.flush(60) == 0
    return env


def call_records(count):
    return ((f"default/{number}", b"x" * BODY_BYTES) for number in range(count))


@contextlib.contextmanager
def delay_server():
    with subprocess.Popen([str(BUILD / "bench_delay")], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/"
        finally:
            server.kill()


def rates(made, delivery, server):
    """The figure is that of the waves after the first: what comes before it is the ramp, once in a process's life."""
    for in_flight, ms, count in RATES:
        case = f"{in_flight:,} calls of {ms} ms in flight, {words(delivery)}"
        env = prepare(made, delivery, in_flight, 8, call_records(count))
        ours = run_tool("bench_engine", f"{server}{ms}", count, env=env)
        bare = run_tool("bench_calls", f"{server}{ms}", in_flight * 4, in_flight, BODY_BYTES)
        ideal = in_flight / (ms / 1e3)
        steady = (count - in_flight) / (ours["seconds"] - ours["wave_seconds"])
        row("engine", f"calls a second, {case}", steady, ideal, least=RATE_TARGET)
        row("engine", f"calls a second with the first wave, {case}", count / ours["seconds"], ideal)
        say(f"{case}: {ours}; bare libcurl, first wave included: {bare}")
        if in_flight == RESIDENT_CASE:
            row("engine", f"most resident MiB, {case}", ours["peak_mib"], RESIDENT_MIB, most=1)


def peak(made, delivery, server):
    def bare(*relay):
        return run_tool("bench_calls", f"{server}0", PEAK_CALLS, PEAK_IN_FLIGHT, BODY_BYTES, *relay)

    env = prepare(made, delivery, PEAK_IN_FLIGHT, 8, call_records(PEAK_CALLS))
    prefix = env["HELPDESK_KAFKA_PREFIX"]
    relay = made.kafka.address, f"{prefix}tickets.submitted", f"{prefix}tickets.enriched"
    before, relayed_before = bare(), bare(*relay)
    ours = run_tool("bench_engine", f"{server}0", PEAK_CALLS, env=env)
    relayed_after, after = bare(*relay), bare()
    row("engine", f"peak calls a second, {PEAK_IN_FLIGHT} in flight, {words(delivery)}", PEAK_CALLS / ours["seconds"],
        (before["per_second"] + after["per_second"]) / 2, least=PEAK_TARGET)
    row("engine", f"peak calls a second, {PEAK_IN_FLIGHT} in flight, {words(delivery)}, against bare libcurl between bare librdkafka",
        PEAK_CALLS / ours["seconds"], (relayed_before["per_second"] + relayed_after["per_second"]) / 2)
    say(f"peak, {words(delivery)}: bare libcurl {before['per_second']} and {after['per_second']} calls/s, between bare librdkafka "
        f"{relayed_before['per_second']} and {relayed_after['per_second']}; ours {ours}")


def keys(made, delivery, _server):
    """The baseline is the ideal: one key's work one after the other, or all of it by as many as are in flight."""
    lot = random.Random(1)
    work = [lot.randint(1, KEYS_MAX_US) for _ in range(KEYS_RECORDS)]
    for count, published in KEYS_PUBLISHED.items():
        env = prepare(made, delivery, KEYS_IN_FLIGHT, 1, ((f"default/{i % count}", str(us)) for i, us in enumerate(work)))
        ours = run_tool("bench_engine", "work", KEYS_RECORDS, env=env)
        ideal = max(max(sum(work[key::count]) for key in range(count)), sum(work) / KEYS_IN_FLIGHT) / 1e6
        case = f"{KEYS_RECORDS:,} records of 0-5 ms, {count:,} keys, seconds, {words(delivery)}"
        row("engine", case, ours["seconds"], ideal)
        say(f"{case}: {ours['seconds']:.3f}, all committed {ours['committed_seconds']:.3f}, ideal {ideal:.3f}, "
            f"the Parallel Consumer publishes {published} ({ours['seconds'] / published:.2f} of it)")


PARTS = {"rates": rates, "peak": peak, "keys": keys}


def add_options(parser):
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help="rates, peak, keys (all)")
    parser.add_argument("--delivery", choices=["at_least_once", "exactly_once"], help="only this mode")


def run(options):
    with servers(postgres=False) as made, delay_server() as server:
        for delivery in [options.delivery] if options.delivery else deliveries():
            for part in options.part or PARTS:
                PARTS[part](made, delivery, server)
