"""`helpdesk evaluate`: what it tells, that it leaves nothing behind, and that its page obeys nobody."""

import csv
import html.parser
import json
import os
import re
import signal
import subprocess
import time

import psycopg2
import pytest

from fake_model import FakeModel
from harness import PROGRAM, SAMPLE

TICKETS = SAMPLE / "evaluate.csv"
ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "table", "thead", "tbody", "tr",
           "th", "td", "ul", "ol", "li", "b", "span", "article", "blockquote"}


@pytest.fixture(scope="module")
def server(postgres):
    return postgres.make_database("evaluate_server")


def environment(server, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HELPDESK_", "OPENAI_")) and k != "DATABASE_URL"}
    return dict(clean, DATABASE_URL=server, **(env or {}))


def evaluate(server, *args, tickets=TICKETS, env=None):
    return subprocess.run([PROGRAM, "evaluate", "--tickets", str(tickets), "--kb", str(SAMPLE / "kb"), *args],
                          env=environment(server, env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False)


def sql(server, query):
    connection = psycopg2.connect(server)
    cursor = connection.cursor()
    cursor.execute(query)
    rows = cursor.fetchall()
    connection.close()
    return rows


def left_behind(server):
    return sql(server, "SELECT datname FROM pg_database WHERE datname LIKE 'helpdesk_evaluate%'")


class Page(html.parser.HTMLParser):
    """Every element of a page, checked to be one of ours and balanced."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.texts = []
        self.articles = 0
        self.policy = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED, tag
        for name, value in attrs:
            assert name in ("lang", "charset", "http-equiv", "content", "name", "class", "colspan"), (tag, name, value)
        self.articles += tag == "article"
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)
        else:
            assert "url(" not in data and "@import" not in data

    @property
    def text(self):
        return "".join(self.texts)


def test_the_sample_is_reported_and_nothing_is_left(server, tmp_path):
    path = tmp_path / "report.html"
    done = evaluate(server, "--json", "--html", str(path), "--per-day", "100")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    rows = list(csv.DictReader(TICKETS.open()))
    assert report["tickets"] == len(rows) == sum(report["outcomes"].values())
    labels = report["labels"]
    assert set(labels) == {"category", "priority", "department", "sentiment"}
    for name, row in labels["category"]["names"].items():
        assert row["labelled"] == sum(r["category"] == name for r in rows), name
    assert labels["category"]["compared"] == len(rows)
    assert labels["category"]["right"] >= 0.8 * len(rows)
    assert report["outcomes"]["ready"] > 0 and report["outcomes"]["escalated"] > 0
    assert report["documents"] > 30 and report["documents_failed"] == 0
    assert 0 < report["latency_ms"]["retrieve"]["median"] <= report["latency_ms"]["retrieve"]["p95"]
    assert len(report["drafts"]) == 20 and len({d["line"] for d in report["drafts"]}) == 20
    assert len({d["outcome"] for d in report["drafts"]}) >= 3
    assert any(d["citations"] for d in report["drafts"])
    assert report["tickets_per_day"] == 100 and "flips" not in report
    page = Page(path.read_text())
    assert page.articles == 20 and "default-src 'none'" in page.policy
    assert left_behind(server) == []
    assert sql(server, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_the_text_names_what_was_measured(server):
    done = evaluate(server)
    assert done.returncode == 0, done.stderr
    for words in ("40 tickets", "precision", "calibration error", "ready", "median", "a month of 30 days", "Drafts to judge"):
        assert words in done.stdout, words
    assert "Against the current settings" not in done.stdout
    assert "\x1b" not in done.stdout


def test_a_candidate_that_flips_categories(server, tmp_path):
    taxonomy = json.loads((SAMPLE.parent / "taxonomy.json").read_text())
    kept = [c for c in taxonomy["categories"] if c["category"] != "shipping"]
    (tmp_path / "taxonomy.json").write_text(json.dumps(dict(taxonomy, categories=kept)))
    config = tmp_path / "candidate.conf"
    config.write_text(f"[classifier]\ntaxonomy = {tmp_path}/taxonomy.json\n")
    done = evaluate(server, "--config", str(config), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    shipping = {i + 2 for i, r in enumerate(csv.DictReader(TICKETS.open())) if r["category"] == "shipping"}
    assert {f["line"] for f in report["flips"]} >= shipping
    assert all(f["current"] != f["candidate"] != "shipping" for f in report["flips"])
    assert report["labels"]["category"]["names"]["shipping"]["right"] == 0
    same = tmp_path / "same.conf"
    same.write_text("")
    done = evaluate(server, "--config", str(same), "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["flips"] == []


def test_other_column_names_missing_labels_and_bad_rows(server, tmp_path):
    path = tmp_path / "export.csv"
    path.write_text("Title,Text,Intent,Priority,colour\n"
                    "Invoice,\"Where is my invoice?\",Billing,urgent,red\n"
                    ",,billing,low,red\n"
                    "too,short\n"
                    "Password,I forgot my password,account,whenever,blue\n")
    done = evaluate(server, "--json", tickets=path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["tickets"] == 2 and report["bad_rows"] == 2
    assert set(report["labels"]) == {"category", "priority"}
    assert report["labels"]["category"]["right"] == 2
    assert set(report["labels"]["priority"]["names"]) >= {"critical"} and report["labels"]["priority"]["compared"] == 1
    for words in ("column colour", "line 3", "line 4", "line 5: priority whenever"):
        assert words in done.stderr, (words, done.stderr)
    assert report["tickets_per_day"] == 0
    assert "no such column" in evaluate(server, tickets=path).stdout


def test_hostile_tickets_steer_neither_page_nor_terminal(server, tmp_path):
    attacks = ["</title><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'><svg/onload=alert(1)>",
               "</style><iframe src=javascript:alert(1)>", "<!--", "]]>&lt;script&gt;", "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe"]
    path = tmp_path / "<b>hostile&.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ticket_id", "subject", "description", "category", "<script>x</script>"])
        for attack in attacks:
            rows.writerow([attack, "Invoice " + attack, "I was charged twice on my invoice. " + attack, attack, attack])
    page_path = tmp_path / "report.html"
    done = evaluate(server, "--html", str(page_path), tickets=path)
    assert done.returncode == 0, done.stderr
    text = page_path.read_text()
    page = Page(text)
    assert page.articles == len(attacks)
    for attack in attacks[:-1]:
        assert attack in page.text, attack
    assert "<script" not in text.lower() and "\x1b" not in text and "\u202e" not in text
    assert "\x1b" not in done.stdout + done.stderr and "\u202e" not in done.stdout


def test_tokens_and_money_of_a_real_call(server):
    with FakeModel() as model:
        env = {**model.settings, "HELPDESK_MODEL_PRICES": "test-model-*=2/4"}
        done = evaluate(server, "--json", "--limit", "5", "--per-day", "10", env=env)
        assert model.stats()["problems"] == [] and model.stats()["calls"] >= 5
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["tickets"] == 5
    cost = report["per_ticket"]
    assert cost["input_tokens"] > 0
    assert cost["cost_usd"] == pytest.approx((2 * cost["input_tokens"] + 4 * cost["output_tokens"]) / 1e6)
    assert report["cost_usd_per_month"] == pytest.approx(300 * cost["cost_usd"])


def test_an_evaluation_spends_no_more_than_its_own_budget(server):
    with FakeModel() as model:
        env = {**model.settings, "HELPDESK_MODEL_PRICES": "test-model-*=2/4", "HELPDESK_BUDGET_USD_PER_DAY": "0"}
        done = evaluate(server, "--json", "--limit", "30", "--budget", "0.06", env=env)
        calls = model.stats()["calls"]
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert 5 <= calls < 30 and 0 < report["per_ticket"]["cost_usd"] * 30 <= 0.06
    assert any("the tenant's budget of the day is used up" in reason for reason in report["reasons"])
    for value in ("0", "much", "2000000"):
        done = evaluate(server, "--budget", value)
        assert done.returncode == 2 and "--budget must be a number above 0, at most 1000000" in done.stderr


BUSY = "SELECT 1 FROM pg_stat_activity WHERE datname LIKE 'helpdesk_evaluate%' AND query NOT LIKE '%CREATE%' AND query LIKE "


@pytest.mark.parametrize("query", ["SELECT 1 FROM pg_database WHERE datname LIKE 'helpdesk_evaluate%'",
                                   BUSY + "'%kb_put_document(%'", BUSY + "'%FROM orders%'"],
                         ids=["made", "documents", "tickets"])
def test_an_interrupt_cleans_up(server, tmp_path, query, request):
    """There is enough of everything that each part of the work lasts until it is seen."""
    path, documents = tmp_path / "many.csv", tmp_path / "kb"
    lines = TICKETS.read_text().splitlines()
    path.write_text("\n".join([lines[0]] + lines[1:] * 400) + "\n")
    documents.mkdir()
    for i in range(3000 if "kb_put_document" in query else 3):
        (documents / f"{i}.md").write_text(f"# Number {i}\n\nThe text of number {i}.\n")
    process = subprocess.Popen([PROGRAM, "evaluate", "--tickets", str(path), "--kb", str(documents)],
                               env=environment(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    request.addfinalizer(process.kill)
    end = time.monotonic() + 60
    while not sql(server, query):
        assert time.monotonic() < end and process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "interrupted" in err and out == "", (process.returncode, err)
    assert left_behind(server) == []


def test_a_user_who_may_not_create_databases_is_told(server):
    connection = psycopg2.connect(server)
    connection.autocommit = True
    connection.cursor().execute("CREATE ROLE evaluate_poor LOGIN")
    connection.close()
    done = evaluate(server.replace("helpdesk@", "evaluate_poor@"))
    assert done.returncode == 1 and "CREATEDB" in done.stderr, done.stderr
    assert left_behind(server) == []


@pytest.mark.parametrize("args, words", [
    (["--limit", "0"], "--limit"), (["--per-day", "-1"], "--per-day"), (["--colour"], "colour"), (["more"], "more"),
    (["--kb", "/nowhere/at/all"], "folder"), (["--config", "/nowhere/at/all.conf"], "/nowhere/at/all.conf"),
])
def test_wrong_usage_says_what_would_be_right(server, args, words):
    done = evaluate(server, *args)
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_what_cannot_be_done_is_a_failure(server, tmp_path):
    assert evaluate(server, tickets=tmp_path / "none.csv").returncode == 1
    empty = tmp_path / "empty.csv"
    empty.write_text("subject,description\n")
    done = evaluate(server, tickets=empty)
    assert done.returncode == 1 and "holds no ticket" in done.stderr
    assert evaluate("").returncode == 2
    done = evaluate("postgresql://helpdesk@127.0.0.1:1/x")
    assert done.returncode == 1 and re.search("database", done.stderr)
    assert evaluate(server, "--html", str(tmp_path / "no" / "report.html")).returncode == 1
    assert left_behind(server) == []
