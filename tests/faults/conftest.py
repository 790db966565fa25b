"""Servers that the fault tests share, a trial's life, and the table of figures at the end."""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from servers import folder, kafka, postgres  # noqa: E402, F401
from fake_model import FakeModel  # noqa: E402
from fleet import Fleet  # noqa: E402
from trial import REPORT, Trial  # noqa: E402

ROLES = {"gateway": 1, "classifier": 2, "retriever": 2, "generator": 2, "logger": 1, "kb-sync": 1}


def pytest_configure():
    # A run that is told to end still stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


@pytest.fixture
def trial(request, folder, postgres):
    """Makes a trial on a fleet of its own; everything of it ends with the test."""
    made = []

    def make(kafka, roles=None, **options):
        name = request.node.name.removeprefix("test_")
        fleet = Fleet(f"{folder}/{name}", postgres, kafka, roles or ROLES, **options)
        fleet.start()
        made.append(Trial(name, fleet))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def model():
    """The stand-in for a language model."""
    with FakeModel() as made:
        yield made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """What was reported goes with the test's own report: it may run in a process of its own."""
    made = (yield).get_result()
    made.user_properties.extend(("held", row) for row in REPORT)
    REPORT.clear()


def pytest_terminal_summary(terminalreporter):
    tests = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    rows = [row for test in tests if test.when == "call" for name, row in test.user_properties if name == "held"]
    if not rows:
        return
    terminalreporter.section("what held")
    for name, seconds, figures, problem in rows:
        told = ", ".join(f"{what.replace('_', ' ')} {count}" for what, count in figures.items())
        terminalreporter.write_line(f"{'FAILED' if problem else 'held  '} {name} ({seconds:.0f} s): {told}")
