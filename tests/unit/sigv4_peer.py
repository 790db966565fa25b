"""Prints requests as JSON, signed by botocore: an independent signer for test_sigv4.c."""

import datetime
import hashlib
import json
import random
import urllib.parse

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 11, 22, 10, 0, 0)
PATHS = ["/", "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", "/model/eu.anthropic.claude-3-5-sonnet-20241022-v2%3A0/converse",
         "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Fx/converse", "/a/../b", "/a//b/", "/./a/./", "/a/b/..",
         "/%E1%88%B4/x%20y", "/~-._/(x)!*'", "/a+b=c&d;e,f@g$h"]
NAMES = ["a", "A", "b", "a-b", "a.b", "list-type", "%E1%88%B4", "x%20y", "a%2Fb"]
VALUES = ["", "1", "Z", "a%2Fb", "x%3Dy", "%E2%82%AC", "~-._"]


class FixedTime(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW


class FixedClock:
    datetime = FixedTime


def case(dice, number):
    s3 = number % 3 == 0
    path = dice.choice(PATHS) if number >= len(PATHS) else PATHS[number]
    query = "&".join(dice.choice(NAMES) + dice.choice(["", "=" + dice.choice(VALUES)]) for _ in range(dice.randrange(6)))
    token = dice.choice([None, "token/+=" + str(number)])
    body = ("body é " + str(number)) * dice.randrange(3)
    key, secret = f"AKID{number}", f"secret/+{number}"
    url = "https://host.example.com" + path + ("?" + query if query else "")
    request = AWSRequest(dice.choice(["GET", "POST", "PUT"]), url, {"Content-Type": "application/json; a=  b"}, body.encode())
    signer = botocore.auth.S3SigV4Auth if s3 else botocore.auth.SigV4Auth
    service = "s3" if s3 else "bedrock"
    signer(Credentials(key, secret, token), service, "eu-west-1").add_auth(request)
    payload = hashlib.sha256(body.encode()).hexdigest()
    if s3:
        payload = request.headers["X-Amz-Content-SHA256"]
    return {"method": request.method, "path": path, "query": query, "s3": s3, "key": key, "secret": secret, "token": token or "",
            "payload": payload, "service": service, "authorization": "Authorization: " + request.headers["Authorization"]}


def main():
    botocore.auth.datetime = FixedClock
    dice = random.Random(7)
    print(json.dumps([case(dice, number) for number in range(400)]))


main()
