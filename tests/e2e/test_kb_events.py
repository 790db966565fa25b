"""Notifications of object stores: posted to the gateway, or written to Kafka by the S3 server itself."""

import base64
import http.server as http_server
import json
import threading

import pytest
from confluent_kafka import Producer

from harness import S3, Stack, http, wait_until

NEVER = "1d"  # no scan finds what a notification should have told
TOKEN = "first-token,second-token"


def text_of(word):
    return f"# The {word} manual\n\nTo reset the {word}, hold its {word} button for nine seconds.\n"


def s3_record(bucket, key, name="ObjectCreated:Put", sequencer="01"):
    return {"eventSource": "aws:s3", "eventName": name, "eventTime": "2026-01-02T03:04:05Z",
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": sequencer}}}


class Sns(http_server.BaseHTTPRequestHandler):
    """Takes the token "good"; is away with the token "away"."""
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200 if "Token=good&" in self.path else 500 if "Token=away&" in self.path else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Bucketed:
    """A stack whose knowledge base is a bucket that nobody scans."""

    def __init__(self, folder, postgres, kafka, **settings):
        topic = "kb.notifications"
        self.stack = Stack(f"{folder}/kb-events", postgres, kafka)
        done = self.stack.run("topics", "apply")  # the S3 server does not start without its topic
        assert done.returncode == 0, done.stderr
        self.s3 = S3(f"{folder}/kb-events-s3", ["--event-kafka-url", kafka.address, "--event-kafka-topic",
                                               self.stack.prefix + topic])
        self.bucket = self.s3.bucket("help-kb")
        self.other = self.s3.bucket("other")
        self.sources = self.stack.folder / "sources.json"
        self.sources.write_text(json.dumps([{"name": "bucket", "place": "s3://help-kb/docs", "endpoint": self.s3.url, "region": "us-east-1",
                                             "path_style": True}]))
        self.stack.env.update(self.s3.credentials, HELPDESK_KB_SOURCES=str(self.sources), HELPDESK_KB_SCAN_INTERVAL=NEVER,
                              HELPDESK_GATEWAY_KB_EVENTS_TOKEN=TOKEN, **settings)
        self.sns = http_server.ThreadingHTTPServer(("127.0.0.1", 0), Sns)
        threading.Thread(target=self.sns.serve_forever, daemon=True).start()
        self.stack.env["AWS_ENDPOINT_URL_SNS"] = f"http://127.0.0.1:{self.sns.server_port}"
        del self.stack.env["HELPDESK_KB_SOURCE"]
        self.stack.start()
        self.producer = Producer({"bootstrap.servers": kafka.address})

    def keys(self):
        return {row[0] for row in self.stack.sql("SELECT object_key FROM kb_documents WHERE source = 'bucket'")}

    def wait_keys(self, *keys):
        try:
            wait_until(f"the base holds {keys}", 20, lambda: self.keys() == set(keys))
        except AssertionError as error:
            raise AssertionError(f"{error}: it holds {self.keys()}; {self.outcomes()}") from None

    def outcomes(self):
        lines = http("GET", self.stack.admin("kb-sync-1") + "/metrics").body.decode().splitlines()
        found = dict.fromkeys(("read", "known", "foreign", "other", "failed"), 0)
        for line in lines:
            if line.startswith("helpdesk_kb_notifications_total"):
                found[line.split('"')[1]] = float(line.rsplit(" ", 1)[1])
        return found

    def post(self, body, token="first-token", **headers):
        headers = {"Authorization": f"Bearer {token}", **headers} if token else headers
        return http("POST", self.stack.url() + "/kb/events", body.encode() if isinstance(body, str) else body, headers)

    def write(self, body):
        self.producer.produce(f"{self.stack.prefix}kb.notifications", body if isinstance(body, bytes) else json.dumps(body).encode())
        assert self.producer.flush(20) == 0

    def stop(self):
        self.s3.stop()
        self.sns.shutdown()
        assert self.stack.stop() == 0


@pytest.fixture(scope="module")
def bucketed(folder, postgres, kafka):
    made = Bucketed(folder, postgres, kafka)
    yield made
    made.stop()


def test_s3_server_tells_through_kafka(bucketed):
    """What is put is found, what is deleted is gone; keys of every kind; nobody scans."""
    keys = ["a.md", "with space.md", "plus+and%20.md", "ünïcode/日本.md", "deep/er/b.md"]
    for key in keys:
        bucketed.s3.put("help-kb", "docs/" + key, text_of("zwingli"))
    bucketed.s3.put("help-kb", "outside.md", text_of("outside"))
    bucketed.s3.put("help-kb", "docs/picture.png", b"\x89PNG")
    bucketed.s3.put("other", "docs/a.md", text_of("foreign"))
    bucketed.wait_keys(*keys)
    for key in keys[1:]:
        bucketed.s3.delete("help-kb", "docs/" + key)
    bucketed.wait_keys("a.md")
    bucketed.s3.put("help-kb", "docs/a.md", text_of("changed"))
    wait_until("the new text is there", 20, lambda: bucketed.stack.sql(
        "SELECT 1 FROM kb_passages WHERE source = 'bucket' AND text LIKE '%%changed%%'"))
    assert bucketed.outcomes()["foreign"] >= 2
    def metrics():
        return http("GET", bucketed.stack.admin("kb-sync-1") + "/metrics").body.decode().splitlines()
    wait_until("the documents are counted", 20, lambda: 'helpdesk_kb_documents{source="bucket",state="ready"} 1' in metrics())
    lag = [line for line in metrics() if line.startswith('helpdesk_kb_notification_seconds_count{source="bucket"}')]
    assert lag and float(lag[0].split()[-1]) >= len(keys)


def test_posted(bucketed):
    """Every form that is posted, with either token, as bearer or as password."""
    bucketed.s3.put("help-kb", "docs/a.md", text_of("posted"))
    basic = base64.b64encode(b"sns:second-token").decode()
    record = s3_record("help-kb", "docs/a.md")
    answer = bucketed.post({"Records": [record, s3_record("help-kb", "docs/a.md", "ObjectTagging:Put")]})
    assert (answer.status, answer.json) == (200, {"published": 1, "ignored": 1})
    answer = bucketed.post({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:kb", "Message": json.dumps({"Records": [record]})},
                           token=None, Authorization=f"Basic {basic}", **{"Content-Type": "text/plain; charset=UTF-8"})
    assert (answer.status, answer.json) == (200, {"published": 1, "ignored": 0})
    before = bucketed.outcomes()
    assert bucketed.post({"Records": [s3_record("nobodys", "docs/a.md")]}).status == 200
    wait_until("it is counted", 20, lambda: bucketed.outcomes()["foreign"] == before["foreign"] + 1)
    hostile = ["docs/../docs/a.md", "docs/..%2F..%2Fa.md", "docs//a.md", "docs/.a.md", "docs/a%0Ab.md"]
    assert bucketed.post({"Records": [s3_record("help-kb", key) for key in hostile]}).json["published"] >= len(hostile)
    wait_until("they are left out", 20, lambda: bucketed.outcomes()["other"] >= before["other"] + len(hostile))
    assert bucketed.keys() == {"a.md"}


def test_topic_is_confirmed(bucketed):
    """At the topic's own region, wherever the message says to go; asked again when SNS is away."""
    def confirm(token):
        return bucketed.post({"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-central-1:1:kb", "Token": token,
                              "SubscribeURL": "http://169.254.169.254/latest/meta-data/"})
    answer = confirm("good")
    assert (answer.status, answer.json) == (200, {"status": "confirmed"})
    assert Sns.asked == ["/?Action=ConfirmSubscription&Token=good&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A1%3Akb&Version=2010-03-31"]
    assert confirm("away").status == 503
    answer = confirm("b&d")
    assert answer.status == 400 and "does not take the token" in answer.json["errors"][0]["detail"]
    assert "Token=b%26d&" in Sns.asked[-1]
    confirmation = {"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-central-1:1:kb", "Token": "good"}
    answer = bucketed.post([confirmation, {"Records": [s3_record("help-kb", "docs/a.md")]}])
    assert answer.status == 400 and "by itself" in answer.json["errors"][0]["detail"], answer.json  # else the event would be lost


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer first-token,second-token"},
                                     {"Authorization": "Basic !"}, {"Authorization": "Basic " + base64.b64encode(b"first-token").decode()}])
def test_stranger_is_refused(bucketed, headers):
    answer = bucketed.post({"Records": []}, token=None, **headers)
    assert answer.status == 401
    assert [offer.split()[0] for offer in answer.headers.get_all("WWW-Authenticate")] == ["Basic", "Bearer"]  # SNS answers only the first


@pytest.mark.parametrize("body, detail", [
    ("", "the notification must be JSON"),
    ({"a": 1}, "must have one of the members Records"),
    ({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "help-kb"}, "object": {}}}]}, "Records[0].s3.object.key must be"),
])
def test_bad_body_is_named(bucketed, body, detail):
    answer = bucketed.post(body)
    assert answer.status == 400
    assert detail in answer.json["errors"][0]["detail"]


def test_route_is_off_without_a_token(gateway):
    answer = http("POST", gateway.url + "/kb/events", {"Records": []}, {"Authorization": "Bearer "})
    assert answer.status == 404


def test_duplicates_and_late_ones_change_nothing(bucketed):
    """A late event of what is gone by now, and many of the same: the base is what the bucket holds, with few readings."""
    bucketed.s3.put("help-kb", "docs/late.md", text_of("late"))
    bucketed.wait_keys("a.md", "late.md")
    bucketed.s3.delete("help-kb", "docs/late.md")
    bucketed.wait_keys("a.md")
    revision = bucketed.stack.sql("SELECT revision FROM kb_revisions")[0][0]
    before = bucketed.outcomes()
    record = s3_record("help-kb", "docs/late.md", sequencer="AA")
    for _ in range(50):
        bucketed.write({"Records": [record, s3_record("help-kb", "docs/a.md", "ObjectRemoved:Delete", sequencer="AA")]})
    def told():
        after = bucketed.outcomes()
        return sum(after.values()) - sum(before.values()) == 100
    wait_until("all are handled", 20, told)
    after = bucketed.outcomes()
    assert after["failed"] == before["failed"]
    assert after["read"] - before["read"] <= 4
    assert bucketed.keys() == {"a.md"}
    assert bucketed.stack.sql("SELECT revision FROM kb_revisions")[0][0] == revision


def test_nonsense_in_the_topic_is_a_dead_letter(bucketed):
    def letters():
        return json.loads(bucketed.stack.run("dlq", "list", "--stage", "kb-sync", "--json").stdout)["letters"]
    bucketed.write(b'{"Records":[{"s3":{}}]}')
    bucketed.write(b"[1")
    wait_until("both are dead letters", 30, lambda: len(letters()) == 2)
