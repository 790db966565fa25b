"""All stages on Apache Kafka with the offline model and PostgreSQL, in each delivery mode.

Parts: latency (auto-orchestrate unloaded against a bare chain of the same mode), throughput (tickets through all stages against a
bare copy of as large records through as many topics, per second of processor time, and where it goes), loaded (time to an answer
while tickets come at a rate, against few of them), memory (of every role at half load; --minutes 60 for the hour), models
(auto-orchestrate unloaded with models that answer in 300 ms, one that classifies and one that drafts: what is added to the time they
take; on the embedded broker, too).
"""

import http.client
import json
import pathlib
import statistics
import subprocess
import time

from . import hop
from .common import (BUILD, FakeModel, Stack, bare_environment, chain, children, cpu_seconds, deliveries, delivery_settings, kafka_pid,
                     percentile, resident_mib, row, sample_ticket, say, servers, words)

PARTS = ["latency", "throughput", "loaded", "memory", "models"]
TOPICS = ["tickets.submitted", "tickets.classified", "tickets.enriched", "tickets.answered"]
ROLES = ["gateway", "classifier", "retriever", "generator", "kb-sync", "logger"]
LOOK_SECONDS = 0.5  # looking whether all is logged costs the database
COPY_FACTOR = 10  # a copy is over too soon to measure it on as few records
THROUGHPUT_TARGET = 0.1
SAMPLE_SECONDS = 2
FLAT_TARGET = 1.05  # memory at the end over that after the first quarter
LOADED_WARM_RATE, LOADED_WARM_SECONDS = 100, 40  # Kafka compiles itself for so long
LOADED_RATES, LOADED_SECONDS = (10, 25, 50, 100, 150, 300), 15
MODEL_MS = 300
MODELS_TARGET_MS = 15
MODELS_WARMUP = 5
COURSE = 12  # parts of the run whose means are told
CUSTOMERS = 1000
SUBJECTS = [
    ("Hub is offline", "The light blinks red since this morning and the app does not find the hub."),
    ("Charged twice this month", "My card was charged two times for the same invoice. Please refund one of the payments."),
    ("Cannot sign in", "After I reset my password the login page says that my account is locked."),
    ("Where is my parcel?", "The tracking page has not changed for five days and the parcel was due on Monday."),
]


# ---- processor time ----


def processes(stack, made):
    """Who works for a ticket: name, process ids."""
    home = (pathlib.Path(made.postgres.folder) / "home").read_text().strip()
    postmaster = int(pathlib.Path(home, "data", "postmaster.pid").read_text().split("\n", maxsplit=1)[0])
    found = {role: stack.pids(role) for role in ROLES}
    found["PostgreSQL"] = [postmaster, *children(postmaster)]
    found["Kafka"] = [kafka_pid(made.kafka)]
    return found


def processor_time(stack, made):
    return {name: sum(map(cpu_seconds, pids)) for name, pids in processes(stack, made).items()}


# ---- throughput ----


def import_customers(stack):
    rows = [f"bench-{number},Kim Example,kim{number}@example.com,,standard,{number}.50,0.2,2026-11-02T09:14:00Z"
            for number in range(CUSTOMERS)]
    path = pathlib.Path(stack.folder, "customers.csv")
    path.write_text("\n".join(["external_id,name,email,company,tier,lifetime_value,avg_sentiment,last_contact", *rows, ""]))
    done = stack.run("import", "customers", str(path))
    assert done.returncode == 0, done.stderr


def publish_and_count(stack, run, count):
    """Publishes `count` tickets at once with an independent client; seconds until all are answered and until all are logged."""
    import wire  # after the programs are built: it needs packages that the build brings
    from confluent_kafka import Consumer

    ids = [f"{run}-{number}" for number in range(count)]
    values = []
    for number, ticket_id in enumerate(ids):
        subject, description = SUBJECTS[number % len(SUBJECTS)]
        values.append(wire.single_object({"ticket": {
            "ticket_id": ticket_id, "subject": subject, "description": description, "channel": "web",
            "customer_external_id": f"bench-{number % CUSTOMERS}"}}))
    producer = wire.Client(stack).producer
    reader = Consumer({"bootstrap.servers": stack.brokers, "group.id": f"bench-{run}", "isolation.level": "read_committed",
                       "enable.auto.commit": False})
    name = stack.topic("tickets.answered")
    partitions = reader.list_topics(name, 10).topics[name].partitions
    reader.assign([wire.TopicPartition(name, p, reader.get_watermark_offsets(wire.TopicPartition(name, p))[1]) for p in partitions])
    start = time.monotonic()
    for ticket_id, value in zip(ids, values):
        producer.produce(stack.topic("tickets.submitted"), key=f"default/{ticket_id}", value=value)
        producer.poll(0)
    assert producer.flush(60) == 0
    missing = {f"default/{ticket_id}".encode() for ticket_id in ids}
    while missing:
        assert time.monotonic() < start + 600, f"{len(missing)} of {count} tickets are not answered"
        missing -= {message.key() for message in reader.consume(1000, 0.1) if message.error() is None}
    answered = time.monotonic() - start
    reader.close()
    while stack.sql("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL AND ticket_id LIKE %s", run + "-%")[0][0] < count:
        assert time.monotonic() < start + 600, f"not all of {count} tickets are logged"
        time.sleep(LOOK_SECONDS)
    return answered, time.monotonic() - start


def mean_record_bytes(stack):
    import wire

    sizes = [len(message.value()) for topic in TOPICS for message in wire.Client(stack).read(topic, lambda all: len(all) >= 200)]
    return int(statistics.mean(sizes))


def record_profile(stack, made, path):
    """A sampling of everybody's stacks, until it is told to end."""
    pids = ",".join(str(pid) for found in processes(stack, made).values() for pid in found)
    return subprocess.Popen(["perf", "record", "-q", "-F", "499", "-g", "-o", path, "-p", pids],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def show_profile(recorder, path):
    recorder.terminate()
    recorder.wait()
    done = subprocess.run(["perf", "report", "-i", path, "--no-children", "-g", "none", "--percent-limit", "0.7", "--stdio",
                           "--sort", "comm,dso,symbol"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    say("\n".join(line.rstrip() for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")))


def throughput(stack, made, delivery, options):
    """Rows against a bare copy; tickets a second that were logged."""
    workers, count = stack.workers, options.tickets
    import_customers(stack)
    publish_and_count(stack, f"warm{workers}", max(count // 10, 100))
    profile = f"{made.folder}/perf.{workers}"
    recorder = record_profile(stack, made, profile) if options.profile else None
    before = processor_time(stack, made)
    answered, logged = publish_and_count(stack, f"run{workers}", count)
    after = processor_time(stack, made)
    used = {name: after[name] - before[name] for name in after}
    if recorder:
        show_profile(recorder, profile)
    size = mean_record_bytes(stack)
    copied = count * COPY_FACTOR
    bare = chain("copy", delivery, stack.brokers, f"{stack.prefix}copy{workers}.", len(TOPICS), copied, size,
                 broker_pid=kafka_pid(made.kafka))
    total, bare_total = sum(used.values()), bare["cpu_seconds"] + bare["broker_cpu_seconds"]
    case = f"{words(delivery)}, {workers} of each worker"
    row("pipeline", f"tickets a second and core, {case}", count / total, copied / bare_total, least=THROUGHPUT_TARGET)
    row("pipeline", f"tickets a second, {case}", count / logged, copied / bare["seconds"], least=THROUGHPUT_TARGET)
    say(f"{case}: {count} tickets answered in {answered:.2f} s, logged in {logged:.2f} s; {total / count * 1e6:.0f} us of processor "
        f"time a ticket: " + ", ".join(f"{name} {seconds / count * 1e6:.0f}" for name, seconds in sorted(
            used.items(), key=lambda item: -item[1])))
    say(f"{case}: the copy, records of {size} bytes: {bare_total / copied * 1e6:.0f} us a record, of these Kafka "
        f"{bare['broker_cpu_seconds'] / copied * 1e6:.0f}; {bare}")
    return count / logged


# ---- at a rate ----


def start_load(stack, rate, seconds):
    """The load generator; its JSON object comes on standard output."""
    embedded = ["--embedded"] if stack.kafka is None else []
    return subprocess.Popen([str(BUILD / "loadgen"), "--brokers", stack.brokers, "--prefix", stack.prefix, "--tickets",
                             str(int(rate * seconds)), "--rate", str(int(rate)), "--wait", "120", *embedded],
                            stdout=subprocess.PIPE, text=True, env=bare_environment())


def answered_at(stack, rate, seconds):
    """What the load generator found."""
    load = start_load(stack, rate, seconds)
    found = json.loads(load.communicate()[0])
    assert load.returncode == 0, f"not every ticket was answered: {found}"
    return found


def loaded(stack, delivery):
    """Rows of the median time from a published ticket to its answer, at each rate over that at the first one."""
    answered_at(stack, LOADED_WARM_RATE, LOADED_WARM_SECONDS)
    few = None
    for rate in LOADED_RATES:
        found = answered_at(stack, rate, LOADED_SECONDS)
        few = few or found["median_ms"]
        case = f"{rate} tickets a second, {words(delivery)}"
        row("pipeline", f"median ms to an answer, {case}", found["median_ms"], few)
        say(f"{case}: {found}")


# ---- memory ----


def slope_mib_per_hour(samples):
    """Least squares over (seconds, MiB)."""
    mean_t = statistics.mean(t for t, _ in samples)
    mean_m = statistics.mean(m for _, m in samples)
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    return sum((t - mean_t) * (m - mean_m) for t, m in samples) / spread * 3600


def memory(stack, delivery, minutes, rate):
    """Resident memory of every role while tickets come at `rate` a second."""
    samples, start = {role: [] for role in ROLES}, time.monotonic()
    load = start_load(stack, rate, minutes * 60)
    while load.poll() is None:
        time.sleep(SAMPLE_SECONDS)
        for role, of_role in samples.items():
            of_role.append((time.monotonic() - start, sum(map(resident_mib, stack.pids(role)))))
    assert load.returncode == 0, f"not every ticket was answered: {load.stdout.read()}"
    case = f"{minutes:g} minutes at {int(rate)} tickets a second, {words(delivery)}"
    say(f"{case}: {load.stdout.read().strip()}")
    for role, of_role in samples.items():
        settled = of_role[len(of_role) // 4:]
        tenth = max(len(settled) // 10, 1)
        first, last = (statistics.mean(m for _, m in part) for part in (settled[:tenth], settled[-tenth:]))
        row("pipeline", f"resident MiB of {role} at the end over a quarter in, {case}", last, first, most=FLAT_TARGET)
        course = [statistics.mean(m for _, m in of_role[i * len(of_role) // COURSE:(i + 1) * len(of_role) // COURSE]) for i in range(COURSE)]
        say(f"{case}: {role} {slope_mib_per_hour(settled):+.2f} MiB an hour, at most {max(m for _, m in of_role):.1f} MiB; its course: "
            + " ".join(f"{mib:.1f}" for mib in course))


# ---- models ----


def asked_models(stack, model, count):
    """What is added to the models' own time, in ms, of one request at a time; what the steps add to theirs."""
    connection = http.client.HTTPConnection(stack.url()[len("http://"):], timeout=60)
    added, parts = [], {}
    for number in range(-MODELS_WARMUP, count):
        model.forget()
        body = json.dumps(dict(sample_ticket("01-clean.json"), ticket_id=f"models-{number}"))
        start = time.perf_counter()
        connection.request("POST", "/tickets/auto-orchestrate", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        elapsed = (time.perf_counter() - start) * 1e3
        calls = model.journal()
        assert answer.status == 200 and [call["task"] for call in calls] == ["classify", "draft"], text
        taken = {call["task"]: (call["ended"] - call["started"]) * 1e3 for call in calls}
        if number >= 0:
            trace = json.loads(text)["trace"]
            added.append(elapsed - sum(taken.values()))
            for name, value in (("classifier", trace["classification_latency_ms"] - taken["classify"]),
                                ("retriever", trace["retrieval_latency_ms"]), ("generator", trace["generation_latency_ms"] - taken["draft"]),
                                ("between the stages", elapsed - sum(trace[f"{step}_latency_ms"] for step in ("classification", "retrieval", "generation")))):
                parts.setdefault(name, []).append(value)
    return added, parts


def models(made, broker, delivery, kafka, count):
    with FakeModel() as model:
        model.control(latency_ms=MODEL_MS)
        stack = Stack(f"{made.folder}/models-{broker.split()[0]}-{delivery}", made.postgres, kafka=kafka, settings={
            **delivery_settings(delivery), **model.settings, "HELPDESK_MODEL_CLASSIFY": model.model, "HELPDESK_CLASSIFIER_ASK_BELOW": "1",
            "HELPDESK_MODEL_PRICES": "test-model-*=1/5"}).start()
        try:
            stack.load_samples()
            added, parts = asked_models(stack, model, count)
            bare = chain("latency", delivery, stack.brokers, f"{stack.prefix}bare.", hop.HOPS, hop.WARMUP + count, hop.RECORD_BYTES,
                         embedded=kafka is None)["median_ms"]
        finally:
            stack.stop()
    case = f"two models of {MODEL_MS} ms, {broker}, {words(delivery)}"
    row("pipeline", f"auto-orchestrate median, ms, {case}", statistics.median(added) + 2 * MODEL_MS, 2 * MODEL_MS,
        most=1 + MODELS_TARGET_MS / (2 * MODEL_MS))
    say(f"{case}: a bare chain of {hop.HOPS} hops takes {bare:.1f} ms; added by us median {statistics.median(added):.1f} ms, p90 {percentile(added, 0.9):.1f} ms; "
        + ", ".join(f"{name} {statistics.median(values):.2f}" for name, values in parts.items()))


# ---- the run ----


def add_options(parser):
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help=f"{', '.join(PARTS)} (all)")
    parser.add_argument("--delivery", choices=hop.TARGETS, help="only this mode")
    parser.add_argument("--count", type=int, default=400, metavar="N", help="requests that measure the latency (400)")
    parser.add_argument("--tickets", type=int, default=5000, metavar="N", help="tickets that measure the throughput (5000)")
    parser.add_argument("--minutes", type=float, default=2, metavar="N", help="of half load that measure the memory (2)")
    parser.add_argument("--rate", type=int, metavar="N", help="tickets a second that measure the memory (half of the throughput)")
    parser.add_argument("--profile", action="store_true", help="sample the throughput with perf, which must be installed")


def one_worker(stack, made, delivery, options):
    """All parts; the median latency, if it was asked for."""
    parts = options.part or PARTS
    median = hop.latency("pipeline", stack, "Apache Kafka", delivery, options.count) if "latency" in parts else None
    rate = throughput(stack, made, delivery, options) if "throughput" in parts or "memory" in parts and not options.rate else 0
    if "loaded" in parts:
        loaded(stack, delivery)
    if "memory" in parts:
        memory(stack, delivery, options.minutes, options.rate or rate / 2)
    return median


def run(options):
    medians = {}
    with servers() as made:
        wanted = [options.delivery] if options.delivery else deliveries()
        if not options.part or "models" in options.part:
            models(made, "embedded broker", "at_least_once", None, options.count // 8)
            for delivery in wanted:
                models(made, "Apache Kafka", delivery, made.kafka, options.count // 8)
        for delivery in wanted if options.part != ["models"] else []:
            medians[delivery] = hop.with_stack(made, f"{delivery}-1", delivery,
                                               lambda stack, mode=delivery: one_worker(stack, made, mode, options), kafka=made.kafka)
            if not options.part or "throughput" in options.part:
                hop.with_stack(made, f"{delivery}-2", delivery,
                               lambda stack, mode=delivery: throughput(stack, made, mode, options), kafka=made.kafka, workers=2)
    if all(medians.get(mode) for mode in hop.TARGETS):
        row("pipeline", "auto-orchestrate median, ms, exactly once over at least once", medians["exactly_once"],
            medians["at_least_once"])
