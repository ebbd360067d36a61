"""Calls to a site's own address: one POST, no redirect, and never to where nobody asked for.

The address comes with a comment, so whoever sends one could name any. The store has checked that
it is a registered one; here it is looked up once, refused where it leads into a network that is
not everybody's, and connected to as looked up, so that a second answer of DNS changes nothing.
"""

import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 64 * 1024


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
    url: str, body: bytes, headers: dict[str, str], *, reaches_private: bool = False
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
        return _posted(host, address, is_secure, path, body, headers)
    except (OSError, http.client.HTTPException, UnicodeError) as problem:
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
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global and not (mapped or ip).is_multicast


def _posted(
    host: str,
    address: tuple[str, int],
    is_secure: bool,
    path: str,
    body: bytes,
    headers: dict[str, str],
) -> Answered:
    connection = http.client.HTTPConnection(host, address[1], timeout=TIMEOUT_SECONDS)
    connection.sock = socket.create_connection(address, TIMEOUT_SECONDS)
    try:
        if is_secure:
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
        connection.default_port = 443 if is_secure else 80  # which a Host header leaves out
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return Answered(answer.status, answer.read(MOST_BYTES))
    finally:
        connection.close()
