"""Ten thousand tickets by an independent client through three gateways: each answer is right and comes to who asked."""

import asyncio
import json
import os

import pytest

from harness import RELEASE, Stack

TICKETS = int(os.environ.get("LOAD_TICKETS", "10000"))
CONNECTIONS = 64 * 3
SUBJECTS = ["Hub does not connect to the Wi-Fi", "Refund for my order", "Where is my parcel", "Cannot log in to the app",
            "Invoice is wrong", "Warranty of a broken lamp"]


async def client(host, port, queue, answers):
    """One keep-alive connection: takes numbers, sends the ticket, reads the answer."""
    reader, writer = await asyncio.open_connection(host, port)
    while not queue.empty():
        number = queue.get_nowait()
        body = json.dumps({"ticket_id": f"load-{number}", "subject": f"{SUBJECTS[number % len(SUBJECTS)]} ({number})",
                           "description": f"Ticket number {number}: {SUBJECTS[number % len(SUBJECTS)].lower()}, please help.",
                           "customer_external_id": f"C-{1000 + number % 12}"}).encode()
        head = (f"POST /tickets/auto-orchestrate HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
                f"Prefer: wait=60\r\nX-Number: {number}\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        writer.write(head + body)
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        length = 0
        while (line := (await reader.readline()).strip()):
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        answers[number] = (status, await reader.readexactly(length))
    writer.close()


async def run(urls, count):
    answers = {}
    queues = [asyncio.Queue() for _ in urls]
    for number in range(count):
        queues[number % len(urls)].put_nowait(number)
    tasks = []
    for url, queue in zip(urls, queues):
        host, port = url[len("http://"):].split(":")
        tasks += [client(host, int(port), queue, answers) for _ in range(CONNECTIONS // len(urls))]
    await asyncio.wait_for(asyncio.gather(*tasks), 600)
    return answers


@pytest.fixture(params=["embedded", "kafka"])
def fresh_stack(request, folder, postgres):
    """Not the shared one: so many tickets would crowd its topics and its log. Built for release: sanitizers make it slow."""
    kafka = request.getfixturevalue("kafka") if request.param == "kafka" else None
    stack = Stack(f"{folder}/load-{request.param}", postgres, kafka, workers=2, gateways=3, program=RELEASE)
    stack.start()
    stack.load_samples()
    yield stack
    assert stack.stop() == 0


def test_each_of_ten_thousand_answers_is_right(fresh_stack):
    urls = [fresh_stack.url(g) for g in (1, 2, 3)]
    answers = asyncio.run(run(urls, TICKETS))
    assert len(answers) == TICKETS
    wrong = {number: (status, body[:200]) for number, (status, body) in answers.items() if status != 200}
    assert not wrong, f"{len(wrong)} of {TICKETS}: {next(iter(wrong.items()))}"
    runs = set()
    for number, (_, body) in answers.items():
        answer = json.loads(body)
        assert answer["ticket_id"] == f"load-{number}" if "ticket_id" in answer else True
        assert answer["generation"]["primary_draft"]["text"]
        runs.add(answer["trace"]["correlation_id"])
    assert len(runs) == TICKETS
    logged = fresh_stack.sql("SELECT ticket_id, correlation_id FROM runs WHERE kind = 'ticket'")
    by_ticket = dict(logged)
    for number, (_, body) in answers.items():
        assert by_ticket[f"load-{number}"] == json.loads(body)["trace"]["correlation_id"]
