"""What the benchmarks share: rows of output, delivery modes, servers in a folder, processor time and memory of processes."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
PROGRAM = str(BUILD / "helpdesk")
os.environ["HELPDESK_TEST_PROGRAM"] = PROGRAM
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from fake_model import FakeModel  # noqa: E402,F401
from harness import S3, Kafka, Postgres, Stack, bash, http, sample_ticket  # noqa: E402,F401

TICKS = os.sysconf("SC_CLK_TCK")


def say(text):
    print(text, file=sys.stderr, flush=True)


def row(bench, case, ours, baseline, most=None, least=None):
    """One figure; the target is the most or the least that `ours` over `baseline` may be, if there is one."""
    ratio = ours / baseline
    target = least if most is None else most
    met = None if target is None else ratio <= most if most is not None else ratio >= least
    print(json.dumps({"bench": bench, "case": case, "ours": round(ours, 3), "baseline": round(baseline, 3),
                      "ratio": round(ratio, 3), "target": target, "met": met}), flush=True)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# ---- delivery modes ----


def deliveries():
    """The delivery modes that this program knows."""
    known = subprocess.run([PROGRAM, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return ["at_least_once", "exactly_once"] if "engine.delivery" in known else ["at_least_once"]


def delivery_settings(delivery):
    return {"HELPDESK_ENGINE_DELIVERY": delivery} if len(deliveries()) > 1 else {}


def words(delivery):
    return delivery.replace("_", " ")


# ---- servers and programs ----


@contextlib.contextmanager
def servers(postgres=True):
    """A folder with an Apache Kafka and a PostgreSQL of its own, gone at the end: .folder, .kafka, .postgres."""
    with tempfile.TemporaryDirectory(prefix="helpdesk-bench.") as folder:
        os.chmod(folder, 0o755)
        made = types.SimpleNamespace(folder=folder, kafka=Kafka(f"{folder}/kafka"), postgres=None)
        try:
            made.postgres = Postgres(f"{folder}/pg") if postgres else None
            yield made
        finally:
            made.kafka.stop()
            if made.postgres:
                made.postgres.remove()


def bare_environment():
    """Without settings of ours, which a tool would take for its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HELPDESK_")}


def run_tool(name, *args, env=None):
    """Runs a C part of the benchmarks; what it printed."""
    done = subprocess.run([str(BUILD / name), *map(str, args)], stdout=subprocess.PIPE, check=True, text=True, env=env)
    return json.loads(done.stdout)


def kafka_pid(kafka):
    return int((pathlib.Path(kafka.folder) / "1" / "pid").read_text())


def postgres_pid(postgres):
    folder = pathlib.Path(postgres.folder)
    home = pathlib.Path((folder / "home").read_text().strip()) if (folder / "home").exists() else folder
    return int((home / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def chain(what, delivery, brokers, prefix, topics, count, size, embedded=False, broker_pid=0):
    """The bare chain; `prefix` is new for each call, for it reads its topics from their beginning."""
    return run_tool("bench_chain", what, delivery, "embedded" if embedded else "real", brokers, prefix, topics, count, size,
                    broker_pid)


# ---- processes ----


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def cpu_seconds(pid):
    """Of a process and of its children that ended."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def own_cpu_seconds(pid):
    """Of a process without its children."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:13])) / TICKS
    return 0.0


def resident_mib(pid):
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


def proportional_mib(pid):
    """Resident memory, of what processes share each one's part."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
