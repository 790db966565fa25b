"""`helpdesk kb`: what the base holds, what failed, what changed, and reading it again."""

import concurrent.futures
import json
import random
import shutil

from harness import wait_until
from library import Library, Readings


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


def test_wrong_use(embedded):
    assert "should be status" in kb(embedded, "nonsense", code=2).stderr
    assert "--last" in kb(embedded, "history", "--last", "0", code=2).stderr
    assert "are for sync" in kb(embedded, "status", "--full", code=2).stderr
    assert "nobody" not in kb(embedded, "status", "--source", "nobody").stdout
    assert kb(embedded, "sync", "--url", "http://127.0.0.1:9", code=1).stderr
