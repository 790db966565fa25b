"""tools/run --once, as a stranger uses it."""

import json
import os
import subprocess

from harness import ROOT, SAMPLE


def run_once(*args, stdin=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("HELPDESK_")}
    return subprocess.run([str(ROOT / "tools" / "run"), "--once", *args], env=env, input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=300, check=False)


def test_once_prints_the_json_answer_alone():
    done = run_once()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["generation"]["primary_draft"]["citations"]


def test_once_reads_standard_input():
    text = (SAMPLE / "tickets" / "05-german.json").read_text()
    done = run_once("-", stdin=text)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["generation"]["primary_draft"]["text"]
