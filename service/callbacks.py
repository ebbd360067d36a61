"""Calls to a site's own address: one POST, no redirect, and never to where nobody asked for.

The address comes with a comment, so whoever sends one could name any. The store has checked that
it is a registered one; here it is looked up once, refused where it leads into a network that is
not everybody's, and connected to as looked up, so that a second answer of DNS changes nothing.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0
"""How long to wait for a connection, and for each next byte."""

LONGEST_SECONDS = 20.0
"""How long a call may take from the connection on, however steadily its bytes drip."""

MOST_BYTES = 64 * 1024

_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """The address is not one to call, whatever happens. The message holds nothing of it."""


class Unreached(Exception):
    """Nobody answered, or nothing that could be read; another time somebody may."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A status and the beginning of a body, 64 KiB at most."""

    status: int
    body: bytes


def post(
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    reaches_private: bool = False,
    longest_seconds: float = LONGEST_SECONDS,
) -> Answered:
    """What an http or https URL answers to a body. Blocks. Raises Refused, Unreached."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Refused("the address cannot be read") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise Refused("the address is not of http or https")
    is_secure = parts.scheme == "https"
    address = _looked_up(host, port or (443 if is_secure else 80), reaches_private=reaches_private)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = _connected(host, address, is_secure)
        with _ended_after(longest_seconds, connection):
            return _posted(connection, path, body, headers)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise Unreached(type(problem).__name__) from None


def _looked_up(host: str, port: int, *, reaches_private: bool) -> tuple[str, int]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreached("its name is not known") from None
    addresses = [str(address[0]) for *_, address in found]
    if not reaches_private and not all(map(_is_everybody_s, addresses)):
        raise Refused("it leads into a private network; see `duyet sites akismet --private`")
    return addresses[0], port


def _is_everybody_s(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        carried = _carried_by(ip)
        if carried is None:
            return ip in _UNICAST and ip.is_global
        ip = carried
    return ip.is_global and not ip.is_multicast


def _carried_by(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to, by one of the ways there are."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


def _connected(host: str, address: tuple[str, int], is_secure: bool) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(host, address[1], timeout=TIMEOUT_SECONDS)
    connection.sock = socket.create_connection(address, TIMEOUT_SECONDS)
    if is_secure:
        context = ssl.create_default_context()
        # Greeted later, when it is bounded how long that may take.
        connection.sock = context.wrap_socket(
            connection.sock, server_hostname=host, do_handshake_on_connect=False
        )
    connection.default_port = 443 if is_secure else 80  # which a Host header leaves out
    return connection


@contextmanager
def _ended_after(seconds: float, connection: http.client.HTTPConnection) -> Iterator[None]:
    """Close the connection at the end of the block, or from beneath it after so long."""
    sock = connection.sock

    def end() -> None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()


def _posted(
    connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
) -> Answered:
    if isinstance(connection.sock, ssl.SSLSocket):
        connection.sock.do_handshake()
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    return Answered(answer.status, answer.read(MOST_BYTES))
