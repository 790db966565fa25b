"""Calls of models and their price for a skewed stream of tickets, against one classification and one generation call each.

The tickets go through all stages on the embedded broker. A stand-in for a paid model counts calls and tokens; it answers by content
and errs about the same wordings always (cost_model.py). How often a question comes falls with its rank (Zipf); each comes in several
wordings and languages, in other cases and blanks, and a share of the tickets has a sentence that no other has. Customers are many;
a part of them is known and has orders. The baseline is the same stream with nothing kept and every ticket classified by the model.
"""

import concurrent.futures
import http.client
import json
import pathlib
import random
import subprocess
import sys
import threading
import time
import types

from .common import ROOT, Postgres, Stack, row, say

HERE = pathlib.Path(__file__).parent
QUESTIONS = json.loads((HERE / "questions.json").read_text(encoding="utf-8"))["questions"]
INPUT_USD, OUTPUT_USD = 1.0, 5.0  # a million tokens: a Claude Haiku 4.5
TARGET = 0.35
LANGUAGES = {"en": 0.7, "de": 0.2, "es": 0.1}
SENTENCES = ["My order number is LUM-{n}.", "I bought it in shop {n}.", "My number is {n}, please note it.", "It is ticket {n} of mine."]
CUSTOMERS = 3000
CLIENTS = 16
WAIT = 60


# ---- the stream ----


def weights(count, skew):
    return [1 / (rank + 1) ** skew for rank in range(count)]


def written(dice, text):
    """As people write: with other blanks, all in small letters."""
    style = dice.random()
    return text.lower() if style < 0.1 else text.replace(". ", ".\n") if style < 0.2 else text + " " if style < 0.3 else text


def stream(options):
    dice = random.Random(options.seed)
    made = []
    for number, question in enumerate(dice.choices(QUESTIONS, weights(len(QUESTIONS), options.skew), k=options.tickets)):
        languages = [language for language in LANGUAGES if language in question["wordings"]]
        language, = dice.choices(languages, [LANGUAGES[one] for one in languages])
        subject, description = dice.choice(question["wordings"][language])
        description = written(dice, description)
        if dice.random() < options.unique:
            description += " " + dice.choice(SENTENCES).format(n=dice.randrange(10**6))
        customer = dice.randrange(CUSTOMERS)
        made.append((question, {"ticket_id": f"t-{number:06}", "subject": subject, "description": description, "locale": language,
                                "channel": "web", "customer_external_id": f"C-{1001 + customer}"}))
    return made


# ---- a run ----


class Model:
    """The stand-in as a child process."""

    def __init__(self, wrong):
        self.process = subprocess.Popen([sys.executable, str(HERE / "cost_model.py"), str(wrong)], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def get(self, path):
        connection = http.client.HTTPConnection(self.url.split("/")[2], timeout=60)
        connection.request("GET", path)
        return json.load(connection.getresponse())

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()


def answers(stack, tickets):
    """Each ticket's answer, in their order; so many clients ask at once."""
    local = threading.local()

    def ask(ticket):
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(stack.url()[len("http://"):], timeout=WAIT + 30)
        local.connection.request("POST", "/tickets/auto-orchestrate", json.dumps(ticket),
                                 {"Content-Type": "application/json", "Prefer": f"wait={WAIT}"})
        answer = local.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(ask, tickets))


def is_right(question, answer):
    """Whether the category is right; whether the draft cites the right document, for questions that one answers in their language or another."""
    cited = answer["generation"]["primary_draft"]["citations"]
    return (answer["classification"]["category"] == question["category"],
            any(question["document"] in source for source in cited) if question["document"] else not cited)


def run_one(folder, postgres, tickets, wrong, settings):
    """Calls, tokens, USD and what was right."""
    model = Model(wrong)
    stack = Stack(folder, postgres, settings={
        "OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "sk-test-8f2b61", "HELPDESK_MODEL_DRAFT": "test-model-1",
        "HELPDESK_MODEL_CLASSIFY": "test-model-1", "HELPDESK_MODEL_PRICES": f"test-model-*={INPUT_USD}/{OUTPUT_USD}",
        "HELPDESK_BUDGET_USD_PER_DAY": "1000000", "HELPDESK_ENGINE_DELIVERY": "at_least_once", **settings}).start()
    try:
        for what in ("customers", "orders"):
            done = stack.run("import", what, str(ROOT / "deploy" / "sample" / f"{what}.csv"))
            assert done.returncode == 0, done.stderr
        stack.sync()
        start = time.monotonic()
        got = answers(stack, [ticket for _, ticket in tickets])
        seconds = time.monotonic() - start
        usage, stats = model.get("/usage"), model.get("/stats")
    finally:
        stack.stop()
        model.stop()
    assert stats["problems"] == [], stats
    degraded = sum(bool(step["degraded"]) for answer in got for step in answer["provenance"].values() if isinstance(step, dict))
    right = [is_right(question, answer) for (question, _), answer in zip(tickets, got)]
    used = {task: usage.get(task, {"calls": 0, "input": 0, "output": 0}) for task in ("classify", "draft")}
    usd = {task: (of["input"] * INPUT_USD + of["output"] * OUTPUT_USD) / 1e6 for task, of in used.items()}
    return types.SimpleNamespace(used=used, usd=usd, calls=sum(of["calls"] for of in used.values()), seconds=seconds, degraded=degraded,
                                 category=sum(a for a, _ in right) / len(right), document=sum(b for _, b in right) / len(right))


def tell(name, made):
    say(f"{name}: {made.calls} calls, {sum(made.usd.values()):.3f} USD, in {made.seconds:.0f} s; " + ", ".join(
        f"{task} {of['calls']} calls of {of['input'] / max(of['calls'], 1):.0f} + {of['output'] / max(of['calls'], 1):.0f} tokens, "
        f"{made.usd[task]:.3f} USD" for task, of in made.used.items())
        + f"; category right {made.category:.4f}, document right {made.document:.4f}, {made.degraded} degraded")


def add_options(parser):
    parser.add_argument("--tickets", type=int, default=10000, metavar="N", help="of the stream (10000)")
    parser.add_argument("--skew", type=float, default=1.0, metavar="S", help="of the questions: the one of rank r comes 1/r^S as often (1)")
    parser.add_argument("--unique", type=float, default=0.1, metavar="SHARE", help="of the tickets with a sentence of their own (0.1)")
    parser.add_argument("--wrong", type=float, default=0.08, metavar="SHARE", help="of the wordings that the model classifies wrong (0.08)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the stream (1)")


def run(options):
    import tempfile

    tickets = stream(options)
    texts = {(ticket["subject"], ticket["description"], ticket["locale"]) for _, ticket in tickets}
    say(f"{len(tickets)} tickets, {len(QUESTIONS)} questions, {len(texts)} different texts")
    with tempfile.TemporaryDirectory(prefix="helpdesk-bench.") as folder:
        pathlib.Path(folder).chmod(0o755)
        postgres = Postgres(f"{folder}/pg")
        try:
            plain = run_one(f"{folder}/plain", postgres, tickets, options.wrong, {"HELPDESK_CACHE_SIZE": "0", "HELPDESK_CLASSIFIER_ASK_BELOW": "1"})
            tell("every ticket asked about", plain)
            ours = run_one(f"{folder}/ours", postgres, tickets, options.wrong, {})
            tell("ours", ours)
        finally:
            postgres.remove()
    case = f"{len(tickets)} tickets"
    row("cost", f"model calls, {case}", ours.calls, plain.calls, most=TARGET)
    row("cost", f"USD, {case}", sum(ours.usd.values()), sum(plain.usd.values()), most=TARGET)
    row("cost", f"share of categories that are right, {case}", ours.category, plain.category, least=1)
    row("cost", f"share of drafts that cite the right document, {case}", ours.document, plain.document, least=1)
