"""Ask a server the same things over so many connections, each asking again once it is answered.

Knows threads and sockets: the cheapest client that Python has, so that most of what is measured
is the server. Knows no service; who speaks what is a `Client`.
"""

import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

TIMEOUT_SECONDS = 120.0

Client = Callable[[bytes], bytes]
"""Sends one request and gives what was answered; raises when that is no good answer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast requests were answered: seconds in all, and milliseconds each, ascending."""

    seconds: float
    milliseconds: Sequence[float]

    @property
    def a_second(self) -> float:
        """Answers a second."""
        return len(self.milliseconds) / self.seconds

    @property
    def median(self) -> float:
        """Milliseconds that half of the requests took at most."""
        return statistics.median(self.milliseconds)

    @property
    def p99(self) -> float:
        """Milliseconds that 99 % of the requests took at most."""
        return self.milliseconds[max(0, -(-len(self.milliseconds) * 99 // 100) - 1)]


def paced(
    connect: Callable[[], AbstractContextManager[Client]],
    requests: Sequence[bytes],
    *,
    connections: int,
) -> Pace:
    """Every request once. Raises what a client raises, and ValueError without a request."""
    if not requests:
        raise ValueError("there must be a request")
    waiting = iter(requests)

    def one_after_another() -> list[float]:
        took = []
        with connect() as ask:
            for request in waiting:
                started = time.perf_counter()
                ask(request)
                took.append(1000 * (time.perf_counter() - started))
        return took

    started = time.perf_counter()
    with ThreadPoolExecutor(connections) as threads:
        running = [threads.submit(one_after_another) for _ in range(connections)]
        took = [milliseconds for thread in running for milliseconds in thread.result()]
    return Pace(time.perf_counter() - started, sorted(took))


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """An HTTP/1.1 request as it goes over the wire."""
    told = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@contextmanager
def http_client(port: int) -> Iterator[Client]:
    """Speaks HTTP/1.1 to the loopback, over one connection for as long as the server keeps it.

    Gives the body of an answer with status 200, and raises RuntimeError for any other.
    """
    connection = _Connection(port)
    try:
        yield connection.ask
    finally:
        connection.close()


class _Connection:
    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, request: bytes) -> bytes:
        if self._socket is None:
            self._socket = opened(self._port)
        self._socket.sendall(request)
        head, body = self._head()
        status = head.split(b" ", 2)[1]
        fields = _fields(head)
        body += self._exactly(int(fields[b"content-length"]) - len(body))
        if fields.get(b"connection", b"").lower() == b"close":
            self.close()
        if status != b"200":
            raise RuntimeError(f"answered {status.decode()}")
        return body

    def _head(self) -> tuple[bytes, bytes]:
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += self._some()
        head, _, rest = seen.partition(b"\r\n\r\n")
        return head, rest

    def _exactly(self, count: int) -> bytes:
        seen = b""
        while len(seen) < count:
            seen += self._some()
        return seen

    def _some(self) -> bytes:
        assert self._socket is not None, "something was sent"
        seen = self._socket.recv(65_536)
        if not seen:
            raise RuntimeError("the server closed the connection")
        return seen


def opened(port: int) -> socket.socket:
    """A connection to the loopback that sends at once."""
    made = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}
