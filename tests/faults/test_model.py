"""A language model that fails often, and one that takes very long."""

import time

from harness import wait_until
from load import EVENTS_PER_TICKET
from trial import scaled

FAULTS = {"429": 0.06, "429-retry-after": 0.03, "500": 0.09, "hang": 0.03, "broken": 0.09}  # 30 %


def test_failing_model(trial, kafka, model):
    """Every ticket ends in an answer or a visible failure, with at most 1.5 times the calls of a faultless run."""
    events = scaled(300, 5000)
    one = trial(kafka, settings={"HELPDESK_MODEL_TIMEOUT": "3s", **model.settings})
    one.send(events)
    one.wait_answers()
    faultless = model.stats()["calls"]
    model.forget()
    model.control(faults=FAULTS, latency_ms=[5, 50])
    one.send(events)
    one.wait_answers()
    stats = model.stats()
    verdict = one.finish()
    verdict.problems.pop("failed", None)  # a failure that is told is an end
    share = stats["calls"] / faultless
    if share > 1.5:
        verdict.add("calls", f"{stats['calls']} calls, {faultless} in a run without faults")
    failing = 1 - stats["outcomes"]["ok"] / stats["calls"]
    assert failing > 0.2, f"only {failing:.0%} of the calls failed"
    one.report(verdict, faultless_calls=faultless, calls=stats["calls"], failing=f"{failing:.0%}", times=round(share, 2))


def test_one_slow_job(trial, kafka, model):
    """One job of 10 minutes (CI: 40 s) among many of 50 ms: nobody is evicted, nobody waits for it."""
    slow_s = scaled(40, 600)
    one = trial(kafka, {"gateway": 1, "classifier": 1, "retriever": 1, "generator": 2, "logger": 1},
                settings={"HELPDESK_MODEL_TIMEOUT": f"{slow_s}s", "HELPDESK_KAFKA_SESSION_TIMEOUT": "6s", **model.settings})
    slow = one.publisher.event(0)[2]["ticket"]["ticket_id"]
    model.control(latency_ms=50, tickets={slow: ["hang"]})  # ends by the time-out, and the job with it or with the next call
    revocations = one.fleet.log_count("partitions revoked")
    one.publisher.send()
    begin = time.monotonic()
    one.send(scaled(600, 5000), ahead=100, seconds=slow_s * 0.5)
    one.publisher.flush()
    others = one.publisher.acked - EVENTS_PER_TICKET  # those of the slow ticket wait for its first
    wait_until("answers of all others", slow_s, lambda: len(one.progress.update().answered) >= others)
    assert time.monotonic() - begin < slow_s, "others waited for the slow one"
    assert [call["ended"] for call in model.journal(slow)] == [None], "the slow job is not under way any more"
    one.wait_answers(slow_s + 60)
    moved = one.fleet.log_count("partitions revoked") - revocations
    verdict = one.finish()
    if moved:
        verdict.add("eviction", "partitions moved while the slow job ran")
    one.report(verdict, slow_s=slow_s)
