"""A real server on a port of the kernel's choice, and the raw sockets to try it with."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from service.connections import HeadLimited


@contextmanager
def served(
    app: ASGIApp, http: type[asyncio.Protocol] = HeadLimited, *, connections: int | None = None
) -> Iterator[int]:
    """Serve `app` on loopback in a thread; gives the port, stops at the end."""
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=connections,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def exchanged(port: int, sent: bytes) -> bytes:
    """All that the server says until it hangs up, to all of `sent` whether it reads it or not.

    Raises ConnectionResetError when it hangs up in a way that could have lost its answer.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        sender = threading.Thread(target=_send, args=(connection, sent))
        sender.start()
        answer = _read_all(connection)
        connection.shutdown(socket.SHUT_WR)
        sender.join()
    return answer


def _send(connection: socket.socket, sent: bytes) -> None:
    try:
        connection.sendall(sent)
    except (BrokenPipeError, ConnectionResetError):
        return  # the server hung up in the middle, which is its right


def _read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def request(path: str, body: bytes = b"", *, method: str = "POST", headers: str = "") -> bytes:
    """A request with a right Content-Length that asks for the connection to be closed."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
