"""Runs the real program against real servers: one Stack is a database, a broker and every role in a folder."""

import atexit
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid

import botocore.config
import botocore.session
import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = str(ROOT / "build" / "helpdesk")
PROGRAM = os.environ.get("HELPDESK_TEST_PROGRAM", RELEASE)
SAMPLE = ROOT / "deploy" / "sample"


def wait_until(what, seconds, condition):
    """Polls `condition` until it gives something true, which is returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timed out after {seconds} s: {what}")
        time.sleep(0.1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def bash(script):
    """Runs a line of bash with the project's own server scripts loaded."""
    head = f'source "{ROOT}/tools/lib/common.sh"; source "{ROOT}/tools/lib/postgres.sh"; source "{ROOT}/tools/lib/kafka.sh"; ' \
        f'source "{ROOT}/tools/lib/registry.sh"; source "{ROOT}/tools/lib/s3.sh"; '
    done = subprocess.run(["bash", "-c", head + script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stderr}"
    return done.stdout.strip()


class Reply:
    """An HTTP answer, whatever its status."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


def http(method, url, body=None, headers=None, timeout=60):
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return Reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.headers, error.read())


class Postgres:
    """A private cluster; each Stack gets a database of its own."""

    def __init__(self, folder):
        self.folder = folder
        atexit.register(self.stop)
        self.url = bash(f'pg_private_start "{folder}"')

    def make_database(self, name):
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
        connection.close()
        return self.url.replace("/helpdesk?", f"/{name}?")

    def start(self):
        bash(f'pg_private_start "{self.folder}"')

    def stop(self):
        bash(f'pg_private_stop "{self.folder}"')

    def remove(self):
        atexit.unregister(self.stop)
        bash(f'pg_private_remove "{self.folder}"')


class Kafka:
    """An Apache Kafka; its nodes, counted from 1, can be stopped and started one by one."""

    def __init__(self, folder, nodes=1):
        self.folder = folder
        self.nodes = nodes
        atexit.register(self.stop)
        self.start()

    def start(self):
        bash(f'kafka_start "{self.folder}" {self.nodes} </dev/null >/dev/null 2>&1')
        self.address = (pathlib.Path(self.folder) / "address").read_text().strip()

    def stop(self):
        atexit.unregister(self.stop)
        bash(f'kafka_stop "{self.folder}"')

    def start_node(self, node):
        bash(f'kafka_node_start "{self.folder}" {node} </dev/null >/dev/null 2>&1')

    def stop_node(self, node, signal_name="TERM"):
        bash(f'kafka_node_stop "{self.folder}" {node} {signal_name}')

    def signal_node(self, node, signal_name):
        """STOP or CONT: the node hangs, or goes on."""
        os.kill(int((pathlib.Path(self.folder) / str(node) / "pid").read_text()), getattr(signal, f"SIG{signal_name}"))


class Registry:
    """A schema registry with Confluent's API."""

    def __init__(self, folder):
        self.folder = folder
        self.start()

    def start(self):
        bash(f'registry_start "{self.folder}" </dev/null >/dev/null 2>&1')
        self.url = (pathlib.Path(self.folder) / "url").read_text().strip()

    def stop(self):
        bash(f'registry_stop "{self.folder}"')

    def call(self, method, path, body=None):
        """Its answer; an independent client of its HTTP API."""
        return http(method, self.url + path, body, {"Content-Type": "application/vnd.schemaregistry.v1+json"})

    def register(self, subject, schema):
        """The id of the schema (JSON as an object), registered under the subject."""
        done = self.call("POST", f"/subjects/{subject}/versions", {"schema": json.dumps(schema)})
        assert done.status == 200, done.body
        return done.json["id"]


class S3:
    """An S3 server. `options` are versitygw's; `client` is botocore's client of it, which checks no certificate."""

    def __init__(self, folder, options=()):
        self.folder = folder
        self.options = options
        self.region, self.access_key, self.secret_key = bash("echo $S3_REGION $S3_ACCESS_KEY $S3_SECRET_KEY").split()
        atexit.register(self.stop)
        self.start()
        self.client = botocore.session.Session().create_client(
            "s3", region_name=self.region, endpoint_url=self.url, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, verify=False,
            config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))

    def start(self):
        bash(f's3_start "{self.folder}" {shlex.join(self.options)} </dev/null >/dev/null 2>&1')
        self.url = (pathlib.Path(self.folder) / "url").read_text().strip()

    def stop(self):
        atexit.unregister(self.stop)
        bash(f's3_stop "{self.folder}"')

    def bucket(self, name):
        """A new bucket; its name."""
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket, key, body, **more):
        return self.client.put_object(Bucket=bucket, Key=key, Body=body if isinstance(body, bytes) else body.encode(), **more)

    def delete(self, bucket, key):
        self.client.delete_object(Bucket=bucket, Key=key)

    @property
    def credentials(self):
        """Of a program that is to read it."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key, "AWS_REGION": self.region}


class Stack:
    """`helpdesk up` in a folder. `kafka` None: the embedded broker."""

    def __init__(self, folder, postgres, kafka=None, workers=1, gateways=1, settings=None, program=PROGRAM):
        self.folder = pathlib.Path(folder)
        self.name = "t" + uuid.uuid4().hex[:12]
        self.postgres = postgres
        self.kafka = kafka
        self.program = program
        self.workers = workers
        self.gateways = gateways
        self.prefix = self.name + "."
        self.state = self.folder / "state"
        self.kb = self.folder / "kb"
        self.process = None
        shutil.copytree(SAMPLE / "kb", self.kb)
        self.database_url = postgres.make_database(self.name)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("HELPDESK_") or k.startswith("HELPDESK_TEST_")}
        self.env.update(
            DATABASE_URL=self.database_url,
            HELPDESK_RUN_DIR=str(self.state),
            HELPDESK_PORT="0",
            HELPDESK_KAFKA_PREFIX=self.prefix,
            HELPDESK_KB_SOURCE=str(self.kb),
            HELPDESK_KB_PUBLIC_URL="https://help.example.com/",
            HELPDESK_SCHEMAS_CONFLUENT_IDS="41=TicketEvent",
        )
        if kafka:
            self.env["HELPDESK_KAFKA_BROKERS"] = kafka.address
        self.env.update(settings or {})

    # ---- life ----

    def start(self, wait=True):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = open(self.folder / "helpdesk.log", "ab")
        self.process = subprocess.Popen(
            [self.program, "up", "--workers", str(self.workers), "--gateways", str(self.gateways)],
            env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=120):
        def ready():
            assert self.process.poll() is None, "helpdesk up ended:\n" + self.log_tail()
            return (self.state / "ready").exists()
        try:
            wait_until("all roles ready", seconds, ready)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from None

    def stop(self):
        """Stops everything; the exit code of `helpdesk up`."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        finally:
            self.process.kill()
            self.log.close()
        self.process = None
        report = (self.folder / "helpdesk.log").read_text(errors="replace")
        for word in ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer"):
            assert word not in report, f"{word} in the log:\n" + report[report.index(word) - 200:][:6000]
        return code

    def log_tail(self, lines=40):
        return "\n".join((self.folder / "helpdesk.log").read_text(errors="replace").splitlines()[-lines:])

    # ---- looking inside ----

    def url(self, gateway=1):
        return "http://" + (self.state / f"gateway-{gateway}.http").read_text().strip()

    def admin(self, instance):
        return "http://" + (self.state / f"{instance}.admin").read_text().strip()

    def metric(self, instance, name):
        """Sum of all series called `name`."""
        total = 0.0
        for line in http("GET", self.admin(instance) + "/metrics").body.decode().splitlines():
            if line.startswith((name + "{", name + " ")):
                total += float(line.rsplit(" ", 1)[1])
        return total

    @property
    def brokers(self):
        return (self.state / "ready").read_text().strip()

    def topic(self, name):
        return self.prefix + name

    def sql(self, query, *params):
        connection = psycopg2.connect(self.database_url)
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(query, params)
        rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    def pids(self, role):
        """Process ids of the children that run as `role`."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and words[:2] == [b"helpdesk", role.encode()]:
                found.append(int(entry.name))
        return sorted(found)

    # ---- using it ----

    def run(self, *args, stdin=None, env=None):
        """Runs a subcommand in this stack's environment."""
        merged = dict(self.env, **(env or {}))
        if self.process is not None and (self.state / "ready").exists():
            merged.setdefault("HELPDESK_KAFKA_BROKERS", self.brokers)
        return subprocess.run([self.program, *args], env=merged, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120, check=False)

    def load_samples(self):
        for what in ("customers", "orders", "tickets"):
            done = self.run("import", what, str(SAMPLE / f"{what}.csv"))
            assert done.returncode == 0, done.stderr
        self.sync()

    def sync(self, full=False):
        """Starts a sync and waits for its end; the job."""
        job = http("POST", self.url() + "/kb/sync", {"full": full})
        assert job.status == 200, job.body
        def finished():
            state = http("GET", f"{self.url()}/kb/sync/{job.json['job_id']}").json
            return state if state["status"] in ("done", "failed") else None
        state = wait_until("sync", 60, finished)
        assert state["status"] == "done", state
        return state

    def ask(self, ticket, gateway=1, wait=60):
        reply = http("POST", self.url(gateway) + "/tickets/auto-orchestrate", ticket, {"Prefer": f"wait={wait}"}, timeout=wait + 30)
        assert reply.status == 200, reply.body
        return reply.json


def sample_ticket(name):
    return json.loads((SAMPLE / "tickets" / name).read_text())


def ticket(**fields):
    """A small valid ticket."""
    made = {"subject": "Hub does not connect", "description": "My hub does not connect to the Wi-Fi since yesterday.",
            "customer_external_id": "C-1001"}
    made.update(fields)
    return made
