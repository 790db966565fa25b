"""Asks the server at the address like anybody who uses botocore's client of Bedrock; prints what that makes of the answers, as JSON.

    bedrock_peer.py URL REQUEST... < prompts      REQUEST is "MODEL:SECRET"; prompts are {"system", "user", "schema"}, or {"invoke": body}

Run by an interpreter that has a botocore which knows Converse.
"""

import json
import sys

import botocore.config
import botocore.session
from botocore.exceptions import ClientError

from fake_bedrock import KEY, REGION

url, *requests = sys.argv[1:]
prompts = json.load(sys.stdin)
session = botocore.session.Session()
clients = {}
heard = []
for request in requests:
    model, secret = request.rsplit(":", 1)
    if secret not in clients:
        clients[secret] = session.create_client(
            "bedrock-runtime", region_name=REGION, endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=secret,
            config=botocore.config.Config(retries={"total_max_attempts": 1}))
    try:
        if "invoke" in prompts:
            answer = clients[secret].invoke_model(modelId=model, body=json.dumps(prompts["invoke"]), contentType="application/json")
            heard.append(json.loads(answer["body"].read()))
            continue
        answer = clients[secret].converse(
            modelId=model, system=[{"text": prompts["system"]}], messages=[{"role": "user", "content": [{"text": prompts["user"]}]}],
            inferenceConfig={"maxTokens": 100},
            toolConfig={"tools": [{"toolSpec": {"name": "draft", "inputSchema": {"json": prompts["schema"]}}}],
                        "toolChoice": {"tool": {"name": "draft"}}})
        answer.pop("ResponseMetadata")
        heard.append(answer)
    except ClientError as error:
        heard.append({"class": type(error).__name__, **error.response["Error"],
                      "status": error.response["ResponseMetadata"]["HTTPStatusCode"]})
print(json.dumps(heard))
