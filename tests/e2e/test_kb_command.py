"""`helpdesk kb`: what the base holds, what failed, what changed, and reading it again."""

import datetime
import json

from harness import ticket, wait_until


def kb(stack, *args, code=0):
    done = stack.run("kb", *args)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def rows(stack, *args):
    return json.loads(kb(stack, *args, "--json").stdout)


def test_a_failure_and_a_removal_are_seen(embedded):
    broken = embedded.kb / "broken-by-test.txt"
    broken.write_bytes(b"\xff\xfe\x00\xd8 no text at all \x00\x01")
    try:
        job = json.loads(kb(embedded, "sync", "--url", embedded.url(), "--wait", "--json").stdout)
        assert job["status"] == "done" and job["failed"] == 1, job
        assert [failure["key"] for failure in job["failures"]] == [broken.name] and job["failures"][0]["why"]
        failure, = rows(embedded, "failures")
        assert failure["key"] == broken.name and failure["why"] == job["failures"][0]["why"]
        status, = rows(embedded, "status")
        assert status["failed"] == 1 and status["ready"] >= 30 and status["passages"] >= status["ready"]
    finally:
        broken.unlink()
    assert "1 removed" in kb(embedded, "sync", "--url", embedded.url(), "--wait").stdout
    assert rows(embedded, "failures") == []
    removed, failed = rows(embedded, "history", broken.name)
    assert (removed["kind"], failed["kind"]) == ("removed", "failed")
    assert removed["revision"] > failed["revision"]
    assert rows(embedded, "history", "--last", "1") == [removed]
    after, = rows(embedded, "status")
    assert after["revision"] == removed["revision"] and after["failed"] == 0
    assert "No document failed." in kb(embedded, "failures").stdout


def test_a_withdrawn_document_is_seen_and_not_cited(embedded):
    page = embedded.kb / "stripes-by-test.md"
    text = "# Stripes\n\nStripes mode is switched on with the xylophone lever.\n"
    try:
        page.write_text(f"---\nstatus: withdrawn\n---\n{text}")
        job = embedded.sync()
        assert (job["changed"], job["left"]) == (1, 0), job
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


def test_wrong_use(embedded):
    assert "should be status" in kb(embedded, "nonsense", code=2).stderr
    assert "--last" in kb(embedded, "history", "--last", "0", code=2).stderr
    assert "are for sync" in kb(embedded, "status", "--full", code=2).stderr
    assert "nobody" not in kb(embedded, "status", "--source", "nobody").stdout
    assert kb(embedded, "sync", "--url", "http://127.0.0.1:9", code=1).stderr
