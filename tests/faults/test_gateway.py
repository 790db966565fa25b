"""A gateway that is killed while clients wait at it."""

import concurrent.futures
import http.client
import uuid

from harness import http as call, wait_until
from load import posted_ticket
from trial import scaled

CLIENTS = scaled(40, 300)


def wait_at(url, ticket_id):
    try:
        return call("POST", url + "/tickets/auto-orchestrate", posted_ticket(ticket_id), {"Prefer": "wait=60"}, timeout=120).status
    except (OSError, http.client.HTTPException):
        return 0


def answer_of(url, ticket_id):
    """The result, from a gateway that never saw the ticket."""
    reply = call("GET", f"{url}/tickets/{ticket_id}")
    return reply.json if reply.status == 200 and reply.json["result"] else None


def test_another_gateway_serves_the_answers(trial, kafka):
    """Each client whose connection broke finds its answer at the other gateway."""
    one = trial(kafka, {"gateway": 2, "classifier": 1, "retriever": 1, "generator": 1, "logger": 1})
    [generator] = one.fleet.of("generator")
    assert generator.stop() == 0  # no answer before the gateway is gone
    first, second = one.fleet.url(1), one.fleet.url(2)
    tickets = [f"g-{uuid.uuid4()}" for _ in range(CLIENTS)]
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        waiting = [pool.submit(wait_at, first, ticket_id) for ticket_id in tickets]
        wait_until("all on their way", 60, lambda: one.progress.update().on.get("tickets.enriched", 0) == CLIENTS)
        one.fleet.of("gateway")[0].kill(restart=False)
        one.history.add("kill", role="gateway", how="while it waits", in_flight=0)
        assert [client.result() for client in waiting] == [0] * CLIENTS, "nobody can have got an answer"
    generator.start()
    answers = {ticket_id: wait_until(f"answer of {ticket_id}", 120, lambda t=ticket_id: answer_of(second, t)) for ticket_id in tickets}
    for ticket_id, answer in answers.items():
        assert answer["ticket_id"] == ticket_id and answer["result"]["generation"]["primary_draft"]["text"], answer
    for event, ticket_id in one.fleet.sql("SELECT event_id, ticket_id FROM runs"):
        one.history.add("sent", event=event, key=f"default/{ticket_id}", sequence=0)
        one.history.add("acked", event=event, topic="tickets.submitted", partition=None, offset=None)
    one.report(one.finish(), served=len(answers))
