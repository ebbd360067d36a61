"""Drives google-api-python-client, as installed, with the document that the service serves."""

import json
import sys

from googleapiclient import discovery  # type: ignore[import-not-found,unused-ignore]
from googleapiclient.errors import HttpError  # type: ignore[import-not-found,unused-ignore]

root, key, how = sys.argv[1:4]
SHORT = f"{root}/$discovery/rest?version=v1alpha1"
LONG = root + "/discovery/v1/apis/{api}/{apiVersion}/rest"

if how == "document":
    import urllib.request

    with urllib.request.urlopen(SHORT) as answer:
        client = discovery.build_from_document(json.load(answer), developerKey=key)
else:
    client = discovery.build(
        "commentanalyzer",
        "v1alpha1",
        developerKey=key,
        discoveryServiceUrl=SHORT if how == "short" else LONG,
        static_discovery=False,
    )


def refused(body: dict) -> list:
    try:
        client.comments().analyze(body=body).execute()
    except HttpError as error:
        return [error.resp.status, error.reason]
    return []


comment = {"text": "Đúng là hữu ích."}
scores = {"SPAM": {"summaryScore": {"value": 0.0}}}
told = {
    "scores": client.comments()
    .analyze(
        body={
            "comment": comment,
            "requestedAttributes": {"TOXICITY": {}, "SPAM": {"scoreThreshold": 0}},
            "languages": ["vi"],
            "spanAnnotations": True,
            "doNotStore": True,
            "clientToken": "one",
        }
    )
    .execute(),
    "suggested": client.comments()
    .suggestscore(body={"comment": comment, "attributeScores": scores, "clientToken": "two"})
    .execute(),
    "refused": refused({"comment": comment, "requestedAttributes": {"THREAT": {}}}),
}
print(json.dumps(told))
