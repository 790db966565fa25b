"""kb-sync killed with SIGKILL while it brings a folder into the base and the folder changes: the base equals the folder in the
end, and no version of a document is read more than twice."""

import ctypes
import os
import pathlib
import random
import struct
import threading
import time

from fleet import Fleet, crash_points
from harness import wait_until
from trial import REPORT, say, scaled

DOCUMENTS = scaled(300, 6000)
KILLS = scaled(4, 50)
POINTS = sorted(name for name, place in crash_points().items() if place.parent.name == "kb")
TURNS = 4  # documents that are changed, deleted and made at each kill


class Readings:
    """Counts how often each version of a file of a folder is opened, as the kernel tells it. A version is moved into its place."""

    OPEN, MOVED_TO, CLOSE_NOWRITE, OVERFLOW, IS_DIR = 0x20, 0x80, 0x10, 0x4000, 0x40000000

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC)
        self.watch = libc.inotify_add_watch(self.fd, os.fsencode(folder), self.OPEN | self.MOVED_TO | self.CLOSE_NOWRITE)
        assert self.fd >= 0 and self.watch >= 0, os.strerror(ctypes.get_errno())
        self.counts = {}  # (name, version) -> openings
        self.versions = {}
        self.lost = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            data, at = os.read(self.fd, 1 << 20), 0
            while at < len(data):
                _, mask, _, length = struct.unpack_from("iIII", data, at)
                name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
                at += 16 + length
                if mask & self.OVERFLOW:
                    self.lost = True
                elif name.endswith(".md") and mask & self.MOVED_TO:
                    self.versions[name] = self.versions.get(name, 0) + 1
                elif name.endswith(".md") and mask & self.OPEN and not mask & self.IS_DIR:
                    which = (name, self.versions.get(name, 0))
                    self.counts[which] = self.counts.get(which, 0) + 1


class Library:
    """A folder of documents, and what they say."""

    def __init__(self, folder):
        self.folder = folder
        self.texts = {}
        self.made = 0
        folder.mkdir(parents=True)

    def write(self, name):
        self.made += 1
        self.texts[name] = f"The {self.made}th thing that was ever written here is about {name}."
        new = self.folder.parent / "new"
        new.write_text(f"# Document\n\n{self.texts[name]}\n")
        new.rename(self.folder / name)

    def delete(self, name):
        del self.texts[name]
        (self.folder / name).unlink()

    def turn(self, dice):
        """Some change, some go, some come, anywhere: before, behind and where the walk is."""
        for name in dice.sample(sorted(self.texts), 2 * TURNS):
            if dice.random() < 0.5:
                self.write(name)
            else:
                self.delete(name)
        for _ in range(TURNS):
            self.write(f"doc-{dice.randrange(DOCUMENTS):05}-{self.made}.md")


def worker(fleet):
    """The process whose turn it is to look through the folder."""
    holder = fleet.sql("SELECT holder FROM kb_scans")[0][0]
    return next(member for member in fleet.members if member.instance == holder)


def die(fleet, kill, dice):
    """One process dies: at a crash point that it passes, or anywhere."""
    deaths = len(fleet.deaths)
    if kill % 2 == 0:
        planted = fleet.plant("kb-sync", POINTS[kill // 2 % len(POINTS)])
        wait_until(f"death at {planted.name}", 60, lambda: len(fleet.deaths) > deaths)
        return
    time.sleep(dice.random() / 10)
    member = worker(fleet)
    wait_until("it runs", 60, lambda: member.alive)
    member.kill()
    wait_until("death", 60, lambda: len(fleet.deaths) > deaths)


def base(fleet):
    return dict(fleet.sql("SELECT d.object_key, string_agg(p.text, '|') FROM kb_documents d LEFT JOIN kb_passages p "
                          "USING (tenant, source, object_key) GROUP BY 1"))


def test_killed_while_it_reads(folder, postgres, kafka):
    begun = time.monotonic()
    dice = random.Random(20261130)
    library = Library(pathlib.Path(f"{folder}/kb-kills-library/documents"))
    for number in range(DOCUMENTS):
        library.write(f"doc-{number:05}.md")
    readings = Readings(library.folder)
    fleet = Fleet(f"{folder}/kb-kills", postgres, kafka, {"kb-sync": 2},
                  settings={"HELPDESK_KB_SOURCE": str(library.folder), "HELPDESK_KB_SCAN_INTERVAL": "500ms", "HELPDESK_KAFKA_SESSION_TIMEOUT": "6s"})
    fleet.start(wait=False)
    try:
        for kill in range(KILLS):
            progress = (kill + 1) * DOCUMENTS // (KILLS + 1)
            wait_until(f"{progress} documents", 120, lambda p=progress: fleet.sql("SELECT count(*) >= %s FROM kb_documents", p)[0][0])
            library.turn(dice)
            die(fleet, kill, dice)
        wait_until("the base equals the folder", 180, lambda: base(fleet) == library.texts)
        fleet.wait_ready()
        assert fleet.stop() == {}
    finally:
        fleet.end()
    assert [code for _, code in fleet.deaths] == [-9] * KILLS, fleet.deaths
    assert base(fleet) == library.texts
    assert not readings.lost
    most = max(readings.counts.values())
    assert most <= 2, sorted(which for which, count in readings.counts.items() if count > 2)
    figures = {"kills": KILLS, "documents": len(library.texts), "versions_read": len(readings.counts),
               "read_twice": sum(count == 2 for count in readings.counts.values()), "most_readings_of_one": most}
    REPORT.append(("kb_kills", time.monotonic() - begun, figures, ""))
    say(f"kb_kills: {figures}")
