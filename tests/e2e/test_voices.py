"""Tenants' voices (generator.voices): the words around drafts of every model, and files that are not right."""

import json
import subprocess

import pytest

from fake_model import FakeModel
from harness import PROGRAM, ROOT

SAMPLE = ROOT / "deploy/sample/voices.json"
SOURCE = {"source_id": "kb/hub.md", "title": "Hub blinks red", "excerpt": "A red hub has no network. Restart the router.", "citation_uri": "",
          "score": 0.95, "type": "kb", "locale": "en"}
CUSTOMER = {"customer_id": "1", "external_id": "C-1", "name": "Anna O'Neil", "email": "anna@example.com", "tier": "standard", "lifetime_value": 1,
            "total_orders": 0, "open_tickets": 0, "avg_sentiment": 0, "is_high_value": False, "churn_risk": "low"}


def draft(voices, tenant="default", customer=None, locale="en", **env):
    event = {"ticket": {"subject": "Hub blinks red", "description": "My hub blinks red, what can I do?", "customer_external_id": "C-1",
                        "locale": locale},
             "tenant": tenant, "context": {"items": [SOURCE], "aggregate_confidence": 0.95, "customer_state": "ready", "customer": customer}}
    done = subprocess.run([PROGRAM, "try", "generator"], input=json.dumps(event), env={"HELPDESK_GENERATOR_VOICES": str(voices), **env},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    if done.returncode != 0:
        return None, done.stderr
    made = json.loads(done.stdout)
    return made["generation"]["primary_draft"], made["steps"][-1]


def test_the_offline_model_speaks_as_the_tenant():
    plain, before = draft("")
    made, after = draft(SAMPLE)
    assert plain["text"].startswith("Hello,\n\nThank you") and plain["text"].endswith("\n\nKind regards\nYour support team\n")
    assert made["text"] == plain["text"].replace("Your support team", "Your Lumio team")
    assert made["ready"] and plain["ready"] and made["citations"] == ["kb/hub.md"] and made["safety_flags"] == []
    assert before["policy_version"] == "guard/1" and after["policy_version"].startswith("guard/1 voices/")
    business, _ = draft(SAMPLE, "lumio-business", CUSTOMER)
    assert business["text"].startswith("Hello Anna O'Neil,\n\n")
    assert business["text"].endswith("\n\nLumio Business\nhttps://lumio.example/business\n") and business["ready"]


def test_a_language_model_is_told_the_tone_and_greets_nobody():
    """The fake one greets all the same."""
    with FakeModel() as model:
        warm, first = draft(SAMPLE, customer=CUSTOMER, **model.settings)
        formal, second = draft(SAMPLE, "lumio-business", locale="fr", **model.settings)
        stats = model.stats()
    assert stats["calls"] == 2 and stats["problems"] == []
    assert warm["text"] == ("Hello Anna O'Neil,\n\nthank you for your message.\n\nA red hub has no network [1].\n\n"
                            "Kind regards\nYour Lumio team\n")
    assert formal["text"].startswith("Bonjour,\n\nthank you") and formal["text"].count("ello") == 0
    assert first["model"] == second["model"] and first["degraded"] == second["degraded"] == []
    assert first["prompt_version"] != second["prompt_version"] and first["policy_version"] == second["policy_version"]


@pytest.mark.parametrize("text, why", [
    ('{"voices": {"acme": {"greeting": "Dear {nme},"}}}', "voices: voices.acme.greeting: must be one line of text"),
    ('{"voices": {"acme": {"greeting": {"en": "Dear {name},"}}}}', "voices: voices.acme.greeting_without_name.en: is missing"),
    ('{"voices": ', "voices: "),
])
def test_a_file_that_is_not_right_is_named(tmp_path, text, why):
    path = tmp_path / "voices.json"
    path.write_text(text, encoding="utf-8")
    made, stderr = draft(path)
    assert made is None and why in stderr
    path.unlink()
    made, stderr = draft(path)
    assert made is None and f"voices: {path}: No such file or directory" in stderr
