"""PostgreSQL that restarts, and a broker whose disk is full."""

import os
import pathlib
import subprocess
import time

import pytest
from harness import Kafka, http, ticket, wait_until
from load import Users
from trial import scaled

DISK = 192 << 20


def test_postgres_restarts(trial, kafka):
    """Nothing acknowledged is lost, users are told to come again, all heals."""
    one = trial(kafka, {"gateway": 2, "classifier": 1, "retriever": 2, "generator": 1, "logger": 2})
    users = Users(one.history, one.fleet, [1, 2], threads=4)
    restarts = scaled(2, 5)
    for _ in range(restarts):
        one.send(scaled(200, 2000))
        one.fleet.postgres.stop()
        for _ in range(100):  # these wait: no answer can come while the retrievers have no database
            one.publisher.send()
        time.sleep(scaled(2, 10))
        one.fleet.postgres.start()
    one.wait_answers()
    one.fleet.wait_ready()
    users.stop()
    one.report(one.finish(users), restarts=restarts)


@pytest.fixture
def small_disk(folder):
    """An Apache Kafka whose data is on a disk of its own, to be filled up."""
    base = f"{folder}/small-disk"
    disk = f"{base}/1/data"
    os.makedirs(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "helpdesk-faults", disk], check=True)
    try:
        server = Kafka(base)
        server.disk = disk
        yield server
        server.stop()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk):
    """Takes all the space there is left."""
    with open(f"{disk}/filler", "wb") as filler:
        try:
            while True:
                os.write(filler.fileno(), b"\0" * (1 << 16))
        except OSError:
            pass


def test_full_disk(trial, small_disk):
    """The broker halts; intake pauses and says so; with space again and the broker back, all heals."""
    one = trial(small_disk, {"gateway": 1, "classifier": 1, "retriever": 1, "generator": 1, "logger": 1})
    one.send(scaled(200, 5000))
    one.wait_answers()
    broker = pathlib.Path(small_disk.folder, "1", "pid").read_text().strip()
    fill(small_disk.disk)
    for _ in range(100):
        one.publisher.send()
    wait_until("the broker halts", 120, lambda: not os.path.exists(f"/proc/{broker}"))
    one.history.add("kill", role="broker", how="disk full", in_flight=0)
    refused = http("POST", one.fleet.url() + "/tickets/auto-orchestrate", ticket(), timeout=120)
    assert refused.status == 503 and int(refused.headers["Retry-After"]) >= 1, refused.body
    wait_until("not ready", 60, lambda: http("GET", one.fleet.admin("gateway-1") + "/health/ready").status == 503)
    os.remove(f"{small_disk.disk}/filler")
    small_disk.start_node(1)
    one.wait_answers()
    one.send(200)
    one.fleet.wait_ready()
    one.report(one.finish(may_exit=True))
