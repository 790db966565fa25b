"""Buckets as sources, in a real S3 server: what is in them is in the base, what is not is gone, and nothing hostile gets further."""

import hashlib
import http.client
import http.server
import json
import subprocess
import threading
import urllib.parse

import pytest

from harness import S3, Stack, ticket, wait_until

def s3_settings(s3, place, **more):
    """The short form: one source."""
    return {"HELPDESK_KB_SOURCE": place, "HELPDESK_KB_ENDPOINT": s3.url, "HELPDESK_KB_PATH_STYLE": "true",
            "HELPDESK_KB_SCAN_INTERVAL": "200ms", **s3.credentials, **more}


def documents(stack):
    return dict(stack.sql("SELECT object_key, state FROM kb_documents"))


def wait_documents(stack, wanted, seconds=60):
    try:
        wait_until("the documents", seconds, lambda: documents(stack) == wanted)
    except AssertionError:
        assert documents(stack) == wanted, stack.log_tail()


def ready(*keys):
    return {key: "ready" for key in keys}


@pytest.fixture(scope="module")
def bucket(s3):
    """A bucket, and a stack that reads its prefix "help"."""
    name = s3.bucket("help-center")
    s3.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture(scope="module")
def stack(folder, postgres, s3, bucket):
    made = Stack(f"{folder}/in-s3", postgres, settings=s3_settings(s3, f"s3://{bucket}/help", HELPDESK_KB_MAX_DOCUMENT="64KiB")).start()
    yield made
    assert made.stop() == 0


def test_what_changes_in_the_bucket_changes_in_the_base(stack, s3, bucket):
    s3.put(bucket, "help/zebra.md", "# Zebra mode\n\nZebra mode is switched on with the striped button.\n")
    s3.put(bucket, "elsewhere/other.md", "# Other\n\nNot below the prefix.\n")
    s3.put(bucket, "help/picture.png", b"\x89PNG")
    wait_documents(stack, ready("zebra.md"))
    assert "source     ok: default: there are documents" in stack.run("check").stdout
    refused = stack.run("check", env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert refused.returncode == 1 and "source     FAILED: default: " in refused.stdout, refused.stdout
    asked = ticket(subject="Zebra mode", description="How do I switch zebra mode on?")
    draft = stack.ask(asked)
    assert "striped button" in json.dumps(draft), draft
    assert "https://help.example.com/zebra.md" in json.dumps(draft)
    s3.put(bucket, "help/zebra.md", "# Zebra mode\n\nZebra mode is switched on with the spotted lever.\n")
    wait_until("the change", 30, lambda: stack.sql("SELECT 1 FROM kb_passages WHERE text LIKE '%%spotted lever%%'"))
    assert not stack.sql("SELECT 1 FROM kb_passages WHERE text LIKE '%%striped%%'")
    s3.delete(bucket, "help/zebra.md")
    wait_documents(stack, {})
    markers = s3.client.list_object_versions(Bucket=bucket, Prefix="help/zebra.md")["DeleteMarkers"]
    s3.client.delete_object(Bucket=bucket, Key="help/zebra.md", VersionId=markers[0]["VersionId"])
    wait_documents(stack, ready("zebra.md"))
    assert stack.sql("SELECT count(*) FROM kb_passages WHERE text LIKE '%%spotted lever%%'") == [(1,)]
    s3.delete(bucket, "help/zebra.md")
    wait_documents(stack, {})
    assert stack.metric("kb-sync-1", "helpdesk_kb_last_scan_timestamp_seconds") > 0
    assert stack.metric("kb-sync-1", "helpdesk_kb_oldest_change_timestamp_seconds") == 0


def test_keys_of_all_kinds(stack, s3, bucket):
    good = ["a b.md", "plus+and%20percent.md", "déjà/vu ü.md", "日本/😀.md", "q?u=e&r#y.md", "dir.md", "dir-a.md", "dir/x.md", "dir0.md", "a'(b)!*~.md"]
    for key in good:
        s3.put(bucket, f"help/{key}", f"# Title\n\nThe text of {key}\n")
    # (The server itself normalises "." and "//" away; those forms are in the unit test of lists.)
    s3.put(bucket, "help/.hidden/a.md", "# Hidden\n\nNot a valid key.\n")
    wait_documents(stack, ready(*good))
    wait_until("the count", 10, lambda: stack.metric("kb-sync-1", "helpdesk_kb_keys_refused") == 1)
    for key in [*good, ".hidden/a.md"]:
        s3.delete(bucket, f"help/{key}")
    wait_documents(stack, {})


def test_an_object_that_is_too_large_fails_alone(stack, s3, bucket):
    s3.put(bucket, "help/large.md", b"# Large\n\n" + b"word " * 1_000_000)
    s3.put(bucket, "help/empty.md", b"")
    s3.put(bucket, "help/limit.md", b"# Limit\n\n" + b"x" * (64 * 1024 - 9))
    s3.put(bucket, "help/small.md", "# Small\n\nAs ever.\n")
    wait_documents(stack, {"large.md": "failed", "empty.md": "failed", "limit.md": "ready", "small.md": "ready"})
    why = dict(stack.sql("SELECT object_key, why FROM kb_documents WHERE state = 'failed'"))
    assert "5000009 bytes" in why["large.md"]
    for key in ("large", "empty", "limit", "small"):
        s3.delete(bucket, f"help/{key}.md")
    wait_documents(stack, {})


class Recorder(http.server.BaseHTTPRequestHandler):
    """Passes everything on to the S3 server as it came, so that the signatures are judged there, and remembers what changes objects."""

    protocol_version = "HTTP/1.1"
    target = ""
    changes = []

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command != "GET":
            type(self).changes.append((self.command, dict(self.headers), body))
        connection = http.client.HTTPConnection(self.target)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_PUT = do_DELETE = pass_on

    def log_message(self, *args):
        pass


def test_a_rollback_writes_to_the_bucket(stack, s3, bucket):
    changed, gone, new = "ä b/changed+1.md", "gone.html", "new.md"
    s3.put(bucket, f"help/{changed}", "# Changed\n\nThe first text.\n")
    version = s3.put(bucket, f"help/{gone}", "<h1>Gone</h1><p>For a while.</p>")["VersionId"]
    wait_documents(stack, ready(changed, gone))
    (revision,), = stack.sql("SELECT revision FROM kb_revisions WHERE tenant = 'default'")
    s3.put(bucket, f"help/{changed}", "# Changed\n\nThe second text.\n")
    # (Without a delete marker: this server does not show what is put after one.)
    s3.client.delete_object(Bucket=bucket, Key=f"help/{gone}", VersionId=version)
    s3.put(bucket, f"help/{new}", "# New\n\nNot there before.\n")
    wait_documents(stack, ready(changed, new))
    wait_until("the change", 30, lambda: stack.sql("SELECT 1 FROM kb_passages WHERE text LIKE '%%second text%%'"))
    Recorder.target = s3.url.removeprefix("http://")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = stack.run("kb", "rollback", "--all", "--to", str(revision), "--yes", "--json",
                         env={"HELPDESK_KB_ENDPOINT": f"http://127.0.0.1:{server.server_port}"})
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert {(step["action"], step["key"], step["done"]) for step in report["documents"]} == {
        ("write", changed, True), ("restore", gone, True), ("remove", new, True)}
    listed = {item["Key"] for item in s3.client.list_objects_v2(Bucket=bucket, Prefix="help/")["Contents"]}
    assert {f"help/{changed}", f"help/{gone}"} <= listed and f"help/{new}" not in listed
    restored = s3.client.get_object(Bucket=bucket, Key=f"help/{gone}")
    assert restored["Body"].read() == b"<h1>Gone</h1><p>For a while.</p>" and restored["ContentType"] == "text/html"
    assert s3.client.get_object(Bucket=bucket, Key=f"help/{changed}")["Body"].read() == b"# Changed\n\nThe first text.\n"
    assert documents(stack) == ready(changed, gone)
    assert stack.sql("SELECT 1 FROM kb_passages WHERE text LIKE '%%first text%%'")
    assert sorted(method for method, _, _ in Recorder.changes) == ["DELETE", "PUT", "PUT"]
    for method, headers, body in Recorder.changes:
        headers = {name.lower(): value for name, value in headers.items()}
        assert headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
        if method == "PUT":
            assert headers["x-amz-storage-class"] == "INTELLIGENT_TIERING"
            assert "x-amz-storage-class" in headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    for key in (changed, gone):
        s3.delete(bucket, f"help/{key}")
    wait_documents(stack, {})


def test_several_sources_with_patterns_tenant_and_locale(folder, postgres, s3):
    """A list of three pages, of which each has objects that are wanted."""
    many, texts = s3.bucket("many-objects"), s3.bucket("some-texts")
    for i in range(2500):
        s3.put(many, f"{i}/{i % 10}.md", f"# Number {i}\n\nThe text of number {i}.\n")
    for key in ("guides/a.md", "guides/draft-b.md", "internal/c.md", "guides/d.txt"):
        s3.put(texts, key, "# Hier\n\nEin Text, der nicht sagt, welche Sprache er hat.\n")
    sources = [{"name": "many", "place": f"s3://{many}", "endpoint": s3.url, "path_style": True, "include": ["*/0.md"]},
               {"name": "texts", "place": f"s3://{texts}", "endpoint": s3.url, "path_style": True, "tenant": "other", "locale": "nl",
                "include": ["guides/**"], "exclude": ["**/draft-*"]},
               {"name": "local", "place": f"{folder}/several/kb", "include": ["*/**"], "metadata": {"product": "Hüb \"2\""}}]
    path = f"{folder}/sources.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(sources, file)
    settings = dict(s3.credentials, HELPDESK_KB_SCAN_INTERVAL="200ms", HELPDESK_KB_SOURCES=path, HELPDESK_KB_SOURCE="", HELPDESK_KB_PUBLIC_URL="")
    stack = Stack(f"{folder}/several", postgres, settings=settings).start()
    try:
        def counts():
            return dict(stack.sql("SELECT source, count(*)::int FROM kb_documents WHERE state = 'ready' GROUP BY 1"))
        wait_until("all pages", 120, lambda: counts().get("many") == 250 and counts().get("local", 0) > 30 and counts().get("texts"))
        assert stack.sql("SELECT tenant, object_key, locale FROM kb_documents WHERE source = 'texts' ORDER BY 2") == [
            ("other", "guides/a.md", "nl"), ("other", "guides/d.txt", "nl")]
        for i in range(0, 2500, 500):
            s3.delete(many, f"{i}/0.md")
        s3.put(many, "3/0.md", "# New\n\nBetween the pages.\n")
        wait_until("the changes", 60, lambda: counts()["many"] == 246)
        items = stack.ask(ticket())["context"]["context_package"]
        shown = {item["source_id"].split("/")[0]: item["metadata"] for item in items if item["type"] == "kb"}
        assert shown["local"] == {"product": "Hüb \"2\""} and shown.get("many", {}) == {}, shown
        found = stack.sync()["found"]
        assert found == sum(counts()[name] for name in ("many", "local"))
    finally:
        assert stack.stop() == 0


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Sends everybody to `target`."""

    target = ""
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        self.send_response(307)
        self.send_header("Location", self.target + self.path)
        self.send_header("x-amz-bucket-region", "eu-west-1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def changes(stack, key):
    """How many changes of a document the history has."""
    return stack.sql("SELECT count(*) FROM kb_history WHERE object_key = %s", key)[0][0]


def logged(stack, text):
    return text in (stack.folder / "helpdesk.log").read_text(errors="replace")


def source_file(folder, name, source):
    path = f"{folder}/{name}.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(source if isinstance(source, list) else [source], file)
    return path


def test_sources_that_cannot_be_read_say_why_and_remove_nothing(folder, postgres, s3):
    """One stack, a source for each trouble, and a good one that does not mind."""
    good = s3.bucket("good-bucket")
    s3.put(good, "a.md", "# A\n\nStill here.\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Elsewhere.target = s3.url
    s3_place = {"endpoint": s3.url, "path_style": True}
    path = source_file(folder, "troubles", [
        {"name": "good", "place": f"s3://{good}", **s3_place},
        {"name": "missing", "place": "s3://no-such-bucket", **s3_place},
        {"name": "elsewhere", "place": f"s3://{good}", "endpoint": f"http://127.0.0.1:{server.server_port}", "path_style": True}])
    settings = dict(s3.credentials, HELPDESK_KB_SCAN_INTERVAL="200ms", HELPDESK_KB_SOURCES=path, HELPDESK_KB_SOURCE="")
    stack = Stack(f"{folder}/troubles", postgres, settings=settings).start()
    try:
        wait_documents(stack, ready("a.md"))
        wait_until("the bucket that is not there", 20, lambda: logged(stack, "S3 answers 404 NoSuchBucket for bucket no-such-bucket"))
        wait_until("the redirect", 20, lambda: logged(stack, "its region must be set to eu-west-1"))
        assert Elsewhere.asked > 0
        assert stack.sql("SELECT DISTINCT source FROM kb_documents") == [("good",)]
        s3.put(good, "a.md", "# A\n\nStill here, and changed.\n")
        wait_until("the change", 30, lambda: changes(stack, "a.md") == 2)
    finally:
        assert stack.stop() == 0
        server.shutdown()
    stack.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    stack.env["HELPDESK_KB_HISTORY_FOR"] = "0s"
    stack.start()
    try:
        wait_until("the refusal", 20, lambda: logged(stack, "S3 answers 403 SignatureDoesNotMatch for bucket good-bucket"))
        assert documents(stack) == ready("a.md")
        wait_until("the history to be forgotten", 30, lambda: changes(stack, "a.md") == 1)
        assert stack.sql("SELECT convert_from(bytes, 'UTF8') FROM kb_contents") == [("# A\n\nStill here, and changed.\n",)]
    finally:
        assert stack.stop() == 0


class Busy(http.server.BaseHTTPRequestHandler):
    """Stands before a server and says that it is too busy, at first and then every third time; keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    behind = ""
    asked = []

    def do_GET(self):
        self.asked.append((self.path, self.headers["Range"]))
        if len(self.asked) <= 3 or len(self.asked) % 3 == 0:
            body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            self.answer(503, {"Content-Type": "application/xml", "Retry-After": "1"}, body)
            return
        server = http.client.HTTPConnection(self.behind)
        server.request("GET", self.path, headers=dict(self.headers))
        answer = server.getresponse()
        if answer.status == 404:  # as Amazon says it to who may list a prefix only
            self.answer(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
            return
        self.answer(answer.status, {name: value for name, value in answer.getheaders() if name in ("ETag", "Content-Range", "Last-Modified")},
                    answer.read())

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def certificate(folder):
    """Of s3.localhost and the buckets in it, signed by nobody else; the paths of it and its key."""
    cert, key = f"{folder}/s3.pem", f"{folder}/s3.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-addext", "subjectAltName=DNS:s3.localhost,DNS:*.s3.localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_tls_virtual_hosts_and_a_busy_server(folder, postgres, s3, certificate):
    """The bucket in the name of a host (*.localhost is this machine, RFC 6761) that shows the right certificate, and one that does not; a server
    that asks to slow down is asked again, and never for an object that is known to be too large."""
    cert, key = certificate
    secured = S3(f"{folder}/secured-s3", ["--cert", cert, "--key", key, "--virtual-domain", "s3.localhost"])
    for server, bucket in ((secured, "secured-bucket"), (s3, "busy-bucket")):
        server.bucket(bucket)
        server.put(bucket, "help/ä +%.md", f"# A\n\nOf {bucket}.\n")
    s3.put("busy-bucket", "help/large.md", b"x" * 100_000)
    s3.put("busy-bucket", "help/small.md", "# B\n\nSmall.\n")
    busy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    Busy.behind = urllib.parse.urlsplit(s3.url).netloc
    threading.Thread(target=busy.serve_forever, daemon=True).start()
    port = urllib.parse.urlsplit(secured.url).port
    path = source_file(folder, "secured", [
        {"name": "secured", "place": "s3://secured-bucket/help", "endpoint": f"https://s3.localhost:{port}"},
        {"name": "impostor", "place": "s3://secured-bucket/help", "endpoint": f"https://127.0.0.1:{port}", "path_style": True},
        {"name": "busy", "place": "s3://busy-bucket/help", "endpoint": f"http://127.0.0.1:{busy.server_port}", "path_style": True}])
    settings = dict(s3.credentials, HELPDESK_KB_SCAN_INTERVAL="200ms", HELPDESK_KB_SOURCES=path, HELPDESK_KB_SOURCE="", SSL_CERT_FILE=cert,
                    HELPDESK_KB_MAX_DOCUMENT="64KiB")
    stack = Stack(f"{folder}/secured", postgres, settings=settings).start()
    try:
        wanted = [("busy", "large.md", "failed"), ("busy", "small.md", "ready"), ("busy", "ä +%.md", "ready"), ("secured", "ä +%.md", "ready")]
        def found():
            return sorted(stack.sql("SELECT source, object_key, state FROM kb_documents"))
        try:
            wait_until("what can be read", 60, lambda: found() == sorted(wanted))
        except AssertionError:
            assert found() == sorted(wanted), stack.log_tail()
        wait_until("the wrong certificate", 20, lambda: logged(stack, '"source":"impostor","why":"S3, bucket secured-bucket: SSL: no alternative'))
        assert logged(stack, "S3 answers 503 SlowDown for bucket busy-bucket")
        reads = [(asked, part) for asked, part in Busy.asked if "list-type" not in asked]
        assert reads and {part for _, part in reads} == {"bytes=0-65536"}
        assert not [asked for asked, _ in reads if "large" in asked]
        s3.delete("busy-bucket", "help/small.md")
        wait_until("what is deleted is gone", 60, lambda: ("busy", "small.md", "ready") not in found())
        assert ("busy", "small.md", "failed") not in found()
        assert stack.sql("SELECT kind FROM kb_history WHERE object_key = 'small.md' ORDER BY revision") == [("put",), ("removed",)]
    finally:
        assert stack.stop() == 0
        busy.shutdown()
        secured.stop()


@pytest.mark.parametrize("source, said", [
    ({"place": "s3://bucket-a"}, "sources[0].name"),
    ({"name": "a"}, "sources[0].place"),
    ({"name": "a b", "place": "x"}, "sources[0].name"),
    ({"name": "a", "place": "s3://B", "region": "eu-west-1"}, "place must be s3://bucket"),
    ({"name": "a", "place": "s3://bucket-a/../x", "region": "eu-west-1"}, "place has a prefix"),
    ({"name": "a", "place": "s3://bucket-a"}, "region is not set"),
    ({"name": "a", "place": "ftp://x"}, "not known"),
    ({"name": "a", "place": "s3://bucket-a", "endpoint": "http://169.254.169.254"}, "endpoint is an address where clouds keep credentials"),
    ({"name": "a", "place": "s3://bucket-a", "endpoint": "http://[fe80::1]:80"}, "endpoint is an address where clouds keep credentials"),
    ({"name": "a", "place": "s3://bucket-a", "endpoint": "http://u@host/"}, "endpoint must be an address"),
    ({"name": "a", "place": "s3://bucket-a", "region": "../x"}, "sources[0].region"),
    ({"name": "a", "place": "s3://bucket-a", "storage_class": "a b"}, "sources[0].storage_class"),
    ({"name": "a", "place": "x", "endpoint": "http://h"}, "sources[0].endpoint"),
    ({"name": "a", "place": "x", "locale": "english please"}, "sources[0].locale"),
    ({"name": "a", "place": "x", "tenant": "a/b"}, "sources[0].tenant"),
    ({"name": "a", "place": "x", "include": "*.md"}, "sources[0].include"),
    ({"name": "a", "place": "x", "exclude": [1]}, "sources[0].exclude"),
    ({"name": "a", "place": "x", "metadata": {"a": 1}}, "sources[0].metadata must be an object of texts"),
    ({"name": "a", "place": "x", "metadata": {"title": "t"}}, "sources[0].metadata must be an object of texts"),
    ({"name": "a", "place": "x", "metadata": {"a": "x" * 1100}}, "sources[0].metadata must be an object of texts, of at most 1024 bytes"),
    ({"name": "a", "place": "x", "path_style": "yes"}, "sources[0].path_style"),
    ({"name": "a", "place": "x", "prefix": "p"}, "sources[0].prefix is not known"),
    ([{"name": "a", "place": "x"}, {"name": "a", "place": "y"}], "sources[1].name is the name of another source"),
    ([], "must be an array of 1 to 64 sources"),
])
def test_a_wrong_member_stops_the_start_and_is_named(embedded, folder, source, said):
    path = source_file(folder, "wrong", source)
    env = {"HELPDESK_KB_SOURCES": path, "HELPDESK_KB_SOURCE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
    done = embedded.run("kb-sync", env=env)
    assert done.returncode != 0
    assert said in done.stderr, done.stderr
