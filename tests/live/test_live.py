"""The real services: what they answer is read as it should be, and what they say of the cost is what was expected. Each call is made only when
the most it may cost still fits into what may be spent (HELPDESK_LIVE_USD, 0.50)."""

import json
import os
import pathlib
import re
import subprocess
import uuid

import pytest

PROGRAM = os.environ["HELPDESK_TEST_PROGRAM"]
PROVIDERS = os.environ["HELPDESK_LIVE_PROVIDERS"].split()
MAY_SPEND = float(os.environ.get("HELPDESK_LIVE_USD", "0.50"))
PRICES = json.loads((pathlib.Path(__file__).parents[2] / "deploy" / "prices.json").read_text())["models"]
MOST_READ, MOST_WRITTEN, MOST_CALLS = 4000, 4096, 2  # tokens of a call with the tickets below; an unusable answer is asked for once more
TICKET = {"subject": "Refund", "description": "How long does my refund take? I wait since Tuesday.", "customer_external_id": "C-1"}
SOURCE = {"source_id": "kb/refunds.md", "excerpt": "A refund takes 3 working days after the parcel has arrived.", "citation_uri": "kb/refunds.md",
          "score": 0.9, "type": "kb", "title": "Refunds", "locale": "en"}
spent = 0.0


def price(provider, use):
    """USD per million tokens read and written, of the dearest model that may be meant."""
    setting = {"strong": "HELPDESK_MODEL_DRAFT_STRONG", "classify": "HELPDESK_MODEL_CLASSIFY"}.get(use, "HELPDESK_MODEL_DRAFT")
    model = os.environ.get(setting) or os.environ.get("HELPDESK_MODEL_DRAFT", "" if provider == "bedrock" else os.environ.get("OPENAI_MODEL", ""))
    given = re.search(rf"(?:^|,){re.escape(model)}=([0-9.]+)/([0-9.]+)(?:,|$)", os.environ.get("HELPDESK_MODEL_PRICES", ""))
    if model and given:
        return float(given[1]), float(given[2])
    if model:
        assert model in PRICES, f"set HELPDESK_MODEL_PRICES to {model}=INPUT/OUTPUT: what it costs is not known"
        return PRICES[model]["input"], PRICES[model]["output"]
    family = "claude-sonnet" if use == "strong" else "claude-haiku"
    rows = [row for name, row in PRICES.items() if f".anthropic.{family}" in name]
    return max(row["input"] for row in rows), max(row["output"] for row in rows)


def environment(provider, **changes):
    """Without what is not the program's, and what names the other provider's model."""
    left_out = ("HELPDESK_LIVE", "HELPDESK_TEST", "HELPDESK_MODEL_PROVIDER") + (("OPENAI_",) if provider == "bedrock" else ())
    return {**{name: value for name, value in os.environ.items() if not name.startswith(left_out)}, "HELPDESK_MODEL_PROVIDER": provider, **changes}


def step(provider, stage, use, event, **env):
    global spent  # pylint: disable=global-statement
    read, written = price(provider, use)
    most = MOST_CALLS * (MOST_READ * read + MOST_WRITTEN * written) / 1e6
    assert spent + most <= MAY_SPEND, f"{spent:.4f} USD are spent, the call may cost {most:.4f}, HELPDESK_LIVE_USD allows {MAY_SPEND}"
    spent += most  # until it is known
    event["ticket"] = {**TICKET, "ticket_id": f"live-{uuid.uuid4()}"}
    done = subprocess.run([PROGRAM, "try", stage], input=json.dumps(event), env=environment(provider, **env), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    trace = made["steps"][-1]
    spent += trace["cost_usd"] - most
    print(f"{trace['model']}: {trace['input_tokens']} tokens read, {trace['output_tokens']} written, {trace['cost_usd']:.6f} USD")
    assert trace["degraded"] == [] and trace["input_tokens"] > 100 and trace["output_tokens"] > 10
    assert trace["input_tokens"] <= MOST_CALLS * MOST_READ and trace["cost_usd"] <= most
    return made


def draft(provider, **event):
    made = step(provider, "generator", "strong" if event.get("use_sonnet") else "draft",
                {"context": {"items": [SOURCE], "aggregate_confidence": 0.9, "customer_state": "unknown_customer", "customer": None}, **event})
    assert made["generation"]["primary_draft"]["citations"] == ["kb/refunds.md"]
    assert re.search(r"\b(3|three)\b", made["generation"]["primary_draft"]["text"])


def checked(provider, **changes):
    done = subprocess.run([PROGRAM, "check"], env=environment(provider, **changes), stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    return [line for line in done.stdout.splitlines() if line.startswith("model ")]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_check_says_yes(provider):
    assert checked(provider) == ["model      ok"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_drafts(provider):
    draft(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_it_classifies(provider):
    """The local classifier is asked for nothing: its threshold is above all it can say."""
    model = os.environ.get("HELPDESK_MODEL_CLASSIFY") or os.environ.get("HELPDESK_MODEL_DRAFT") or os.environ.get("OPENAI_MODEL", "")
    if not model:
        region = os.environ.get("HELPDESK_MODEL_REGION") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
        part = region.split("-")[0] if region[:3] in ("us-", "eu-") else "global"
        model = next(name for name in PRICES if name.startswith(f"{part}.anthropic.claude-haiku"))
    made = step(provider, "classifier", "classify", {}, HELPDESK_MODEL_CLASSIFY=model, HELPDESK_CLASSIFIER_ASK_BELOW="1")
    assert made["classification"]["category"] in ("billing", "shipping") and made["classification"]["reasoning_snippet"]


@pytest.mark.skipif("bedrock" not in PROVIDERS, reason="Amazon Bedrock was not asked for")
def test_the_stronger_model_drafts():
    draft("bedrock", use_sonnet=True)


@pytest.mark.skipif("bedrock" not in PROVIDERS or "AWS_SECRET_ACCESS_KEY" not in os.environ, reason="no signature can be spoilt")
def test_a_wrong_secret_is_refused():
    assert checked("bedrock", AWS_SECRET_ACCESS_KEY="wrong", AWS_BEARER_TOKEN_BEDROCK="") == \
        ["model      FAILED: the model server says 403 (InvalidSignatureException): the secret access key or the region is wrong"]
