"""Processes killed with SIGKILL: at every named crash point, at random, between produce and commit, all at once."""

import random
import time

from fleet import WORKERS, crash_points
from harness import http, wait_until
from history import History
from load import Users
from trial import FULL, ReaderProcess, scaled
from checker import judge

KILLS = scaled(16, 200)
VOLLEY = scaled(4, 1)  # at once, of different roles: each stalls its own group
TICKETS = scaled(1000, 50000)  # events
IN_FLIGHT = 32  # jobs of a worker at once
TICKET_STAGES = ("classifier", "retriever", "generator")

# Which roles pass the points of a folder of src, and the exceptions: of one file, of one role.
PASSED_BY = {"engine": WORKERS, "bus": WORKERS, "stages": WORKERS, "model": ("generator",), "gateway": ("gateway",)}
NOT_HERE = {"dead": "helpdesk dlq passes them", "registry": "only with a schema registry", "sync": "test_kb_kills passes them",
            "delivery_at_least_once": "not with exactly-once commits"}
NOT_PASSED = {("logger", "commit.outputs_sent"): "has no outputs", ("kb-sync", "commit.outputs_sent"): "has no outputs"}


def planted_kills():
    """(role, point) of all that this test can reach; the short run takes each point once, by one role after the other."""
    pairs = []
    for index, (name, place) in enumerate(sorted(crash_points().items())):
        if any(place.stem.startswith(stem) for stem in NOT_HERE):
            continue
        roles = [role for role in PASSED_BY[place.parent.name] if (role, name) not in NOT_PASSED]
        pairs += [(role, name) for role in (roles if FULL else [roles[index % len(roles)]])]
    return pairs


class Killer:
    """Kills one process each time it is asked: first at the crash points, then at random."""

    def __init__(self, trial, planted):
        self.trial = trial
        self.dice = random.Random(20261124)
        self.planted = list(planted)
        self.waiting = []  # planted files that nobody has taken

    def volley(self):
        roles = set()
        while len(roles) < VOLLEY:
            roles.add(self.kill(roles))

    def kill(self, spared=()):
        """The role of which one dies, or will at its crash point."""
        fleet = self.trial.fleet
        pair = next((pair for pair in self.planted if pair[0] not in spared), None)
        if pair:
            self.planted.remove(pair)
            role, how = pair
            self.waiting.append(fleet.plant(role, how))
        else:
            member = self.dice.choice([m for m in fleet.members if m.alive and m.role not in spared])
            role, how = member.role, "random"
            member.kill()
        self.trial.history.add("kill", role=role, how=how, in_flight=IN_FLIGHT if role == "generator" else 0)
        return role

    def not_reached(self):
        self.waiting = [path for path in self.waiting if path.exists()]
        return [path.name for path in self.waiting]

    def withdraw(self):
        """Nobody dies any more; the points that were not passed."""
        missed = self.not_reached()
        for path in self.waiting:
            path.unlink(missing_ok=True)
        return missed


def keep_notifying(trial):
    """A document changes, and kb-sync is told: it has something to do."""
    (trial.fleet.kb / "news.md").write_text(f"# News\n\nThis is what is new at {time.time()}.\n")
    for gateway in (1, 2):
        try:
            if http("POST", trial.fleet.url(gateway) + "/kb/sync", {}).status == 200:
                return
        except OSError:
            pass  # it was just killed: then the other one


def test_kills(trial, kafka, model):
    """Every role, at every named crash point and at random, under load."""
    roles = {"gateway": 2, "classifier": 2, "retriever": 2, "generator": 2, "logger": 2, "kb-sync": 1}
    one = trial(kafka, roles, settings={"HELPDESK_ENGINE_IN_FLIGHT": str(IN_FLIGHT), "HELPDESK_KAFKA_SESSION_TIMEOUT": "6s",
                                        "HELPDESK_MODEL_PRICES": f"{model.model}=3/15", "HELPDESK_BUDGET_USD_PER_DAY": "1000000",
                                        **model.settings})  # with a price, so that calls are reserved first
    one.fleet.sync()
    model.control(latency_ms=[1, 60])
    planted = planted_kills()
    killer = Killer(one, planted)
    users = Users(one.history, one.fleet, [1, 2], threads=4, may_break=True)
    volleys = max(KILLS, len(planted)) // VOLLEY
    every = TICKETS // (volleys + 1)
    for i in one.pump(TICKETS):
        if i % every == every - 1 and i // every < volleys:
            keep_notifying(one)
            killer.volley()
    for _ in range(60):  # more work, for points that were not passed yet
        if not killer.not_reached():
            break
        keep_notifying(one)
        one.send(60)
        time.sleep(1)
    users.stop()
    missed = killer.withdraw()
    one.fleet.wait_ready()
    one.fleet.sync()
    assert one.fleet.sql("SELECT count(*) FROM kb_documents WHERE object_key = 'news.md' AND state = 'ready'") == [(1,)]
    one.log_calls(model)
    verdict = one.finish(users)
    for name in missed:
        verdict.add("not reached", f"{name}: no process passed this crash point")
    one.report(verdict, crash_points=len(planted), deaths=len(one.fleet.deaths))


def test_killed_all_at_once_is_not_torn(trial, kafka):
    """What is committed is whole at any moment: outputs, offsets and the map of what is done beyond them."""
    one = trial(kafka)
    for round_ in range(scaled(1, 5)):
        one.send(300, ahead=250)
        for member in one.fleet.members:
            if member.role in TICKET_STAGES:
                one.history.add("kill", role=member.role, how="all at once", in_flight=0)
                member.kill(restart=False)
        frozen = History(one.fleet.folder / f"frozen-{round_}.jsonl")
        reader = ReaderProcess(one.fleet.folder, frozen, one.fleet.brokers, one.fleet.prefix, groups=TICKET_STAGES)
        reader.drain()
        one.publisher.flush()
        sent = [line for line in one.history.lines() if line["what"] == "sent"]
        verdict = judge(sent + frozen.lines())
        assert frozen.lines()[-1]["what"] == "position", "no position was committed"
        assert verdict.ok, str(verdict)
        for member in one.fleet.members:
            if member.role in TICKET_STAGES:
                member.start()
    one.report(one.finish())


def commit_points():
    """Those within a commit: a transaction is open, or its offsets are not there yet."""
    return sorted(name for name, place in crash_points().items()
                  if name.startswith("commit.") and not any(place.stem.startswith(stem) for stem in NOT_HERE))


def go_on_after(one, since, topic, partitions):
    """Seconds from `since` until a committed reader has seen something new on every partition."""
    first = {}
    for line in one.history.lines():
        if line["what"] == "seen" and line["topic"] == topic and line["at"] > since:
            first.setdefault(line["partition"], line["at"] - since)
    return max(first.values()) if len(first) == partitions else None


def test_killed_within_a_commit_and_restarted_elsewhere(trial, kafka):
    """Its open transaction keeps committed readers waiting: not for long, though nobody comes back under its name."""
    one = trial(kafka, {**dict.fromkeys(("gateway", "retriever", "generator", "logger"), 1), "classifier": 1},
                settings={"HELPDESK_KAFKA_SESSION_TIMEOUT": "6s"})
    points = commit_points()
    assert points, "the sources name no crash point within a commit"
    longest = 0
    for number, point in enumerate(points, 2):
        victim = next(member for member in one.fleet.of("classifier") if member.alive)
        victim.wanted = False
        one.fleet.plant("classifier", point)
        wait_until(f"death at {point}", 60, lambda v=victim: one.publish(20) and not v.alive)
        since = time.time()
        one.history.add("kill", role="classifier", how=point, in_flight=0)
        one.fleet.add("classifier", number)  # another instance: it cannot fence the dead one by name
        one.publish(80)
        took = wait_until("readers go on", 60, lambda s=since: go_on_after(one, s, "tickets.classified", 4))
        assert took <= 25, f"killed at {point}: readers waited {took:.1f} s"
        longest = max(longest, took)
    one.report(one.finish(), points=len(points), longest_wait_s=round(longest, 1))


def test_at_least_once_is_seen_to_repeat(trial, kafka):
    """The rig itself: without transactions a kill between produce and commit gives duplicates, which the verdict names."""
    one = trial(kafka, {"gateway": 1, "classifier": 1, "retriever": 1, "generator": 1, "logger": 1},
                settings={"HELPDESK_ENGINE_DELIVERY": "at_least_once", "HELPDESK_KAFKA_SESSION_TIMEOUT": "6s"})
    planted = one.fleet.plant("classifier", "commit.outputs_acknowledged")
    one.send(200)
    assert not planted.exists(), "the crash point was not passed"
    verdict = one.finish()
    assert "duplicate" in verdict.problems and set(verdict.problems) <= {"duplicate", "order"}, str(verdict)
    verdict.problems.clear()
    one.report(verdict)
