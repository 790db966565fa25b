"""The checker itself: a clean log passes, and each planted fault makes it fail for the right reason."""

import base64

import pytest

from checker import judge
from history import History
from offset_map import finished_beyond

TICKETS = 6
EVENTS = 3  # of one ticket
TOPICS = ["tickets.submitted", "tickets.classified", "tickets.enriched", "tickets.answered"]
GROUPS = [("classifier", TOPICS[0]), ("retriever", TOPICS[1]), ("generator", TOPICS[2])]


def clean():
    """The log of a run in which all went well: 18 events of 6 tickets on 2 partitions, one killed worker."""
    lines = []
    ends = {}
    for sequence in range(EVENTS):
        for number in range(TICKETS):
            event, key, partition = f"e{number}.{sequence}", f"default/t{number}", number % 2
            lines.append({"what": "sent", "event": event, "key": key, "sequence": sequence})
            for topic in TOPICS:
                offset = ends.setdefault((topic, partition), 0)
                ends[topic, partition] = offset + 1
                if topic == TOPICS[0]:
                    lines.append({"what": "acked", "event": event, "topic": topic, "partition": partition, "offset": offset})
                lines.append({"what": "seen", "topic": topic, "partition": partition, "offset": offset, "key": key, "event": event,
                              "correlation": "c" + event, "sequence": sequence, "state": "completed"})
            lines += [{"what": "row", "table": "runs", "kind": "finished", "event": event, "count": 1}]
            lines += [{"what": "row", "table": "interactions", "kind": kind, "event": event, "count": 1}
                      for kind in ("submitted", "classified", "enriched", "answered")]
            lines.append({"what": "call", "key": key})
            lines.append({"what": "http", "status": 200, "retry_after": None, "key": event})
    for group, topic in GROUPS:
        for partition in (0, 1):
            end = ends[topic, partition]
            lines.append({"what": "position", "group": group, "topic": topic, "partition": partition, "offset": end,
                          "metadata": ""})
    lines.append({"what": "still"})
    lines.append({"what": "kill", "role": "generator", "how": "random", "in_flight": 2})
    return lines


def find(lines, what, **fields):
    return next(line for line in lines if line["what"] == what and all(line[k] == v for k, v in fields.items()))


def test_clean_log_passes():
    verdict = judge(clean())
    assert verdict.ok, str(verdict)
    assert verdict.figures["acknowledged"] == verdict.figures["answered"] == TICKETS * EVENTS
    assert verdict.figures["duplicates"] == 0 and verdict.figures["kills"] == 1


def lose_answer(lines):
    lines.remove(find(lines, "seen", topic="tickets.answered", event="e3.1"))


def lose_everything_after_the_acknowledgement(lines):
    for topic in TOPICS:
        lines.remove(find(lines, "seen", topic=topic, event="e3.1"))


def poison(lines):
    """A record that became a dead letter: its letter, in the log already."""
    record = {"key": "k", "value": "00", "headers": {"x-mine": "1"}}
    place = {"helpdesk.error.topic": TOPICS[0], "helpdesk.error.partition": "0", "helpdesk.error.offset": "99"}
    letter = {"what": "letter", "topic": "classifier.dead", "partition": 0, "offset": 0, **record,
              "headers": {**record["headers"], **place}}
    lines += [{"what": "sent", "event": "poison", "key": "k", "sequence": 0},
              {"what": "acked", "event": "poison", "topic": TOPICS[0], "partition": 0, "offset": 99, "expect": "letter", **record},
              letter]
    return letter


def lose_letter(lines):
    lines.remove(poison(lines))


def alter_value(lines):
    poison(lines)["value"] = "01"


def alter_key(lines):
    poison(lines)["key"] = "other"


def drop_header(lines):
    del poison(lines)["headers"]["x-mine"]


def double_answer(lines):
    answer = find(lines, "seen", topic="tickets.answered", event="e2.2")
    lines.append(dict(answer, offset=answer["offset"] + 100))


def double_letter(lines):
    lines.append(dict(poison(lines), offset=1))


def answer_what_nobody_sent(lines):
    lines.append(dict(find(lines, "seen", topic="tickets.answered"), event="stranger", key="default/x", offset=200))


def swap_two_of_a_key(lines):
    first = find(lines, "seen", topic="tickets.answered", event="e4.0")
    second = find(lines, "seen", topic="tickets.answered", event="e4.1")
    first["offset"], second["offset"] = second["offset"], first["offset"]


def move_to_another_partition(lines):
    moved = find(lines, "seen", topic="tickets.enriched", event="e4.2")
    moved["partition"], moved["offset"] = 5, 0


def tear_output_off(lines):
    """The offset was committed, the output not; the event is answered in the end all the same."""
    lines.remove(find(lines, "seen", topic="tickets.classified", event="e1.2"))
    lines.remove(find(lines, "seen", topic="tickets.answered", event="e1.2"))


def tear_offset_off(lines):
    """The output was committed, the offset not."""
    position = find(lines, "position", group="retriever", partition=1)
    position["offset"] -= 1
    lines.remove(find(lines, "still"))


def leave_work(lines):
    find(lines, "position", group="retriever", partition=1)["offset"] -= 1


def leave_the_log(lines):
    """The logger has no position on a partition that has records."""
    lines.append({"what": "position", "group": "logger", "topic": TOPICS[0], "partition": 0, "offset": 99, "metadata": ""})


def double_row(lines):
    find(lines, "row", table="interactions", kind="answered", event="e0.0")["count"] = 2


def lose_row(lines):
    lines.remove(find(lines, "row", table="runs", event="e0.1"))


def ask_too_often(lines):
    lines += [find(lines, "call", key="default/t5")] * 3


def fail_a_good_ticket(lines):
    find(lines, "seen", topic="tickets.answered", event="e0.2")["state"] = "failed"


def refuse_a_user(lines):
    lines.append({"what": "http", "status": 503, "retry_after": None, "key": "u"})


def break_off_a_user(lines):
    lines.append({"what": "http", "status": 0, "retry_after": None, "key": "u"})


@pytest.mark.parametrize("plant, kind", [
    (lose_answer, "lost"), (lose_everything_after_the_acknowledgement, "lost"), (lose_letter, "lost"),
    (alter_value, "altered"), (alter_key, "altered"), (drop_header, "altered"),
    (double_answer, "duplicate"), (double_letter, "duplicate"), (answer_what_nobody_sent, "unknown"),
    (swap_two_of_a_key, "order"), (move_to_another_partition, "order"),
    (tear_output_off, "torn"), (tear_offset_off, "torn"), (leave_work, "behind"), (leave_the_log, "behind"),
    (double_row, "effect"), (lose_row, "effect"), (ask_too_often, "repeated"), (fail_a_good_ticket, "failed"),
    (refuse_a_user, "user"), (break_off_a_user, "user")], ids=lambda value: getattr(value, "__name__", value))
def test_planted_fault_is_found(plant, kind):
    lines = clean()
    plant(lines)
    verdict = judge(lines)
    assert kind in verdict.problems, str(verdict)


def test_repeated_calls_within_what_was_in_flight_are_no_fault():
    lines = clean()
    lines += [find(lines, "call", key="default/t5")] * 2
    assert judge(lines).ok


def test_dead_letter_as_it_came_is_no_fault():
    lines = clean()
    poison(lines)
    verdict = judge(lines)
    assert verdict.ok, str(verdict)
    assert verdict.figures["letters"] == 1


def test_unacknowledged_may_be_there_or_not():
    lines = clean()
    lines.append({"what": "sent", "event": "maybe", "key": "default/t9", "sequence": 0})
    lines.remove(find(lines, "acked", event="e5.2"))
    assert judge(lines).ok


def test_what_is_done_beyond_the_offset_counts_as_done():
    """Offset 5 of 9 with 6 and 8 done: the outputs of 5 and 7 are not there yet."""
    lines = clean()
    position = find(lines, "position", group="generator", partition=0)
    position.update(offset=5, metadata=map_of_two_single_runs())
    lines.remove(find(lines, "still"))
    left = [find(lines, "seen", topic="tickets.enriched", partition=0, offset=offset)["event"] for offset in (5, 7)]
    for event in left:
        lines.remove(find(lines, "seen", topic="tickets.answered", event=event))
        lines.remove(find(lines, "acked", event=event))
    assert judge(lines).ok, str(judge(lines))
    position["metadata"] = ""
    assert "torn" in judge(lines).problems


def map_of_two_single_runs():
    """k 0, count 2, runs of 1 and 1: bits 10 10."""
    return base64.b64encode(bytes([1, 0, 0, 2, 0, 0, 0, 0, 0b10100000])).decode()


def test_offset_map_is_read():
    assert finished_beyond("", 7) == set()
    assert finished_beyond(map_of_two_single_runs(), 5) == {6, 8}


def test_log_is_appended_by_several_and_followed(tmp_path):
    history = History(tmp_path / "log")
    other = History(tmp_path / "log")
    follower = history.follow()
    history.add("sent", event="a")
    other.add_all("sent", [{"event": "b"}, {"event": "c"}])
    assert [line["event"] for line in follower.lines()] == ["a", "b", "c"]
    assert follower.lines() == []
    history.add("sent", event="d")
    assert [line["event"] for line in follower.lines()] == ["d"]
    assert len(history.lines()) == 4
