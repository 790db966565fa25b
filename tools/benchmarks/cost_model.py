"""The stand-in for a paid model (tests/e2e/fake_model.py) with a knowledge of the questions of cost.py.

It says the category that the questions' file gives, and is wrong about a fixed share of the wordings, always the same ones: a real
model is not always right, and what errs must not be better by being asked less. Drafts quote the first passage of the
knowledge base.
"""

import asyncio
import hashlib
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import fake_model  # noqa: E402

QUESTIONS = json.loads(pathlib.Path(__file__).with_name("questions.json").read_text(encoding="utf-8"))["questions"]
CATEGORIES = sorted({question["category"] for question in QUESTIONS})


def folded(text):
    return " ".join(text.casefold().split())


KNOWN = {folded(f"{subject} {description}"): question["category"]
         for question in QUESTIONS for wordings in question["wordings"].values() for subject, description in wordings}


def category_of(text, wrong):
    """By the wording at the start of the text; what follows is one person's own."""
    text = folded(text)
    found = max((wording for wording in KNOWN if text.startswith(wording)), key=len)
    dice = hashlib.sha256(found.encode()).digest()
    if dice[0] < wrong * 256:
        others = [category for category in CATEGORIES if category != KNOWN[found]]
        return others[dice[1] % len(others)]
    return KNOWN[found]


class Connection(fake_model.Connection):
    """Counts tokens by task, for /stats."""

    def look_after(self, method, path, query, headers, body):
        if (method, path) == ("GET", "/usage"):
            return self.server.usage
        return super().look_after(method, path, query, headers, body)

    def answer_to(self, kind, task, data, input_tokens):
        ticket, usage = data["ticket"], self.server.usage.setdefault(task, {"calls": 0, "input": 0, "output": 0})
        if task == "classify":
            self.server.control["classification"] = {"category": category_of(f"{ticket['subject']} {ticket['description']}", self.server.wrong)}
        data["sources"] = [source for source in data["sources"] if source["type"] == "kb"]
        before = self.server.output_tokens
        answer = super().answer_to(kind, task, data, input_tokens)
        usage["calls"] += 1
        usage["input"] += input_tokens
        usage["output"] += self.server.output_tokens - before
        return answer


def main():
    server = fake_model.Server(fake_model.KEY, fake_model.MODEL)
    server.usage = {}
    server.wrong = float(sys.argv[1])  # share of the wordings
    asyncio.run(fake_model.serve(0, server, Connection))


if __name__ == "__main__":
    main()
