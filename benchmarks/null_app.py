"""A server that does nothing, as the measure of one that does: reads a body, answers a constant.

    python -m benchmarks.null_app PORT

Runs on the same uvicorn, with the same settings, as `duyet serve` with one worker.
"""

import json
import sys

import uvicorn
from starlette.types import Receive, Scope, Send

from service.connections import HeadLimited

_ANSWER = json.dumps(
    {
        "id": "01890000-0000-7000-8000-000000000000",
        "verdict": "accept",
        "scores": {"spam": 0.0123456789, "toxicity": 0.0123456789},
        "reasons": [],
        "model": "0123456789ab",
        "policy": "0123456789ab",
        "publishable": {"name": "Lan", "url": "", "rel": "nofollow ugc", "html": "x" * 200},
    }
).encode()
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_ANSWER)).encode()),
    ],
}
_BODY = {"type": "http.response.body", "body": _ANSWER}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, answer the constant."""
    while (await receive()).get("more_body"):
        pass
    await send(_START)
    await send(_BODY)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http=HeadLimited,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
