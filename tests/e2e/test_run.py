"""tools/run --once, as a stranger uses it."""

import json
import os
import subprocess

from harness import ROOT, SAMPLE


def run_once(*args, stdin=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("HELPDESK_")} | more
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


def test_own_documents_are_taken(tmp_path):
    (tmp_path / "okapi.md").write_text("# Okapi mode\n\nOkapi mode of the hub is switched on with the harpsichord key.\n")
    asked = {"subject": "Okapi mode", "description": "How do I switch okapi mode of the hub on?", "customer_external_id": "C-1001"}
    done = run_once("-", stdin=json.dumps(asked), HELPDESK_KB_SOURCE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    draft = json.loads(done.stdout)["generation"]["primary_draft"]
    assert "harpsichord" in draft["text"] and "okapi.md" in json.dumps(draft["citations"])
