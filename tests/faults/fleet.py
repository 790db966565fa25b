"""Roles as processes of their own, to be killed, stopped and moved one by one; whoever dies is started again at once."""

import atexit
import os
import re
import signal
import subprocess
import threading
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from harness import PROGRAM, ROOT, Stack, http, wait_until

WORKERS = ("classifier", "retriever", "generator", "logger", "kb-sync")
STOP_ORDER = ("gateway", "classifier", "retriever", "generator", "kb-sync", "logger")
RESTART_AFTER = 0.2


def crash_points():
    """name -> the source file that calls it."""
    found = {}
    for source in sorted((ROOT / "src").rglob("*.c")):
        for name in re.findall(r'\bcrash_point\("([^"]+)"\)', source.read_text()):
            found[name] = source
    return found


class Member:
    """One process of a role."""

    def __init__(self, fleet, role, number, program=None, settings=None):
        self.fleet = fleet
        self.role = role
        self.instance = f"{role}-{number}"
        self.program = program or fleet.program
        self.settings = settings or {}
        self.process = None
        self.wanted = False  # else it stays away when it ends
        self.due = 0.0

    def start(self):
        env = dict(self.fleet.env, HELPDESK_INSTANCE=self.instance, HELPDESK_ADMIN_PORT="0", **self.settings)
        if self.program != self.fleet.program:  # another build may know no crash points
            del env["HELPDESK_CRASH_DIR"]
        self.process = subprocess.Popen([self.program, self.role], env=env, stdin=subprocess.DEVNULL, stdout=self.fleet.log,
                                        stderr=self.fleet.log, start_new_session=True)
        self.wanted = True

    def send(self, number):
        os.kill(self.process.pid, number)

    def kill(self, restart=True):
        self.wanted = restart
        self.send(signal.SIGKILL)

    def stop(self, seconds=60):
        """Drains and ends it; it stays away. Its exit code."""
        self.wanted = False
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None


class Fleet(Stack):
    """A Stack whose roles are not children of `helpdesk up`."""

    def __init__(self, folder, postgres, kafka, roles, settings=None, program=PROGRAM):
        super().__init__(folder, postgres, kafka, settings=settings, program=program)
        self.crash = self.folder / "crash"
        for made in (self.state, self.crash):
            made.mkdir()
        self.env.update(HELPDESK_CRASH_DIR=str(self.crash), HELPDESK_KAFKA_PARTITIONS="4",
                        HELPDESK_KAFKA_REPLICATION=str(min(kafka.nodes, 3)))
        self.members = [Member(self, role, number) for role, count in roles.items() for number in range(1, count + 1)]
        self.deaths = []  # (instance, exit code) of whoever ended without being told to
        self._lock = threading.RLock()
        self._over = threading.Event()

    # ---- life ----

    def start(self, wait=True):
        self.log = open(self.folder / "helpdesk.log", "ab")
        atexit.register(self.end)
        for command in (["migrate", "up"], ["topics", "apply"]):
            done = self.run(*command)
            assert done.returncode == 0, done.stderr
        for member in self.members:
            member.start()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=120):
        for member in list(self.members):
            if member.wanted:
                wait_until(f"{member.instance} ready\n{self.log_tail(5)}", seconds, lambda m=member: self.is_ready(m))
        for role in WORKERS:
            wait_until(f"the {role}s share the partitions", seconds, lambda r=role: self.is_settled(r))

    def is_settled(self, role):
        """The group has exactly the members that are there, and no rebalance is under way."""
        wanted = sum(member.wanted for member in self.of(role))
        if wanted == 0:
            return True
        try:
            groups = AdminClient({"bootstrap.servers": self.brokers}).list_groups(self.prefix + role, 20)
        except KafkaException:
            return False  # the coordinator is not there yet
        return any(group.state == "Stable" and len(group.members) == wanted for group in groups)

    def is_ready(self, member):
        try:
            return member.alive and http("GET", self.admin(member.instance) + "/health/ready", timeout=5).status == 200
        except OSError:
            return False

    def _watch(self):
        while not self._over.wait(0.05):
            with self._lock:
                for member in self.members:
                    self._look_after(member)

    def _look_after(self, member):
        if member.process is None or member.process.poll() is None or not member.wanted:
            return
        if member.due == 0:
            member.due = time.monotonic() + RESTART_AFTER
            self.deaths.append((member.instance, member.process.returncode))
        elif time.monotonic() >= member.due:
            member.due = 0.0
            member.start()

    def add(self, role, number, program=None, settings=None):
        """Another member, started."""
        with self._lock:
            member = Member(self, role, number, program, settings)
            self.members.append(member)
            member.start()
        return member

    def of(self, role):
        return [member for member in self.members if member.role == role]

    def stop(self):
        """Drains and ends all of them, workers before the logger; the exit codes that are not 0."""
        self._over.set()
        self._watcher.join()
        codes = {}
        for role in STOP_ORDER:
            stopping = [member for member in self.of(role) if member.alive]
            for member in stopping:
                member.wanted = False
                member.send(signal.SIGTERM)
            for member in stopping:
                code = member.process.wait(90)
                if code != 0:
                    codes[member.instance] = code
        self.end()
        return codes

    def end(self):
        """Kills whoever is left: nothing of it outlives the test."""
        self._over.set()
        for member in self.members:
            if member.alive:
                member.send(signal.SIGKILL)
                member.process.wait()
        self.log.close()
        atexit.unregister(self.end)

    # ---- looking inside ----

    @property
    def brokers(self):
        return self.kafka.address

    def pids(self, role):
        return [member.process.pid for member in self.of(role) if member.alive]

    def url(self, gateway=1):
        return "http://" + (self.state / f"gateway-{gateway}.http").read_text().strip()

    def log_count(self, message):
        return (self.folder / "helpdesk.log").read_text(errors="replace").count(f'"msg":"{message}')

    # ---- crash points ----

    def plant(self, role, point):
        """The next process of `role` that passes `point` dies there."""
        path = self.crash / f"{role}.{point}"
        path.touch()
        return path
