"""Where Akismet's clients call, and what they are told when something went wrong.

The paths are the vendor's, so that a client needs another host name and nothing else.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from model.decision import ReportKind
from service.api.akismet.answers import Answer, unavailable
from service.api.akismet.described import answers_of, fields_of
from service.api.akismet.door import AkismetDoor
from service.api.akismet.forms import Form, FormReader, charset_of
from service.api.straight import Begun, Tell

PREFIXES = ("/1.1/", "/1.2/")
CHECK = "/1.1/comment-check"
WITH_COMMENTS = (CHECK, "/1.1/submit-spam", "/1.1/submit-ham")

_KEPT_HEADERS = ("Retry-After", "Allow", "Connection")

_Called = Callable[[Form, str], Awaitable[Answer]]


def routes(door: AkismetDoor) -> APIRouter:
    """Everything under /1.1 and /1.2."""
    router = APIRouter(tags=["akismet"])
    posted: Mapping[str, tuple[_Called, str]] = {
        "/1.1/verify-key": (door.verify_key, "Whether a key is good"),
        "/1.1/deactivate": (door.deactivate, "Say goodbye"),
        "/1.1/token": (door.token, "A word that WordPress asks for"),
        "/1.1/get-subscription": (door.subscription, "What WordPress asks before it keeps a key"),
        "/1.1/get-stats": (door.stats, "Counts by month"),
        "/1.2/get-key-stats": (door.stats, "Counts by month"),
        "/1.2/usage-limit": (door.usage, "Calls of this month"),
        "/1.2/key-sites": (door.key_sites, "Counts by the site's addresses"),
    }
    for path, (called, summary) in posted.items():
        for method in ("GET", "POST") if path.startswith("/1.2") else ("POST",):
            router.add_api_route(
                path,
                _answering(called),
                methods=[method],
                summary=summary,
                response_class=Response,
                responses=answers_of(path),
                openapi_extra=fields_of(method, path),
                operation_id=f"{method.lower()}{path.replace('/', '_')}",
            )
    reports = (("/1.1/submit-spam", ReportKind.SPAM), ("/1.1/submit-ham", ReportKind.HAM))
    for path, kind in reports:
        router.add_api_route(
            path,
            _reporting(door, kind),
            methods=["POST"],
            summary=f"Say that a verdict was wrong: it is {kind.value}",
            response_class=Response,
            responses=answers_of(path),
            openapi_extra=fields_of("POST", path),
        )
    _plain_routes(router, door)
    return router


def _plain_routes(router: APIRouter, door: AkismetDoor) -> None:
    @router.post(
        CHECK,
        summary="Judge a comment, as Akismet does",
        response_class=Response,
        responses=answers_of(CHECK),
        openapi_extra=fields_of("POST", CHECK),
    )
    async def comment_check(request: Request) -> Response:
        body, headers = await check(door, request.scope, request.receive)
        return Response(body, headers=headers)

    @router.get(
        "/1.1/test",
        summary="Whether the service is there",
        response_class=Response,
        responses=answers_of("/1.1/test"),
    )
    async def test() -> Response:
        return _response(Answer("connected"))

    @router.get(
        "/1.2/compatible-plugins",
        summary="None",
        response_class=Response,
        responses=answers_of("/1.2/compatible-plugins"),
    )
    async def compatible_plugins() -> Response:
        return _response(Answer("[]", media_type="application/json"))


async def check(
    door: AkismetDoor, scope: Scope, receive: Receive
) -> tuple[bytes, Mapping[str, str]]:
    """The answer to a comment-check, below any framework. Raises what the door does."""
    headers = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
    reader = FormReader(charset_of(headers.get(b"content-type", "")), is_check=True)
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        reader.feed(message.get("body", b""))
        more = message.get("more_body", False)
    form = _with_query(reader, scope)
    agent = headers.get(b"user-agent", "")
    answer = await door.comment_check(form, headers.get(b"host", ""), agent)
    return _parts_of(answer)


def begin(door: AkismetDoor, sent: Mapping[bytes, bytes], body: bytes, tell: Tell) -> Begun:
    """Begin to answer a comment-check that is all there: see `AkismetDoor.begin_check`."""
    headers = {name: value.decode("latin-1") for name, value in sent.items()}
    reader = FormReader(charset_of(headers.get(b"content-type", "")), is_check=True)
    reader.feed(body)

    return door.begin_check(
        reader.form(),
        headers.get(b"host", ""),
        headers.get(b"user-agent", ""),
        lambda said: tell(partial(_parts_said, said)),
    )


def _parts_said(said: Callable[[], Answer]) -> tuple[bytes, Mapping[str, str]]:
    return _parts_of(said())


def _parts_of(answer: Answer) -> tuple[bytes, Mapping[str, str]]:
    return answer.text.encode(), {**answer.headers, "Content-Type": answer.media_type}


def _with_query(reader: FormReader, scope: Scope) -> Form:
    if scope.get("query_string"):
        reader.feed(b"&" + scope["query_string"])
    return reader.form()


def _answering(called: _Called) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        form = await form_of(request)
        return _response(await called(form, request.headers.get("host", "")))

    return answer


def _reporting(door: AkismetDoor, kind: ReportKind) -> Callable[[Request], Awaitable[Response]]:
    async def report(request: Request) -> Response:
        form = await form_of(request)
        return _response(await door.report(form, request.headers.get("host", ""), kind))

    return report


async def form_of(request: Request) -> Form:
    """The form of a request: its query's fields, then its body's, whatever its type says."""
    reader = FormReader(charset_of(request.headers.get("content-type", "")))
    async for part in request.stream():
        reader.feed(part)
    return _with_query(reader, request.scope)


def _response(answer: Answer) -> Response:
    return Response(
        answer.text,
        status_code=answer.status,
        headers=dict(answer.headers),
        media_type=answer.media_type,
    )


def refusal(scope: Scope, status: int, headers: dict[str, str]) -> Response:
    """What a client is told in the place of a problem, whatever went wrong.

    Without the header that only our own answers have, WordPress would publish a comment that it
    asked about. Other calls get a line of text.
    """
    retry_after = headers.get("retry-after", "")
    if scope["path"] == CHECK and scope["method"] == "POST":
        sent = dict(scope["headers"])
        agent = sent.get(b"user-agent", b"").decode("latin-1")
        return _response(unavailable(user_agent=agent, retry_after=retry_after))
    told = {name: headers[name.lower()] for name in _KEPT_HEADERS if name.lower() in headers}
    # Never a JSON object: where it expects a list, WordPress' settings page dies of one.
    said = "There is no such call." if status in (404, 405) else "It cannot be done now."
    return _response(Answer(said, told, status=status))
