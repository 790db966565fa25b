"""One fault test: a fleet under load, a committed reader beside it, and the verdict on the log of both."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import wire
from checker import LOGGED, READ_BY, judge
from harness import ROOT, wait_until
from history import History
from load import Progress, Publisher

FULL = os.environ.get("HELPDESK_TEST_SCALE") == "full"
PYTHON_CLIENT = os.environ.get("HELPDESK_TEST_PYTHON_CLIENT", str(ROOT / ".cache" / "python-client" / "bin" / "python"))
KEPT = ROOT / "build-faults" / "failed"  # logs of what did not hold
STALLED = 120  # seconds without any answer after which a test gives up
REPORT = []  # (scenario, seconds, figures, what did not hold)


def scaled(short, full):
    """CI runs a shortened set, tools/soak the full one."""
    return full if FULL else short


def say(text):
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class ReaderProcess:
    """reader.py, which writes what it sees to the log."""

    def __init__(self, folder, history, brokers, prefix, topics=LOGGED, groups=tuple(READ_BY), isolation="read_committed"):
        schemas = []
        for source in (ROOT / "schemas" / "avro").glob("**/ticket_event*.avsc"):  # this one and those before it
            schemas.append(str(pathlib.Path(folder) / f"{source.stem}.json"))
            pathlib.Path(schemas[-1]).write_text(json.dumps(wire.plain(json.loads(source.read_text()))))
        self.errors = open(pathlib.Path(folder) / "reader.log", "ab")
        self.process = subprocess.Popen(
            [PYTHON_CLIENT, str(pathlib.Path(__file__).with_name("reader.py")), "--brokers", brokers, "--prefix", prefix,
             "--topics", *topics, "--groups", *groups, "--schemas", *schemas, "--log", history.path, "--isolation", isolation],
            stdin=subprocess.PIPE, stdout=self.errors, stderr=self.errors, start_new_session=True)

    def drain(self, seconds=180):
        """Reads up to the ends, writes the groups' positions, ends."""
        self.process.stdin.close()
        try:
            code = self.process.wait(seconds)
        finally:
            self.end()
        assert code == 0, pathlib.Path(self.errors.name).read_text()[-3000:]

    def end(self):
        self.process.kill()
        self.process.wait()
        self.errors.close()


class Trial:
    def __init__(self, name, fleet):
        self.name = name
        self.fleet = fleet
        self.started = time.monotonic()
        self.history = History(fleet.folder / "history.jsonl")
        self.reader = ReaderProcess(fleet.folder, self.history, fleet.brokers, fleet.prefix)
        self.publisher = Publisher(self.history, fleet)
        self.progress = Progress(self.history)
        self._told = 0.0

    # ---- load ----

    def tell(self, text=""):
        """Progress, every few seconds."""
        if time.monotonic() - self._told > 10:
            self._told = time.monotonic()
            say(f"{self.name}: {self.publisher.sent} sent, {self.publisher.acked} acknowledged, "
                f"{self.progress.done} done, {len(self.fleet.deaths)} deaths {text}")

    def publish(self, count):
        """Sends `count` events now, whoever is there to answer; the number sent so far."""
        for _ in range(count):
            self.publisher.send()
        self.publisher.poll()
        self.tell()
        return self.publisher.sent

    def pump(self, count, ahead=400, seconds=None):
        """Sends `count` events, at most `ahead` of the answers; evenly over `seconds` if given. Yields before each."""
        begin, moved, last = time.monotonic(), time.monotonic(), 0
        for i in range(count):
            yield i
            while True:
                self.publisher.poll()
                self.progress.update()
                self.tell()
                if self.progress.done > last:
                    moved, last = time.monotonic(), self.progress.done
                early = seconds is not None and time.monotonic() - begin < seconds * i / count
                if self.publisher.sent - self.progress.done < ahead and not early:
                    break
                assert time.monotonic() - moved < STALLED or early, f"no answer for {STALLED} s\n{self.fleet.log_tail()}"
                time.sleep(0.02)
            self.publisher.send()

    def send(self, count, **options):
        for _ in self.pump(count, **options):
            pass

    def wait_answers(self, patience=STALLED):
        """Until everything acknowledged is answered; gives up when nothing moves."""
        self.publisher.flush()
        moved, last = time.monotonic(), -1
        while self.progress.update().done < self.publisher.acked:
            self.tell()
            if self.progress.done != last:
                moved, last = time.monotonic(), self.progress.done
            if time.monotonic() - moved > patience:
                say(f"{self.name}: {self.publisher.acked - self.progress.done} of {self.publisher.acked} without an answer")
                return  # the checker says which
            time.sleep(0.1)

    def log_calls(self, model):
        """What the model was asked, once all is answered. A call that was left alone or answered counts as work done."""
        self.wait_answers()
        stats = model.stats()
        assert not stats["problems"], stats["problems"]
        self.history.add_all("call", [{"key": f"default/{call['ticket_id']}"} for call in model.journal()
                                      if call["outcome"] in ("ok", "left")])

    # ---- the end ----

    def wait_log(self, seconds=180):
        """Until the logger has every answer, and every ticket that a gateway published has one."""
        def complete():
            answers, open_ = self.fleet.sql(
                "SELECT (SELECT count(DISTINCT correlation_id) FROM interactions WHERE kind = 'answered'), "
                "(SELECT count(*) FROM runs WHERE published_at IS NOT NULL AND result IS NULL)")[0]
            return open_ == 0 and answers >= len(self.progress.update().runs)
        try:
            wait_until("every answer in the database", seconds, complete)
        except AssertionError as error:
            say(f"{self.name}: {error}")  # the checker says what is missing

    def log_rows(self):
        rows = [("runs", "finished" if finished else "open", event, count) for event, finished, count in self.fleet.sql(
            "SELECT event_id, bool_and(result IS NOT NULL), count(*) FROM runs WHERE kind = 'ticket' GROUP BY event_id")]
        rows += [("interactions", kind, event, count) for event, kind, count in self.fleet.sql(
            "SELECT r.event_id, i.kind, count(*) FROM interactions i JOIN runs r USING (tenant, correlation_id) "
            "WHERE i.kind NOT IN ('dead_letter', 'feedback') GROUP BY 1, 2")]
        self.history.add_all("row", [dict(zip(("table", "kind", "event", "count"), row)) for row in rows])

    def finish(self, users=None, may_exit=False):
        """Waits for the end of all work, stops everything, and gives the verdict. `may_exit`: a worker whose transaction
        the broker has given up ends itself with code 1, to be started again."""
        self.wait_answers()
        self.wait_log()
        codes = self.fleet.stop()
        self.reader.drain()
        if users:
            users.log_events()
        self.log_rows()
        self.history.add("still")
        verdict = self.judge()
        for instance, code in codes.items():
            verdict.add("exit", f"{instance} ended with {code} when it was stopped")
        exits = [(instance, code) for instance, code in self.fleet.deaths if code != -signal.SIGKILL]
        for instance, code in exits:
            if not (may_exit and code == 1):
                verdict.add("exit", f"{instance} ended with {code} by itself")
        if may_exit:
            verdict.figures["exits"] = len(exits)
        return verdict

    def judge(self):
        verdict = judge(self.history.lines())
        if verdict.figures["kills"] == 0:
            del verdict.figures["kills"]
        return verdict

    def report(self, verdict, **figures):
        """Into the table at the end; fails the test when something did not hold."""
        figures = {**verdict.figures, **figures}
        REPORT.append((self.name, time.monotonic() - self.started, figures, "" if verdict.ok else str(verdict)))
        say(f"{self.name}: {figures}")
        if not verdict.ok:
            kept = KEPT / self.name
            kept.mkdir(parents=True, exist_ok=True)
            for file in ("history.jsonl", "helpdesk.log", "reader.log"):
                shutil.copy(self.fleet.folder / file, kept)
            raise AssertionError(f"{verdict}\nits logs: {kept}\n{self.fleet.log_tail(15)}")

    def end(self):
        self.reader.end()
        self.fleet.end()
        self.history.close()
