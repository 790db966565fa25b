"""A stand-in for Amazon Bedrock's runtime: Converse and InvokeModel as the service speaks them, each request's signature computed again by botocore's own
signer.

As a program:   fake_bedrock.py [--port 0]      prints its address, then serves until it is killed
In a test:      with FakeBedrock() as bedrock:  Stack(..., settings=bedrock.settings)

POST /model/{id}/converse  A request that the service would not take, or that breaks our own rules (fake_model.py), is refused by the service's
                           name for it, and the latter are noted as problems. Else the answer is as fake_model.py's, as the input of the tool that
                           the model must use; without a tool as text, in a fence. A conversation without a message is refused, as by the service.

POST /model/{id}/invoke    The same with Titan Text Embeddings V2 (TITAN) and Cohere Embed 3 (COHERE), whose answers are fake_embed.py's vectors; the
                           journal's `task` is "embed", with the `texts` and whether they are a `query` (None: Titan does not say).

GET /credentials           What a container's endpoint gives (AWS_CONTAINER_CREDENTIALS_FULL_URI): KEY, its secret and the session; /stats counts
                           who asks for them as credentials_asked.

/control, /release, /journal and /stats are fake_model.py's, with these controls besides:
    secret, session        the secret key of access key KEY, and the session token that must come with it ("": none)
    bearer                 the API key that is taken in place of a signature
    region                 the region whose signatures are right
    clock_s                how far the service's clock is ahead of this machine's
    models                 ids that are known
    guardrail              [id, version] that must come, or []
    container              "gives", "hangs" or "refuses": what /credentials does
    tools                  false: refuse requests with a tool that must be used, as models do that know none
  Kinds: "ok", "hang", "hold", "broken", "malformed", "truncated", "wrong-schema", "foreign" as there; "guardrail", "filtered" (the answer's
  stopReason); the name of an exception (ERRORS); "nameless" (503 without any name), "in-body" (the name stands in the body alone).
"""

import argparse
import asyncio
import datetime
import json
import re
import urllib.parse
import uuid

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import fake_embed
import fake_model
from fake_model import Refused, answer_of, check_prompts, check_schema, need, no_twice, serve, tokens

KEY = "AKIDEXAMPLE7"
SECRET = "secret/+8f2b61"
REGION = "eu-central-1"
USUAL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
STRONG = "eu.anthropic.claude-sonnet-4-6"
TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-multilingual-v3"
MODELS = [USUAL, STRONG, TITAN, COHERE]
SKEW_S = 300
ERRORS = {
    "ThrottlingException": (429, "Too many requests, please wait before trying again."),
    "ModelNotReadyException": (429, "The model is not ready for inference. Please try again."),
    "ModelTimeoutException": (408, "Model has timed out in processing the request. Try your request again."),
    "ModelErrorException": (424, "The system encountered an unexpected error during processing. Try your request again."),
    "InternalServerException": (500, "The system encountered an unexpected error during processing. Try your request again."),
    "ServiceUnavailableException": (503, "Bedrock is unable to process your request."),
    "ServiceQuotaExceededException": (400, "Your request exceeds the service quota for your account."),
    "ValidationException": (400, "Malformed input request, please reformat your input and try again."),
    "AccessDeniedException": (403, "You don't have access to the model with the specified model ID."),
    "ResourceNotFoundException": (404, "This model version has reached the end of its life. Please refer to the AWS documentation for more details."),
    "ExpiredTokenException": (403, "The security token included in the request is expired"),
    "TokensPerDay": (429, "Too many tokens per day, please wait before trying again."),
    "OnDemand": (400, "Invocation of model ID x with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN of an "
                      "inference profile that contains this model."),
}
EXCEPTIONS = {"TokensPerDay": "ThrottlingException", "OnDemand": "ValidationException"}
STOPS = {"truncated": "max_tokens", "guardrail": "guardrail_intervened", "filtered": "content_filtered"}
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/ ]+)/(\d{8})/([^/ ]+)/([^/ ]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), "
                           r"Signature=([0-9a-f]{64})")


# ---- who asks ----


def check_clock(server, stamp):
    form = "%Y%m%dT%H%M%SZ"
    now = datetime.datetime.utcnow() + datetime.timedelta(seconds=server.control["clock_s"])
    apart = (now - datetime.datetime.strptime(stamp, form)).total_seconds()
    bound = f"{now:{form}} {'-' if apart > 0 else '+'} {SKEW_S // 60} min."
    if apart > SKEW_S:
        raise Refused(403, "InvalidSignatureException", f"Signature expired: {stamp} is now earlier than {bound}")
    if apart < -SKEW_S:
        raise Refused(403, "InvalidSignatureException", f"Signature not yet current: {stamp} is still later than {bound}")


def signature_of(server, target, headers, body, signed):
    """As botocore signs what has arrived."""
    signer = botocore.auth.SigV4Auth(Credentials(KEY, server.control["secret"], None), "bedrock", server.control["region"])
    request = AWSRequest("POST", f"http://{headers['host']}{target}", {name: headers[name] for name in signed}, body)
    request.context["timestamp"] = headers["x-amz-date"]
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


def check_caller(server, target, headers, body):
    control = server.control
    given = headers.get("authorization", "")
    if given.startswith("Bearer "):
        if control["bearer"] and given == f"Bearer {control['bearer']}":
            return
        raise Refused(403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.")
    if not given:
        raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    parts = AUTHORIZATION.fullmatch(given)
    if not parts:
        raise Refused(400, "IncompleteSignatureException", "Authorization header requires other parameters.")
    key, day, region, service, names, signature = parts.groups()
    if key != KEY or headers.get("x-amz-security-token", "") != control["session"]:
        raise Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    stamp = headers.get("x-amz-date", "")
    signed = names.split(";")
    if not stamp.startswith(day) or (region, service) != (control["region"], "bedrock"):
        raise Refused(403, "InvalidSignatureException", "Credential should be scoped to a valid region.")
    check_clock(server, stamp)
    must = {"host", "x-amz-date"} | ({"x-amz-security-token"} if control["session"] else set())
    if not must <= set(signed) <= set(headers) or signature != signature_of(server, target, headers, body, signed):
        raise Refused(403, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "
                      "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")


# ---- what is asked ----


def check_model(server, target):
    segment = target.split("/")[2]
    model = urllib.parse.unquote(segment)
    need(urllib.parse.quote(model, safe="-._~") == segment, "the model's id is not encoded as it must be")
    if model not in server.control["models"]:
        raise Refused(400, "ValidationException", "The provided model identifier is invalid.")


def check_tool(server, tool):
    """The schema of the answer."""
    if not server.control["tools"]:
        raise Refused(400, "ValidationException", "This model doesn't support the toolConfig.toolChoice.tool field. "
                      "Remove toolConfig.toolChoice.tool and try again.")
    need(set(tool) == {"tools", "toolChoice"} and len(tool["tools"]) == 1, "toolConfig holds not one tool")
    spec = tool["tools"][0]["toolSpec"]
    need(set(spec) == {"name", "inputSchema"} and set(spec["inputSchema"]) == {"json"}, "the toolSpec has other members")
    need(re.fullmatch("[a-zA-Z0-9_-]{1,64}", spec["name"]), "the tool's name is not valid")
    need(tool["toolChoice"] == {"tool": {"name": spec["name"]}}, "the tool need not be used")
    check_schema(spec["inputSchema"]["json"])
    return spec["inputSchema"]["json"]


def check_guardrail(server, asked):
    wanted = server.control["guardrail"]
    given = asked.get("guardrailConfig")
    if given and [given.get("guardrailIdentifier"), given.get("guardrailVersion")] != wanted:
        raise Refused(400, "ValidationException", "The guardrail identifier or version provided in the request does not exist.")
    need(bool(given) == bool(wanted), "the guardrail is missing")
    need(not given or "toolConfig" not in asked, "a guardrail does not read what goes to a tool")


def check_converse(server, asked):
    """As check_prompts, and whether there is a tool to use."""
    need(set(asked) <= {"system", "messages", "inferenceConfig", "toolConfig", "guardrailConfig"}, f"unknown members: {sorted(asked)}")
    most = asked.get("inferenceConfig", {}).get("maxTokens")
    need(isinstance(most, int) and 1 <= most <= 64000, "maxTokens is missing")
    messages = asked.get("messages")
    if messages == []:
        raise Refused(400, "ValidationException", "A conversation must start with a user message. Try again with a conversation that starts "
                      "with a user message.")
    check_guardrail(server, asked)
    schema = check_tool(server, asked["toolConfig"]) if "toolConfig" in asked else None
    need(schema or not server.control["tools"] or server.control["guardrail"], "there is no tool to use")
    need(isinstance(messages, list) and [m.get("role") for m in messages] == ["user"], "there is not one message, of the user")
    texts = [*asked["system"], *messages[0]["content"]]
    need(len(texts) == 2 and all(set(t) == {"text"} and t["text"].strip() for t in texts), "the texts are not one of the system, one of the user")
    return check_prompts(texts[0]["text"], texts[1]["text"], schema), schema


def malformed(what):
    raise Refused(400, "ValidationException", f"Malformed input request: {what}, please reformat your input and try again.")


def check_titan(asked):
    """The texts, how long vectors are, and whether they are searched for."""
    text, dimension = asked.get("inputText"), asked.get("dimensions", 1024)
    if not isinstance(text, str) or not 1 <= len(text) <= 50000:
        malformed("expected minLength: 1, maxLength: 50000")
    if set(asked) - {"inputText", "dimensions", "normalize"}:
        malformed("extraneous key is not permitted")
    if dimension not in (256, 512, 1024):
        malformed(f"{dimension} is not a valid enum value")
    need(asked.get("normalize") is True, "vectors of any length are wanted")
    return [text], dimension, None


def check_cohere(asked):
    """The same."""
    texts, kind = asked.get("texts"), asked.get("input_type")
    if set(asked) - {"texts", "input_type", "truncate", "embedding_types"}:
        malformed("extraneous key is not permitted")
    if not isinstance(texts, list) or not 1 <= len(texts) <= 96:
        malformed("expected minItems: 1, maxItems: 96")
    if not all(isinstance(text, str) and 1 <= len(text) <= 2048 for text in texts):
        malformed("expected minLength: 1, maxLength: 2048")
    if kind not in ("search_document", "search_query") or asked.get("truncate", "NONE") not in ("NONE", "START", "END"):
        malformed("not a valid enum value")
    need(asked.get("embedding_types") == ["float"], "not the vectors that are read")
    return texts, 1024, kind == "search_query"


def check_invoke(model, asked):
    """As check_converse; the data is for `invoke`."""
    titan = model == TITAN
    if model not in (TITAN, COHERE):
        raise Refused(400, "ValidationException", "The provided model doesn't support the request.")
    texts, dimension, query = check_titan(asked) if titan else check_cohere(asked)
    data = {"ticket": {"ticket_id": None}, "model": model, "texts": texts, "dimension": dimension, "query": query}
    return "embed", data, False, sum(tokens(text) for text in texts)


def invoke(server, data, kind, input_tokens):
    """Body and what is told beside it."""
    server.input_tokens += input_tokens
    vectors = [fake_embed.vector_of(data["model"], text, data["dimension"]) for text in data["texts"]]
    if data["model"] == TITAN:
        answer = {"embedding": vectors[0], "embeddingsByType": {"float": vectors[0]}, "inputTextTokenCount": input_tokens}
    else:
        answer = {"id": str(uuid.uuid4()), "embeddings": {"float": vectors}, "texts": [text.lower() for text in data["texts"]],
                  "response_type": "embeddings_by_type"}
    body = json.dumps(answer).encode()
    return body[:-7] + b"}{" if kind == "malformed" else body, {"X-Amzn-Bedrock-Input-Token-Count": input_tokens,
                                                               "X-Amzn-Bedrock-Invocation-Latency": 12}


def converse(server, task, data, kind, input_tokens, tool):
    said = answer_of(server, task, data, kind)
    text = json.dumps(said, ensure_ascii=False)
    if kind in ("guardrail", "filtered"):
        content, text = [{"text": "Sorry, the model cannot answer this question."}], ""
    elif tool:
        said = {} if kind == "truncated" else said
        content = [{"text": "I use the tool."}, {"toolUse": {"toolUseId": f"tooluse_{uuid.uuid4().hex[:22]}", "name": task, "input": said}}]
    else:
        content = [{"text": f"```json\n{text}\n```"}]
    usage = {"inputTokens": input_tokens, "outputTokens": tokens(text)}
    server.input_tokens += usage["inputTokens"]
    server.output_tokens += usage["outputTokens"]
    answer = {"metrics": {"latencyMs": 12}, "output": {"message": {"content": content, "role": "assistant"}},
              "stopReason": STOPS.get(kind, "tool_use" if tool else "end_turn"),
              "usage": {**usage, "totalTokens": usage["inputTokens"] + usage["outputTokens"]}}
    body = json.dumps(answer, ensure_ascii=False).encode()
    return body[:-7] + b"}{" if kind == "malformed" else body


def exception(status, name, text):
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), "x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    return status, json.dumps({"message": text}).encode(), headers


class Server(fake_model.Server):
    kinds = {"ok", "hang", "hold", "broken", "malformed", "truncated", "wrong-schema", "foreign", "guardrail", "filtered", "nameless", "in-body",
             *ERRORS}

    def __init__(self):
        super().__init__(KEY, USUAL)
        self.control.update(secret=SECRET, session="", bearer="", region=REGION, clock_s=0, models=MODELS, guardrail=[], tools=True,
                            container="gives")

    def forget(self):
        super().forget()
        self.credentials_asked = 0

    def stats(self):
        return {**super().stats(), "credentials_asked": self.credentials_asked}

    def credentials(self):
        expiration = datetime.datetime.utcnow() + datetime.timedelta(hours=1)
        return {"AccessKeyId": KEY, "SecretAccessKey": self.control["secret"], "Token": self.control["session"], "Expiration": f"{expiration:%FT%TZ}"}


class Connection(fake_model.Connection):
    tool = True

    @staticmethod
    def is_call(path):
        return path.startswith("/model/") and path.endswith(("/converse", "/invoke"))

    def look_after(self, method, path, query, headers, body):
        if (method, path) != ("GET", "/credentials"):
            return super().look_after(method, path, query, headers, body)
        if self.server.control["container"] == "refuses":
            raise Refused(403, "AccessDenied", "no")
        return self.server.credentials()

    def take_request(self):
        """A container's endpoint that hangs says nothing, whatever comes."""
        asks = self.received.startswith(b"GET /credentials ") and b"\r\n\r\n" in self.received
        self.server.credentials_asked += asks
        if not (asks and self.server.control["container"] == "hangs"):
            super().take_request()

    def check_call(self, target, headers, body):
        server = self.server
        check_caller(server, target, headers, body)
        check_model(server, target)
        need(headers.get("content-type") == "application/json", "the content type is not application/json")
        try:
            asked = json.loads(body, object_pairs_hook=no_twice)
            if target.endswith("/invoke"):
                checked = check_invoke(urllib.parse.unquote(target.split("/")[2]), asked)
                self.entry.update(texts=checked[1]["texts"], query=checked[1]["query"])
            else:
                checked, self.tool = check_converse(server, asked)
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(400, "invalid_request_error", f"the body is not as it must be: {error!r}") from None
        self.entry["model"] = urllib.parse.unquote(target.split("/")[2])
        return checked

    def refusal(self, error):
        name = "ValidationException" if error.code == "invalid_request_error" else error.code
        return exception(error.status, name, str(error))

    def answer_to(self, kind, task, data, input_tokens):
        if kind in ERRORS:
            status, text = ERRORS[kind]
            return exception(status, EXCEPTIONS.get(kind, kind), text)
        if kind == "nameless":
            return 503, b"<html>Service Unavailable</html>", {}
        if kind == "in-body":
            return 429, json.dumps({"__type": "com.amazon.coral.service#ThrottlingException", "Message": "Rate exceeded"}).encode(), {}
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        if task == "embed":
            body, told = invoke(self.server, data, kind, input_tokens)
            return 200, body, {**headers, **told}
        return 200, converse(self.server, task, data, kind, input_tokens, self.tool), headers


# ---- for tests ----


class FakeBedrock(fake_model.FakeModel):
    """As FakeModel."""

    program = __file__
    arguments = ()

    def __init__(self):
        super().__init__(KEY, USUAL)

    @property
    def settings(self):
        return {"HELPDESK_CACHE_SIZE": "0", "HELPDESK_MODEL_PROVIDER": "bedrock", "AWS_REGION": REGION, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.url,
                "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    def calm(self):
        """As it was at first, with an empty journal."""
        self.control(faults={}, next=[], tickets={}, latency_ms=0, classification={}, secret=SECRET, session="", bearer="", region=REGION, clock_s=0,
                     models=MODELS, guardrail=[], tools=True, container="gives", retry_after_s=1)
        self.forget()


def main():
    arguments = argparse.ArgumentParser(description="Amazon Bedrock's runtime for tests")
    arguments.add_argument("--port", type=int, default=0)
    asyncio.run(serve(arguments.parse_args().port, Server(), Connection, base=""))


if __name__ == "__main__":
    main()
