"""Servers that are away, workers that die, brokers that restart."""

import concurrent.futures
import http.client as http_client
import os
import signal
import time
import uuid

import psycopg2
import pytest

import wire
from harness import Kafka, Postgres, Stack, free_port, http, ticket, wait_until


@pytest.fixture
def own(folder, request):
    """A stack with servers of its own, to be broken."""
    made = []

    def make(broker, **options):
        base = f"{folder}/{request.node.name.replace('[', '-').replace(']', '')}"
        postgres = Postgres(f"{base}/pg")
        kafka = Kafka(f"{base}/kafka") if broker == "kafka" else None
        stack = Stack(f"{base}/stack", postgres, kafka, **options)
        made.append((stack, postgres, kafka))
        return stack

    yield make
    for stack, postgres, kafka in made:
        postgres.start()
        stack.stop()
        postgres.remove()
        if kafka:
            kafka.stop()


def many(stack, count, **options):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return list(pool.map(lambda _: http("POST", stack.url() + "/tickets/auto-orchestrate",
                                            ticket(ticket_id=f"w-{uuid.uuid4()}"), {"Prefer": "wait=60"}, timeout=120), range(count)))


@pytest.mark.parametrize("broker", ["embedded", "kafka"])
def test_killed_worker_loses_nothing(own, broker):
    stack = own(broker, workers=2)
    stack.start()
    stack.load_samples()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        burst = pool.submit(many, stack, 300)
        for role in ("classifier", "retriever", "generator"):
            time.sleep(0.3)
            os.kill(stack.pids(role)[0], signal.SIGKILL)
        replies = burst.result()
    assert {reply.status for reply in replies} == {200}
    wait_until("restarted workers", 30, lambda: all(len(stack.pids(r)) == 2 for r in ("classifier", "retriever", "generator")))


def test_database_away_is_503_and_heals(own):
    stack = own("kafka")
    stack.start()
    stack.load_samples()
    assert stack.ask(ticket())
    stack.postgres.stop()
    gone = http("POST", stack.url() + "/tickets/auto-orchestrate", ticket(ticket_id="db-away"))
    assert gone.status == 503, gone.body
    assert int(gone.headers["Retry-After"]) >= 1
    assert gone.headers["Content-Type"].startswith("application/problem+json")
    assert wait_until("not ready", 20, lambda: http("GET", stack.admin("gateway-1") + "/health/ready").status == 503)
    client = wire.Client(stack)
    sent = [ticket(ticket_id=f"away-{i}") for i in range(20)]
    for one in sent:
        client.publish_ticket(one)
    time.sleep(2)
    stack.postgres.start()
    answers = client.answers([one["ticket_id"] for one in sent], 90)
    assert len(answers) == len(sent)
    wait_until("all of them in the log", 60, lambda: stack.sql(
        "SELECT count(*) FROM runs WHERE ticket_id LIKE 'away-%%' AND result IS NOT NULL")[0][0] == len(sent))
    assert wait_until("healed", 30, lambda: http("POST", stack.url() + "/tickets/auto-orchestrate", ticket(ticket_id="healed")).status == 200)


def test_kafka_restart_loses_nothing_acknowledged(own):
    stack = own("kafka")
    stack.start()
    stack.load_samples()
    client = wire.Client(stack)
    sent = [ticket(ticket_id=f"bounce-{i}") for i in range(200)]
    for one in sent[:100]:
        client.publish_ticket(one)
    stack.kafka.stop()
    gone = http("POST", stack.url() + "/tickets/auto-orchestrate", ticket(ticket_id="while-away"), timeout=120)
    assert gone.status in (202, 503), gone.body
    stack.kafka.start()
    assert wait_until("healed", 90, lambda: http("POST", stack.url() + "/tickets/auto-orchestrate",
                                                 ticket(ticket_id=f"after-{uuid.uuid4()}"), {"Prefer": "wait=30"}, timeout=60).status == 200)
    for one in sent[100:]:
        client.publish_ticket(one)
    assert len(client.answers([one["ticket_id"] for one in sent], 120)) == len(sent)


def ask(stack, gateway, body, wait=60):
    try:
        return http("POST", stack.url(gateway) + "/tickets/auto-orchestrate", body, {"Prefer": f"wait={wait}"}, timeout=120)
    except (OSError, http_client.HTTPException):
        return None  # the gateway died


def published(stack, ticket_id):
    """How often the ticket is in the topic."""
    def of_ticket(messages):
        return [m for m in messages if wire.decode(m.value())["ticket"]["ticket_id"] == ticket_id]
    return len(of_ticket(wire.Client(stack).read("tickets.submitted", lambda messages: len(of_ticket(messages)) > 1, 5)))


def test_sent_again_elsewhere_while_the_first_gateway_tries_is_published_once(own):
    stack = own("kafka", gateways=2)
    stack.start()
    body = ticket(ticket_id="twice")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        stack.kafka.signal_node(1, "STOP")
        replies = [pool.submit(ask, stack, 1, body)]
        time.sleep(0.5)
        impatient = ask(stack, 2, body, wait=0)  # after 5 s
        assert impatient.status == 503 and impatient.headers["Retry-After"] == "5", impatient.body
        replies.append(pool.submit(ask, stack, 2, body))
        time.sleep(1)
        stack.kafka.signal_node(1, "CONT")
        first, second = [reply.result() for reply in replies]
    assert (first.status, second.status) == (200, 200), (first.body, second.body)
    assert first.headers["X-Correlation-ID"] == second.headers["X-Correlation-ID"]
    assert published(stack, "twice") == 1


def test_a_ticket_whose_gateway_died_before_it_was_published_is_published_by_another(own):
    stack = own("kafka", gateways=2)
    stack.start()
    body = ticket(ticket_id="orphan")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stack.kafka.signal_node(1, "STOP")
        first = pool.submit(ask, stack, 1, body)
        assert wait_until("the claim", 20, lambda: stack.sql("SELECT 1 FROM runs WHERE ticket_id = 'orphan'"))
        stack.kafka.stop_node(1, "KILL")  # with what was sent to it
        for gateway in stack.pids("gateway"):
            os.kill(gateway, signal.SIGKILL)
        assert first.result() is None
    stack.kafka.start_node(1)
    assert wait_until("ready again", 60, lambda: ready(stack, 2))
    reply = ask(stack, 2, body)
    assert reply.status == 200, reply.body
    assert published(stack, "orphan") == 1


def test_a_claim_that_comes_late_is_not_published_and_is_given_back(own):
    """The database holds up the claim for longer than there is time to begin: others may publish the run at once."""
    stack = own("embedded")
    stack.start()
    body = ticket(ticket_id="held-up")
    holder = psycopg2.connect(stack.database_url)
    holder.cursor().execute("SELECT pg_advisory_xact_lock(hashtextextended('default/held-up', 4517208815))")
    waiting = ("SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
               "WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database()")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        late = pool.submit(ask, stack, 1, body)
        wait_until("the claim", 20, lambda: stack.sql(waiting))
        time.sleep(5)
        holder.close()
        assert late.result().status == 503, late.result().body
    free = "SELECT 1 FROM runs WHERE published_at IS NULL AND publish_until <= now() AND ticket_id = 'held-up'"
    wait_until("the run to be free", 10, lambda: stack.sql(free))
    assert ask(stack, 1, body).status == 200
    assert stack.sql("SELECT count(*) FROM runs WHERE ticket_id = 'held-up'") == [(1,)]


def test_a_run_whose_client_left_during_its_claim_is_given_back(own):
    stack = own("embedded")
    stack.start()
    body = ticket(ticket_id="left")
    holder = psycopg2.connect(stack.database_url)
    holder.cursor().execute("SELECT pg_advisory_xact_lock(hashtextextended('default/left', 4517208815))")
    with pytest.raises(OSError):
        http("POST", stack.url() + "/tickets/auto-orchestrate", body, timeout=1)
    wait_until("the gateway knows", 20, lambda: stack.metric("gateway-1", "helpdesk_gateway_unfinished_bytes") == 0)
    holder.close()
    wait_until("the run to be free", 10, lambda: stack.sql(
        "SELECT 1 FROM runs WHERE published_at IS NULL AND publish_until <= now() AND ticket_id = 'left'"))
    assert ask(stack, 1, body).status == 200
    assert stack.sql("SELECT count(*) FROM runs WHERE ticket_id = 'left'") == [(1,)]


def ready(stack, gateway):
    try:
        return http("GET", stack.admin(f"gateway-{gateway}") + "/health/ready").status == 200
    except OSError:
        return False  # it starts


def test_embedded_broker_restart_is_honest(own):
    stack = own("embedded")
    stack.start()
    stack.load_samples()
    assert http("GET", stack.url() + "/health").json["durability"] == "none"
    # A run that is under way when the broker goes.
    stack.sql("INSERT INTO runs (tenant, correlation_id, ticket_id, event_id, kind, content_hash, received_at, published_at) "
              "VALUES ('default', %s, 'lost', %s, 'ticket', 'x', now(), now())", str(uuid.uuid4()), str(uuid.uuid4()))
    os.kill(stack.pids("broker")[0], signal.SIGKILL)

    def healed():
        try:
            return http("POST", stack.url() + "/tickets/auto-orchestrate", ticket(ticket_id=f"e-{uuid.uuid4()}"), timeout=60).status == 200
        except OSError:
            return False  # the gateway itself restarts
    assert wait_until("everything started again", 60, healed)
    lost = http("GET", stack.url() + "/tickets/lost").json
    assert lost["state"] == "failed" and "again" in lost["failure"]["message"]


def test_roles_wait_for_servers_that_are_away_at_start(own, tmp_path):
    stack = own("embedded")
    port = free_port()
    env = dict(stack.env, HELPDESK_KAFKA_BROKERS=f"127.0.0.1:{port}", HELPDESK_INSTANCE="early",
               DATABASE_URL=f"postgresql://helpdesk@127.0.0.1:{port}/none", HELPDESK_RUN_DIR=str(tmp_path))
    import subprocess
    from harness import PROGRAM
    role = subprocess.Popen([PROGRAM, "gateway"], env=env, stdout=subprocess.PIPE, stderr=open(tmp_path / "log", "wb"))
    try:
        wait_until("the admin listener", 20, lambda: (tmp_path / "early.admin").exists() and (tmp_path / "early.http").exists())
        admin = "http://" + (tmp_path / "early.admin").read_text().strip()
        public = "http://" + (tmp_path / "early.http").read_text().strip()
        assert http("GET", admin + "/health/live").status == 200
        ready = http("GET", admin + "/health/ready")
        assert ready.status == 503 and ready.json["parts"]["database"] != "ok"
        reply = http("POST", public + "/tickets/auto-orchestrate", ticket())
        assert reply.status == 503 and reply.headers["Retry-After"]
    finally:
        role.terminate()
        assert role.wait(30) == 0
    assert (tmp_path / "log").read_text().count("\n") < 60
