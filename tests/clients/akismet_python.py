"""Drives PyPI's `akismet`, as installed, against a server given on the command line."""

import asyncio
import json
import sys

import akismet  # type: ignore[import-not-found]  # is not in the environment of the service
import httpx

PORT, KEY, BLOG, KIND = sys.argv[1:]


def to_server(request: httpx.Request) -> None:
    request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=int(PORT))


async def to_server_async(request: httpx.Request) -> None:
    to_server(request)


def comment(content: str, **more: str) -> dict[str, str]:
    return {"user_ip": "203.0.113.7", "comment_author": "Zoë", "comment_content": content} | more


GOOD, SPAM = comment("Đúng là hữu ích."), comment("x", comment_author="akismet-guaranteed-spam")


def sync(key: str) -> dict[str, object]:
    http = httpx.Client(event_hooks={"request": [to_server]}, trust_env=False)
    client = akismet.SyncClient(config=akismet.Config(key=key, url=BLOG), http_client=http)
    if not client.verify_key():
        return {"valid": False}
    return {
        "valid": True,
        "good": client.comment_check(**GOOD).name,
        "spam": client.comment_check(**SPAM).name,
        "discard": client.comment_check(**SPAM, is_test=True).name,
        "reported": [client.submit_spam(**GOOD), client.submit_ham(**GOOD)],
        "usage": client.usage_limit(),
    }


async def asynchronous(key: str) -> dict[str, object]:
    http = httpx.AsyncClient(event_hooks={"request": [to_server_async]}, trust_env=False)
    client = akismet.AsyncClient(config=akismet.Config(key=key, url=BLOG), http_client=http)
    if not await client.verify_key():
        return {"valid": False}
    return {
        "valid": True,
        "good": (await client.comment_check(**GOOD)).name,
        "spam": (await client.comment_check(**SPAM)).name,
        "reported": [await client.submit_spam(**GOOD), await client.submit_ham(**GOOD)],
        "usage": await client.usage_limit(),
    }


print(json.dumps(sync(KEY) if KIND == "sync" else asyncio.run(asynchronous(KEY))))
