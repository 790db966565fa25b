"""Judges the log of a fault test (history.py): what was lost, doubled, out of order or torn."""

import collections

from offset_map import finished_beyond

ANSWERED = "tickets.answered"
# Each stage's group, what it reads and where its output goes. A stage may also finish a ticket: with an answer, or a
# dead letter and a `failed` answer.
STAGES = {"classifier": ("tickets.submitted", "tickets.classified"),
          "retriever": ("tickets.classified", "tickets.enriched"),
          "generator": ("tickets.enriched", ANSWERED)}
LOGGED = [ANSWERED] + [source for source, _ in STAGES.values()] + [f"{stage}.dead" for stage in STAGES]
READ_BY = {"logger": LOGGED, **{stage: [source] for stage, (source, _) in STAGES.items()}}
SHOWN = 5  # examples of one kind of problem


class Verdict:
    """`problems`: kind -> texts; empty when all held. `figures`: what was counted."""

    def __init__(self):
        self.problems = collections.defaultdict(list)
        self.figures = {}

    def add(self, kind, text):
        self.problems[kind].append(text)

    @property
    def ok(self):
        return not self.problems

    def __str__(self):
        lines = []
        for kind, texts in self.problems.items():
            lines.append(f"{kind}: {len(texts)}")
            lines += [f"  {text}" for text in texts[:SHOWN]]
        return "\n".join(lines) or "all held"


class Book:
    """The log, sorted into what the checks look at."""

    def __init__(self, lines):
        self.by = collections.defaultdict(list)
        for line in lines:
            self.by[line["what"]].append(line)
        self.sent = {line["event"]: line for line in self.by["sent"]}
        self.acked = {line["event"]: line for line in self.by["acked"]}
        self.on = collections.defaultdict(list)
        for line in sorted(self.by["seen"], key=lambda line: (line["partition"], line["offset"])):
            self.on[line["topic"]].append(line)
        self.events_on = {topic: collections.Counter(line["event"] for line in lines) for topic, lines in self.on.items()}
        self.letters = collections.defaultdict(dict)  # topic -> (partition, offset) of what became a dead letter -> letter
        for line in self.by["letter"]:
            place = line["headers"]
            self.letters[place["helpdesk.error.topic"]][
                int(place["helpdesk.error.partition"]), int(place["helpdesk.error.offset"])] = line


def altered(line, letter):
    """What a dead letter does not keep of the record: key, value and headers, byte for byte."""
    kept = {name: value for name, value in letter["headers"].items() if not name.startswith("helpdesk.error.")}
    return [what for what, was, now in (("key", line["key"], letter["key"]), ("value", line["value"], letter["value"]),
                                        ("headers", line["headers"], kept)) if was != now]


def check_lost(book, verdict):
    """Whatever the broker acknowledged has an answer, or a dead letter where that was to be expected."""
    answered = book.events_on.get(ANSWERED, {})
    for event, line in book.acked.items():
        place = f"{line['topic']}/{line['partition']}@{line['offset']}"
        if line.get("expect", "answer") == "letter":
            letter = book.letters[line["topic"]].get((line["partition"], line["offset"]))
            if letter is None:
                verdict.add("lost", f"{place} is in no dead letter")
            elif altered(line, letter):
                verdict.add("altered", f"the dead letter of {place} differs in {', '.join(altered(line, letter))}")
        elif event not in answered:
            seen_on = [topic for topic, events in book.events_on.items() if event in events]
            verdict.add("lost", f"{event} ({book.sent[event]['key']}, {place}) has no answer; seen on {', '.join(seen_on) or 'no topic'}")
    for event in answered:
        if event not in book.sent:
            verdict.add("unknown", f"{event} was answered and never sent")
    verdict.figures.update(acknowledged=len(book.acked), answered=len(answered), letters=len(book.by["letter"]))


def check_failed(book, verdict):
    """A ticket that should be answered did not end in a failure."""
    failed = [line for line in book.on[ANSWERED] if line["state"] == "failed"]
    for line in failed:
        if book.sent.get(line["event"], {}).get("may_fail"):
            continue
        verdict.add("failed", f"{line['event']} ({line['key']}) was answered as failed")
    verdict.figures["failed"] = len(failed)


def check_duplicates(book, verdict):
    """A committed reader sees each event once on each topic, and each record has one dead letter."""
    doubled = 0
    for topic, events in book.events_on.items():
        for event, count in events.items():
            if count > 1:
                doubled += count - 1
                verdict.add("duplicate", f"{event} is {count} times on {topic}")
    places = collections.Counter((line["headers"]["helpdesk.error.topic"], line["headers"]["helpdesk.error.partition"],
                                  line["headers"]["helpdesk.error.offset"]) for line in book.by["letter"])
    for place, count in places.items():
        if count > 1:
            verdict.add("duplicate", f"{count} dead letters of {'/'.join(place)}")
    verdict.figures["duplicates"] = doubled


def check_order(book, verdict):
    """The events of one key come in the order in which they were sent, on every topic."""
    for topic, lines in book.on.items():
        last = {}
        for line in lines:
            before = last.get(line["key"])
            if before and (line["sequence"] < before["sequence"] or line["partition"] != before["partition"]):
                verdict.add("order", f"{line['key']} on {topic}: {before['sequence']} at {before['partition']}@{before['offset']}, "
                            f"then {line['sequence']} at {line['partition']}@{line['offset']}")
            last[line["key"]] = line


def done_offsets(book):
    """(stage, partition) -> (committed offset, offsets done beyond it)."""
    positions = {}
    for line in book.by["position"]:
        positions[line["group"], line["topic"], line["partition"]] = (
            line["offset"], finished_beyond(line["metadata"], line["offset"]))
    return positions


def check_torn(book, verdict):
    """What counts as done has its output, and what has an output counts as done: they were committed together."""
    positions = done_offsets(book)
    for stage, (source, target) in STAGES.items():
        if not any(group == stage for group, _, _ in positions):
            continue
        for line in book.on[source]:
            committed, beyond = positions.get((stage, source, line["partition"]), (0, set()))
            done = line["offset"] < committed or line["offset"] in beyond
            out = (line["event"] in book.events_on.get(target, {}) or line["event"] in book.events_on.get(ANSWERED, {})
                   or (line["partition"], line["offset"]) in book.letters[source])
            if done != out:
                verdict.add("torn", f"{source}/{line['partition']}@{line['offset']} ({line['event']}): "
                            + ("committed as done, but without output" if done else "has an output, but is not committed as done"))


def check_behind(book, verdict):
    """Once all is still, no group has anything left to do. (The end of a partition says nothing: markers of
    transactions have offsets, too.)"""
    if not book.by["still"]:
        return
    positions = done_offsets(book)
    behind = 0
    for group in sorted({group for group, _, _ in positions}):
        for topic in READ_BY[group]:
            for line in book.on[topic] + [line for line in book.by["letter"] if line["topic"] == topic]:
                committed, beyond = positions.get((group, topic, line["partition"]), (0, set()))
                if line["offset"] >= committed and line["offset"] not in beyond:
                    behind += 1
                    verdict.add("behind", f"{group} has not done {topic}/{line['partition']}@{line['offset']}")
    verdict.figures["behind"] = behind


def check_effects(book, verdict):
    """Every event left its rows in the database once."""
    if not book.by["row"]:
        return
    found = collections.defaultdict(set)
    for line in book.by["row"]:
        found[line["event"]].add((line["table"], line["kind"]))
        if line["count"] != 1:
            verdict.add("effect", f"{line['event']} has {line['count']} rows in {line['table']} ({line['kind']})")
    for event in book.acked:
        if event not in book.events_on.get(ANSWERED, {}):
            continue
        missing = {("runs", "finished"), ("interactions", "submitted"), ("interactions", "answered")} - found[event]
        for table, kind in sorted(missing):
            verdict.add("effect", f"{event} has no row in {table} ({kind})")
    verdict.figures["rows"] = sum(line["count"] for line in book.by["row"])


def check_calls(book, verdict):
    """Models were asked once for each event, and again at most for what was in flight when a process was killed."""
    wanted = collections.Counter(line["key"] for line in book.by["sent"])
    calls = collections.Counter(line["key"] for line in book.by["call"])
    repeated = sum(max(0, count - wanted[key]) for key, count in calls.items())
    allowed = sum(line["in_flight"] for line in book.by["kill"])
    if repeated > allowed:
        verdict.add("repeated", f"{repeated} calls of a model were repeated; {allowed} were in flight when processes were killed")
    if calls:
        verdict.figures.update(calls=sum(calls.values()), repeated_calls=repeated, in_flight_at_kills=allowed)


def check_users(book, verdict):
    """A user gets an answer, is told to look later, or is told 503 with Retry-After."""
    statuses = collections.Counter(line["status"] for line in book.by["http"])
    for line in book.by["http"]:
        if line["status"] in (200, 202) or (line["status"] == 503 and line["retry_after"]):
            continue
        if line["status"] == 0 and line.get("may_break"):
            continue
        verdict.add("user", f"{line['key']}: status {line['status']}, Retry-After {line['retry_after']}, {line.get('why', '')}")
    if statuses:
        verdict.figures["http"] = {str(status): count for status, count in sorted(statuses.items())}


CHECKS = (check_lost, check_failed, check_duplicates, check_order, check_torn, check_behind, check_effects, check_calls, check_users)


def judge(lines):
    """The verdict on a whole log."""
    book = Book(lines)
    verdict = Verdict()
    for check in CHECKS:
        check(book, verdict)
    verdict.figures["kills"] = len(book.by["kill"])
    return verdict
