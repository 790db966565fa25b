"""The HTTP contract: every endpoint's shape, and every error it may answer."""

import concurrent.futures
import http.client
import json
import os
import re
import signal
import socket
import time
import urllib.parse
import uuid

import pytest

from harness import http as call
from harness import ticket, wait_until

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
FINAL = {"completed", "completed_with_flags", "escalated_low_confidence", "fallback_guardrail_failure", "degraded"}
FLAGS = {"pii_detected", "off_brand", "unsafe_content", "low_context_confidence", "ungrounded", "overpromise", "prompt_injection"}
ASKING = ["/tickets/classify", "/tickets/context", "/tickets/auto-orchestrate"]
TAKING = ["/tickets", *ASKING, "/tickets/respond"]


@pytest.fixture
def post(gateway):
    def send(path, body, headers=None):
        return call("POST", gateway.url + path, body, headers)
    return send


@pytest.fixture
def get(gateway):
    return lambda path: call("GET", gateway.url + path)


def fresh():
    return f"contract-{uuid.uuid4()}"


def intake(**fields):
    """A ticket with all that POST /tickets needs."""
    made = ticket(ticket_id=fresh(), external_ticket_id="ext-1", created_at="2026-11-22T10:00:00Z")
    made.update(fields)
    return made


def raw(gateway, method, path, body=None, headers=None):
    """Exactly these headers, nothing added but Host and Content-Length."""
    address = urllib.parse.urlsplit(gateway.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def check_problem(reply, status):
    """A problem document (RFC 9457) with the reference's members."""
    headers, body = reply.headers, reply.json
    assert reply.status == status, reply.body
    assert headers["Content-Type"] == "application/problem+json"
    assert body["status"] == status
    assert body["type"] and body["title"] and body["detail"]
    assert body["error"] == body["title"] and body["message"] == body["detail"]
    assert body["correlation_id"] == headers["X-Correlation-Id"]
    assert body["correlation_id"]
    return body


def pointers(reply):
    return {error["pointer"] for error in check_problem(reply, 400)["errors"] if error["detail"]}


def check_classification(body):
    assert body["category"] and body["department"]
    assert body["priority"] in ("critical", "high", "medium", "low")
    assert body["sentiment"] in ("positive", "neutral", "negative")
    assert 0 <= body["confidence"] <= 1
    assert isinstance(body["reasoning_snippet"], str)


def check_retrieval(body):
    assert 0 <= body["aggregate_confidence"] <= 1
    for item in body["context_package"]:
        assert item["source_id"] and item["type"] in ("kb", "order", "ticket", "rule")
        assert isinstance(item["excerpt"], str) and isinstance(item["citation_uri"], str)
        assert 0 <= item["score"] <= 1


def check_draft(draft):
    assert isinstance(draft["text"], str) and isinstance(draft["citations"], list)
    assert 0 <= draft["confidence"] <= 1
    assert set(draft["safety_flags"]) <= FLAGS
    assert isinstance(draft["ready"], bool) and isinstance(draft["not_ready_because"], list)
    assert draft["ready"] or draft["not_ready_because"]
    for detail in draft["flag_details"]:
        assert detail["flag"] in FLAGS and detail["rule"] and detail["why"]
        assert 0 <= detail["start"] <= detail["end"]


def check_generation(body):
    check_draft(body["primary_draft"])
    if body["alternative_draft"] is not None:
        check_draft(body["alternative_draft"])
    assert isinstance(body["suggested_next_steps"], list)
    assert isinstance(body["guardrail_triggered"], bool)


def check_provenance(body, *stages):
    assert set(body["provenance"]) >= set(stages)
    for made in body["provenance"].values():
        assert made["model"]
        for member in ("prompt_version", "policy_version"):
            assert isinstance(made[member], str)
        assert made["kb_revision"] is None or made["kb_revision"] >= 0
        assert made["input_tokens"] >= 0 and made["output_tokens"] >= 0 and made["cost_usd"] >= 0
        assert isinstance(made["cache_hit"], bool) and isinstance(made["degraded"], list)
        assert made["cache"] in (("exact", "semantic") if made["cache_hit"] else (None,))


def check_customer(body, external_id):
    assert body["external_id"] == external_id
    assert body["customer_id"] and body["name"] and body["email"] and "company" in body
    assert body["tier"] in ("standard", "premium", "enterprise")
    assert body["is_high_value"] == (body["lifetime_value"] > 10000)
    assert body["total_orders"] >= len(body["recent_orders"]) and len(body["recent_orders"]) <= 5
    assert body["open_tickets"] >= 0 and -1 <= body["avg_sentiment"] <= 1
    assert body["last_interaction"] is None or TIME.match(body["last_interaction"])
    assert body["churn_risk"] in ("low", "medium", "high")
    for order in body["recent_orders"]:
        assert order["order_id"] and TIME.match(order["ordered_at"])


# ---- answers ----

def test_classify(post):
    reply = post("/tickets/classify", ticket())
    assert reply.status == 200, reply.body
    check_classification(reply.json)
    check_provenance(reply.json, "classification")
    assert UUID.match(reply.headers["X-Correlation-Id"])


def test_context(post):
    made_first = post("/tickets/context", {"ticket": ticket()})
    assert made_first.status == 200, made_first.body
    check_retrieval(made_first.json)
    check_provenance(made_first.json, "classification", "retrieval")
    classification = post("/tickets/classify", ticket()).json
    given = post("/tickets/context", ticket(classification=classification))
    assert given.status == 200, given.body
    check_retrieval(given.json)
    assert "classification" not in given.json["provenance"]


def test_respond(post):
    classification = post("/tickets/classify", ticket()).json
    context = post("/tickets/context", ticket(classification=classification)).json
    reply = post("/tickets/respond", {"ticket": ticket(), "classification": classification, "context": context, "use_sonnet": False})
    assert reply.status == 200, reply.body
    check_generation(reply.json)
    check_provenance(reply.json, "generation")
    assert reply.json["primary_draft"]["ready"] is False  # on context that the caller brought


def test_auto_orchestrate(post):
    reply = post("/tickets/auto-orchestrate", ticket(use_sonnet=True))
    assert reply.status == 200, reply.body
    body = reply.json
    check_classification(body["classification"])
    check_retrieval(body["context"])
    check_generation(body["generation"])
    check_provenance(body, "classification", "retrieval", "generation")
    assert body["next_actions"][0] == "Send draft to agent queue for review"
    assert any("SLA" in action for action in body["next_actions"])
    assert ("L2" in " ".join(body["next_actions"])) == (body["context"]["aggregate_confidence"] < 0.6)
    trace = body["trace"]
    assert trace["state"] in FINAL and TIME.match(trace["started_at"])
    assert trace["correlation_id"] == reply.headers["X-Correlation-Id"]
    latencies = [trace[f"{step}_latency_ms"] for step in ("classification", "retrieval", "generation", "total")]
    assert min(latencies) > 0 and latencies[3] < 60000
    assert UUID.match(body["ticket_id"])


def test_intake(post, get):
    sent = intake()
    reply = post("/tickets", sent)
    assert reply.status == 200, reply.body
    body = reply.json
    assert body["ticket_id"] == sent["ticket_id"] and body["status"] == "accepted"
    assert body["context_state"] in ("ready", "pending", "unknown_customer", "unavailable")
    assert body["processing_time_ms"] >= 0
    assert body["correlation_id"] == reply.headers["X-Correlation-Id"]
    if body["context_state"] == "ready":
        check_customer(body["customer_context"], sent["customer_external_id"])
    for suggestion in body["kb_suggestions"]:
        assert suggestion["content"] and suggestion["source"] and 0 <= suggestion["score"] <= 1
        assert isinstance(suggestion["metadata"], dict)
    def result():
        shown = get(f"/tickets/{sent['ticket_id']}?run={body['correlation_id']}")
        return shown if shown.status == 200 and shown.json["result"] else None
    check_generation(wait_until("the whole pipeline behind the answer", 30, result).json["result"]["generation"])


def test_intake_of_unknown_customer(post):
    reply = post("/tickets", intake(customer_external_id="nobody-" + fresh()))
    assert reply.status == 200, reply.body
    assert reply.json["context_state"] == "unknown_customer" and reply.json["customer_context"] is None


def test_get_ticket(post, get, gateway):
    sent = ticket(ticket_id=fresh() + " ä?", metadata={"a": [1.0]})
    answer = post("/tickets/auto-orchestrate", sent).json
    path = "/tickets/" + urllib.parse.quote(sent["ticket_id"], safe="")
    def logged():
        shown = get(path)
        assert shown.status == 200, shown.body
        kinds = {entry["kind"] for entry in shown.json["history"]}
        return shown.json if shown.json["result"] and kinds >= {"submitted", "classified", "enriched", "answered"} else None
    shown = wait_until("the result in the log", 20, logged)
    assert shown["ticket_id"] == sent["ticket_id"] and shown["status"] == "open"
    assert shown["state"] == answer["trace"]["state"]
    assert shown["correlation_id"] == answer["trace"]["correlation_id"]
    assert TIME.match(shown["received_at"]) and TIME.match(shown["finished_at"])
    assert all(TIME.match(entry["at"]) for entry in shown["history"])
    assert all(entry["attempts"] == (None if entry["kind"] == "submitted" else 1) for entry in shown["history"])
    for part in ("classification", "generation", "provenance", "next_actions"):
        assert shown["result"][part] == answer[part]
    by_run = get(f"{path}?run={shown['correlation_id']}")
    assert by_run.status == 200 and by_run.json["result"] == shown["result"]
    gateway.stack.sql("DELETE FROM tickets WHERE ticket_id = %s", sent["ticket_id"])
    assert get(path).json["status"] == "open"  # its run may be in the log before it is


def test_customer_context(get):
    reply = get("/customers/C-1001/context")
    assert reply.status == 200, reply.body
    check_customer(reply.json, "C-1001")
    assert get("/tickets/C-1001/context").json == reply.json
    assert get("/tickets/nobody/context?customer_external_id=C-1001").json == reply.json
    check_problem(get(f"/customers/{fresh()}/context"), 404)
    check_problem(get(f"/tickets/C-1001/context?customer_external_id={fresh()}"), 404)


def test_ticket_context_path_is_never_guessed_as_a_ticket(post, get):
    sent = intake()
    assert post("/tickets", sent).status == 200
    check_problem(get(f"/tickets/{sent['ticket_id']}/context"), 404)


def test_feedback(gateway, post):
    sent = ticket(ticket_id=fresh())
    assert post("/tickets/auto-orchestrate", sent).status == 200
    reply = post(f"/tickets/{sent['ticket_id']}/feedback", {
        "rating": 4, "draft": "primary", "outcome": "edited", "ticket_status": "pending", "csat": 5, "final_text": "Dear Ann",
        "corrected": {"category": "technical", "priority": "low", "department": "support", "sentiment": "neutral"},
        "comment": "good", "agent": "a1"})
    assert reply.status == 200, reply.body
    assert reply.json["status"] == "accepted" and UUID.match(reply.json["feedback_id"])
    [row] = wait_until("feedback in the log", 20, lambda: gateway.stack.sql(
        "SELECT rating, draft, outcome, corrected_priority, csat, final_text FROM feedback WHERE feedback_id = %s", reply.json["feedback_id"]))
    assert row == (4, "primary", "edited", "low", 5, "Dear Ann")
    wait_until("the ticket's status", 20, lambda: gateway.stack.sql(
        "SELECT status FROM tickets WHERE ticket_id = %s", sent["ticket_id"]) == [("pending",)])


def test_feedback_errors(post):
    check_problem(post(f"/tickets/{fresh()}/feedback", {"rating": 5}), 404)
    assert pointers(post("/tickets/x/feedback", {"rating": 6, "csat": "5", "draft": "third", "outcome": 1, "ticket_status": "",
                                                 "corrected": {"priority": "x"}, "comment": []})) == {
        "/rating", "/csat", "/draft", "/outcome", "/ticket_status", "/corrected/priority", "/comment"}
    assert pointers(post("/tickets/x/feedback", {})) == {""}


def test_kb_sync(gateway, post, get):
    answer, content = raw(gateway, "POST", "/kb/sync")
    assert answer.status == 200, content
    job = json.loads(content)
    assert job["status"] == "started" and UUID.match(job["job_id"])
    def ended():
        shown = get(f"/kb/sync/{job['job_id']}")
        assert shown.status == 200, shown.body
        return shown.json if shown.json["status"] in ("done", "failed") else None
    shown = wait_until("the job", 60, ended)
    assert shown["status"] == "done" and shown["job_id"] == job["job_id"]
    assert shown["failures"] == []
    assert shown["found"] >= 30 and shown["changed"] == 0 and TIME.match(shown["finished_at"])
    check_problem(get(f"/kb/sync/{uuid.uuid4()}"), 404)
    check_problem(get("/kb/sync/nonsense"), 404)
    assert pointers(post("/kb/sync", {"source": 1, "full": "yes"})) == {"/source", "/full"}


def test_health(get):
    reply = get("/health")
    assert reply.status == 200
    assert reply.json["status"] == "healthy" and reply.json["environment"]
    assert TIME.match(reply.json["timestamp"]) and reply.json["durability"] == "none"
    assert get("/health/live").status == 200
    assert get("/health/ready").status == 200


def test_health_tells_durability_on_kafka(on_kafka):
    assert call("GET", on_kafka.url() + "/health").json["durability"] != "none"


# ---- tickets ----

@pytest.mark.parametrize("path", TAKING)
def test_every_mistake_is_named(post, path):
    found = pointers(post(path, {"ticket": {"ticket_id": "a/b", "title": " \u00a0", "priority": "urgent", "locale": "en_US",
                                            "metadata": [], "created_at": "now", "messages": [{"role": "bot"}]}}))
    assert found >= {f"/ticket/{name}" for name in ("ticket_id", "title", "description", "customer_external_id", "priority", "locale",
                                                    "metadata", "created_at", "messages/0/role", "messages/0/text")}
    assert ("/ticket/external_ticket_id" in found) == (path == "/tickets")
    assert ("/context" in found) == ("/classification" in found) == (path == "/tickets/respond")


def test_intake_requires_more(post):
    assert pointers(post("/tickets", ticket())) == {"/ticket_id", "/external_ticket_id", "/created_at"}


@pytest.mark.parametrize("ticket_id", ["", " ", "a/b", "a\u0001", "classify", "auto-orchestrate", "context", "respond", "x" * 129])
def test_ticket_ids(post, ticket_id):
    assert pointers(post("/tickets/classify", ticket(ticket_id=ticket_id))) == {"/ticket_id"}


def test_ticket_id_of_128_characters(post):
    assert post("/tickets/classify", ticket(ticket_id="é" * 128)).status == 200


def test_title_and_subject_are_one(post):
    body = ticket()
    subject = body.pop("subject")
    assert post("/tickets/classify", dict(body, title=subject)).status == 200
    assert post("/tickets/classify", dict(body, title=subject, subject=subject)).status == 200
    assert pointers(post("/tickets/classify", dict(body, title=subject, subject="other"))) == {"/subject"}


def test_unknown_members_are_named_and_ignored(post):
    reply = post("/tickets/classify", ticket(mood="bad", **{"x\r\nSet-Cookie: a": 1}))
    assert reply.status == 200
    assert "/mood" in reply.headers["X-Helpdesk-Warning"]
    assert reply.headers["Set-Cookie"] is None
    assert post("/tickets/classify", ticket()).headers["X-Helpdesk-Warning"] is None


def test_metadata_byte_for_byte(gateway):
    name = fresh()
    metadata = '{"b" : 1.10,  "a":[1e2, "\\u00e4ä/\\/"],"n":12345678901234567890}'
    body = f'{{"ticket":{{"ticket_id":"{name}","title":"T","description":"D","customer_external_id":"c","metadata": {metadata} }}}}'
    reply = call("POST", gateway.url + "/tickets/auto-orchestrate", body.encode())
    assert reply.status == 200, reply.body
    assert wait_until("the ticket in the log", 20, lambda: gateway.stack.sql(
        "SELECT metadata FROM tickets WHERE ticket_id = %s", name)) == [(metadata,)]


def test_hint_wins_and_auto_generated_is_not_drafted(post):
    hinted = post("/tickets/auto-orchestrate", ticket(priority_hints="critical", subject="Question", description="A question about colours.")).json
    assert hinted["classification"]["priority"] == "critical"
    silent = post("/tickets/auto-orchestrate", ticket(auto_generated=True)).json
    assert silent["generation"] is None and silent["trace"]["generation_latency_ms"] is None
    assert "Send draft to agent queue for review" not in silent["next_actions"]


def test_question_members(post):
    assert pointers(post("/tickets/context", ticket(classification={"category": 1, "confidence": 2}))) == {
        "/classification/category", "/classification/priority", "/classification/department", "/classification/sentiment",
        "/classification/confidence"}
    classification = post("/tickets/classify", ticket()).json
    assert pointers(post("/tickets/respond", ticket(classification=classification, use_sonnet="no", context={
        "context_package": [{"source_id": "s", "excerpt": "e", "score": 2, "type": "web"}]}))) == {
        "/use_sonnet", "/context/aggregate_confidence", "/context/context_package/0/score", "/context/context_package/0/type"}


# ---- the same ticket again, keys ----

def test_same_ticket_joins_and_new_content_is_a_new_run(post):
    sent = ticket(ticket_id=fresh())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: post("/tickets/auto-orchestrate", sent), range(8)))
    assert {reply.status for reply in runs} == {200}
    assert len({reply.json["trace"]["correlation_id"] for reply in runs}) == 1
    again = post("/tickets/auto-orchestrate", sent)
    assert again.json["trace"]["correlation_id"] == runs[0].json["trace"]["correlation_id"]
    assert again.headers["X-Correlation-Id"] == runs[0].json["trace"]["correlation_id"]
    other = post("/tickets/auto-orchestrate", dict(sent, description="Something else entirely."))
    assert other.json["trace"]["correlation_id"] != runs[0].json["trace"]["correlation_id"]


def test_orchestration_joins_an_intake(post):
    sent = intake()
    accepted = post("/tickets", sent)
    assert accepted.status == 200, accepted.body
    joined = post("/tickets/auto-orchestrate", sent)
    assert joined.status == 200, joined.body
    assert joined.json["trace"]["correlation_id"] == accepted.json["correlation_id"]
    check_generation(joined.json["generation"])


def test_five_runs_an_hour(post):
    name = fresh()
    for i in range(5):
        assert post("/tickets/auto-orchestrate", ticket(ticket_id=name, description=f"Version {i}")).status == 200
    reply = post("/tickets/auto-orchestrate", ticket(ticket_id=name, description="One too many"))
    check_problem(reply, 429)
    assert 0 < int(reply.headers["Retry-After"]) <= 3600


def test_idempotency_key(post):
    key = {"Idempotency-Key": f'"{fresh()}"'}
    first = post("/tickets/auto-orchestrate", ticket(), key)
    again = post("/tickets/auto-orchestrate", ticket(), key)
    assert first.status == again.status == 200
    assert first.json["ticket_id"] == again.json["ticket_id"]
    assert first.json["trace"]["correlation_id"] == again.json["trace"]["correlation_id"]
    check_problem(post("/tickets/auto-orchestrate", ticket(description="Another body."), key), 422)
    assert post("/tickets/classify", ticket(), key).status == 200  # a key counts for one route
    check_problem(post("/tickets/classify", ticket(), {"Idempotency-Key": "x" * 300}), 400)
    job = post("/kb/sync", {}, key)
    assert post("/kb/sync", {}, key).json["job_id"] == job.json["job_id"]


# ---- waiting ----

def test_wait_runs_out(post, get):
    sent = ticket(ticket_id=fresh() + " ä")
    reply = post("/tickets/auto-orchestrate", sent, {"Prefer": "respond-sync, wait=0"})
    assert reply.status == 202, reply.body
    body = reply.json
    assert body["ticket_id"] == sent["ticket_id"] and body["status"] == "processing"
    assert body["location"] == reply.headers["Location"]
    assert body["correlation_id"] == reply.headers["X-Correlation-Id"]
    assert body["location"] == f"/tickets/{urllib.parse.quote(sent['ticket_id'], safe='')}?run={body['correlation_id']}"
    assert int(reply.headers["Retry-After"]) >= 1 and reply.headers["Preference-Applied"] == "wait=0"
    def result():
        shown = get(body["location"])
        assert shown.status in (200, 202), shown.body
        return shown.status == 200 and shown.json["result"]
    check_generation(wait_until("the result", 30, result)["generation"])


@pytest.mark.parametrize("path", ["/tickets/classify", "/tickets/context"])
def test_wait_of_a_question_runs_out(post, get, gateway, path):
    classifiers = gateway.stack.pids("classifier")
    for pid in classifiers:  # else the answer may be there as soon as the broker has the question
        os.kill(pid, signal.SIGSTOP)
    try:
        reply = post(path, ticket(), {"Prefer": 'wait="0"'})
    finally:
        for pid in classifiers:
            os.kill(pid, signal.SIGCONT)
    assert reply.status == 202, reply.body
    wait_until("the question's result", 30, lambda: get(reply.json["location"]).status == 200)
    check_problem(get(reply.json["location"].split("?")[0]), 404)  # a question opens no ticket


@pytest.mark.parametrize("prefer", ["wait=x", "wait", "waiting=0", "wait=-1", 'foo="wait=0"'])
def test_malformed_preferences_are_ignored(post, prefer):
    reply = post("/tickets/classify", ticket(), {"Prefer": prefer})
    assert reply.status == 200 and reply.headers["Preference-Applied"] is None


def uuid7(milliseconds):
    bits = (int(milliseconds) << 80) | (7 << 76) | (0xABC << 64) | (0b10 << 62) | (uuid.uuid4().int >> 66)
    return str(uuid.UUID(int=bits))


def test_runs_that_the_log_does_not_know(gateway, get):
    recent = uuid7(time.time() * 1000)
    for port in range(1, 4):  # at any gateway
        reply = call("GET", f"{gateway.stack.url(port)}/tickets/t-1?run={recent}")
        assert reply.status == 202, reply.body
        assert reply.json["correlation_id"] == recent and reply.json["status"] == "processing"
        assert reply.headers["Location"] == f"/tickets/t-1?run={recent}" and reply.headers["Retry-After"]
    check_problem(get(f"/tickets/t-1?run={uuid7(time.time() * 1000 - 3600_000)}"), 404)
    check_problem(get(f"/tickets/t-1?run={uuid7(time.time() * 1000 + 3600_000)}"), 404)
    check_problem(get(f"/tickets/t-1?run={uuid.uuid4()}"), 404)
    check_problem(get("/tickets/t-1?run=nonsense"), 404)
    check_problem(get("/tickets/t-1?run="), 404)
    check_problem(get(f"/tickets/{fresh()}"), 404)


def test_a_run_belongs_to_its_ticket(post, get):
    run = post("/tickets/auto-orchestrate", ticket(ticket_id=fresh()), {"Prefer": "wait=20"}).json["trace"]["correlation_id"]
    wait_until("another ticket's run", 10, lambda: get(f"/tickets/{fresh()}?run={run}").status in (202, 404))


# ---- requests that are not right ----

@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"null", b'{"title":"\xff"}', b'{"title":"\\ud800"}', b'{"a":1,"a":2}', b'{"a":1}x',
                                  b"{\"title\":\"a\\u0000b\"}", b"[" * 65 + b"]" * 65, b'{"a":' * 70 + b"1" + b"}" * 70])
@pytest.mark.parametrize("path", ["/tickets", "/tickets/respond", "/tickets/x/feedback", "/kb/sync"])
def test_unreadable_bodies(post, path, body):
    assert pointers(post(path, body)) == {""}


def test_empty_bodies(gateway):
    for path in (*TAKING, "/tickets/x/feedback"):
        answer, content = raw(gateway, "POST", path, b"", {"Content-Type": "application/json"})
        assert answer.status == 400 and json.loads(content)["errors"]


def test_content_types(gateway):
    body = json.dumps(ticket()).encode()
    for good in ("application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'):
        assert raw(gateway, "POST", "/tickets/classify", body, {"Content-Type": good})[0].status == 200
    for bad in ("text/plain", "application/jsonx", "application/json; charset=latin1", "application/x-www-form-urlencoded", ""):
        answer, content = raw(gateway, "POST", "/tickets/classify", body, {"Content-Type": bad})
        assert answer.status == 415 and json.loads(content)["status"] == 415, bad
    assert raw(gateway, "POST", "/tickets/classify", body)[0].status == 415
    assert raw(gateway, "POST", "/tickets/classify", body, {"Content-Type": "application/json", "Content-Encoding": "gzip"})[0].status == 415


def test_large_bodies(post):
    assert post("/tickets/classify", ticket(description="word " * 50000)).status == 200
    check_problem(post("/tickets/classify", ticket(description="x" * 262144)), 413)


def test_unknown_routes_and_methods(get, post):
    for path in ("/", "/ticket", "/tickets/x/y", "/tickets/x/feedback/y", "/customers/x", "/kb", "/metrics", "/admin"):
        check_problem(get(path), 404)
    check_problem(post("/tickets/x/y", {}), 404)
    allowed = check_allow(post("/tickets/some-ticket", {}))
    assert allowed == {"GET", "HEAD"} or allowed == {"GET"}
    assert "POST" in check_allow(get("/tickets"))
    assert "GET" in check_allow(post("/health", {}))


def check_allow(reply):
    check_problem(reply, 405)
    return {method.strip() for method in reply.headers["Allow"].split(",")}


@pytest.mark.parametrize("head", [
    b"POST /tickets HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /tickets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET /health HTTP/1.1\nHost: x\n\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    b"nonsense\r\n\r\n",
], ids=["two-lengths", "chunked", "two-hosts", "bare-lf", "folded", "nul", "nonsense"])
def test_smuggling_is_refused_with_a_problem(gateway, head):
    address = urllib.parse.urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.sendall(head)
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    top, body = data.split(b"\r\n\r\n", 1)
    status = int(top.split(b" ")[1])
    assert 400 <= status < 500 or status == 501, top
    assert b"application/problem+json" in top and b"x-correlation-id" in top.lower()
    assert json.loads(body)["status"] == status


def test_bodies_without_length(gateway):
    """No Content-Length is no body: fine where none is needed, else 411."""
    address = urllib.parse.urlsplit(gateway.url)
    for path, status in (("/kb/sync", 200), ("/tickets", 411), ("/tickets/classify", 411)):
        with socket.create_connection((address.hostname, address.port), 10) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
        assert int(data.split(b" ")[1]) == status, data
        assert status == 200 or b"application/problem+json" in data


def test_failed_ticket_may_be_sent_again(gateway, post):
    sent = dict(ticket(), ticket_id=fresh())
    first = post("/tickets/auto-orchestrate", sent)
    assert first.status == 200
    finished = "SELECT 1 FROM runs WHERE finished_at IS NOT NULL AND ticket_id = %s"
    wait_until("the result in the log", 20, lambda: gateway.stack.sql(finished, sent["ticket_id"]))
    gateway.stack.sql("UPDATE runs SET state = 'failed' WHERE ticket_id = %s", sent["ticket_id"])
    again = post("/tickets/auto-orchestrate", sent)
    assert again.status == 200
    assert again.headers["X-Correlation-Id"] != first.headers["X-Correlation-Id"]


def test_refused_tickets_are_not_published(gateway, post):
    before = gateway.stack.metric("gateway-1", "helpdesk_gateway_published_total")
    for body in (b"{", ticket(title=""), ticket(description=None), ticket(priority="x")):
        assert post("/tickets/auto-orchestrate", body).status == 400
    assert gateway.stack.metric("gateway-1", "helpdesk_gateway_published_total") == before
