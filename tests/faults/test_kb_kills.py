"""kb-sync killed with SIGKILL while it brings a folder into the base and the folder changes: the base equals the folder in the
end, and no version of a document is read more than twice."""

import pathlib
import random
import time

from fleet import Fleet, crash_points
from harness import wait_until
from library import Library, Readings
from trial import REPORT, say, scaled

DOCUMENTS = scaled(300, 6000)
KILLS = scaled(5, 50)
POINTS = sorted(name for name, place in crash_points().items() if place.parent.name == "kb")
LAST = "kb.removed"  # behind the walk: what is gone is removed when it comes there again


def points():
    """For each kill where it happens; None: anywhere."""
    early = [name for name in POINTS if name != LAST]
    made = early + [None if kill % 2 == 0 else early[kill % len(early)] for kill in range(KILLS - len(early) - 1)] + [LAST]
    assert set(POINTS) <= set(made) and len(made) == KILLS
    return made


def die(fleet, point, dice):
    """One process dies."""
    deaths = len(fleet.deaths)
    if point:
        fleet.plant("kb-sync", point)
    else:
        time.sleep(dice.random() / 10)
        holder = fleet.sql("SELECT holder FROM kb_scans")[0][0]  # whose turn it is to look through the folder
        member = next(member for member in fleet.members if member.instance == holder)
        wait_until("it runs", 60, lambda: member.alive)
        member.kill()
    wait_until(f"death at {point or 'random'}", 60, lambda: len(fleet.deaths) > deaths)


def test_kb_sync_killed_while_it_reads(folder, postgres, kafka):
    begun = time.monotonic()
    dice = random.Random(20261130)
    library = Library(pathlib.Path(f"{folder}/kb-kills-library/documents"), DOCUMENTS, dice)
    readings = Readings(library.folder)
    fleet = Fleet(f"{folder}/kb-kills", postgres, kafka, {"kb-sync": 2},
                  settings={"HELPDESK_KB_SOURCE": str(library.folder), "HELPDESK_KB_SCAN_INTERVAL": "500ms", "HELPDESK_KAFKA_SESSION_TIMEOUT": "6s"})
    fleet.start(wait=False)
    try:
        for kill, point in enumerate(points(), 1):
            progress = kill * DOCUMENTS // (KILLS + 1)
            wait_until(f"{progress} documents", 120, lambda p=progress: fleet.sql("SELECT count(*) >= %s FROM kb_documents", p)[0][0])
            library.turn()
            die(fleet, point, dice)
        wait_until("the base equals the folder", 180, lambda: library.base(fleet) == library.texts)
        fleet.wait_ready()
        assert fleet.stop() == {}
    finally:
        fleet.end()
    assert [code for _, code in fleet.deaths] == [-9] * KILLS, fleet.deaths
    assert library.base(fleet) == library.texts
    assert readings.most() <= 2, sorted(which for which, count in readings.counts.items() if count > 2)
    figures = {"kills": KILLS, "documents": len(library.texts), "versions_read": len(readings.counts),
               "read_twice": sum(count == 2 for count in readings.counts.values()), "most_readings_of_one": readings.most()}
    REPORT.append(("kb_sync_killed_while_it_reads", time.monotonic() - begun, figures, ""))
    say(f"kb_sync_killed_while_it_reads: {figures}")
