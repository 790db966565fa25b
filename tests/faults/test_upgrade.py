"""Workers of the previous commit and of this one, mixed under load."""

import os
import shutil
import subprocess

import pytest
from harness import ROOT, bash
from trial import scaled

PREVIOUS = ROOT / ".cache" / "previous"


def git(*words):
    done = subprocess.run(["git", "-C", str(ROOT), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def previous():
    """The program of the commit before this one, or of HELPDESK_UPGRADE_FROM."""
    wanted = os.environ.get("HELPDESK_UPGRADE_FROM", "HEAD~1")
    try:
        commit = git("rev-parse", "--verify", wanted + "^{commit}")
    except AssertionError as error:
        pytest.fail(f"the upgrade needs the history: there is no {wanted} (a shallow clone? git fetch --unshallow): {error}")
    program = PREVIOUS / f"{commit}" / "helpdesk"
    if not program.exists():
        build(commit, program)
    return str(program)


def build(commit, program):
    """Builds `commit` in a worktree of its own, which does not stay."""
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    program.parent.mkdir(parents=True)
    tree = PREVIOUS / "tree"
    git("worktree", "prune")
    git("worktree", "add", "--detach", "--force", str(tree), commit)
    try:
        bash(f'cmake -S "{tree}" -B "{tree}/build" -G Ninja && ninja -C "{tree}/build" helpdesk')
        shutil.copy(tree / "build" / "helpdesk", program)
    finally:
        git("worktree", "remove", "--force", str(tree))


def test_mixed_versions(trial, kafka, previous):
    """The old ones start on the new database; each role has an old and a new worker; then the old ones leave."""
    roles = {"gateway": 1, "classifier": 1, "retriever": 1, "generator": 1, "logger": 1, "kb-sync": 1}
    one = trial(kafka, roles)
    # What an upgrade begins with: the running version learns the schemas of the next.
    known = {"HELPDESK_SCHEMAS_FOLDER": str(ROOT / "schemas" / "avro")}
    old = [one.fleet.add(role, 50, program=previous, settings=known) for role in roles]
    one.fleet.wait_ready()
    one.send(scaled(300, 10000))
    for member in one.fleet.members:  # the new ones leave and come back, so that the old ones do all for a while
        if member not in old:
            assert member.stop() == 0
    one.send(scaled(200, 5000))
    for member in one.fleet.members:
        if member not in old:
            member.start()
    one.fleet.wait_ready()
    one.send(scaled(200, 5000))
    for member in old:
        assert member.stop() == 0
    one.send(scaled(200, 5000))
    one.report(one.finish())
