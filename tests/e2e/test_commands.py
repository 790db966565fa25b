"""The subcommands as a person types them."""

import json
import os
import re
import subprocess

import psycopg2
import pytest

from harness import PROGRAM, ROOT, SAMPLE, sample_ticket, ticket


def helpdesk(*args, env=None, stdin=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HELPDESK_") and k != "DATABASE_URL"}
    return subprocess.run([PROGRAM, *args], env=dict(clean, **(env or {})), input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def test_help_names_every_command_and_setting():
    shown = helpdesk("--help")
    assert shown.returncode == 0
    for word in ("gateway", "kb-sync", "migrate", "gateway.port", "HELPDESK_PORT", "DATABASE_URL"):
        assert word in shown.stdout, word


def test_version():
    assert helpdesk("--version").stdout.startswith("helpdesk ")


def test_unknown_command_is_a_usage_error():
    done = helpdesk("gatway")
    assert done.returncode == 2 and "gatway" in done.stderr


@pytest.mark.parametrize("env, words", [
    ({"HELPDESK_GATEWAY_PRT": "1"}, ["HELPDESK_GATEWAY_PRT", "HELPDESK_GATEWAY_PORT"]),
    ({"HELPDESK_GATEWAY_PORT": "eighty"}, ["gateway.port", "eighty", "65535"]),
    ({"HELPDESK_GATEWAY_PORT": "70000"}, ["gateway.port", "70000", "65535"]),
    ({"HELPDESK_LOG_LEVEL": "loud"}, ["log.level", "debug"]),
])
def test_wrong_settings_name_what_would_be_right(env, words):
    done = helpdesk("settings", "show", env=env)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr, (word, done.stderr)


def test_file_is_read_and_environment_wins(tmp_path):
    path = tmp_path / "helpdesk.conf"
    path.write_text("environment = staging\n[gateway]\nport = 9999\n")
    shown = helpdesk("--config", str(path), "settings", "show", env={"ENVIRONMENT": "production"})
    assert shown.returncode == 0, shown.stderr
    assert "9999" in shown.stdout and "production" in shown.stdout and "staging" not in shown.stdout


def test_unknown_name_in_the_file_is_an_error(tmp_path):
    path = tmp_path / "helpdesk.conf"
    path.write_text("[gateway]\nprot = 1\n")
    done = helpdesk("--config", str(path), "settings", "show")
    assert done.returncode == 2 and "gateway.prot" in done.stderr and "gateway.port" in done.stderr


def test_secrets_are_not_shown():
    shown = helpdesk("settings", "show", env={"DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" not in shown.stdout + shown.stderr


def test_sample_file_is_the_table():
    assert helpdesk("settings", "sample").stdout == (ROOT / "deploy" / "helpdesk.conf.sample").read_text()


def test_try_classifier_needs_no_server():
    record = {"ticket": {k: v for k, v in sample_ticket("01-clean.json").items() if k in
                         ("ticket_id", "subject", "description", "customer_external_id")}}
    done = helpdesk("try", "classifier", stdin=json.dumps(record))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["classification"]["category"]


def test_try_says_what_is_wrong_with_a_record():
    done = helpdesk("try", "classifier", stdin='{"ticket": {"subject": 5}}')
    assert done.returncode == 1 and "subject" in done.stderr


def test_check_passes_on_a_running_stack_and_names_what_is_away(on_kafka):
    done = on_kafka.run("check")
    assert done.returncode == 0, done.stdout + done.stderr
    away = on_kafka.run("check", env={"DATABASE_URL": "postgresql://helpdesk@127.0.0.1:1/x"})
    assert away.returncode == 1 and "database" in away.stdout and "FAILED" in away.stdout


@pytest.mark.parametrize("env, line", [
    ({"HELPDESK_GENERATOR_VOICES": "/nowhere/voices.json"}, "generator  FAILED: voices: /nowhere/voices.json"),
    ({"HELPDESK_CLASSIFIER_TAXONOMY": "/nowhere/taxonomy.json"}, "classifier FAILED: taxonomy: /nowhere/taxonomy.json"),
    ({"HELPDESK_SCHEMAS_FOLDER": "/nowhere"}, "schemas    FAILED: "),
    ({"HELPDESK_KB_SOURCE": "/nowhere"}, "source     FAILED: default: "),
    ({"HELPDESK_KB_SOURCES": "/nowhere/sources.json"}, "source     FAILED: "),
])
def test_check_reads_the_files_of_the_settings(on_kafka, env, line):
    done = on_kafka.run("check", env=env)
    assert done.returncode == 1 and line in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("FAILED") == 1, done.stdout


def test_check_tells_whether_a_source_has_documents(on_kafka, tmp_path):
    (tmp_path / "picture.png").write_bytes(b"picture")
    assert "source     ok: default: there are no documents" in on_kafka.run("check", env={"HELPDESK_KB_SOURCE": str(tmp_path)}).stdout
    (tmp_path / "a.md").write_text("# A")
    assert "source     ok: default: there are documents" in on_kafka.run("check", env={"HELPDESK_KB_SOURCE": str(tmp_path)}).stdout


def test_every_command_tells_what_it_is():
    commands = re.findall(r"^  ([a-z][a-z-]*) ", helpdesk("--help").stdout.split("Settings (")[0], re.MULTILINE)
    assert {"up", "gateway", "settings", "kb"} <= set(commands)
    for command in commands:
        done = helpdesk(command, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"helpdesk {command}") and not done.stderr, done.stdout + done.stderr


def test_topics_plan_is_empty_after_apply(on_kafka):
    done = on_kafka.run("topics", "check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_migrate_goes_down_and_up(postgres):
    url = postgres.make_database("migrations")
    env = {"DATABASE_URL": url}
    assert helpdesk("migrate", "up", env=env).returncode == 0
    assert "pending" not in helpdesk("migrate", "status", env=env).stdout
    assert helpdesk("migrate", "down", "99", env=env).returncode == 0
    assert "pending" in helpdesk("migrate", "status", env=env).stdout
    assert helpdesk("migrate", "up", env=env).returncode == 0


def test_import_names_bad_rows(embedded, tmp_path):
    path = tmp_path / "customers.csv"
    path.write_text((SAMPLE / "customers.csv").read_text().splitlines()[0] + "\n,broken\n")
    done = embedded.run("import", "customers", str(path))
    assert done.returncode == 1 and "2" in done.stderr + done.stdout


def test_train_from_a_file_and_classify_with_the_model(tmp_path):
    model = tmp_path / "own.model"
    done = helpdesk("train", "--from", str(ROOT / "deploy" / "examples.csv"), "--out", str(model))
    assert done.returncode == 0, done.stderr
    for word in ("billing", "precision", "accuracy", "calibration error", str(model)):
        assert word in done.stdout, (word, done.stdout)
    again = tmp_path / "again.model"
    helpdesk("train", "--from", str(ROOT / "deploy" / "examples.csv"), "--out", str(again))
    assert again.read_bytes() == model.read_bytes()
    record = json.dumps({"ticket": {"ticket_id": "T-1", "customer_external_id": "C-1", "subject": "Colis",
                                    "description": "Le colis n'est pas arrivé, où est la livraison ?"}})
    tried = helpdesk("try", "classifier", stdin=record, env={"HELPDESK_CLASSIFIER_MODEL": str(model)})
    assert json.loads(tried.stdout)["classification"]["category"] == "shipping"
    model.write_bytes(model.read_bytes()[:-1])
    tried = helpdesk("try", "classifier", stdin=record, env={"HELPDESK_CLASSIFIER_MODEL": str(model)})
    assert tried.returncode != 0 and str(model) in tried.stderr and "hash" in tried.stderr


@pytest.mark.parametrize("text, words", [
    ("subject,description\nA,b\n", ["category"]),
    ("category,description\n" + "billing,An invoice\n" * 5 + "other,Hello\n" * 4, ['"other" has 4', "at least 5"]),
    ("category,description\n" + "billing,An invoice\n" * 9, ["at least two"]),
    ("category,description\n,An invoice\n", ["no ticket has a category"]),
])
def test_train_refuses_too_little(tmp_path, text, words):
    path, model = tmp_path / "tickets.csv", tmp_path / "own.model"
    path.write_text(text)
    done = helpdesk("train", "--from", str(path), "--out", str(model))
    assert done.returncode == 1 and not model.exists()
    for word in words:
        assert word in done.stderr, (word, done.stderr)


def test_train_names_bad_rows_and_unknown_categories(tmp_path):
    path, model = tmp_path / "tickets.csv", tmp_path / "own.model"
    path.write_text("category,description\n" + "billing,An invoice\nvacation,A day off\n" * 6 + "billing,\n")
    done = helpdesk("train", "--from", str(path), "--out", str(model))
    assert done.returncode == 1 and model.exists()
    assert f"{path}:14: description" in done.stderr and '"vacation" is not in the taxonomy' in done.stderr


def test_train_from_corrected_feedback(postgres, tmp_path):
    url = postgres.make_database("train")
    env = {"DATABASE_URL": url, "HELPDESK_TENANT": "acme"}
    assert helpdesk("migrate", "up", env=env).returncode == 0
    model = tmp_path / "own.model"
    nothing = helpdesk("train", "--feedback", "--out", str(model), env=env)
    assert nothing.returncode == 1 and "corrected.category" in nothing.stderr
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for tenant in ("acme", "other"):
            for n in range(24):
                text = ["The invoice number {} is wrong", "Parcel {} is late"][n % 2].format(n)
                cursor.execute("INSERT INTO tickets (tenant, ticket_id, customer_external_id, subject, description, channel,"
                               " created_at, received_at) VALUES (%s, %s, 'C-1', 'Hello', %s, 'api', now(), now())", (tenant, f"T-{n:02}", text))
                # the first word on each was wrong: the last one counts
                for at, category in enumerate(["technical", ["billing", "shipping"][n % 2] if tenant == "acme" else "account"]):
                    cursor.execute("INSERT INTO feedback (tenant, feedback_id, ticket_id, received_at, corrected_category)"
                                   " VALUES (%s, %s, %s, now() + %s * interval '1 s', %s)",
                                   (tenant, f"F-{n}-{at}", f"T-{n:02}", at, category))
    connection.close()
    done = helpdesk("train", "--feedback", "--out", str(model), env=env)
    assert done.returncode == 0, done.stderr
    assert "24 tickets" in done.stdout and "technical" not in done.stdout and "account" not in done.stdout
    assert "accuracy             100.0 %" in done.stdout


def test_ask_renders_an_answer(embedded):
    done = embedded.run("ask", "--url", embedded.url(), "Hub offline", "My hub does not connect to the Wi-Fi any more.")
    assert done.returncode == 0, done.stderr
    assert "[1]" in done.stdout
