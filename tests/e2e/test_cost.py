"""What models may cost and did: the bound on what they write, the ledger, `helpdesk cost`. Budgets in a whole stack: test_model.py."""

import json
import os
import signal
import subprocess

import psycopg2
import pytest

from fake_model import FakeModel
from harness import PROGRAM

OFFLINE = "offline-extractive/1"
LIMIT = 0.15  # USD
USED_UP = "the tenant's budget of the day is used up: "


@pytest.fixture(scope="module")
def model():
    with FakeModel() as server:
        yield server
        assert server.stats()["problems"] == []


class House:
    """A database, and commands that use it and the fake model."""

    def __init__(self, url, model):
        self.url = url
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("HELPDESK_", "OPENAI_"))}
        self.env.update(model.settings, DATABASE_URL=url, HELPDESK_MODEL_PRICES="test-model-*=3/15", HELPDESK_BUDGET_USD_PER_DAY=f"{LIMIT},rich=50")

    def run(self, *args, stdin=None, env=None):
        return subprocess.run([PROGRAM, *args], env={**self.env, **(env or {})}, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60, check=False)

    def sql(self, query):
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        connection.cursor().execute(query)
        connection.close()


@pytest.fixture(scope="module")
def house(postgres, model):
    made = House(postgres.make_database("cost"), model)
    assert made.run("migrate", "up").returncode == 0
    return made


def cost(house, *args):
    done = house.run("cost", "--json", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def today(house, tenant):
    row, = cost(house, "--tenant", tenant)["today"]
    return row


def try_generator(house, tenant, crash=None, **env):
    event = {"tenant": tenant, "ticket": {"subject": "Hub", "description": "My hub blinks red.", "customer_external_id": "C-1"}}
    return house.run("try", "generator", stdin=json.dumps(event), env={**({"HELPDESK_CRASH_DIR": str(crash)} if crash else {}), **env})


def test_a_call_that_a_crash_makes_happen_again_is_paid_and_counted_again(house, tmp_path):
    def row():
        return (cost(house, "--tenant", "crashing")["rows"] or [None])[0]

    (tmp_path / "try.budget.held").touch()  # reserved, nobody asked yet
    assert try_generator(house, "crashing", tmp_path).returncode == -signal.SIGKILL
    held = today(house, "crashing")["reserved_usd"]
    assert held > 0.01 and row() is None
    house.sql("SELECT cost_expire('crashing', now() + interval '1 hour')")
    assert (row()["calls"], row()["lost"]) == (1, 1) and row()["cost_usd"] == pytest.approx(held)
    (tmp_path / "try.model.answered").touch()  # paid, and not yet committed
    assert try_generator(house, "crashing", tmp_path).returncode == -signal.SIGKILL
    assert (row()["calls"], row()["lost"]) == (2, 1)
    assert try_generator(house, "crashing", tmp_path).returncode == 0
    assert (row()["calls"], row()["lost"]) == (3, 1) and today(house, "crashing")["reserved_usd"] == 0


def test_an_answer_is_cut_at_the_bound_and_the_bound_goes_by_either_name(house, model):
    model.forget()
    done = try_generator(house, "rich", HELPDESK_MODEL_MAX_OUTPUT_TOKENS="20")
    step = json.loads(done.stdout)["steps"][-1]
    assert step["model"] == OFFLINE and "cut off for its length, at model.max-output-tokens" in step["degraded"][-1]
    assert step["output_tokens"] == 40 and [entry["most"] for entry in model.journal()] == [20, 20]
    model.forget()
    model.control(max_tokens=False)
    try:
        step = json.loads(try_generator(house, "rich").stdout)["steps"][-1]
        assert step["model"].startswith(model.model) and step["degraded"] == []
        assert [entry["status"] for entry in model.journal()] == [400, 200] and model.journal()[1]["most"] == 2048
    finally:
        model.control(max_tokens=True)


def test_an_answer_that_never_comes_counts_as_the_most_it_can_cost(house, model):
    model.control(next=["hang"])
    done = try_generator(house, "waiting", HELPDESK_MODEL_TIMEOUT="1s")
    assert "model_timeout" in done.stderr
    row, = cost(house, "--tenant", "waiting")["rows"]
    assert (row["calls"], row["lost"], row["output_tokens"]) == (1, 1, 2048)
    model.control(next=["500"])
    assert "model_failed" in try_generator(house, "failing").stderr  # what is refused costs nothing
    assert cost(house, "--tenant", "failing")["rows"] == []


def test_a_classification_is_bounded_and_in_the_ledger(house, model):
    model.forget()
    event = {"tenant": "sorting", "ticket": {"subject": "Hello", "description": "Something about my thing is strange.", "customer_external_id": "C-1"}}
    env = {"HELPDESK_MODEL_CLASSIFY": model.model}
    step = json.loads(house.run("try", "classifier", stdin=json.dumps(event), env=env).stdout)["steps"][-1]
    assert step["model"].startswith(model.model) and [entry["most"] for entry in model.journal()] == [512]
    row, = cost(house, "--tenant", "sorting")["rows"]
    assert row["stage"] == "classifier" and row["cost_usd"] == pytest.approx(step["cost_usd"])
    step = json.loads(house.run("try", "classifier", stdin=json.dumps(event), env={**env, "HELPDESK_BUDGET_USD_PER_DAY": "0"}).stdout)["steps"][-1]
    assert step["degraded"][0].startswith(USED_UP) and step["degraded"][0].endswith("the local classifier's unsure opinion stands")


def test_the_command_tells_and_says_what_is_wrong(house):
    shown = house.run("cost", "--days", "2")
    assert shown.returncode == 0 and "\x1b" not in shown.stdout
    for words in ("tokens read", "in all", "generator", "Today, ", f"of {LIMIT} USD spent", "50.00 USD"):
        assert words in shown.stdout, shown.stdout
    assert "No model was asked today for tenant nobody." in house.run("cost", "--days", "1", "--tenant", "nobody").stdout
    for args, says in ((("--days", "0"), "--days"), (("--by", "color"), "tenant, model, stage or day"), (("x",), "x"), (("--days", "1e9"), "--days")):
        done = house.run("cost", *args)
        assert done.returncode == 2 and says in done.stderr
    assert "database.url is not set" in house.run("cost", env={"DATABASE_URL": ""}).stderr


@pytest.mark.parametrize("env, says", [({"HELPDESK_BUDGET_USD_PER_DAY": "ten"}, "budget.usd-per-day: \"ten\" must be a number"),
                                       ({"HELPDESK_BUDGET_TOKENS_PER_DAY": "0,acme"}, "budget.tokens-per-day: \"acme\" must be tenant=number"),
                                       ({"DATABASE_URL": ""}, "database.url is not set")])
def test_a_stage_that_cannot_keep_a_budget_does_not_start(house, tmp_path, env, says):
    done = house.run("generator", env={**env, "HELPDESK_INSTANCE": "odd", "HELPDESK_RUN_DIR": str(tmp_path)})
    assert done.returncode == 1 and "cannot start" in done.stderr and says in json.loads(done.stderr.splitlines()[-1])["error"]
