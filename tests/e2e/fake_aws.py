"""A stand-in for what AWS keeps: the instance metadata service, a container's credentials endpoint, STS and Secrets Manager.

    with FakeAws() as aws:  run(env=aws.instance())

It checks what it is asked as the real ones do: session tokens, form fields, and the signature of each request to Secrets Manager, made
again by botocore's signer. What is wrong is answered 4xx and noted in `problems`. Each place gives keys of its own, so that a signed request tells
where its keys came from; `journal` has (service, what) of all requests.

`faults` {service: kind} makes "token", "role", "instance", "container", "sts" or "secret" misbehave: a status, "malformed", "missing" (a member
is), "expired", "hang", "endless", "text" (not what the protocol says).
"""

import datetime
import hmac
import http.server
import json
import threading
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SESSION = "AQAEAN-session=="
ROLE = "role-of-the-instance"
ROLE_ARN = "arn:aws:iam::123456789012:role/helpdesk+web"
WEB_TOKEN = "eyJhbGciOi.J9&=+/ of.the-platform"
CONTAINER_TOKEN = "Bearer container-token=="
REGION = "eu-south-2"
ARN = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:prod/db-AbCdEf"
STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:helpdesk</SubjectFromWebIdentityToken>
    <Credentials>{fields}</Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"""
STS_ERROR = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>
  <RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ErrorResponse>"""


class Keys:
    """What one place gives."""

    def __init__(self, name, temporary=True):
        self.id = f"ASIA{name.upper()}"
        self.secret = f"hush/+{name}"
        self.token = f"hush-token/{name}==" if temporary else None

    def fields(self, kind, token_name):
        now = datetime.datetime.now(datetime.timezone.utc)
        expires = now + datetime.timedelta(hours=-1 if kind == "expired" else 6)
        made = {"AccessKeyId": self.id, "SecretAccessKey": self.secret, token_name: self.token,
                "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if kind == "missing":
            del made["SecretAccessKey"]
        return made


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_all(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, kind, answer = self.server.owner.answer(self.command, self.path, self.headers, body)
        try:
            self.send(status, kind, answer)
        except OSError:
            pass  # it did not wait for the end

    def send(self, status, kind, answer):
        if answer == "hang":
            self.server.owner.ended.wait(30)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if answer == "endless":
            self.end_headers()
            self.close_connection = True
            while not self.server.owner.ended.is_set():
                self.wfile.write(b" " * 65536)
            return
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    do_GET = do_PUT = do_POST = handle_all


class FakeAws:
    def __init__(self):
        self.journal = []
        self.problems = []
        self.faults = {}
        self.secret = {}  # what Secrets Manager keeps under ARN
        self.keys = {name: Keys(name) for name in ("instance", "container", "web")}
        self.keys["env"] = Keys("env", temporary=False)
        self.keys["shared"] = Keys("shared")
        self.keys["config"] = Keys("config", temporary=False)
        self.ended = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.owner = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *args):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    # ---- environments that name it ----

    def services(self):
        return {"AWS_ENDPOINT_URL_STS": self.url + "/sts", "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url + "/secrets/",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}

    def env(self):
        return {"AWS_ACCESS_KEY_ID": self.keys["env"].id, "AWS_SECRET_ACCESS_KEY": self.keys["env"].secret}

    def web(self, folder):
        file = folder / "web-token"
        file.write_text(WEB_TOKEN)
        return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_ARN": ROLE_ARN}

    def container(self):
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url + "/container?id=1", "AWS_CONTAINER_AUTHORIZATION_TOKEN": CONTAINER_TOKEN}

    # ---- the services ----

    def answer(self, method, path, headers, body):
        route, _, query = path.partition("?")
        found = {("PUT", "/latest/api/token"): self.token,
                 ("GET", "/latest/meta-data/iam/security-credentials/"): self.role,
                 ("GET", f"/latest/meta-data/iam/security-credentials/{ROLE}"): self.instance,
                 ("GET", "/container"): self.container_credentials,
                 ("POST", "/sts/"): self.sts, ("POST", "/sts"): self.sts,
                 ("POST", "/secrets/"): self.secrets_manager}.get((method, route))
        if not found:
            self.problems.append(f"{method} {path}")
            return 404, "text/plain", "no such thing"
        service = {"container_credentials": "container", "secrets_manager": "secret"}.get(found.__name__, found.__name__)
        kind = self.faults.get(service)
        if kind in ("hang", "endless"):
            self.journal.append((service, kind))
            return 200, "text/plain", kind
        try:
            return found(kind, query, headers, body)
        except AssertionError as error:
            self.problems.append(f"{service}: {error}")
            return 403, "text/plain", "refused"

    def token(self, kind, query, headers, body):
        self.journal.append(("token", ""))
        assert 1 <= int(headers["X-aws-ec2-metadata-token-ttl-seconds"]) <= 21600, "no time to live"
        assert "X-Forwarded-For" not in headers, "through a proxy"
        return (kind, "text/plain", "") if isinstance(kind, int) else (200, "text/plain", "two lines\r\n" if kind == "text" else SESSION)

    def role(self, kind, query, headers, body):
        self.journal.append(("role", ""))
        if headers["X-aws-ec2-metadata-token"] != SESSION:
            return 401, "text/plain", ""
        return (kind, "text/plain", "") if isinstance(kind, int) else (200, "text/plain", "<html>" if kind == "text" else ROLE)

    def json_credentials(self, kind, keys):
        if isinstance(kind, int):
            return kind, "application/json", json.dumps({"code": "Refused", "message": keys.secret})
        text = json.dumps({"Code": "Success", "Type": "AWS-HMAC", **keys.fields(kind, "Token")})
        return 200, "application/json", text[:-2] if kind == "malformed" else text

    def instance(self, kind=None, query=None, headers=None, body=None):
        self.journal.append(("instance", ""))
        if headers["X-aws-ec2-metadata-token"] != SESSION:
            return 401, "text/plain", ""
        return self.json_credentials(kind, self.keys["instance"])

    def container_credentials(self, kind, query, headers, body):
        self.journal.append(("container", ""))
        assert query == "id=1", query
        assert headers["Authorization"] == CONTAINER_TOKEN, "wrong token"
        return self.json_credentials(kind, self.keys["container"])

    def sts(self, kind, query, headers, body):
        self.journal.append(("sts", ""))
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        assert "Authorization" not in headers, "this call is not signed"
        assert headers["Content-Type"].startswith("application/x-www-form-urlencoded"), headers["Content-Type"]
        session = form.pop("RoleSessionName")
        assert 2 <= len(session) <= 64, session
        assert form == {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": ROLE_ARN,
                        "WebIdentityToken": WEB_TOKEN}, sorted(form)
        if isinstance(kind, int):
            code = {400: "ExpiredTokenException", 403: "AccessDenied"}.get(kind, "InternalFailure")
            return kind, "text/xml", STS_ERROR.format(code=code, text=WEB_TOKEN.replace("&", "&amp;"))
        if kind == "throttled":
            return 400, "text/xml", STS_ERROR.format(code="Throttling", text="Rate exceeded")
        fields = self.keys["web"].fields(kind, "SessionToken")
        text = STS.format(fields="".join(f"<{name}>{value}</{name}>" for name, value in fields.items()))
        return 200, "text/xml", text[:-30] if kind == "malformed" else text

    def secrets_manager(self, kind, query, headers, body):
        id = headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        self.journal.append(("secret", id))
        self.check_signature(id, headers, body)
        assert headers["Content-Type"] == "application/x-amz-json-1.1", headers["Content-Type"]
        assert headers["X-Amz-Target"] == "secretsmanager.GetSecretValue", headers["X-Amz-Target"]
        assert json.loads(body) == {"SecretId": ARN}, body
        named = {400: "ResourceNotFoundException", 403: "AccessDeniedException", 429: "ThrottlingException"}
        if isinstance(kind, int):
            return kind, "application/x-amz-json-1.1", json.dumps({"__type": named.get(kind, "InternalServiceError"), "Message": "hush"})
        secret = self.secret if isinstance(self.secret, str) else json.dumps(self.secret)
        text = json.dumps({"ARN": ARN, "Name": "prod/db", "VersionId": "1", "SecretString": secret, "VersionStages": ["AWSCURRENT"],
                           "CreatedDate": 1.52358e9})
        text = json.dumps({"ARN": ARN, "SecretBinary": "aHVzaA=="}) if kind == "missing" else text
        return 200, "application/x-amz-json-1.1", text[:-2] if kind == "malformed" else text

    def check_signature(self, id, headers, body):
        """What the service itself does: the same request, signed once more by somebody else's signer."""
        keys = next((keys for keys in self.keys.values() if keys.id == id), None)
        assert keys, f"unknown key {id}"
        parts = dict(part.strip().partition("=")[::2] for part in headers["Authorization"].partition(" ")[2].split(","))
        date, region, service, end = parts["Credential"].split("/")[1:]
        assert (region, service, end) == (REGION, "secretsmanager", "aws4_request"), parts["Credential"]
        stamp = headers["X-Amz-Date"]
        age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.strptime(stamp + "+0000", "%Y%m%dT%H%M%SZ%z")
        assert abs(age.total_seconds()) < 300 and stamp.startswith(date), stamp
        names = parts["SignedHeaders"].split(";")
        for name in ("host", "x-amz-date", "x-amz-target", "content-type", *(["x-amz-security-token"] if keys.token else [])):
            assert name in names, f"{name} is not signed"
        assert headers.get("X-Amz-Security-Token") == keys.token, "wrong session token"
        request = AWSRequest("POST", self.url + "/secrets/", {name: headers[name] for name in names}, body)
        request.context["timestamp"] = stamp
        signer = SigV4Auth(Credentials(keys.id, keys.secret, keys.token), service, region)
        made = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        assert hmac.compare_digest(made, parts["Signature"]), "the signature differs"
