"""The bridge from SQS queues, on another project's SQS server: nothing is lost, nothing is two, nothing unreadable is thrown away."""

import http.server as http_server
import json
import os
import signal
import subprocess
import threading
import time

import botocore.session
import pytest

from harness import PROGRAM, Stack, free_port, http, ticket, wait_until


@pytest.fixture(scope="module")
def sqs():
    port = free_port()
    server = subprocess.Popen([os.environ["HELPDESK_TEST_BOTOCORE"], "-m", "moto.server", "-p", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = botocore.session.Session().create_client("sqs", region_name="eu-central-1", endpoint_url=f"http://127.0.0.1:{port}",
                                                      aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="hush")

    def answers():
        assert server.poll() is None
        try:
            return client.list_queues()
        except Exception:  # noqa: BLE001 - whatever it is, it is not there yet
            return None
    try:
        wait_until("the SQS server answers", 60, answers)
        yield client
    finally:
        server.kill()
        server.wait()


def aws_settings(sqs):
    return {"AWS_ENDPOINT_URL_SQS": sqs.meta.endpoint_url, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "hush"}


def bridge_metric(admin, queue, outcome):
    address = wait_until("it runs", 30, lambda: admin.exists() and admin.read_text().strip())
    for line in http("GET", f"http://{address}/metrics").body.decode().splitlines():
        if line.startswith(f'helpdesk_bridge_messages_total{{queue="{queue}",outcome="{outcome}"}}'):
            return float(line.rsplit(" ", 1)[1])
    return 0


class Bridge:
    def __init__(self, stack, sqs, state, **queues):
        self.sqs = sqs
        env = dict(stack.env, HELPDESK_KAFKA_BROKERS=stack.brokers, HELPDESK_INSTANCE="bridge", HELPDESK_RUN_DIR=str(state),
                   **aws_settings(sqs))
        env.update(queues)
        if stack.kafka is None:
            env["HELPDESK_KAFKA_EMBEDDED"] = "true"
        self.state = state
        self.process = subprocess.Popen([PROGRAM, "bridge"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def metric(self, queue, outcome):
        return bridge_metric(self.state / "bridge.admin", queue, outcome)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        return said


@pytest.fixture
def queues(sqs, request):
    """URLs of two queues; what is received and not deleted comes again after 2 s."""
    made = [sqs.create_queue(QueueName=f"{kind}-{abs(hash(request.node.name))}", Attributes={"VisibilityTimeout": "2"})["QueueUrl"]
            for kind in ("tickets", "kb")]
    yield made
    for url in made:
        sqs.delete_queue(QueueUrl=url)


def left(sqs, url):
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"])
    return sum(int(count) for count in found["Attributes"].values())


def ticket_text(number, **members):
    return json.dumps(ticket(ticket_id=f"sqs-{number}", external_ticket_id=f"E-{number}", created_at="2026-01-02T03:04:05Z", **members))


def test_tickets_and_events(folder, postgres, sqs, queues):
    """The bridge that `helpdesk up` starts when a queue is set."""
    tickets, events = queues
    for number in range(25):
        sqs.send_message(QueueUrl=tickets, MessageBody=ticket_text(number))
    sqs.send_message(QueueUrl=tickets, MessageBody=json.dumps({"subject": "no description"}))
    sqs.send_message(QueueUrl=events, MessageBody=json.dumps({"Records": [
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "nobodys"}, "object": {"key": "a.md"}}}]}))
    sqs.send_message(QueueUrl=events, MessageBody="no JSON")
    stack = Stack(f"{folder}/bridged", postgres, settings=dict(
        aws_settings(sqs), HELPDESK_BRIDGE_TICKETS_QUEUE=tickets, HELPDESK_BRIDGE_KB_QUEUE=events)).start()
    wait_until("all tickets are answered", 60, lambda: all(
        http("GET", f"{stack.url()}/tickets/sqs-{number}").json.get("status", "") not in ("", "accepted", "classified", "enriched")
        for number in range(25)))
    wait_until("what cannot be read stays, the rest is gone", 30, lambda: (left(sqs, tickets), left(sqs, events)) == (1, 1))
    runs = {number: http("GET", f"{stack.url()}/tickets/sqs-{number}").json["correlation_id"] for number in range(3)}
    for number, run in runs.items():  # the id of a run that no gateway began
        assert http("GET", f"{stack.url()}/tickets/sqs-{number}?run={run}").json["ticket_id"] == f"sqs-{number}"
    assert bridge_metric(stack.state / "bridge-1.admin", "tickets", "published") == 25
    assert bridge_metric(stack.state / "bridge-1.admin", "tickets", "refused") >= 1
    assert bridge_metric(stack.state / "bridge-1.admin", "kb", "published") == 1
    wait_until("kb-sync has the event", 30, lambda: stack.metric("kb-sync-1", "helpdesk_kb_notifications_total") == 1)
    assert stack.stop() == 0
    said = (stack.folder / "helpdesk.log").read_text()
    assert '"queue":"tickets"' in said and "/ticket_id" in said and "no description" not in said
    rows = stack.sql("SELECT ticket_id, count(DISTINCT correlation_id) FROM runs WHERE ticket_id LIKE 'sqs-%%' GROUP BY 1")
    assert sorted(rows) == sorted((f"sqs-{number}", 1) for number in range(25))


def test_without_a_broker_nothing_is_received(embedded, sqs, queues, tmp_path):
    """What is received in vain, again and again, goes the way of what cannot be read."""
    sqs.send_message(QueueUrl=queues[0], MessageBody=ticket_text("kept"))
    bridge = Bridge(embedded, sqs, tmp_path, HELPDESK_BRIDGE_TICKETS_QUEUE=queues[0], HELPDESK_KAFKA_BROKERS=f"127.0.0.1:{free_port()}")
    address = wait_until("it runs", 30, lambda: (tmp_path / "bridge.admin").exists() and (tmp_path / "bridge.admin").read_text().strip())
    wait_until("it says so", 30, lambda: b"no broker" in http("GET", f"http://{address}/health/ready").body)
    time.sleep(2)  # of many tries
    bridge.stop()
    [kept] = sqs.receive_message(QueueUrl=queues[0], AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert kept["Attributes"]["ApproximateReceiveCount"] == "1"


class Forgetful(http_server.BaseHTTPRequestHandler):
    """In front of the SQS server: the first deletion does not get through."""
    lost = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "Delete" in self.headers["X-Amz-Target"] and not self.lost:
            self.lost.append(body)
            self.send_error(500)
            return
        answer = http("POST", self.server.behind, body, {name: self.headers[name] for name in ("X-Amz-Target", "Authorization", "Content-Type")})
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_):
        pass


def test_message_received_twice_is_one_ticket(embedded, sqs, queues, tmp_path):
    server = http_server.ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    server.behind = sqs.meta.endpoint_url
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sqs.send_message(QueueUrl=queues[0], MessageBody=ticket_text("twice"))
    bridge = Bridge(embedded, sqs, tmp_path, HELPDESK_BRIDGE_TICKETS_QUEUE=queues[0],
                    AWS_ENDPOINT_URL_SQS=f"http://127.0.0.1:{server.server_port}")
    wait_until("it is published twice and deleted", 30, lambda: bridge.metric("tickets", "published") == 2 and left(sqs, queues[0]) == 0)
    bridge.stop()
    server.shutdown()
    wait_until("it is answered", 30, lambda: http("GET", f"{embedded.url()}/tickets/sqs-twice").status == 200)
    assert embedded.sql("SELECT count(*) FROM runs WHERE ticket_id = 'sqs-twice'") == [(1,)]
    assert embedded.sql("SELECT count(DISTINCT event_id) FROM runs WHERE ticket_id = 'sqs-twice'") == [(1,)]


def test_queue_away_is_told_and_waited_for(embedded, sqs, tmp_path):
    url = sqs.meta.endpoint_url + "/123456789012/later"
    bridge = Bridge(embedded, sqs, tmp_path, HELPDESK_BRIDGE_TICKETS_QUEUE=url)
    address = wait_until("it runs", 30, lambda: (tmp_path / "bridge.admin").exists() and (tmp_path / "bridge.admin").read_text().strip())
    refused = wait_until("it says so", 30, lambda: [h for h in [http("GET", f"http://{address}/health/ready")] if b"SQS answers" in h.body])
    assert refused[0].status == 503
    made = sqs.create_queue(QueueName="later")["QueueUrl"]
    sqs.send_message(QueueUrl=made, MessageBody=ticket_text("later"))
    wait_until("it is published", 60, lambda: bridge.metric("tickets", "published") == 1)
    wait_until("it is ready", 60, lambda: http("GET", f"http://{address}/health/ready").status == 200)
    bridge.stop()


@pytest.mark.parametrize("settings, why", [
    ({}, "bridge.kb-queue or bridge.tickets-queue must name a queue"),
    ({"HELPDESK_BRIDGE_KB_QUEUE": "my-queue"}, "a queue is named like https://sqs."),
])
def test_start_errors(embedded, settings, why):
    done = embedded.run("bridge", env={"AWS_REGION": "eu-central-1", **settings})
    assert done.returncode == 1
    assert why in done.stderr
