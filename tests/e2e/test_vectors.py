"""Search by meaning: vectors are made once for each text, tickets in other words find it, and without the model all goes on by words."""

import json
import os
import signal

import pytest

from fake_embed import FakeEmbed
from harness import Stack, http, ticket, wait_until

PRICES = {"HELPDESK_MODEL_PRICES": "embed-*=0.1/0"}
BUDGETS = {"HELPDESK_BUDGET_USD_PER_DAY": "10,broke=0"}
# Of words that no other document and no ticket has; the question has none of them.
DOCUMENT = "# Mooring\n\nWhoever has a boat asks the harbourmaster, who assigns one mooring by the western pier.\n"
QUESTION = {"subject": "Berth", "description": "Berth? Dinghy!"}


@pytest.fixture(scope="module")
def model():
    with FakeEmbed() as server:
        yield server
        assert server.problems == []


@pytest.fixture(scope="module")
def searching(folder, postgres, model):
    stack = Stack(f"{folder}/vectors", postgres, settings={**model.settings, **PRICES, **BUDGETS, "HELPDESK_KB_SCAN_INTERVAL": "300ms",
                                                           "HELPDESK_MODEL_TIMEOUT": "5s"})
    (stack.kb / "harbour.md").write_text(DOCUMENT)
    stack.start()
    stack.load_samples()
    yield stack
    assert stack.stop() == 0


def missing(stack, name="embed-a"):
    """Passages of the default tenant without a vector."""
    return stack.sql("SELECT count(*) FROM kb_passages p WHERE p.tenant = 'default' AND NOT EXISTS (SELECT 1 FROM kb_vectors v "
                     "WHERE (v.tenant, v.text_hash) = (p.tenant, p.text_hash) AND v.vector IS NOT NULL AND v.model LIKE %s)", f"openai/{name}/%")[0][0]


def serving(stack):
    return [row[0] for row in stack.sql("SELECT serving FROM kb_vector_bases WHERE tenant = 'default'")]


def ready(stack, name="embed-a"):
    """All vectors of the default tenant, the only one that is asked for, are made and in the retriever."""
    def state():
        kept = stack.sql("SELECT count(*) FROM kb_vectors WHERE tenant = 'default' AND unneeded_since IS NULL AND model LIKE %s", f"openai/{name}/%")
        return missing(stack, name), serving(stack), kept[0][0], stack.metric("retriever-1", "helpdesk_vectors")

    def loaded():
        gone, by, kept, there = state()
        return gone == 0 and by == [f"openai/{name}/64"] and there == kept > 0
    try:
        wait_until(f"vectors of {name} in the retriever", 30, loaded)
    except AssertionError as error:
        raise AssertionError(f"{error}: missing, serving, kept, in the retriever: {state()}\n{stack.log_tail()}") from None


def retrieve(stack, **fields):
    """Cited places of the knowledge base, best first, and the step's provenance."""
    answer = http("POST", stack.url() + "/tickets/context", ticket(**{**QUESTION, **fields}), {"Prefer": "wait=60"}, timeout=90)
    assert answer.status == 200, answer.body
    places = [item["citation_uri"] for item in answer.json["context_package"]]
    return [place for place in places if place.startswith("https://help.example.com/")], answer.json["provenance"]["retrieval"]


def test_other_words_find_it(searching, model):
    ready(searching)
    places, step = retrieve(searching)
    assert places[0] == "https://help.example.com/harbour.md#mooring", places
    assert step["model"] == "postgresql-fts/1+openai/embed-a/64" and not step["degraded"]
    assert step["input_tokens"] > 0 and step["cost_usd"] > 0
    spent = dict(searching.sql("SELECT stage, sum(input_tokens) FROM costs WHERE model = 'embed-a' GROUP BY 1"))
    assert spent["kb-sync"] > spent["retriever"] > 0
    assert len(set(model.texts())) == len(model.texts()), "a text was asked for twice"


def test_unchanged_and_moved_texts_cost_nothing(searching, model):
    ready(searching)
    before = len(model.texts())
    (searching.kb / "harbour.md").rename(searching.kb / "moved.md")
    searching.sync(full=True)
    wait_until("the moved document", 20, lambda: searching.sql("SELECT 1 FROM kb_vector_bases b JOIN kb_revisions r USING (tenant) "
                                                               "JOIN kb_passages p USING (tenant) WHERE p.object_key = 'moved.md' "
                                                               "AND b.done_revision = r.revision AND b.tenant = 'default'"))
    assert len(model.texts()) == before
    places, _ = retrieve(searching)
    assert any("/moved.md" in place for place in places) and not any("/harbour.md" in place for place in places)
    (searching.kb / "moved.md").unlink()
    searching.sync()
    places, step = retrieve(searching)
    assert not any("/moved.md" in place for place in places) and not step["degraded"]
    (searching.kb / "harbour.md").write_text(DOCUMENT)
    searching.sync()
    ready(searching)


def test_the_server_is_down(searching, model):
    ready(searching)
    model.fault = "broken"
    try:
        places, step = retrieve(searching, subject="Factory reset of the hub", description="How do I reset the hub to factory settings?")
        assert any("factory-reset" in place for place in places)
        assert step["model"] == "postgresql-fts/1" and step["degraded"][0].startswith("search by words alone: ")
        places, step = retrieve(searching)
        assert not any("harbour" in place for place in places) and step["degraded"], "found by its words: the test of other words proves nothing"
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
    (searching.kb / "later.md").write_text("# Later\n\nA text of the tenant that still has a budget.\n")
    searching.sync()
    ready(searching)
    assert not any("sesame" in text.lower() for text in model.texts())
    assert any("still has a budget" in text for text in model.texts())
    event = {"tenant": "broke", "ticket": {"subject": "Sesame", "description": "What opens the cave?", "customer_external_id": "C-1"}}
    done = searching.run("try", "retriever", stdin=json.dumps(event))
    assert done.returncode == 0 and "kb://a" in done.stdout, done


def test_an_emptied_base_has_no_vectors(searching, model):
    """Though nothing is missing, and its vectors were looked through a moment before; what nobody needs goes after a day."""
    del model
    def remove(key):
        assert searching.sql("SELECT kb_remove_document(tenant, source, object_key, revision) FROM kb_documents WHERE tenant = 'emptied' "
                             "AND object_key = %s", key) == [("changed",)]

    def vectors(which="true"):
        return searching.sql(f"SELECT count(*) FROM kb_vectors WHERE tenant = 'emptied' AND {which}")[0][0]

    def later():
        searching.sql("UPDATE kb_vector_bases SET pruned_at = now() - interval '2 minutes' WHERE tenant = 'emptied'")

    for key in ("a.md", "b.md"):
        searching.sql(f"SELECT kb_put_document('emptied', 'default', '{key}', 0, 'Echo', 'kb://a', 'en', 'f', '', 1, 0, 'ready', '', 'english', "
                      f"ARRAY[''], ARRAY[''], ARRAY['The valley answers {key}.'])")
    wait_until("their vectors", 30, lambda: vectors() == 2)
    done = "SELECT 1 FROM kb_vector_bases b JOIN kb_revisions r USING (tenant) WHERE tenant = 'emptied' AND done_revision = r.revision"
    wait_until("the pass is over", 30, lambda: searching.sql(done))
    remove("a.md")
    remove("b.md")
    wait_until("the pass over the empty base", 30, lambda: searching.sql(done))
    assert vectors() == 2
    later()
    wait_until("what nobody needs is marked", 30, lambda: vectors("unneeded_since IS NULL") == 0)
    searching.sql("UPDATE kb_vectors SET unneeded_since = now() - interval '25 hours' WHERE tenant = 'emptied'")
    later()
    wait_until("it is gone", 30, lambda: vectors() == 0)


def test_a_server_without_a_model_that_drafts(searching):
    """It is asked for vectors; drafts are made offline, and nothing is missing of them."""
    ready(searching)
    answer = searching.ask(ticket(subject="Factory reset of the hub", description="How do I reset the hub to factory settings?"))
    step = answer["provenance"]["generation"]
    assert step["model"] == "offline-extractive/1" and step["degraded"] == [], step
    assert "openai/embed-a/64" in answer["provenance"]["retrieval"]["model"] and answer["generation"]["primary_draft"]["citations"]
    said = searching.run("check", env={"HELPDESK_KAFKA_BROKERS": ""}).stdout  # the embedded one is no server to check
    assert "model      ok: offline drafts (model.draft is not set)\n" in said, said


def test_another_model_takes_over_at_once(searching, model):
    """kb-sync is killed in the middle of it and goes on where it was; the old vectors serve until all new ones are there."""
    ready(searching)
    assert searching.stop() == 0
    model.hold("embed-b", after=1)
    try:
        searching.env.update(HELPDESK_MODEL_EMBED="embed-b")
        searching.start()
        wait_until("the first vectors of the other model", 60, lambda: searching.sql("SELECT 1 FROM kb_vectors WHERE model = 'openai/embed-b/64'"))
        first = model.texts("embed-b")
        assert 0 < len(first) and missing(searching, "embed-b") > 0
        ready(searching)
        places, step = retrieve(searching)
        assert "openai/embed-a/64" in step["model"] and not step["degraded"] and "harbour" in places[0]
        os.kill(searching.pids("kb-sync")[0], signal.SIGKILL)
    finally:
        model.release()
    def taken_over():
        places, step = retrieve(searching)
        assert not step["degraded"] and "harbour" in places[0], (places, step)
        return "openai/embed-b/64" in step["model"]
    ready(searching, "embed-b")
    wait_until("a search with the other model", 5, taken_over)
    asked = model.texts("embed-b")
    assert [text for text in first if asked.count(text) != 1] == [], "a vector was there, and was asked for again"
    assert searching.sql("SELECT DISTINCT model FROM kb_vectors WHERE tenant = 'default'") == [("openai/embed-b/64",)]
