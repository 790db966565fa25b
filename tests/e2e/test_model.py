"""Drafts by a language model: what is asked, paid and answered, and what becomes of a ticket when the model fails."""

import concurrent.futures
import json
import subprocess
import time
import uuid

import pytest

import wire
from fake_model import FakeModel
from harness import PROGRAM, Stack, http, sample_ticket, ticket, wait_until

PRICES = {"HELPDESK_MODEL_PRICES": "test-model-*=3/15"}
LIMIT = 0.08  # USD; a draft reserves about 0.04 and costs 0.0026
BUDGETS = {"HELPDESK_BUDGET_USD_PER_DAY": f"100,stream={LIMIT}", "HELPDESK_BUDGET_TOKENS_PER_DAY": "0,thrifty=100"}
USED_UP = "the tenant's budget of the day is used up: "
OFFLINE = "offline-extractive/1"
ONCE_MORE = ("malformed", "truncated", "wrong-schema", "foreign", "refusal")


@pytest.fixture(scope="module")
def model():
    with FakeModel() as server:
        yield server


@pytest.fixture(scope="module")
def asking(folder, postgres, model):
    """A stack on the embedded broker whose generator asks the fake model."""
    stack = Stack(f"{folder}/model", postgres, settings={**model.settings, **PRICES, **BUDGETS, "HELPDESK_ENGINE_RETRY_CAP": "1s"})
    stack.start()
    stack.load_samples()
    yield stack
    assert stack.stop() == 0


@pytest.fixture
def calm(model):
    """The model without faults and with an empty journal; after the test too."""
    def reset():
        model.control(faults={}, next=[], tickets={}, latency_ms=0, response_format=True, key=model.key, model=model.model, retry_after_s=1)
    reset()
    yield model
    reset()
    assert model.stats()["problems"] == []


def question(**fields):
    """A ticket that the sample documents answer."""
    made = {**sample_ticket("01-clean.json"), "ticket_id": f"m-{uuid.uuid4()}"}
    made.update(fields)
    return made


def generation(answer):
    return answer["provenance"]["generation"]


def test_the_model_drafts_with_tokens_and_cost(asking, calm):
    asked = question()
    answer = asking.ask(asked)
    made = generation(answer)
    assert made["model"] == calm.model + "-2026-01-01"
    assert made["prompt_version"].startswith("draft/") and made["degraded"] == []
    assert made["input_tokens"] > 100 and made["output_tokens"] > 10
    assert made["cost_usd"] == pytest.approx((made["input_tokens"] * 3 + made["output_tokens"] * 15) / 1e6)
    draft = answer["generation"]["primary_draft"]
    given = [item["source_id"] for item in answer["context"]["context_package"]]
    assert draft["citations"] == given[:1] and "[1]" in draft["text"]
    assert draft["confidence"] <= answer["context"]["aggregate_confidence"]
    assert answer["generation"]["suggested_next_steps"][-1] == "Check that the answer fits"
    assert [entry["outcome"] for entry in calm.journal(asked["ticket_id"])] == ["ok"]
    assert asking.metric("generator-1", "helpdesk_model_cost_usd_total") > 0
    assert asking.metric("generator-1", "helpdesk_model_tokens_total") >= made["input_tokens"] + made["output_tokens"]
    shown = subprocess.run([asking.program, "ask", "--url", asking.url(), asked["subject"], asked["description"]],
                           env=asking.env, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert "tokens read" in shown and "USD" in shown


def test_guards_judge_what_the_model_says(asking, calm):
    """A ticket that gives orders reaches the model without them, and the draft is flagged."""
    answer = asking.ask({**sample_ticket("04-injection.json"), "ticket_id": f"m-{uuid.uuid4()}"})
    assert "prompt_injection" in answer["generation"]["primary_draft"]["safety_flags"]
    assert not answer["generation"]["primary_draft"]["ready"]


@pytest.mark.parametrize("kind", ONCE_MORE)
def test_an_unusable_answer_is_asked_for_once_more(asking, calm, kind):
    asked = question()
    calm.control(tickets={asked["ticket_id"]: [kind]})
    assert generation(asking.ask(asked))["degraded"] == []
    journal = calm.journal(asked["ticket_id"])
    assert [(entry["outcome"], entry["again"]) for entry in journal] == [(kind, False), ("ok", True)]


@pytest.mark.parametrize("kind", ONCE_MORE)
def test_unusable_twice_is_drafted_offline(asking, calm, kind):
    asked = question()
    calm.control(tickets={asked["ticket_id"]: [kind, kind]})
    answer = asking.ask(asked)
    made = generation(answer)
    assert made["model"] == OFFLINE and "the model answered unusably: " in made["degraded"][-1]
    assert answer["trace"]["state"] == "degraded" and not answer["generation"]["primary_draft"]["ready"]
    assert answer["generation"]["primary_draft"]["text"]
    assert len(calm.journal(asked["ticket_id"])) == 2
    assert kind == "malformed" or made["cost_usd"] > 0  # what was paid for is counted


@pytest.mark.parametrize("kind", ["429", "429-retry-after", "500", "502", "503", "504", "broken"])
def test_a_failed_call_is_tried_again(asking, calm, kind):
    asked = question()
    calm.control(tickets={asked["ticket_id"]: [kind, kind]})
    started = time.monotonic()
    made = generation(asking.ask(asked))
    assert made["model"].startswith(calm.model) and made["degraded"] == []
    assert [entry["outcome"] for entry in calm.journal(asked["ticket_id"])] == [kind, kind, "ok"]
    if kind in ("429-retry-after", "503"):
        assert time.monotonic() - started >= 2  # a second was asked for, twice


def test_a_model_that_hangs_is_left_before_the_deadline(asking, calm):
    asked = question()
    calm.control(tickets={asked["ticket_id"]: ["hang"] * 9})
    started = time.monotonic()
    answer = asking.ask(asked, wait=25)
    assert time.monotonic() - started < 25.5
    made = generation(answer)
    assert made["model"] == OFFLINE and made["degraded"][-1].startswith("no time left for the model")
    assert [entry["outcome"] for entry in calm.journal(asked["ticket_id"])] == ["hang"]


@pytest.mark.parametrize("change, says", [({"key": "another"}, "401 (invalid_api_key)"), ({"model": "gone"}, "404 (model_not_found)")])
def test_wrong_settings_degrade_and_are_seen(asking, calm, change, says):
    calm.control(**change)
    answers = [asking.ask(question()) for _ in range(3)]
    for answer in answers:
        assert generation(answer)["model"] == OFFLINE and says in generation(answer)["degraded"][-1]
        assert answer["trace"]["state"] == "degraded"
    health = http("GET", asking.admin("generator-1") + "/health/ready")
    assert health.status == 503 and says in health.json["parts"]["model"]
    calm.control(key=calm.key, model=calm.model)
    assert generation(asking.ask(question()))["degraded"] == []
    assert http("GET", asking.admin("generator-1") + "/health/ready").status == 200


@pytest.mark.parametrize("kind, says", [("quota", "insufficient_quota"), ("too-long", "context_length_exceeded")])
def test_what_cannot_be_answered_is_not_tried_again(asking, calm, kind, says):
    asked = question()
    calm.control(tickets={asked["ticket_id"]: [kind]})
    made = generation(asking.ask(asked))
    assert made["model"] == OFFLINE and says in made["degraded"][-1]
    assert len(calm.journal(asked["ticket_id"])) == 1


def test_check_asks_the_model(asking, calm):
    without_broker = {"HELPDESK_KAFKA_BROKERS": ""}  # the embedded one is no server to check
    good = asking.run("check", env=without_broker)
    assert "model      ok\n" in good.stdout
    wrong = asking.run("check", env={**without_broker, "OPENAI_API_KEY": "sk-wrong"})
    assert wrong.returncode == 1 and "model      FAILED: the model server says 401 (invalid_api_key)" in wrong.stdout
    offline = asking.run("check", env={**without_broker, "OPENAI_BASE_URL": ""})
    assert "model      ok: offline" in offline.stdout


def test_the_key_is_told_to_nobody(asking, calm):
    asking.ask(question())
    shown = asking.run("settings", "show")
    assert "model.api-key" in shown.stdout and calm.key not in shown.stdout
    assert calm.key not in (asking.folder / "helpdesk.log").read_text()
    metrics = http("GET", asking.admin("generator-1") + "/metrics").body.decode()
    assert calm.key not in metrics and "helpdesk_model_calls_total" in metrics


def drafted(client, count, tenant):
    """The generate steps of so many tickets of a tenant, sent all at once."""
    sent = [ticket(ticket_id=f"{tenant}-{uuid.uuid4()}") for _ in range(count)]
    for one in sent:
        client.publish_ticket(one, tenant=tenant)
    answers = client.answers([one["ticket_id"] for one in sent])
    return [events[-1]["steps"][-1] for events in answers.values()], [events[-1] for events in answers.values()]


def spent(stack, tenant, *args):
    done = stack.run("cost", "--json", "--tenant", tenant, *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def budget_condition(stack):
    return http("GET", stack.admin("generator-1") + "/health/ready").json["parts"].get("budget", "ok")


def test_a_budget_is_used_up_in_mid_stream_and_is_there_again_the_next_day(asking, calm):
    client = wire.Client(asking)
    calm.forget()
    before = asking.metric("generator-1", "helpdesk_budget_used_up_total")
    steps, events = drafted(client, 30, "stream")
    paid = [step for step in steps if step["model"] != OFFLINE]
    assert len(steps) == 30 and 5 <= len(paid) <= 25
    assert all(step["degraded"] == [] for step in paid)
    for event in events:
        step = event["steps"][-1]
        assert event["generation"]["primary_draft"]["text"]
        if step["model"] == OFFLINE:
            assert step["degraded"][-1].startswith(USED_UP) and step["cost_usd"] == 0, step
            assert event["state"] == "degraded" and not event["generation"]["primary_draft"]["ready"]
    money = sum(step["cost_usd"] for step in paid)
    ledger, stats = spent(asking, "stream"), calm.stats()
    row, = ledger["rows"]
    assert (row["tenant"], row["model"], row["stage"]) == ("stream", calm.model, "generator")
    assert row["calls"] == len(paid) == stats["calls"] and row["refused"] == 30 - len(paid) and row["lost"] == 0
    assert row["cost_usd"] == pytest.approx(money) and money <= LIMIT
    assert (row["input_tokens"], row["output_tokens"]) == (stats["input_tokens"], stats["output_tokens"])
    today, = ledger["today"]
    assert today["limit_usd"] == LIMIT and today["reserved_usd"] == 0 and today["left_usd"] == pytest.approx(LIMIT - money)
    assert asking.metric("generator-1", "helpdesk_budget_used_up_total") - before == 30 - len(paid)
    assert "tenant stream" in budget_condition(asking)
    assert (asking.folder / "helpdesk.log").read_text().count("a tenant's budget of the day is used up") == 1
    assert generation(asking.ask(question()))["degraded"] == []  # others have theirs

    asking.sql("UPDATE costs SET day = day - 1 WHERE tenant = 'stream'")  # a day later
    step, = drafted(client, 1, "stream")[0]
    assert step["model"].startswith(calm.model) and step["degraded"] == []
    assert budget_condition(asking) == "ok"
    days = spent(asking, "stream", "--by", "day", "--days", "2")["rows"]
    assert [day["calls"] for day in days] == [len(paid), 1] and days[0]["cost_usd"] == pytest.approx(money)
    assert [day["calls"] for day in spent(asking, "stream", "--by", "day", "--days", "1")["rows"]] == [1]


def test_tokens_have_a_limit_of_their_own(asking, calm):
    step, = drafted(wire.Client(asking), 1, "thrifty")[0]
    assert step["model"] == OFFLINE and "0 of 100 tokens" in step["degraded"][-1]
    assert spent(asking, "thrifty")["today"][0]["limit_tokens"] == 100


def test_a_server_that_is_away_is_waited_for(asking, calm):
    """Tickets without a deadline wait for it; nothing becomes a dead letter, each is drafted by the model."""
    client = wire.Client(asking)
    calm.stop()
    sent = [ticket(ticket_id=f"away-{uuid.uuid4()}") for _ in range(20)]
    try:
        for one in sent:
            client.publish_ticket(one)
        wait_until("the outage is seen", 30, lambda: http("GET", asking.admin("generator-1") + "/health/ready").status == 503)
        time.sleep(5)
    finally:
        calm.start()
    answers = client.answers([one["ticket_id"] for one in sent], 60)
    assert len(answers) == len(sent)
    for events in answers.values():
        step = [s for s in events[-1]["steps"] if s["step"] == "generate"][-1]
        assert step["model"].startswith(calm.model) and step["degraded"] == [], step
    assert asking.metric("generator-1", "helpdesk_engine_dead_letters_total") == 0
    assert calm.stats()["calls"] == len(sent)


def test_a_server_without_schemas():
    with FakeModel() as model:
        model.control(response_format=False)
        event = {"ticket": {"subject": "Hub", "description": "My hub blinks red.", "customer_external_id": "C-1"}}
        done = subprocess.run([PROGRAM, "try", "generator"], input=json.dumps(event), env=model.settings,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        step = json.loads(done.stdout)["steps"][-1]
        assert step["model"].startswith(model.model) and step["degraded"] == []
        assert model.stats()["problems"] == [] and model.stats()["calls"] == 2


def test_many_faults_lose_nothing_and_cost_little(asking, calm):
    """30 % of the calls fail in every way that passes: each ticket is answered, with at most 1.5 times the calls."""
    count = 300
    calm.forget()
    calm.control(seed=3, latency_ms=[5, 60], faults={"429": 0.08, "429-retry-after": 0.02, "500": 0.1, "broken": 0.1})
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(lambda _: http("POST", asking.url() + "/tickets/auto-orchestrate", question(), {"Prefer": "wait=60"}, timeout=120),
                                range(count)))
    assert {reply.status for reply in replies} == {200}
    states = [generation(reply.json)["degraded"] for reply in replies]
    assert states.count([]) == count, [s for s in states if s][:3]
    stats = calm.stats()
    assert stats["tickets"] == stats["outcomes"]["ok"] == count  # a failed call costs one more, a good one is never repeated
    assert stats["calls"] <= 1.5 * count


@pytest.fixture
def impatient(folder, postgres):
    """A stack whose workers wait a second for their jobs, no longer, and its model."""
    with FakeModel() as model:
        stack = Stack(f"{folder}/late", postgres, settings={**model.settings, "HELPDESK_ENGINE_REVOKE_TIMEOUT": "1s",
                                                            "HELPDESK_ENGINE_DRAIN_TIMEOUT": "1s"})
        stack.start()
        yield stack, model
        assert stack.stop() in (0, None)


def test_late_answers_harm_nothing(impatient):
    """Calls that outlive their partition's stay, and then their worker: the tickets are answered by who owns them."""
    stack, model = impatient
    client = wire.Client(stack)
    model.control(faults={"hold": 1})
    sent = [ticket(ticket_id=f"late-{uuid.uuid4()}") for _ in range(24)]
    for one in sent:
        client.publish_ticket(one)
    wait_until("calls under way", 60, lambda: model.stats()["in_flight"] == len(sent))
    model.control(faults={})
    with open(stack.folder / "helpdesk.log", "ab") as log:
        second = subprocess.Popen([stack.program, "generator"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  env=dict(stack.env, HELPDESK_KAFKA_BROKERS=stack.brokers, HELPDESK_KAFKA_EMBEDDED="true",
                                           HELPDESK_ENGINE_DELIVERY="at_least_once", HELPDESK_INSTANCE="second",
                                           HELPDESK_RUN_DIR=str(stack.state)))
    try:
        wait_until("calls of the second", 60, lambda: model.stats()["calls"] > len(sent))
        assert second.poll() is None
        assert model.release() == len(sent)  # some of them for a worker that no longer owns the ticket
        assert len(client.answers([one["ticket_id"] for one in sent], 60)) == len(sent)
        model.control(faults={"hold": 1})
        for one in sent[:5]:
            client.publish_ticket({**one, "ticket_id": f"last-{uuid.uuid4()}"})
        wait_until("calls under way", 60, lambda: model.stats()["in_flight"] == 5)
    finally:
        second.terminate()
        assert second.wait(60) == 0
    assert stack.stop() == 0
    assert model.stats()["problems"] == []
