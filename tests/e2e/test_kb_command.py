"""`helpdesk kb`: what the base holds, what failed, what changed, and reading it again."""

import concurrent.futures
import datetime
import json
import pathlib
import random
import shutil
import uuid

from harness import Stack, ticket, wait_until
from library import Library, Readings


def kb(stack, *args, code=0):
    done = stack.run("kb", *args)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def rows(stack, *args):
    return json.loads(kb(stack, *args, "--json").stdout)


def test_a_failure_and_a_removal_are_seen(embedded):
    broken = embedded.kb / "broken-by-test.pdf"
    broken.write_bytes(b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\nand here it was cut o")
    other = embedded.kb / "broken-by-test.txt"
    other.write_bytes(b"\xff\xfe\x00\xd8 no text at all \x00\x01")
    sound = embedded.kb / "sound-by-test.txt"
    sound.write_bytes("Beside the broken ones stands: Grüße.".encode("cp1252"))
    try:
        job = json.loads(kb(embedded, "sync", "--full", "--url", embedded.url(), "--wait", "--json").stdout)  # a scan may have been first
        assert job["status"] == "done" and job["failed"] == 2, job
        reasons = {failure["key"]: failure["why"] for failure in job["failures"]}
        assert reasons == {broken.name: "the PDF is damaged or incomplete",
                           other.name: "the document is not valid UTF-16LE (at byte 2)"}
        assert {failure["key"]: failure["why"] for failure in rows(embedded, "failures")} == reasons
        assert embedded.sql("SELECT text FROM kb_passages WHERE object_key = 'sound-by-test.txt'") == [("Beside the broken ones stands: Grüße.",)]
        status, = rows(embedded, "status")
        assert status["failed"] == 2 and status["ready"] >= 30 and status["passages"] >= status["ready"]
    finally:
        for path in (broken, other, sound):
            path.unlink()
    assert "removed" in kb(embedded, "sync", "--url", embedded.url(), "--wait").stdout
    assert rows(embedded, "failures") == []
    removed, failed = rows(embedded, "history", broken.name)
    assert (removed["kind"], failed["kind"]) == ("removed", "failed")
    assert removed["revision"] > failed["revision"]
    newest, = rows(embedded, "history", "--last", "1")
    assert newest["kind"] == "removed"
    after, = rows(embedded, "status")
    assert after["revision"] == newest["revision"] and after["failed"] == 0
    assert "No document failed." in kb(embedded, "failures").stdout


def test_a_withdrawn_document_is_seen_and_not_cited(embedded):
    page = embedded.kb / "stripes-by-test.md"
    text = "# Stripes\n\nStripes mode is switched on with the xylophone lever.\n"
    try:
        page.write_text(f"---\nstatus: withdrawn\n---\n{text}")
        assert embedded.sync()["left"] == 0
        hidden, = rows(embedded, "withdrawn")
        assert (hidden["key"], hidden["why"]) == (page.name, "its status is withdrawn")
        assert rows(embedded, "status")[0]["withdrawn"] == 1 and rows(embedded, "failures") == []
        asked = ticket(subject="Stripes mode", description="How do I switch stripes mode on?")
        assert "xylophone" not in json.dumps(embedded.ask(asked))
        page.write_text(text)
        assert ", 0 left" in kb(embedded, "sync", "--url", embedded.url(), "--wait").stdout
        assert "xylophone" in json.dumps(embedded.ask(asked))
        assert [change["kind"] for change in rows(embedded, "history", page.name)] == ["put", "withdrawn"]
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        page.write_text(f"---\nexpires: {soon.isoformat(timespec='seconds')}\n---\n{text}")
        expired, = wait_until("its time", 60, lambda: rows(embedded, "withdrawn"))  # without a word from anybody
        assert expired["why"].startswith("it expired on")
        page.write_text(text)
        embedded.sync()
        assert "No document is withdrawn." in kb(embedded, "withdrawn").stdout
        assert rows(embedded, "status", "--tenant", "nobody") == []
    finally:
        page.unlink()
        embedded.sync()


def test_short_answers_are_quoted(embedded):
    """A question in the title and two words below it are an answer; what is quoted in its place is not as sure."""
    asked = ticket(subject="Warranty of the Vexolamp", description="How long is the warranty of the Vexolamp?")
    table = embedded.kb / "short-by-test.csv"
    try:
        table.write_text("question,answer\nHow long is the warranty of the Vexolamp?,3 years.\nCan I pay with Zebracard?,No.\n")
        embedded.sync()
        draft = embedded.ask(asked)["generation"]["primary_draft"]
        assert "3 years [" in draft["text"] and draft["ready"] and "default/short-by-test.csv#1" in draft["citations"], draft
        table.write_text("question,answer,locale\nHow long is the warranty of the Vexolamp?,Es sind drei Jahre und mehr.,de\n")
        embedded.sync()
        draft = embedded.ask(dict(asked, ticket_id=f"short-{uuid.uuid4()}"))["generation"]["primary_draft"]
        assert not draft["ready"] and "default/short-by-test.csv#1" not in draft["citations"], draft
    finally:
        table.unlink()
        embedded.sync()


def test_two_processes_read_a_changing_folder(embedded):
    """One looks through it by itself, another because somebody asks for it: neither undoes what the other did."""
    library = Library(embedded.kb / "storm", 60, random.Random(7))
    readings = Readings(library.folder)
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for _ in range(8):
                job = pool.submit(embedded.sync)
                library.turn()
                job.result()
        wait_until("the base equals the folder", 60, lambda: library.base(embedded, "storm/") == library.texts)
        assert readings.most() <= 2, sorted(which for which, count in readings.counts.items() if count > 2)
    finally:
        shutil.rmtree(library.folder)
        embedded.sync()
    assert library.base(embedded, "storm/") == {}


def test_a_source_that_left_the_settings_is_forgotten(folder, postgres):
    places = {name: pathlib.Path(folder, f"forget-{name}") for name in ("shop", "old-shop")}
    for name, place in places.items():
        place.mkdir()
        for i in range(130 if name == "old-shop" else 3):
            (place / f"{i}.md").write_text(f"# Zebra mode {i}\n\nThe zebra lever of the {name} is in drawer {i}.\n")
    listed = pathlib.Path(folder, "forget.json")
    listed.write_text(json.dumps([{"name": name, "place": str(place)} for name, place in places.items()]))
    stack = Stack(f"{folder}/forget", postgres, settings={"HELPDESK_KB_SOURCES": str(listed), "HELPDESK_KB_SOURCE": ""}).start()
    try:
        def ready():
            return {row["source"]: row["ready"] for row in rows(stack, "status")}
        wait_until("both sources", 60, lambda: ready() == {"shop": 3, "old-shop": 130})
        assert "is in the settings" in kb(stack, "forget", "old-shop", "--yes", code=2).stderr
        assert stack.stop() == 0
        listed.write_text(json.dumps([{"name": "shop", "place": str(places["shop"])}]))
        stack.start()
        asked = ticket(subject="Zebra mode", description="Where is the zebra lever?")
        assert "old-shop" in json.dumps(stack.ask(asked))  # nobody takes it away unasked
        assert rows(stack, "forget", "old-shop", "--dry-run") == {"source": "old-shop", "documents": 130, "removed": False}
        assert "130 documents" in kb(stack, "forget", "old-shop", code=2).stderr
        assert "no document" in kb(stack, "forget", "nobody", "--yes", code=1).stderr
        assert "no document" in kb(stack, "forget", "old-shop", "--tenant", "other", "--yes", code=1).stderr
        assert ready() == {"shop": 3, "old-shop": 130}
        assert "130 documents of source \"old-shop\" were removed" in kb(stack, "forget", "old-shop", "--yes").stdout
        assert ready() == {"shop": 3, "old-shop": 0}
        assert {change["kind"] for change in rows(stack, "history", "--source", "old-shop", "--last", "130")} == {"removed"}
        answer = json.dumps(stack.ask(asked))
        assert "zebra lever of the shop" in answer and "old-shop" not in answer
        assert stack.sql("SELECT source FROM kb_scans") == [("shop",)]
    finally:
        assert stack.stop() == 0


def test_wrong_use(embedded):
    assert "name of a source" in kb(embedded, "forget", code=2).stderr
    assert "name of a source" in kb(embedded, "forget", "a", "--source", "a", code=2).stderr
    assert "are for rollback and forget" in kb(embedded, "status", "--yes", code=2).stderr
    assert "should be status" in kb(embedded, "nonsense", code=2).stderr
    assert "--last" in kb(embedded, "history", "--last", "0", code=2).stderr
    assert "are for sync" in kb(embedded, "status", "--full", code=2).stderr
    for report in ("status", "failures", "withdrawn", "history"):
        assert 'knows no source "nobody"; it has default' in kb(embedded, report, "--source", "nobody", code=1).stderr
    assert 'knows no source "a"; it has none yet' in kb(embedded, "status", "--tenant", "nobody", "--source", "a", code=1).stderr
    assert 'knows no document "no/such.md"' in kb(embedded, "history", "no/such.md", code=1).stderr
    assert "empty" in kb(embedded, "status", "--tenant", "nobody").stdout
    new = embedded.run("kb", "failures", "--source", "new", env={"HELPDESK_KB_NAME": "new"})
    assert new.returncode == 0 and "No document failed." in new.stdout, new.stderr
    refused = kb(embedded, "sync", "--url", embedded.url(), "--source", "a\nb", code=1).stderr
    assert "answered 400: " in refused and "source" in refused, refused
    assert kb(embedded, "sync", "--url", "http://127.0.0.1:9", code=1).stderr
