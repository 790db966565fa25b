"""A server of vectors, as OpenAI's API speaks it. A text's vector is the sum of its words' ones, which come from the word alone; words of CONCEPTS that
mean the same have the same, so a text in other words is near. Each model has vectors of its own.

In a test:   with FakeEmbed() as server:  Stack(..., settings=server.settings)

What a request must not be is a problem: see `check`. `fault` is a status, "broken" (no answer) or None. `hold(model, after)` answers that many calls of a
model and lets the others wait for `release()`.
"""

import functools
import hashlib
import http.server
import json
import math
import random
import re
import threading

KEY = "sk-embed-7"
CONCEPTS = [{"boat", "dinghy"}, {"mooring", "berth"}]
DIMENSION = 64
MOST_TEXTS = 32


@functools.cache
def numbers_of(model, name, dimension):
    dice = random.Random(hashlib.sha256(f"{model} {name}".encode()).digest())
    return [dice.gauss(0, 1) for _ in range(dimension)]


def vector_of(model, text, dimension=DIMENSION):
    total = [0.0] * dimension
    for word in re.findall(r"\w+", text.lower()):
        name = next((min(concept) for concept in CONCEPTS if word in concept), word)
        weight = 3 if any(word in concept for concept in CONCEPTS) else 0.3
        total = [t + weight * number for t, number in zip(total, numbers_of(model, name, dimension), strict=True)]
    length = math.sqrt(sum(t * t for t in total)) or 1
    return [round(t / length, 6) for t in total]


class FakeEmbed:
    def __init__(self, models=("embed-a", "embed-b")):
        self.models = set(models)
        self.lock = threading.Lock()
        self.fault, self.asked, self.problems = None, [], []
        self.held, self.answers_left, self.released = None, 0, threading.Event()

    def __enter__(self):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.answer(self, body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def settings(self):
        return {"OPENAI_BASE_URL": f"http://127.0.0.1:{self.server.server_port}/v1", "OPENAI_API_KEY": KEY, "HELPDESK_MODEL_EMBED": "embed-a"}

    def texts(self, model=None):
        """All that were asked for, in order."""
        with self.lock:
            return [text for name, text in self.asked if model in (None, name)]

    def hold(self, model, after):
        with self.lock:
            self.held, self.answers_left = model, after
            self.released.clear()

    def release(self):
        with self.lock:
            self.held = None
            self.released.set()

    def wait_if_held(self, model):
        with self.lock:
            if self.held != model:
                return
            self.answers_left -= 1
            if self.answers_left >= 0:
                return
        self.released.wait()

    def check(self, request, body):
        asked = json.loads(body)
        wrong = [request.path != "/v1/embeddings", request.headers.get("Authorization") != f"Bearer {KEY}",
                 request.headers.get("Content-Type") != "application/json", set(asked) != {"model", "input", "encoding_format"},
                 asked.get("encoding_format") != "float", asked.get("model") not in self.models]
        texts = asked["input"]
        wrong += [not 1 <= len(texts) <= MOST_TEXTS, any(not text.strip() for text in texts), len(set(texts)) != len(texts)]
        if any(wrong):
            self.problems.append(f"{wrong} {body[:300]}")
        return asked["model"], texts

    def answer(self, request, body):
        self.wait_if_held(json.loads(body)["model"])
        with self.lock:
            fault = self.fault
            model, texts = self.check(request, body)
            if fault is None:
                self.asked += [(model, text) for text in texts]
        if fault == "broken":
            request.close_connection = True
            return
        made = {"object": "list", "model": model, "usage": {"prompt_tokens": sum(len(t) // 4 + 1 for t in texts), "total_tokens": 0},
                "data": [{"object": "embedding", "index": i, "embedding": vector_of(model, text)} for i, text in enumerate(texts)]}
        data = json.dumps(made if fault is None else {"error": {"message": "no", "code": "overloaded"}}).encode()
        request.send_response(fault or 200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        try:
            request.wfile.write(data)
        except ConnectionError:
            request.close_connection = True  # who asked was killed
