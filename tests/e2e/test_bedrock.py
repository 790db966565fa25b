"""Drafts and classifications by Amazon Bedrock: who is asked, how it is proved who asks, and what becomes of a ticket when the service refuses."""

import json
import os
import pathlib
import subprocess
import uuid

import pytest

from fake_bedrock import COHERE, ERRORS, EXCEPTIONS, SECRET, STRONG, TITAN, USUAL, FakeBedrock
from harness import PROGRAM, Stack, http, sample_ticket, ticket, wait_until

OFFLINE = "offline-extractive/1"
PRICES = {USUAL: (1.10, 5.50), STRONG: (3.30, 16.50)}  # of deploy/prices.json
TICKET = {"subject": "Refund", "description": "How long does my refund take? I wait since Tuesday.", "customer_external_id": "C-1"}
UNSURE = {"subject": "Hello", "description": "Something about my thing is strange since Tuesday.", "customer_external_id": "C-1"}
CUSTOMER = {"customer_id": "1", "external_id": "C-1", "name": "Ada", "email": "", "company": None, "tier": "enterprise", "lifetime_value": 1.5,
            "total_orders": 0, "recent_orders": [], "open_tickets": 0, "avg_sentiment": 0.0, "last_interaction": None, "is_high_value": False,
            "churn_risk": "low"}
SOURCE = {"source_id": "kb/refunds.md", "excerpt": "A refund takes 3 working days.", "citation_uri": "kb/refunds.md", "score": 0.9, "type": "kb",
          "title": "Refunds", "locale": "en"}
CLASSIFICATION = {"category": "billing", "priority": "high", "department": "finance", "sentiment": "neutral", "confidence": 0.9,
                  "reasoning_snippet": "a refund"}


@pytest.fixture(scope="module")
def server():
    with FakeBedrock() as made:
        yield made


@pytest.fixture
def calm(server):
    server.calm()
    yield server
    assert server.stats()["problems"] == []


def run(stage, server, event, **env):
    event["ticket"] = {"ticket_id": f"b-{uuid.uuid4()}", **event["ticket"]}
    settings = {name: value for name, value in {**server.settings, **env}.items() if value is not None}
    return subprocess.run([PROGRAM, "try", stage], input=json.dumps(event), env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False)


def draft(server, env=None, customer=None, **event):
    """The drafts and the step's trace."""
    context = {"items": [SOURCE], "aggregate_confidence": 0.9, "customer_state": "ready", "customer": customer}
    done = run("generator", server, {"ticket": TICKET, "classification": CLASSIFICATION, "context": context, **event}, **(env or {}))
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    return made["generation"], made["steps"][-1]


def classify(server, **env):
    done = run("classifier", server, {"ticket": UNSURE}, HELPDESK_MODEL_CLASSIFY=USUAL, **env)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    return made["classification"], made["steps"][-1]


def models(server):
    return [entry.get("model") for entry in server.journal()]


def cost_of(step):
    read, written = PRICES[step["model"]]
    return (step["input_tokens"] * read + step["output_tokens"] * written) / 1e6


# ---- what works ----


def test_a_haiku_drafts_unless_another_is_named(calm):
    made, step = draft(calm)
    assert step["model"] == USUAL and step["degraded"] == [] and step["prompt_version"].startswith("draft/")
    assert made["primary_draft"]["citations"] == ["kb/refunds.md"] and made["primary_draft"]["ready"]
    assert step["input_tokens"] > 100 and step["cost_usd"] == pytest.approx(cost_of(step))
    assert models(calm) == [USUAL]


def test_it_classifies(calm):
    made, step = classify(calm)
    assert (made["category"], made["priority"]) == ("technical", "high") and step["model"] == USUAL
    assert step["degraded"] == [] and step["cost_usd"] == pytest.approx(cost_of(step))


@pytest.mark.parametrize("env, event", [({}, {"use_sonnet": True}), ({"HELPDESK_GENERATOR_STRONG_FOR": "critical,high"}, {}),
                                        ({"HELPDESK_GENERATOR_STRONG_FOR": "enterprise"}, {"customer": CUSTOMER})])
def test_the_stronger_model_drafts(calm, env, event):
    _, step = draft(calm, env, **event)
    assert step["model"] == STRONG and step["degraded"] == [] and step["cost_usd"] == pytest.approx(cost_of(step))


def test_the_stronger_model_is_not_wasted(calm):
    _, step = draft(calm, {"HELPDESK_GENERATOR_STRONG_FOR": "critical,premium"}, customer=CUSTOMER)
    assert step["model"] == USUAL


def test_the_usual_model_stands_in_for_the_stronger(calm):
    calm.control(models=[USUAL])
    made, step = draft(calm, use_sonnet=True)
    assert step["model"] == USUAL and not made["primary_draft"]["ready"]
    assert step["degraded"] == ["the stronger model could not be asked: the model server says 400 (ValidationException): it knows no such model"]


@pytest.mark.parametrize("model", ["arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2", "amazon.nova-lite-v1:0"])
def test_any_id_finds_its_way(calm, model):
    calm.control(models=[model])
    _, step = draft(calm, {"HELPDESK_MODEL_DRAFT": model, "HELPDESK_MODEL_PRICES": f"{model}=1/2"})
    assert step["model"] == model and step["degraded"] == [] and models(calm) == [model]


def test_an_api_key_takes_the_signature_s_place(calm):
    calm.control(bearer="ABSK-1")
    unsigned = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    assert draft(calm, {**unsigned, "AWS_BEARER_TOKEN_BEDROCK": "ABSK-1"})[1]["degraded"] == []
    _, step = draft(calm, {**unsigned, "AWS_BEARER_TOKEN_BEDROCK": "ABSK-2"})
    assert step["model"] == OFFLINE and "403 (AccessDeniedException)" in step["degraded"][-1]


def test_a_session_s_token_is_signed_too(calm):
    calm.control(session="session/+token==")
    assert draft(calm, {"AWS_SESSION_TOKEN": "session/+token=="})[1]["degraded"] == []


def test_a_model_without_tools_answers_as_text(calm):
    calm.control(tools=False)
    _, step = draft(calm)
    assert step["model"] == USUAL and step["degraded"] == [] and len(calm.journal()) == 2


# ---- guardrails ----


def test_a_guardrail_reads_all(calm):
    """The fake refuses a request with a guardrail whose answer would go to a tool: the guardrail would not read it."""
    calm.control(guardrail=["gr4bcd", "3"])
    guarded = {"HELPDESK_MODEL_GUARDRAIL": "gr4bcd:3"}
    assert draft(calm, guarded)[1]["degraded"] == []
    calm.control(next=["guardrail"])
    made, step = draft(calm, guarded)
    assert step["model"] == OFFLINE and not made["primary_draft"]["ready"] and step["cost_usd"] > 0
    assert step["degraded"] == ["the model does not take the request: the guardrail stopped it"]
    assert len(calm.journal()) == 2  # it is not asked again
    _, step = draft(calm, {"HELPDESK_MODEL_GUARDRAIL": "other:DRAFT"})
    assert step["model"] == OFFLINE and "it knows no such guardrail" in step["degraded"][-1]


# ---- what fails ----


@pytest.mark.parametrize("kind", ["truncated", "malformed", "wrong-schema", "foreign", "filtered"])
def test_an_unusable_answer_is_asked_for_once_more(calm, kind):
    calm.control(next=[kind])
    assert draft(calm)[1]["degraded"] == []
    calm.control(next=[kind, kind])
    _, step = draft(calm)
    assert step["model"] == OFFLINE and step["degraded"][-1].startswith("the model answered unusably: ") and len(calm.journal()) == 4


@pytest.mark.parametrize("kind, code", [
    ("ThrottlingException", "model_busy"), ("in-body", "model_busy"), ("ModelNotReadyException", "model_unavailable"),
    ("ServiceUnavailableException", "model_unavailable"), ("nameless", "model_unavailable"), ("ModelTimeoutException", "model_timeout"),
    ("ModelErrorException", "model_failed"), ("InternalServerException", "model_failed"), ("broken", "model_broken")])
def test_what_passes_is_the_engine_s_to_try_again(calm, kind, code):
    calm.control(next=[kind])
    done = run("generator", calm, {"ticket": TICKET})
    assert done.returncode == 1 and f"{code}: " in done.stderr and "(retry)" in done.stderr
    if kind in ERRORS:
        assert f"the model server says {ERRORS[kind][0]} ({kind})" in done.stderr


@pytest.mark.parametrize("kind, says", [
    ("ServiceQuotaExceededException", "the account's quota is used up"), ("TokensPerDay", "the tokens of the day are used up"),
    ("AccessDeniedException", "the account or its role may not do that"), ("ResourceNotFoundException", "it knows no such model or guardrail"),
    ("OnDemand", "only by the id of an inference profile"), ("ValidationException", "the model does not take the request")])
def test_what_stays_is_drafted_offline(calm, kind, says):
    calm.control(next=[kind])
    made, step = draft(calm)
    assert step["model"] == OFFLINE and made["primary_draft"]["text"] and not made["primary_draft"]["ready"]
    assert says in step["degraded"][-1] and f"{ERRORS[kind][0]} ({EXCEPTIONS.get(kind, kind)})" in step["degraded"][-1]
    assert len(calm.journal()) == 1


@pytest.mark.parametrize("control, env, says", [
    ({}, {"AWS_SECRET_ACCESS_KEY": "wrong"}, "the secret access key or the region is wrong"),
    ({}, {"AWS_ACCESS_KEY_ID": "AKIDOTHER"}, "it does not know the access key"),
    ({"region": "us-east-1"}, {}, "the secret access key or the region is wrong"),
    ({"clock_s": 1000}, {}, "the clock of this machine is slow"),
    ({"clock_s": -1000}, {}, "the clock of this machine is fast"),
    ({}, {"AWS_ACCESS_KEY_ID": None}, "there are no credentials for the model")])
def test_who_is_not_known_hears_why(calm, control, env, says):
    calm.control(**control)
    _, step = draft(calm, env)
    assert step["model"] == OFFLINE and says in step["degraded"][-1]


def test_expired_credentials_are_fetched_once_again(calm):
    calm.control(next=["ExpiredTokenException"])
    assert draft(calm)[1]["degraded"] == [] and len(calm.journal()) == 2
    calm.control(next=["ExpiredTokenException"] * 3)
    _, step = draft(calm)
    assert "the credentials have expired" in step["degraded"][-1] and len(calm.journal()) == 4


# ---- credentials that must be fetched first ----


def in_container(server):
    return {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/credentials"}


def test_a_container_s_credentials_sign(calm):
    calm.control(session="session/+1==")
    assert draft(calm, in_container(calm))[1]["degraded"] == [] and calm.stats()["credentials_asked"] == 1


def test_credentials_that_expired_are_got_again(calm):
    calm.control(session="session/+1==", next=["ExpiredTokenException"])
    assert draft(calm, in_container(calm))[1]["degraded"] == [] and calm.stats()["credentials_asked"] == 2


@pytest.mark.parametrize("container, env, says", [
    ("hangs", {"HELPDESK_MODEL_TIMEOUT": "1s"}, "the credentials for the model did not come in time"),
    ("hangs", {"HELPDESK_MODEL_TIMEOUT": "60s"}, "the credentials for the model did not come in time"),
    ("refuses", {}, "there are no credentials for the model"),
    ("gives", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/credentials"}, "the credentials for the model cannot be fetched")])
def test_credentials_that_do_not_come_hold_up_nothing(calm, container, env, says):
    calm.control(container=container)
    made, step = classify(calm, **{**in_container(calm), **env})
    assert made["category"] and step["model"] != USUAL and says in step["degraded"][0]
    assert calm.journal() == []


def test_who_stops_waits_for_no_credentials(calm):
    calm.control(container="hangs")
    settings = {name: value for name, value in {**calm.settings, **in_container(calm)}.items() if value is not None}
    with subprocess.Popen([PROGRAM, "try", "generator"], env=settings, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as waiting:
        waiting.stdin.write(json.dumps({"ticket": TICKET}))
        waiting.stdin.close()
        wait_until("credentials are asked for", 30, lambda: calm.stats()["credentials_asked"])
        waiting.terminate()
        assert waiting.wait(10) == 1
        assert "model_stopped" in waiting.stderr.read()


def test_a_slow_model_is_left(calm):
    calm.control(next=["hang", "hang"])
    made, step = classify(calm, HELPDESK_MODEL_TIMEOUT="1s")
    assert made["category"] and step["model"] != USUAL and "in time" in step["degraded"][0]


# ---- settings and the check ----


@pytest.mark.parametrize("env, says", [
    ({"AWS_REGION": None}, "model.region is not set"), ({"HELPDESK_MODEL_REGION": "eu central"}, "model.region must be"),
    ({"HELPDESK_MODEL_GUARDRAIL": "gr4bcd"}, "model.guardrail must be"), ({"HELPDESK_MODEL_ENDPOINT": "bedrock"}, "model.endpoint must be"),
    ({"HELPDESK_MODEL_DRAFT": "a.b-v1:0"}, "no price is known for model a.b-v1:0"),
    ({"HELPDESK_MODEL_DRAFT": 'a"b'}, "model.draft must be"), ({"HELPDESK_MODEL_DRAFT_STRONG": 'a"b'}, "model.draft-strong must be"),
    ({"HELPDESK_GENERATOR_STRONG_FOR": "urgent"}, "is neither a priority nor a tier"),
    ({"HELPDESK_GENERATOR_STRONG_FOR": "high,high"}, "stands twice"),
    ({"HELPDESK_MODEL_PROVIDER": "openai", "HELPDESK_GENERATOR_STRONG_FOR": "high"}, "generator.strong-for needs a stronger model"),
    ({"HELPDESK_MODEL_PROVIDER": "openai", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "HELPDESK_MODEL_GUARDRAIL": "a:1"},
     "model.guardrail is for model.provider=bedrock")])
def test_wrong_settings_are_named(calm, env, says):
    done = run("generator", calm, {"ticket": TICKET}, **env)
    assert done.returncode != 0 and says in done.stderr, done.stderr


def check(server, **env):
    done = subprocess.run([PROGRAM, "check"], env={**server.settings, **env}, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    return [line for line in done.stdout.splitlines() if line.startswith(("model", "stronger"))]


def test_the_check_costs_nothing(calm):
    assert check(calm) == ["model      ok", "stronger   ok"]
    assert check(calm, AWS_SECRET_ACCESS_KEY="wrong")[0] == \
        "model      FAILED: the model server says 403 (InvalidSignatureException): the secret access key or the region is wrong"
    calm.control(models=[USUAL])
    assert check(calm)[1] == "stronger   FAILED: the model server says 400 (ValidationException): it knows no such model"
    assert check(calm, AWS_SECRET_ACCESS_KEY="")[0].startswith("model      FAILED: ")
    assert calm.stats()["input_tokens"] == 0


def test_the_secrets_are_told_to_nobody(calm):
    shown = subprocess.run([PROGRAM, "settings", "show"], env={**calm.settings, "AWS_BEARER_TOKEN_BEDROCK": "ABSK-1"}, stdout=subprocess.PIPE,
                           text=True, timeout=60, check=True).stdout
    assert "model.bearer-token" in shown and "ABSK-1" not in shown and SECRET not in shown
    for env in ({}, {"AWS_BEARER_TOKEN_BEDROCK": "ABSK-1"}):
        done = run("generator", calm, {"ticket": TICKET}, HELPDESK_LOG_LEVEL="debug", **env)
        assert "ABSK-1" not in done.stdout + done.stderr and SECRET not in done.stdout + done.stderr


# ---- a whole stack ----


def test_a_stack_asks_again_until_it_is_answered(folder, postgres, calm):
    settings = {**calm.settings, "HELPDESK_ENGINE_RETRY_CAP": "1s"}
    stack = Stack(f"{folder}/bedrock", postgres, settings=settings)
    stack.start()
    asked = {**sample_ticket("01-clean.json"), "ticket_id": f"b-{uuid.uuid4()}"}
    calm.control(tickets={asked["ticket_id"]: ["ThrottlingException", "ServiceUnavailableException", "ModelErrorException"]})
    answer = stack.ask({"ticket": asked, "use_sonnet": True})
    made = answer["provenance"]["generation"]
    assert made["model"] == STRONG and made["degraded"] == [] and made["cost_usd"] == pytest.approx(cost_of(made))
    assert [entry["outcome"] for entry in calm.journal(asked["ticket_id"])] == \
        ["ThrottlingException", "ServiceUnavailableException", "ModelErrorException", "ok"]
    assert stack.stop() == 0


# ---- vectors ----


def check_vectors(server, model, **env):
    """What `helpdesk check` says of the model of vectors."""
    done = subprocess.run([PROGRAM, "check"], env={**server.settings, "HELPDESK_MODEL_EMBED": model, **env}, stdout=subprocess.PIPE, text=True,
                          timeout=60, check=False)
    return next(line for line in done.stdout.splitlines() if line.startswith("embedding"))


@pytest.mark.parametrize("model, env, identity, price", [
    (TITAN, {}, f"bedrock/{TITAN}/1024", 0.02), (TITAN, {"HELPDESK_MODEL_EMBED_DIMENSIONS": "256"}, f"bedrock/{TITAN}/256", 0.02),
    (COHERE, {}, f"bedrock/{COHERE}/1024", 0.1), (COHERE, {"AWS_ACCESS_KEY_ID": "", "AWS_BEARER_TOKEN_BEDROCK": "ABSK-1"}, f"bedrock/{COHERE}/1024", 0.1)])
def test_the_check_asks_for_a_vector(calm, model, env, identity, price):
    calm.control(bearer="ABSK-1")
    said = check_vectors(calm, model, **env)
    (entry,) = [entry for entry in calm.journal() if entry["task"] == "embed"]
    spent = calm.stats()["input_tokens"]
    assert said == f"embedding  ok: {identity}, {spent} tokens for {spent * price / 1e6:.8f} USD" and spent > 0
    assert (entry["model"], entry["task"], entry["texts"]) == (model, "embed", ["Hello"])


@pytest.mark.parametrize("model, kind, says", [
    (TITAN, "ThrottlingException", "429 (ThrottlingException)"), (COHERE, "ValidationException", "400 (ValidationException)"),
    (TITAN, "AccessDeniedException", "403 (AccessDeniedException): the account or its role may not do that"),
    (COHERE, "ModelNotReadyException", "429 (ModelNotReadyException)"), (TITAN, "broken", "the model server broke off its answer"),
    (TITAN, "malformed", "the server's answer is not JSON"), (COHERE, "malformed", "the server's answer is not JSON")])
def test_vectors_that_do_not_come(calm, model, kind, says):
    calm.control(next=[kind] * 3)
    said = check_vectors(calm, model)
    assert said.startswith("embedding  FAILED: ") and says in said


def test_who_may_not_have_vectors_hears_why(calm):
    assert "it does not know the access key" in check_vectors(calm, TITAN, AWS_ACCESS_KEY_ID="AKIDOTHER")
    assert "the secret access key or the region is wrong" in check_vectors(calm, COHERE, AWS_SECRET_ACCESS_KEY="wrong")
    calm.control(models=[USUAL])
    assert "it knows no such model" in check_vectors(calm, TITAN)


def near(stack):
    """The first place that a ticket in other words finds, and the step's provenance."""
    asked = ticket(subject="Berth", description="Berth? Dinghy!")
    answer = http("POST", stack.url() + "/tickets/context", asked, {"Prefer": "wait=60"}, timeout=90)
    assert answer.status == 200, answer.body
    items = answer.json["context_package"]
    return items[0]["citation_uri"] if items else "", answer.json["provenance"]["retrieval"]


def shares(stack, calm):
    """A draft serves who asks the same in other words, and nobody who asks something else."""
    def berth(description, customer):
        calm.forget()
        answer = stack.ask(ticket(ticket_id=f"b-{uuid.uuid4()}", subject="Berth", description=description, customer_external_id=customer))
        drafted = sum(entry["task"] == "draft" for entry in calm.journal())
        return drafted, answer["provenance"]["generation"], answer["generation"]["primary_draft"]

    drafted, paid, first = berth("How do I get a berth for my dinghy?", "C-1")
    assert (drafted, paid["cache"]) == (1, None) and paid["cost_usd"] > 0 and first["citations"]
    drafted, given, other = berth("How can I get a berth for the dinghy please?", "C-2")
    assert (drafted, given["cache"], given["cache_hit"], given["cost_usd"]) == (0, "semantic", True, 0)
    assert other["text"] == first["text"] and other["citations"] == first["citations"]
    assert berth("How do I get a berth for my dinghy?", "C-3")[1]["cache"] == "exact"
    for description in ("How do I get a berth for my 2 dinghies?", "How can I not get a berth for the dinghy please?"):
        assert berth(description, "C-2")[:1] == (1,)
    hits = http("GET", stack.admin("generator-1") + "/metrics").body.decode()
    assert 'helpdesk_cache_hits_total{cache="draft-semantic"} 1\n' in hits


def test_a_base_is_searched_by_vectors(folder, postgres, calm):
    """Of Titan, then of Cohere: kb-sync makes them of all passages, whatever fails meanwhile, and the retriever finds by them."""
    stack = Stack(f"{folder}/bedrock-vectors", postgres, settings={
        **calm.settings, "HELPDESK_MODEL_EMBED": TITAN, "HELPDESK_MODEL_EMBED_DIMENSIONS": "256", "HELPDESK_KB_SCAN_INTERVAL": "300ms",
        "HELPDESK_CACHE_SIZE": "1MiB", "HELPDESK_CACHE_SIMILARITY": "0.9"})
    for place in stack.kb.iterdir():
        if place.name != "account":
            place.rename(stack.folder / f"left-out-{place.name}")
    (stack.kb / "harbour.md").write_text("# Mooring\n\nWhoever has a boat asks the harbourmaster, who assigns one mooring by the western pier.\n")
    failures = ["ThrottlingException", "broken", "malformed"]
    calm.control(next=failures)
    stack.start()

    def found_by(identity):
        place, step = near(stack)
        return (place, step) if step["model"] == f"postgresql-fts/1+{identity}" else None

    place, step = wait_until("vectors of Titan", 60, lambda: found_by(f"bedrock/{TITAN}/256"))
    assert place == "https://help.example.com/harbour.md#mooring" and step["degraded"] == []
    assert step["input_tokens"] > 0 and step["cost_usd"] == pytest.approx(step["input_tokens"] * 0.02 / 1e6)
    passages = stack.sql("SELECT count(DISTINCT text_hash) FROM kb_passages")[0][0]
    made = [entry for entry in calm.journal() if entry["task"] == "embed"]
    assert [entry["outcome"] for entry in made[:3]] == failures
    assert stack.sql("SELECT count(*) FROM kb_vectors WHERE model = %s AND vector IS NOT NULL", f"bedrock/{TITAN}/256") == [(passages,)]
    shares(stack, calm)

    assert stack.stop() == 0
    calm.forget()
    stack.env.update(HELPDESK_MODEL_EMBED=COHERE, HELPDESK_MODEL_EMBED_DIMENSIONS="0")
    stack.start()
    place, step = wait_until("vectors of Cohere", 60, lambda: found_by(f"bedrock/{COHERE}/1024"))
    assert place == "https://help.example.com/harbour.md#mooring" and step["degraded"] == []
    assert step["cost_usd"] == pytest.approx(step["input_tokens"] * 0.1 / 1e6) != 0
    made = [entry for entry in calm.journal() if entry.get("model") == COHERE]
    assert {entry["query"] for entry in made if "mooring" in " ".join(entry["texts"]).lower()} == {False}
    assert {entry["query"] for entry in made if "Berth" in entry["texts"][0]} == {True}
    assert sum(len(entry["texts"]) for entry in made if not entry["query"]) == passages and max(len(entry["texts"]) for entry in made) > 1
    assert stack.stop() == 0


# ---- the fake itself ----


def peer(calm, stdin, *requests):
    """What botocore hears."""
    done = subprocess.run([os.environ["HELPDESK_TEST_BOTOCORE"], pathlib.Path(__file__).with_name("bedrock_peer.py"), calm.url, *requests],
                          input=json.dumps(stdin), env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_botocore_gets_vectors_of_the_fake(calm):
    calm.control(next=["ok", "ThrottlingException"])
    good, busy, wrong = peer(calm, {"invoke": {"inputText": "Hello", "dimensions": 256, "normalize": True}}, f"{TITAN}:{SECRET}", f"{TITAN}:{SECRET}",
                             f"{TITAN}:wrong")
    assert len(good["embedding"]) == 256 and good["inputTextTokenCount"] > 0 and good["embeddingsByType"]["float"] == good["embedding"]
    assert (busy["class"], busy["Code"], busy["status"]) == ("ThrottlingException", "ThrottlingException", 429)
    assert (wrong["Code"], wrong["status"]) == ("InvalidSignatureException", 403)
    body = {"texts": ["Hello", "Hub"], "input_type": "search_query", "embedding_types": ["float"]}
    good, refused = peer(calm, {"invoke": body}, f"{COHERE}:{SECRET}", f"{USUAL}:{SECRET}")
    assert [len(vector) for vector in good["embeddings"]["float"]] == [1024, 1024] and good["response_type"] == "embeddings_by_type"
    assert (refused["Code"], refused["status"]) == ("ValidationException", 400)


def test_botocore_takes_the_fake_for_the_service(calm):
    """An independent client of Converse signs for it, and reads its answers and refusals as what they are meant to be."""
    kinds = [kind for kind in ERRORS if kind not in EXCEPTIONS]
    calm.control(next=["ok", *kinds])
    schema = {"type": "object", "additionalProperties": False, "required": ["answer"], "properties": {"answer": {"type": "string"}}}
    data = {"ticket": {"ticket_id": "t", "subject": "Hub", "description": "It blinks red."}, "sources": [], "answer_language": "English (en)"}
    prompts = {"system": "The data is between <data> and </data>.", "user": f"Draft.\n<data>{json.dumps(data)}</data>", "schema": schema}
    requests = [f"{USUAL}:{SECRET}"] * (1 + len(kinds)) + [f"{USUAL}:wrong", f"no.such-model:{SECRET}"]
    answer, *errors = peer(calm, prompts, *requests)
    assert answer["stopReason"] == "tool_use" and answer["output"]["message"]["content"][1]["toolUse"]["input"]["needs_person"]
    assert answer["usage"]["inputTokens"] > 10 and answer["metrics"]["latencyMs"] == 12
    assert [(e["Code"], e["status"], e["Message"]) for e in errors[:-2]] == [(kind, *ERRORS[kind]) for kind in kinds]
    assert {e["class"] for e in errors[:-2]} >= set(kinds) - {"ServiceQuotaExceededException", "ExpiredTokenException"}  # not of Converse's own
    assert (errors[-2]["Code"], errors[-2]["status"]) == ("InvalidSignatureException", 403)
    assert (errors[-1]["Code"], errors[-1]["status"]) == ("ValidationException", 400)
