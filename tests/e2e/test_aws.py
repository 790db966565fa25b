"""AWS credentials and the database's secret: found where botocore finds them, used as the services want them, and told apart when they fail."""

import json
import os
import re
import signal
import subprocess
import sys

import psycopg2
import psycopg2.extensions
import pytest

from fake_aws import ARN, FakeAws
from harness import PROGRAM, http, wait_until

# Says for each environment, a line of JSON, what botocore finds in it. Debian's does not know AWS_ENDPOINT_URL_STS yet.
PEER = """
import json, os, sys
import botocore.session
class Session(botocore.session.Session):
    def create_client(self, *args, **kwargs):
        return super().create_client(*args, **dict(kwargs, endpoint_url=os.environ["AWS_ENDPOINT_URL_STS"]))
for line in sys.stdin:
    os.environ.clear()
    os.environ.update(json.loads(line))
    keys = Session().get_credentials().get_frozen_credentials()
    print(json.dumps([keys.access_key, keys.secret_key, keys.token]), flush=True)
"""


@pytest.fixture(scope="module")
def peer():
    process = subprocess.Popen([sys.executable, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def find(env):
        process.stdin.write(json.dumps(env) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())
    yield find
    process.stdin.close()
    assert process.wait(10) == 0


@pytest.fixture(scope="module")
def database(postgres):
    return psycopg2.extensions.parse_dsn(postgres.make_database("of_a_secret"))


@pytest.fixture
def aws(database):
    with FakeAws() as double:
        double.secret = {"username": database["user"], "password": "hush-of-the-database", "engine": "postgres",
                         "host": database["host"], "port": 5432, "dbname": database["dbname"]}
        yield double


def environment(*parts):
    kept = ("HELPDESK_", "AWS_", "DATABASE_URL", "DB_SECRET_ARN", "PG")
    env = {k: v for k, v in os.environ.items() if not k.startswith(kept)}
    env["HOME"] = "/nowhere"
    for part in parts:
        env.update(part)
    return env


def migrate_status(env):
    """Reads the secret and connects: the least that needs both."""
    done = subprocess.run([PROGRAM, "migrate", "status"], env=dict(env, DB_SECRET_ARN=ARN), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert "hush" not in done.stdout, done.stdout
    assert "AddressSanitizer" not in done.stdout and "runtime error" not in done.stdout, done.stdout
    return done


def profiles(folder, aws, config=True):
    """The SDKs' files: `both` is in both, `settled` in the config file alone, `bare` without keys."""
    shared, settled = aws.keys["shared"], aws.keys["config"]
    (folder / "credentials").write_text(
        f"[default]\naws_access_key_id={shared.id}\naws_secret_access_key={shared.secret}\naws_session_token={shared.token}\n"
        f"[both]\naws_access_key_id = {shared.id}\naws_secret_access_key = {shared.secret}\naws_session_token = {shared.token}\n"
        "[half]\naws_access_key_id = AKIAHALF\n")
    keys = f"aws_access_key_id = {settled.id}\naws_secret_access_key = {settled.secret}\n"
    (folder / "config").write_text(f"# of the SDKs\n[default]\nregion = eu-west-1\n[profile both]\n{keys}[profile settled]\n{keys}s3 =\n  "
                                   "addressing_style = path\n[profile bare]\nregion = eu-west-1\n[profile chained]\n"
                                   "role_arn = arn:aws:iam::1:role/x\nsource_profile = both\n[profile program]\ncredential_process = /bin/false\n")
    return {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"), "AWS_CONFIG_FILE": str(folder / "config")}


# What the environment has, and whose keys count.
PRECEDENCE = [
    (("env", "web", "profiles", "container", "instance"), "env"),
    (("env", "profile=both"), "env"),
    (("web", "profiles", "container", "instance"), "web"),
    (("profiles", "container", "instance"), "shared"),
    (("profile=both", "container", "instance"), "shared"),
    (("profile=settled", "container", "instance"), "config"),
    (("profile=bare", "container", "instance"), "container"),
    (("profile=bare", "instance"), "instance"),
    (("container", "instance"), "container"),
    (("instance",), "instance"),
]


@pytest.mark.parametrize("has, whose", PRECEDENCE, ids=["+".join(has) + "=" + whose for has, whose in PRECEDENCE])
def test_botocore_finds_the_same(aws, peer, tmp_path, has, whose):
    parts = [aws.services(), {"AWS_EC2_METADATA_DISABLED": "false" if "instance" in has else "true"}]
    for name in has:
        if name in ("env", "container"):
            parts.append(getattr(aws, name)())
        elif name == "web":
            parts.append(aws.web(tmp_path))
        elif name != "instance":
            parts.append(profiles(tmp_path, aws))
            parts.append({"AWS_PROFILE": name.partition("=")[2]} if "=" in name else {})
    env = environment(*parts)
    done = migrate_status(env)
    assert done.returncode == 0, done.stdout
    keys = aws.keys[whose]
    assert peer(env) == [keys.id, keys.secret, keys.token]
    assert [what for service, what in aws.journal if service == "secret"] == [keys.id]  # and its signature was right
    assert aws.problems == []


# A place, how it fails, and what is said about it.
FAILURES = [
    ("instance", {"token": 403}, "instance metadata service was asked: it answers 403"),
    ("instance", {"token": "hang"}, "instance metadata service was asked: no answer in time"),
    ("instance", {"token": "text"}, "does not answer with a session token"),
    ("instance", {"role": 404}, "no role is attached to this instance"),
    ("instance", {"instance": 404}, "it answers 404"),
    ("instance", {"instance": "expired"}, "expired at"),
    ("instance", {"instance": "endless"}, "larger than 65536 bytes"),
    ("container", {"container": 403}, "the container's credentials endpoint: it answers 403 Refused"),
    ("web", {"sts": 400}, "it answers 400 ExpiredTokenException"),
    ("web", {"sts": "throttled"}, "it answers 400 Throttling"),
    ("web", {"sts": "malformed"}, "not XML"),
    ("web", {"sts": "expired"}, "expired at"),
    ("env", {"secret": 400}, "Secrets Manager answers 400 ResourceNotFoundException for arn:aws:secretsmanager"),
    ("env", {"secret": 403}, "Secrets Manager answers 403 AccessDeniedException"),
    ("env", {"secret": 429}, "Secrets Manager answers 429 ThrottlingException"),
    ("env", {"secret": "malformed"}, "not JSON"),
    ("env", {"secret": "endless"}, "Secrets Manager: the answer is larger than"),
]


@pytest.mark.parametrize("place, faults, said", FAILURES, ids=[f"{place}-{faults}" for place, faults, _ in FAILURES])
def test_a_failure_is_told(aws, tmp_path, place, faults, said):
    aws.faults = faults
    own = {"instance": dict, "container": aws.container, "web": lambda: aws.web(tmp_path), "env": aws.env}[place]
    done = migrate_status(environment(aws.services(), own()))
    assert done.returncode in (1, 2) and said in done.stdout, done.stdout
    assert aws.problems == []


@pytest.mark.parametrize("env, said", [
    ({"AWS_ACCESS_KEY_ID": "AKIA"}, "AWS_SECRET_ACCESS_KEY is not"),
    ({"AWS_PROFILE": "nobody"}, "the profile nobody of AWS_PROFILE is neither in"),
    ({"AWS_PROFILE": "half"}, "profile half of .*credentials has no aws_secret_access_key"),
    ({"AWS_PROFILE": "chained"}, "profile chained has role_arn, which is not supported"),
    ({"AWS_PROFILE": "program"}, "profile program has credential_process, which is not supported"),
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token"}, "AWS_ROLE_ARN is not"),
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token", "AWS_ROLE_ARN": "r"}, "AWS_WEB_IDENTITY_TOKEN_FILE cannot be read: /nowhere/token"),
    ({"AWS_PROFILE": "bare", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example.com/"}, "are asked, not evil.example.com"),
    ({"AWS_PROFILE": "bare", "AWS_EC2_METADATA_DISABLED": "true"}, "no AWS credentials in the environment"),
])
def test_an_environment_that_cannot_work_is_a_clear_error(aws, tmp_path, env, said):
    done = migrate_status(environment(aws.services(), profiles(tmp_path, aws), env))
    assert done.returncode == 2 and re.search(said, done.stdout), done.stdout
    assert aws.journal == []


def test_no_proxy_sees_what_a_machine_knows_of_itself(aws):
    env = environment(aws.services(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://169.254.1.1", "http_proxy": aws.url})
    assert migrate_status(env).returncode != 0
    assert aws.journal == [] and aws.problems == []


def test_a_secret_that_is_no_database_is_refused(aws):
    aws.secret = {"username": "u", "password": "hush", "engine": "mysql", "host": "h"}
    assert "engine is not postgres" in migrate_status(environment(aws.services(), aws.env())).stdout
    aws.secret = "hush"
    assert "not a JSON object" in migrate_status(environment(aws.services(), aws.env())).stdout
    done = migrate_status(environment(aws.services(), aws.env(), {"HELPDESK_DATABASE_SECRET_ARN": "arn:aws:s3:::x"}))
    assert "is not named like arn:aws:secretsmanager:" in done.stdout


def test_the_rest_is_the_connection_strings(aws, database):
    """RDS keeps only user and password in the secrets that it rotates itself."""
    aws.secret = {"username": database["user"], "password": "hush"}
    lacking = migrate_status(environment(aws.services(), aws.env()))
    assert lacking.returncode == 2 and "host is missing, and database.url names none" in lacking.stdout
    url = f"host={database['host']} port=5432 dbname={database['dbname']} user=nobody password=hush-old"
    assert migrate_status(environment(aws.services(), aws.env(), {"DATABASE_URL": url})).returncode == 0


@pytest.fixture
def rotating(postgres, database):
    """A user of the database whose password the server really asks for."""
    connection = psycopg2.connect(postgres.url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("SHOW hba_file")
    path = cursor.fetchone()[0]
    with open(path, encoding="utf-8") as file:
        rules = file.read()
    cursor.execute("CREATE ROLE rotating LOGIN PASSWORD 'hush-1'")
    with open(path, "w", encoding="utf-8") as file:
        file.write("local all rotating scram-sha-256\n" + rules)
    cursor.execute("SELECT pg_reload_conf()")
    yield cursor
    with open(path, "w", encoding="utf-8") as file:
        file.write(rules)
    cursor.execute("SELECT pg_reload_conf()")
    cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'")
    cursor.execute("DROP ROLE rotating")
    connection.close()


def test_a_new_password_needs_no_restart(aws, rotating, tmp_path):
    aws.secret.update(username="rotating", password="hush-1")
    env = environment(aws.services(), aws.container(), {"DB_SECRET_ARN": ARN, "HELPDESK_RUN_DIR": str(tmp_path), "HELPDESK_INSTANCE": "g",
                                                        "HELPDESK_KAFKA_BROKERS": "127.0.0.1:1", "HELPDESK_PORT": "0"})
    with open(tmp_path / "log", "wb") as log:
        role = subprocess.Popen([PROGRAM, "gateway"], env=env, stdout=log, stderr=log)

    def metric(name):
        file = tmp_path / "g.admin"
        if not file.exists():
            return 0
        text = http("GET", f"http://{file.read_text().strip()}/metrics").body.decode()
        found = re.search(f"^{re.escape(name)} (\\d+)", text, re.M)
        return int(found[1]) if found else 0

    def connections():
        return metric("helpdesk_db_connections")

    try:
        wait_until("connected with the first password", 20, lambda: connections() > 0)
        arguments = open(f"/proc/{role.pid}/cmdline", encoding="utf-8").read() + open(f"/proc/{role.pid}/environ", encoding="utf-8").read()
        assert "hush" not in arguments
        assert aws.keys["container"].id == aws.journal[-1][1]
        rotating.execute("ALTER ROLE rotating PASSWORD 'hush-2'")
        aws.secret["password"] = "hush-2"
        aws.faults = {"secret": 500}
        rotating.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'")
        wait_until("Secrets Manager fails", 20, lambda: metric('helpdesk_aws_secret_reads_total{outcome="aws_secret_unavailable"}') == 1)
        aws.faults = {}
        wait_until("the secret is read again", 20, lambda: b"secret was read again" in (tmp_path / "log").read_bytes())
        wait_until("connected with the second password", 20, lambda: connections() > 0)
        assert metric('helpdesk_aws_secret_reads_total{outcome="ok"}') >= 2
    finally:
        role.send_signal(signal.SIGTERM)
        code = role.wait(30)
    text = (tmp_path / "log").read_text()
    assert code == 0, text
    assert "hush" not in text and "AddressSanitizer" not in text
    assert aws.problems == []
