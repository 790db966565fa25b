"""Search by meaning: vectors are made once for each text, tickets in other words find it, and without the model all goes on by words."""

import os
import signal

import pytest

from fake_embed import FakeEmbed
from harness import Stack, http, ticket, wait_until

PRICES = {"HELPDESK_MODEL_PRICES": "embed-*=0.1/0,unasked=1/1", "HELPDESK_MODEL_DRAFT": "unasked"}
BUDGETS = {"HELPDESK_BUDGET_USD_PER_DAY": "10,broke=0"}
DOCUMENT = "# Quit\n\nWhoever wants to quit goes to the counter and says so; the membership then ends with the month.\n"


@pytest.fixture(scope="module")
def model():
    with FakeEmbed() as server:
        yield server
        assert server.problems == []


@pytest.fixture(scope="module")
def searching(folder, postgres, model):
    stack = Stack(f"{folder}/vectors", postgres, settings={**model.settings, **PRICES, **BUDGETS, "HELPDESK_KB_SCAN_INTERVAL": "300ms",
                                                           "HELPDESK_MODEL_TIMEOUT": "5s"})
    (stack.kb / "quit.md").write_text(DOCUMENT)
    stack.start()
    stack.load_samples()
    yield stack
    assert stack.stop() == 0


def missing(stack, name="embed-a"):
    return stack.sql("SELECT count(*) FROM kb_passages p WHERE NOT EXISTS (SELECT 1 FROM kb_vectors v WHERE (v.tenant, v.text_hash) = "
                     "(p.tenant, p.text_hash) AND v.vector IS NOT NULL AND v.model LIKE %s)", f"openai/{name}/%")[0][0]


def serving(stack):
    return [row[0] for row in stack.sql("SELECT serving FROM kb_vector_bases WHERE tenant = 'default'")]


def ready(stack, name="embed-a"):
    def loaded():
        kept = stack.sql("SELECT count(*) FROM kb_vectors WHERE unneeded_since IS NULL AND model LIKE %s", f"openai/{name}/%")[0][0]
        return missing(stack, name) == 0 and serving(stack) == [f"openai/{name}/64"] and stack.metric("retriever-1", "helpdesk_vectors") == kept > 0
    wait_until(f"vectors of {name} in the retriever", 30, loaded)


def retrieve(stack, **fields):
    """Cited places, and the step's provenance."""
    question = {"subject": "Terminate subscription", "description": "How to terminate my subscription?", **fields}
    answer = http("POST", stack.url() + "/tickets/context", ticket(**question), {"Prefer": "wait=60"}, timeout=90)
    assert answer.status == 200, answer.body
    return [item["citation_uri"] for item in answer.json["context_package"]], answer.json["provenance"]["retrieval"]


def test_other_words_find_it(searching, model):
    ready(searching)
    places, step = retrieve(searching)
    assert "https://help.example.com/quit.md#quit" in places[:2], places
    assert step["model"] == "postgresql-fts/1+openai/embed-a/64" and not step["degraded"]
    assert step["input_tokens"] > 0 and step["cost_usd"] > 0
    spent = dict(searching.sql("SELECT stage, sum(input_tokens) FROM costs WHERE model = 'embed-a' GROUP BY 1"))
    assert spent["kb-sync"] > spent["retriever"] > 0
    assert len(set(model.texts())) == len(model.texts()), "a text was asked for twice"


def test_unchanged_and_moved_texts_cost_nothing(searching, model):
    ready(searching)
    before = len(model.texts())
    (searching.kb / "quit.md").rename(searching.kb / "moved.md")
    searching.sync(full=True)
    wait_until("the moved document", 20, lambda: searching.sql("SELECT 1 FROM kb_vector_bases b JOIN kb_revisions r USING (tenant) "
                                                               "JOIN kb_passages p USING (tenant) WHERE p.object_key = 'moved.md' "
                                                               "AND b.done_revision = r.revision AND b.tenant = 'default'"))
    assert len(model.texts()) == before
    places, _ = retrieve(searching)
    assert any("/moved.md" in place for place in places) and not any("/quit.md" in place for place in places)
    (searching.kb / "moved.md").unlink()
    searching.sync()
    places, step = retrieve(searching)
    assert not any("/moved.md" in place for place in places) and not step["degraded"]
    (searching.kb / "quit.md").write_text(DOCUMENT)
    searching.sync()
    ready(searching)


def test_the_server_is_down(searching, model):
    ready(searching)
    model.fault = "broken"
    try:
        places, step = retrieve(searching, subject="Factory reset of the hub", description="How do I reset the hub to factory settings?")
        assert any("factory-reset" in place for place in places)
        assert step["model"] == "postgresql-fts/1" and step["degraded"][0].startswith("search by words alone: ")
        (searching.kb / "late.md").write_text("# Late\n\nA text that must wait for its vector, since the server is away.\n")
        searching.sync()
        assert missing(searching) == 1
    finally:
        model.fault = None
    ready(searching)


def test_a_budget_that_is_gone(searching, model):
    """The tenant's base waits, and is searched by words; others go on."""
    ready(searching)
    searching.sql("SELECT kb_put_document('broke', 'default', 'a.md', 0, 'Sesame', 'kb://a', 'en', 'f', '', 1, 0, 'ready', '', 'english', "
                  "ARRAY[''], ARRAY[''], ARRAY['Open sesame opens the door of the cave.'])")
    wait_until("a refusal in the ledger", 20, lambda: searching.sql("SELECT 1 FROM costs WHERE tenant = 'broke' AND refused > 0 AND stage = 'kb-sync'"))
    assert searching.sql("SELECT count(*) FROM kb_vectors WHERE tenant = 'broke'") == [(0,)]
    assert searching.sql("SELECT retry_at > now() FROM kb_vector_bases WHERE tenant = 'broke'") == [(True,)]
    assert not any("sesame" in text.lower() for text in model.texts())
    ready(searching)


def test_another_model_takes_over_at_once(searching, model):
    """kb-sync is killed in the middle of it and goes on where it was; the old vectors serve until all new ones are there."""
    ready(searching)
    model.delay_s = 0.4
    assert searching.stop() == 0
    searching.env.update(HELPDESK_MODEL_EMBED="embed-b")
    searching.start()
    wait_until("some vectors of the other model", 60, lambda: searching.sql("SELECT 1 FROM kb_vectors WHERE model = 'openai/embed-b/64'"))
    assert serving(searching) == ["openai/embed-a/64"]
    places, step = retrieve(searching)
    if serving(searching) == ["openai/embed-a/64"] and not step["degraded"]:
        assert "embed-a" in step["model"] and any("quit" in place for place in places)
    os.kill(searching.pids("kb-sync")[0], signal.SIGKILL)
    model.delay_s = 0
    ready(searching, "embed-b")
    texts = [text for text in model.texts("embed-b") if "Terminate" not in text]
    assert len(texts) - len(set(texts)) <= 4 * 16, "more than what was under way was asked for again"
    places, step = retrieve(searching)
    assert "embed-b" in step["model"] and any("quit" in place for place in places)
    assert searching.sql("SELECT DISTINCT model FROM kb_vectors WHERE tenant = 'default'") == [("openai/embed-b/64",)]
