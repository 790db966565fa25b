"""Members of a group that join, leave, and sleep."""

import signal
import time

from harness import wait_until
from trial import scaled

IN_FLIGHT = 64


def test_join_and_leave(trial, kafka, model):
    """A worker of each stage joins or leaves every 5 s: nothing is lost, hardly anything done twice."""
    one = trial(kafka, settings={"HELPDESK_ENGINE_IN_FLIGHT": str(IN_FLIGHT), **model.settings})
    model.control(latency_ms=[10, 100])
    seconds, every = scaled(30, 300), 5
    stages = ("classifier", "retriever", "generator", "logger")
    guests, moves, due, number = [], 0, time.monotonic() + every, 100
    for _ in one.pump(scaled(1200, 15000), seconds=seconds):
        if time.monotonic() < due:
            continue
        due += every
        moves += 1
        if guests and moves % 2 == 0:
            code = guests.pop(0).stop()
            assert code == 0, f"a worker that left ended with {code}"
        else:
            number += 1
            guests.append(one.fleet.add(stages[moves // 2 % len(stages)], number))
    one.log_calls(model)
    one.history.add("kill", role="generator", how="leaves", in_flight=one.publisher.acked // 100)  # below 1 %
    verdict = one.finish()
    one.report(verdict, moves=moves, repeated=f"{verdict.figures['repeated_calls'] / one.publisher.acked:.2%}")


def test_zombie(trial, kafka):
    """A worker that is stopped beyond the session time-out and goes on later: nothing of it counts."""
    one = trial(kafka, settings={"HELPDESK_KAFKA_SESSION_TIMEOUT": "6s"})
    rounds = scaled(("generator",), ("classifier", "retriever", "generator", "logger", "generator"))
    for role in rounds:
        asleep = one.fleet.of(role)[0]
        if len(one.fleet.of(role)) < 2:
            one.fleet.add(role, 9)
            one.fleet.wait_ready()
        for i in one.pump(900):
            if i == 300:
                asleep.send(signal.SIGSTOP)
                stopped = time.monotonic()
                one.history.add("kill", role=role, how="SIGSTOP", in_flight=0)
        one.wait_answers()  # by the others, so its partitions have moved
        wait_until("beyond the session time-out", 60, lambda: time.monotonic() - stopped > 15)
        asleep.send(signal.SIGCONT)
        one.send(300)
        one.wait_answers()
    one.report(one.finish(may_exit=True), slept=len(rounds))
