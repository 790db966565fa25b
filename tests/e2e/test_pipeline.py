"""Tickets through HTTP on both brokers: what a person gets for the sample tickets."""

import concurrent.futures
import json
import os
import signal
import uuid

from harness import http, sample_ticket, ticket, wait_until


def fresh(name):
    """A sample ticket under a new id, so that it is a new run."""
    return dict(sample_ticket(name), ticket_id=f"t-{uuid.uuid4()}")


def test_clean_ticket_gets_a_cited_ready_draft(stack):
    answer = stack.ask(fresh("01-clean.json"))
    draft = answer["generation"]["primary_draft"]
    cited = {item["source_id"]: item for item in answer["context"]["context_package"]}
    assert draft["citations"], draft
    assert all(source in cited for source in draft["citations"])
    assert cited[draft["citations"][0]]["citation_uri"].startswith("https://help.example.com/")
    assert draft["ready"] is True, draft["not_ready_because"]
    assert draft["safety_flags"] == []
    assert answer["trace"]["state"] == "completed"
    assert answer["context"]["aggregate_confidence"] >= 0.6
    assert answer["next_actions"][0] == "Send draft to agent queue for review"
    for step in ("classification", "retrieval", "generation", "total"):
        assert answer["trace"][f"{step}_latency_ms"] > 0


def test_the_base_is_searched_in_memory_once_it_is_read(stack):
    in_memory = 'helpdesk_word_searches_total{in="memory"}'
    before = stack.metric("retriever-1", in_memory)
    found = []

    def searched():
        items = stack.ask(fresh("01-clean.json"))["context"]["context_package"]
        found.append([dict(item, score=round(item["score"], 6)) for item in items])
        return stack.metric("retriever-1", in_memory) > before

    wait_until("a search in memory", 30, lambda: searched() and len(found) > 1)
    assert found[-1] == found[0] and any(item["type"] == "kb" for item in found[0])


def test_angry_enterprise_customer_gets_the_order_and_expedite(stack):
    answer = stack.ask(fresh("02-angry-enterprise.json"))
    assert answer["classification"]["sentiment"] == "negative"
    types = {item["type"] for item in answer["context"]["context_package"]}
    assert "order" in types and "rule" in types
    assert any("xpedite" in action for action in answer["next_actions"]), answer["next_actions"]


def test_question_that_nothing_answers_escalates(stack):
    answer = stack.ask(fresh("03-unanswerable.json"))
    assert answer["context"]["aggregate_confidence"] < 0.6
    draft = answer["generation"]["primary_draft"]
    assert draft["ready"] is False and draft["not_ready_because"]
    assert "low_context_confidence" in draft["safety_flags"]
    assert answer["trace"]["state"] == "escalated_low_confidence"
    assert any("L2" in action for action in answer["next_actions"])


def test_injection_is_flagged_and_no_personal_data_leaks(stack):
    answer = stack.ask(fresh("04-injection.json"))
    draft = answer["generation"]["primary_draft"]
    assert "prompt_injection" in draft["safety_flags"]
    assert draft["ready"] is False
    for detail in draft["flag_details"]:
        assert detail["flag"] and detail["rule"] and detail["why"]


def test_german_ticket_gets_a_german_draft(stack):
    answer = stack.ask(fresh("05-german.json"))
    text = answer["generation"]["primary_draft"]["text"].lower()
    assert sum(word in text.split() for word in ("und", "die", "der", "sie", "ihre", "ist", "den")) >= 3, text


def test_burst_of_duplicates_is_one_run(stack):
    body = fresh("06-duplicate.json")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: stack.ask(body, gateway=1 + i % 3), range(12)))
    assert len({answer["trace"]["correlation_id"] for answer in answers}) == 1
    runs = stack.sql("SELECT count(*) FROM runs WHERE ticket_id = %s", body["ticket_id"])
    assert runs[0][0] == 1
    classified = stack.sql("SELECT count(*) FROM interactions WHERE ticket_id = %s AND kind = 'classified'", body["ticket_id"])
    assert classified[0][0] <= 1


def test_every_step_is_logged_once(stack):
    body = fresh("01-clean.json")
    stack.ask(body)
    def kinds():
        rows = stack.sql("SELECT kind, count(*) FROM interactions WHERE ticket_id = %s GROUP BY kind", body["ticket_id"])
        return dict(rows) if len(rows) >= 4 else None
    assert wait_until("the log", 20, kinds) == {"submitted": 1, "classified": 1, "enriched": 1, "answered": 1}
    shown = http("GET", f"{stack.url(2)}/tickets/{body['ticket_id']}").json
    assert shown["state"] == "completed"


def test_deleted_document_is_gone_from_the_next_answer(stack):
    path = stack.kb / "zz-teleport.md"
    words = "The Quibblewick teleport module needs forty litres of glimmer fuel before every journey."
    question = ticket(subject="Quibblewick teleport module glimmer fuel",
                      description="How many litres of glimmer fuel does the Quibblewick teleport module need before a journey?")
    path.write_text(f"# Quibblewick teleport module\n\n{words}\n")
    stack.sync()
    answer = stack.ask(dict(question, ticket_id=f"t-{uuid.uuid4()}"))
    assert "forty litres" in answer["generation"]["primary_draft"]["text"]
    path.write_text("# Quibblewick teleport module\n\n" + words.replace("forty", "ninety") + "\n")
    stack.sync()
    answer = stack.ask(dict(question, ticket_id=f"t-{uuid.uuid4()}"))
    assert "ninety litres" in answer["generation"]["primary_draft"]["text"]
    path.unlink()
    job = stack.sync()
    assert job["read"] == 0, job
    # Once, by this job or by a scan that came first.
    assert stack.sql("SELECT count(*) FROM kb_history WHERE object_key = %s AND kind = 'removed'", path.name) == [(1,)]
    assert stack.sql("SELECT count(*) FROM kb_documents WHERE object_key = %s", path.name) == [(0,)]
    answer = stack.ask(dict(question, ticket_id=f"t-{uuid.uuid4()}"))
    assert "litres" not in answer["generation"]["primary_draft"]["text"]


def test_document_deleted_between_search_and_draft_is_not_cited(embedded):
    path = embedded.kb / "zz-wobble.md"
    path.write_text("# Zumbly wobble pump\n\nThe Zumbly wobble pump takes eleven drops of gear oil each winter.\n")
    embedded.sync()
    asked = ticket(ticket_id=f"t-{uuid.uuid4()}", subject="Zumbly wobble pump oil",
                   description="How many drops of gear oil does the Zumbly wobble pump take each winter?")
    generators = embedded.pids("generator")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            for pid in generators:
                os.kill(pid, signal.SIGSTOP)
            answer = pool.submit(embedded.ask, asked)
            wait_until("the search", 30, lambda: http("GET", f"{embedded.url()}/tickets/{asked['ticket_id']}").json.get("state") == "enriched")
            path.unlink()
            embedded.sync()
        finally:
            for pid in generators:
                os.kill(pid, signal.SIGCONT)
        answer = answer.result()
    assert "wobble" not in json.dumps([answer["generation"], answer["context"]]).lower()
    assert "deleted" in answer["provenance"]["generation"]["degraded"][0]
    assert answer["trace"]["state"] == "degraded" and not answer["generation"]["primary_draft"]["ready"]


def test_feedback_makes_a_similar_ticket(stack):
    words = "the vermilion gasket of my zephyr turbine whistles"
    first = ticket(ticket_id=f"t-{uuid.uuid4()}", subject="Vermilion gasket whistles", description=f"Since Monday {words}.")
    stack.ask(first)
    done = http("POST", f"{stack.url()}/tickets/{first['ticket_id']}/feedback",
                {"outcome": "edited", "ticket_status": "resolved", "rating": 5,
                 "final_text": "Turn the vermilion gasket of the zephyr turbine clockwise until the whistle stops. Call jane@example.com."})
    assert done.status == 200, done.body
    wait_until("the resolution", 20, lambda: stack.sql("SELECT 1 FROM resolutions WHERE ticket_id = %s", first["ticket_id"]))
    second = ticket(ticket_id=f"t-{uuid.uuid4()}", subject="Zephyr turbine whistles", description=f"Help, {words} again.")
    answer = stack.ask(second, gateway=2)
    items = [item for item in answer["context"]["context_package"] if item["type"] == "ticket"]
    assert any("clockwise" in item["excerpt"] for item in items)
    assert all("jane@example.com" not in item["excerpt"] for item in items)
