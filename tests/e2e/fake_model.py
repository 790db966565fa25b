"""A stand-in for a paid language model: an OpenAI-compatible server that checks what it is asked and can be told to misbehave.

As a program:   fake_model.py [--port 0] [--key KEY] [--model ID]     prints its base URL, then serves until it is killed
In a test:      with FakeModel() as model:  Stack(..., settings=model.settings)

POST /v1/chat/completions  A request that a real server would not take, or that breaks our own rules (the ticket stands outside the
                           data's delimiters, a role is wrong), is answered 4xx and noted as a problem. Else the answer is a valid draft that
                           quotes the first sentence of the first source and cites it; without sources it asks for a person. Asked to classify
                           (the schema's name tells, or the prompt), it says `classification` of /control.

POST /control              Changes what is named, and answers all of it:
    latency_ms             a number, or [least, most]: how long a good answer takes (0)
    faults                 {kind: rate}: the share of calls that fail so, e.g. {"429": 0.1, "hang": 0.05}; the rates add up to at most 1
    next                   [kind, ...]: what the very next calls become, before any rate; "ok" is a good answer
    tickets                {ticket_id: [kind, ...]}: the same for the calls about one ticket
    retry_after_s          what "429-retry-after" and "503" name (1)
    response_format        false: refuse requests that have it, as servers that do not know it do
    max_tokens             false: refuse the bound under that name, as OpenAI's models that think do; only max_completion_tokens goes then
    key, model             what is accepted from now on
    classification         members that replace those of a good classification, e.g. {"category": "billing"}
    seed                   starts the dice again
  Kinds: "429", "429-retry-after", "500", "502", "503", "504", "quota" (429, nothing left to pay with), "hang" (no answer until the client
  leaves), "hold" (a good answer, but not before POST /release), "broken" (half a body), "malformed" (the body is no JSON), "truncated" (the draft is cut off), "wrong-schema" (the draft
  lacks members), "foreign" (it cites what was not given), "refusal", "too-long" (400: context_length_exceeded).

POST /release              answers the calls that are held; {released: n}
GET /journal               [{n, task, ticket_id, started, ended, outcome, status, again, most}], in order of arrival; times are Unix seconds, `ended` null
                           while a call runs; `outcome` is the kind, "ok", "left" (the client went away before a good answer) or
                           "bad-request"; `again` says that the client asks a second time, `most` how much may be written; `task` is "draft" or "classify". ?after=N: only later ones.
DELETE /journal            forgets it, and the problems
GET /v1/models             what there is, with the right key
GET /stats                 {calls, outcomes: {outcome: n}, tickets, most_calls_of_a_ticket, in_flight, most_in_flight, input_tokens, output_tokens,
                           problems: [text, ...]}; a test should end with no problems
"""

import argparse
import asyncio
import collections
import json
import math
import random
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

KEY = "sk-test-8f2b61"
MODEL = "test-model-1"
SERVED_AS = "-2026-01-01"  # what a server adds to the name it was asked for
MAX_PROBLEMS = 100
SILENT = {"hang"}
KINDS = {"ok", "429", "429-retry-after", "500", "502", "503", "504", "quota", "hang", "hold", "broken", "malformed", "truncated", "wrong-schema",
         "foreign", "refusal", "too-long"}
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           408: "Request Timeout", 424: "Failed Dependency", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}


class Refused(Exception):
    """A request that is not answered with a draft: status, code, and what is wrong."""

    def __init__(self, status, code, text):
        super().__init__(text)
        self.status = status
        self.code = code


def no_twice(pairs):
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a member stands twice")
    return made


def need(condition, text):
    if not condition:
        raise Refused(400, "invalid_request_error", text)


def tokens(text):
    return math.ceil(len(text.encode()) / 4)


# ---- what may be asked ----


def check_schema(schema):
    need(schema.get("type") == "object" and schema.get("additionalProperties") is False, "the schema is not that of a closed object")
    need(set(schema.get("required", ())) == set(schema.get("properties", ())) != set(), "strict: every property must be required")


def check_format(wanted):
    need(wanted.get("type") == "json_schema" and set(wanted) == {"type", "json_schema"}, "response_format is not a json_schema")
    described = wanted["json_schema"]
    need(isinstance(described.get("name"), str) and described.get("strict") is True, "json_schema lacks name or strict")
    check_schema(described.get("schema", {}))


def check_data(data):
    need(set(data) <= {"ticket", "classification", "sources", "answer_language"}, "unknown members in the data")
    ticket = data.get("ticket")
    need(isinstance(ticket, dict) and all(isinstance(ticket.get(k), str) for k in ("ticket_id", "subject", "description")),
         "the data has no ticket")
    need(isinstance(data.get("answer_language"), str), "the data has no answer_language")
    need(isinstance(data.get("sources"), list), "the data has no sources")
    for source in data["sources"]:
        need(all(isinstance(source.get(k), str) for k in ("source_id", "type", "text")), "a source lacks a member")
    return data


def split_data(content):
    """The text around the data, and the data; nothing of the data may look like a delimiter."""
    need(content.count("<data>") == 1 and content.count("</data>") == 1, "the data is not delimited once")
    before, rest = content.split("<data>")
    inside, after = rest.split("</data>")
    try:
        data = json.loads(inside, object_pairs_hook=no_twice)
    except ValueError as error:
        raise Refused(400, "invalid_request_error", f"the data is not JSON: {error}") from None
    return before + after, check_data(data)


def check_prompts(system, user, schema):
    """What is asked, the data, whether it is the second asking, and the tokens. `schema` is None when the server takes none."""
    around, data = split_data(user)
    need("<data>" in system, "the system prompt does not tell what the data is")
    for text in (data["ticket"]["description"], data["ticket"]["subject"], *(s["text"] for s in data["sources"])):
        need(len(text) < 8 or text not in around + system, "a text of the data stands outside of it")
    task = "classify" if "Sort this ticket" in around else "draft"
    if task == "classify" and schema:
        wanted = schema["properties"]["category"].get("enum")
        need(isinstance(wanted, list) and all(f"- {name}" in system for name in wanted), "schema and prompt name other categories")
    need(task == "draft" or data["sources"] == [], "sources in what is to be classified")
    return task, data, "not usable" in around, tokens(system) + tokens(user)


def check_key(server, headers):
    if headers.get("authorization") != f"Bearer {server.control['key']}":
        raise Refused(401, "invalid_api_key", "Incorrect API key provided")


def check_bound(server, asked):
    """How many tokens the answer may have."""
    names = [name for name in ("max_tokens", "max_completion_tokens") if name in asked]
    need(len(names) == 1 and type(asked[names[0]]) is int and asked[names[0]] > 0, "the answer has no bound, or two")
    if server.control["max_tokens"]:
        need(names == ["max_tokens"], "not every server knows max_completion_tokens, and those that do not write without a bound")
    elif names == ["max_tokens"]:
        raise Refused(400, "unsupported_parameter",
                      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
    return asked[names[0]]


def check_completion(server, headers, body):
    """As check_prompts, and how many tokens the answer may have."""
    check_key(server, headers)
    need(headers.get("content-type", "").split(";")[0] == "application/json", "the content type is not application/json")
    try:
        asked = json.loads(body, object_pairs_hook=no_twice)
    except ValueError as error:
        raise Refused(400, "invalid_request_error", f"the body is not JSON: {error}") from None
    need(set(asked) <= {"model", "messages", "response_format", "max_tokens", "max_completion_tokens"}, f"unknown members: {sorted(asked)}")
    if asked.get("model") != server.control["model"]:
        raise Refused(404, "model_not_found", "The model does not exist")
    if "response_format" in asked:
        if not server.control["response_format"]:
            raise Refused(400, "unsupported", "Unknown parameter: response_format")
        check_format(asked["response_format"])
    else:
        need(not server.control["response_format"], "response_format is missing")
    most = check_bound(server, asked)
    messages = asked.get("messages")
    need(isinstance(messages, list) and [m.get("role") for m in messages] == ["system", "user"], "the roles are not system, user")
    need(all(isinstance(m.get("content"), str) and m["content"].strip() for m in messages), "a message is empty")
    schema = asked["response_format"]["json_schema"]["schema"] if "response_format" in asked else None
    return check_prompts(messages[0]["content"], messages[1]["content"], schema), most


# ---- what is answered ----


def draft_of(data):
    if not data["sources"]:
        return {"answer": "Hello,\n\nthank you for your message. A colleague takes over and writes to you.\n", "citations": [],
                "confidence": 0.3, "needs_person": True, "next_steps": ["Answer the customer yourself"]}
    source = data["sources"][0]
    sentence = re.split(r"(?<=[.!?])\s", source["text"].strip())[0].strip().rstrip(".!?")
    return {"answer": f"Hello,\n\nthank you for your message.\n\n{sentence} [1].\n", "citations": [source["source_id"]],
            "confidence": 0.93, "needs_person": False, "next_steps": ["Check that the answer fits"]}


def classification_of(server, kind):
    made = {"category": "technical", "priority": "high", "sentiment": "negative", "confidence": 0.95, "priority_confidence": 0.8,
            "reasoning_snippet": "The customer reports that a device does not work.", **server.control["classification"]}
    if kind == "foreign":
        made["category"] = "no-such-category"
    return made


def answer_of(server, task, data, kind):
    """What the model says, as an object."""
    draft = draft_of(data) if task == "draft" else classification_of(server, kind)
    if kind == "foreign" and task == "draft":
        draft["citations"] = ["kb/of/somebody-else.md"]
        draft["answer"] = "Hello,\n\nit works like that [1].\n"
    if kind == "wrong-schema":
        del draft["confidence"]
    return draft


def completion(server, task, data, kind, input_tokens, most):
    """The bytes of an answer with status 200."""
    content = json.dumps(answer_of(server, task, data, kind), ensure_ascii=False)
    message = {"role": "assistant", "content": content, "refusal": None}
    finish = "stop"
    if kind == "truncated":
        most = min(most, tokens(content) // 2)
    if tokens(content) > most:
        message["content"] = content = content.encode()[:4 * most].decode(errors="ignore")
        finish = "length"
    if kind == "refusal":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    output_tokens = tokens(content)
    server.input_tokens += input_tokens
    server.output_tokens += output_tokens
    answer = {"id": f"chatcmpl-{len(server.journal)}", "object": "chat.completion", "created": int(time.time()),
              "model": server.control["model"] + SERVED_AS,
              "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
              "usage": {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": input_tokens + output_tokens}}
    body = json.dumps(answer, ensure_ascii=False).encode()
    return body[:-7] + b"}{" if kind == "malformed" else body


def problem(status, code, text):
    return status, json.dumps({"error": {"message": text, "type": "error", "param": None, "code": code}}).encode()


class Server:
    """What all connections share."""

    kinds = KINDS

    def __init__(self, key, model):
        self.control = {"latency_ms": 0, "faults": {}, "next": [], "tickets": {}, "retry_after_s": 1, "response_format": True, "max_tokens": True, "key": key,
                        "model": model, "classification": {}, "seed": 1}
        self.dice = random.Random(1)
        self.held = []
        self.forget()
        self.in_flight = 0

    def forget(self):
        self.journal = []
        self.problems = []
        self.input_tokens = 0
        self.output_tokens = 0
        self.most_in_flight = 0

    def change(self, wanted):
        for name, value in wanted.items():
            if name not in self.control or not isinstance(value, (type(self.control[name]), int, float, list)):
                raise Refused(400, "control", f"no such control: {name}")
        kinds = [*wanted.get("next", []), *wanted.get("faults", {}), *(k for list_ in wanted.get("tickets", {}).values() for k in list_)]
        if set(kinds) - self.kinds or sum(wanted.get("faults", {}).values()) > 1:
            raise Refused(400, "control", f"unknown kinds {sorted(set(kinds) - self.kinds)}, or rates above 1")
        self.control.update(wanted)
        if "seed" in wanted:
            self.dice = random.Random(wanted["seed"])

    def kind_for(self, ticket_id):
        for queue in (self.control["tickets"].get(ticket_id), self.control["next"]):
            if queue:
                return queue.pop(0)
        throw = self.dice.random()
        for kind, rate in self.control["faults"].items():
            throw -= rate
            if throw < 0:
                return kind
        return "ok"

    def latency(self):
        wanted = self.control["latency_ms"]
        return (self.dice.uniform(*wanted) if isinstance(wanted, list) else wanted) / 1000

    def note(self, text):
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)

    def stats(self):
        per_ticket = collections.Counter(entry["ticket_id"] for entry in self.journal)
        return {"calls": len(self.journal), "outcomes": collections.Counter(entry["outcome"] for entry in self.journal),
                "tickets": len(per_ticket), "most_calls_of_a_ticket": max(per_ticket.values(), default=0), "in_flight": self.in_flight,
                "most_in_flight": self.most_in_flight, "input_tokens": self.input_tokens, "output_tokens": self.output_tokens,
                "problems": self.problems}


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request after the other."""

    def __init__(self, server):
        self.server = server
        self.received = b""
        self.transport = None
        self.entry = None  # the call that waits for its answer
        self.timer = None
        self.waiting = None  # what a held call asks

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        if self.timer:
            self.timer.cancel()
        if self.entry:
            self.end_call("left" if self.entry["outcome"] == "ok" else self.entry["outcome"], None)

    def data_received(self, data):
        self.received += data
        if self.entry is None:
            self.take_request()

    def take_request(self):
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        body, self.received = rest[:length], rest[length:]
        method, target, _ = first.split(" ", 2)
        path, _, query = target.partition("?")
        if self.is_call(path):
            self.complete(method, target, headers, body)
            return
        try:
            self.send(200, json.dumps(self.look_after(method, path, query, headers, body)).encode())
        except Refused as error:
            self.send(*problem(error.status, error.code, str(error)))

    def look_after(self, method, path, query, headers, body):
        server = self.server
        if (method, path) == ("POST", "/control"):
            server.change(json.loads(body))
            return server.control
        if (method, path) == ("POST", "/release"):
            held, server.held = server.held, []
            return {"released": sum(connection.release() for connection in held)}
        if (method, path) == ("GET", "/journal"):
            return server.journal[int(urllib.parse.parse_qs(query).get("after", ["0"])[0]):]
        if (method, path) == ("DELETE", "/journal"):
            server.forget()
            return {}
        if (method, path) == ("GET", "/stats"):
            return server.stats()
        if (method, path) == ("GET", "/v1/models"):
            check_key(server, headers)
            return {"object": "list", "data": [{"id": server.control["model"], "object": "model", "created": 0, "owned_by": "test"}]}
        server.note(f"no such path: {method} {path}")
        raise Refused(404, "not_found", "no such path")

    # ---- what another provider's server does in its own way ----

    @staticmethod
    def is_call(path):
        return path == "/v1/chat/completions"

    def check_call(self, target, headers, body):
        checked, self.entry["most"] = check_completion(self.server, headers, body)
        return checked

    def refusal(self, error):
        """Status, body and headers."""
        return (*problem(error.status, error.code, str(error)), {})

    def answer_to(self, kind, task, data, input_tokens):
        """Status, body and headers."""
        wait = {"Retry-After": str(self.server.control["retry_after_s"])}
        if kind in ("500", "502", "504", "429"):
            return (*problem(int(kind), "server_error", "something went wrong"), {})
        if kind in ("429-retry-after", "503"):
            return (*problem(int(kind[:3]), "busy", "come back later"), wait)
        if kind == "quota":
            return (*problem(429, "insufficient_quota", "You exceeded your current quota"), {})
        if kind == "too-long":
            return (*problem(400, "context_length_exceeded", "This model's maximum context length is 8192 tokens"), {})
        return 200, completion(self.server, task, data, kind, input_tokens, self.entry["most"]), {}

    # ---- a call ----

    def complete(self, method, target, headers, body):
        server = self.server
        self.entry = {"n": len(server.journal) + 1, "ticket_id": None, "started": time.time(), "ended": None, "outcome": "bad-request", "task": None,
                      "status": None, "again": False, "most": None}
        server.journal.append(self.entry)
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        try:
            need(method == "POST", "the method is not POST")
            task, data, self.entry["again"], input_tokens = self.check_call(target, headers, body)
        except Refused as error:
            if error.code == "invalid_request_error":
                server.note(str(error))
            self.answer_call(*self.refusal(error))
            return
        self.entry.update(task=task, ticket_id=data["ticket"]["ticket_id"])
        kind = self.entry["outcome"] = server.kind_for(self.entry["ticket_id"])
        if kind == "hold":
            self.waiting = (task, data, input_tokens)
            server.held.append(self)
        elif kind not in SILENT:
            self.timer = asyncio.get_running_loop().call_later(server.latency(), self.act, kind, task, data, input_tokens)

    def release(self):
        """Answers what was held; False when the client has left."""
        if not self.entry:
            return False
        self.act("ok", *self.waiting)
        return True

    def act(self, kind, task, data, input_tokens):
        self.timer = None
        if kind != "broken":
            self.answer_call(*self.answer_to(kind, task, data, input_tokens))
            return
        status, body, headers = self.answer_to("ok", task, data, input_tokens)
        self.transport.write(self.head(status, len(body), headers) + body[:len(body) // 2])
        self.end_call("broken", status)
        self.transport.close()

    def answer_call(self, status, body, headers=None):
        self.end_call(self.entry["outcome"], status)
        self.send(status, body, headers)

    def end_call(self, outcome, status):
        self.entry.update(outcome=outcome, status=status, ended=time.time())
        self.entry = None
        self.server.in_flight -= 1

    @staticmethod
    def head(status, length, headers):
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", "Content-Type: application/json", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, status, body, headers=None):
        self.transport.write(self.head(status, len(body), headers or {}) + body)
        if self.received:
            self.take_request()


async def serve(port, server, connection=Connection, base="/v1"):
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: connection(server), "127.0.0.1", port, backlog=4096, reuse_address=True)
    print(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}{base}", flush=True)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


# ---- for tests ----


class FakeModel:
    """The server as a child process. After stop() it starts again on the same port, with everything forgotten."""

    program = __file__

    def __init__(self, key=KEY, model=MODEL):
        self.key = key
        self.model = model
        self.port = 0
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, self.program, "--port", str(self.port), *self.arguments], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        assert self.url, "the fake model does not start"
        self.port = urllib.parse.urlsplit(self.url).port
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process.stdout.close()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def arguments(self):
        return ["--key", self.key, "--model", self.model]

    @property
    def settings(self):
        """Environment of a program that is to use it; it asks about each ticket, whatever was asked before."""
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": self.key, "HELPDESK_MODEL_DRAFT": self.model, "HELPDESK_CACHE_SIZE": "0"}

    def _ask(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def control(self, **changes):
        return self._ask("POST", "/control", changes)

    def release(self):
        return self._ask("POST", "/release", {})["released"]

    def journal(self, ticket_id=None, after=0):
        entries = self._ask("GET", f"/journal?after={after}")
        return [entry for entry in entries if ticket_id in (None, entry["ticket_id"])]

    def forget(self):
        return self._ask("DELETE", "/journal")

    def stats(self):
        return self._ask("GET", "/stats")


def main():
    arguments = argparse.ArgumentParser(description="an OpenAI-compatible server for tests")
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--key", default=KEY)
    arguments.add_argument("--model", default=MODEL)
    given = arguments.parse_args()
    asyncio.run(serve(given.port, Server(given.key, given.model)))


if __name__ == "__main__":
    main()
