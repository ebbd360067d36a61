"""Links: find them in a text, and make one safe to publish.

Knows URLs, hosts and public suffixes. Fetches nothing and judges nothing.
"""

import html
import ipaddress
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from urllib.parse import quote

import idna

from model.addresses import (
    PUBLIC_SUFFIXES,
    FoundAddress,
    addresses_in,
    mask_addresses,
    registered_domain,
)

LONGEST_URL = 2000  # of the published form; what browsers and caches agree to carry
LONGEST_HOST = 253  # RFC 1035, in ASCII
LONGEST_LABEL_TEXT = 300  # of what stands between <a> and </a>, in characters

# ------------------------------------------------------------------ finding


@dataclass(frozen=True, slots=True)
class Link:
    """A link in a text.

    `start` and `end` are code points of the text, end exclusive: the whole of `<a …>…</a>`
    where it closes soon, else the opening tag's reference. `url` is as written, HTML references
    resolved. `host` and `registered_domain` are lower-case ASCII where the host is valid,
    empty when there is none. `visible` is what a reader sees of it.
    """

    start: int
    end: int
    url: str
    host: str
    registered_domain: str
    visible: str


_SPACES = r"\s\x00-\x20"
# A bare domain starts where no word, address or path is under way.
_FIND = re.compile(
    rf"(?P<tag><a(?=[\s/])[^<>]*?href\s*=\s*(?:\"(?P<double>[^\"<>]*)\"|'(?P<single>[^'<>]*)'"
    rf"|(?P<plain>[^{_SPACES}\"'<>]+)))"
    rf"|(?P<code>\[url\s*=\s*[\"']?(?P<coded>[^\]{_SPACES}\"'<>]+))"
    rf"|(?P<full>(?:https?|ftp):/*+(?=[^{_SPACES}\"<>/])[^{_SPACES}\"<>]*+)"
    rf"|(?<![\w@.•-])(?P<bare>\w[\w-]*+(?:\.[\w-]++)++(?P<rest>(?::\d{{1,5}})?(?:[/?#][^{_SPACES}\"<>]*+)?))",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"</a\s*>|\[/url\]|<a[\s/]", re.IGNORECASE)
_TRAILING = ".,;:!?'\"*_~]>}…»”’`|"
_BRACKETS = {")": "(", "）": "（"}
# Top-level domains that also are words, file names or times ("it.so", "main.py", "9.am"). A bare
# domain under one counts only with a path, a digit or a hyphen ("t.me/x", "shop88.in").
_WORDS = (
    "ai am as at be by de do es fm gs id in is it la li ma md me mo mov my na no of or pl pm ps "
    "py rs sa sh so st tc to ve vi zip"
)
_ALSO_WORDS = frozenset(_WORDS.split())
# What a link has: a dot within it, the colon of a scheme, or an opening mark. The whole search
# is dear, so it begins where one of these stands.
_DOT_WITHIN = re.compile(r"\.(?<=\w\.)[\w-]")
_OPENS_LINK = re.compile(r"[<\[][au]", re.IGNORECASE)
# Written out, as a search for what begins with few letters skips to those; one that ignores case
# does not. The last of them is a long s, which is an "s" to whatever ignores case.
_SIGN_OF_LINK = re.compile(rf"{_DOT_WITHIN.pattern}|<[aAuU]|\[[aAuU]|p:|P:|s:|S:|\u017f:")


def links_in(text: str) -> tuple[Link, ...]:
    """The links in the text, in order, apart from each other; addresses are none.

    Finds http, https and ftp URLs, `www.` and other bare domains under a known public suffix,
    `<a href>` and BBCode `[url=]`. Takes time linear in the length of the text.
    """
    if not _may_link(text):
        return ()
    found: list[Link] = []
    addresses: list[FoundAddress] | None = None
    at = 0
    while match := _next_match(text, at):
        link = _link_of(text, match)
        at = max(match.end(), link.end if link else 0)
        if link is None:
            continue
        if match["bare"] is not None:
            addresses = addresses_in(text) if addresses is None else addresses
            if _overlaps(match, addresses):
                continue
        found.append(link)
    return tuple(found)


def _overlaps(match: re.Match[str], addresses: Sequence[FoundAddress]) -> bool:
    """Whether a match is of the last address that begins before its end."""
    nearest = bisect_left(addresses, match.end(), key=_START) - 1
    return nearest >= 0 and addresses[nearest].end > match.start()


_START = attrgetter("start")


def _may_link(text: str) -> bool:
    # Far cheaper than the search: most comments hold none of these.
    return (
        ":/" in text
        or ("." in text and _DOT_WITHIN.search(text) is not None)
        or (("<" in text or "[" in text) and _OPENS_LINK.search(text) is not None)
    )


def _next_match(text: str, at: int) -> re.Match[str] | None:
    """The next match of `_FIND` from there on: it begins where no blank is before its sign."""
    sign = _SIGN_OF_LINK.search(text, at)
    return _FIND.search(text, max(at, text.rfind(" ", at, sign.start()) + 1)) if sign else None


def _link_of(text: str, match: re.Match[str]) -> Link | None:
    if match["tag"] is not None or match["code"] is not None:
        return _marked_link(text, match)
    url = _without_trailing(match.group())
    if match["bare"] is not None and not _is_bare_link(url):
        return None
    host = host_of(url)
    return Link(match.start(), match.start() + len(url), url, host, registered_domain(host), url)


def _marked_link(text: str, match: re.Match[str]) -> Link | None:
    written = match["double"] or match["single"] or match["plain"] or match["coded"] or ""
    url = html.unescape(written).strip()
    if url.lower().startswith("mailto:"):
        return None
    end, visible = match.end(), url
    opened = text.find("]" if match["code"] else ">", end, end + LONGEST_URL) + 1
    closed = _CLOSED.search(text, opened, opened + LONGEST_LABEL_TEXT) if opened else None
    if closed:
        end = closed.start() if closed.group()[:2].lower() == "<a" else closed.end()
        visible = html.unescape(text[opened : closed.start()]).strip()
    host = host_of(url)
    return Link(match.start(), end, url, host, registered_domain(host), visible)


def _without_trailing(url: str) -> str:
    """The URL less the punctuation that ends the sentence, and brackets it did not open."""
    end = url.find("[/")  # the closing tag of BBCode
    end = len(url) if end < 0 else end
    surplus = {
        closing: url.count(closing, 0, end) - url.count(opening, 0, end)
        for closing, opening in _BRACKETS.items()
    }
    while end and (url[end - 1] in _TRAILING or surplus.get(url[end - 1], 0) > 0):
        end -= 1
        if url[end] in surplus:
            surplus[url[end]] -= 1
    return url[:end]


def _is_bare_link(written: str) -> bool:
    host = re.split(r"[:/?#]", written, maxsplit=1)[0]
    labels = host.split(".")
    suffix, path = labels[-1], written[len(host) :]
    if len(host) > LONGEST_HOST or "_" in host or not (suffix.islower() or host.isupper()):
        return False
    if labels[0].lower() == "www" and len(labels) > 2:
        return True
    if not _is_registrable(host.lower()):
        return False
    if suffix.lower() not in _ALSO_WORDS:
        return True
    name = labels[-2]
    return len(path) > 1 or (("-" in name or not name.isalpha()) and not name.isdecimal())


@lru_cache(maxsize=4096)
def _is_registrable(host: str) -> bool:
    name = ascii_host(host)
    return (
        name is not None and PUBLIC_SUFFIXES.privatesuffix(name, accept_unknown=False) is not None
    )


_BEFORE_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?[/\\]*", re.IGNORECASE)
_AUTHORITY = re.compile(r"[^/\\?#]*")


def host_of(url: str) -> str:
    """The host that a browser would ask, in lower-case ASCII; as written if it is not valid.

    Empty for references without one. Never raises.
    """
    before = _BEFORE_HOST.match(url)
    written = before.group() if before else ""
    if ":" in written and written[-1] not in "/\\":  # a port ("x.vn:80"), or no host ("data:")
        if not url[len(written) : len(written) + 1].isdecimal():
            return ""
        written = ""
    elif len(written) == 1 and written in "/\\":
        return ""
    authority = _AUTHORITY.match(url, len(written))
    host, _ = _host_and_port(authority.group() if authority else "")
    return ascii_host(host) or host.lower()[:LONGEST_HOST]


def _host_and_port(authority: str) -> tuple[str, str]:
    place = authority.rpartition("@")[2]
    if place.startswith("["):
        host, bracket, port = place.partition("]")
        return host + bracket, port.removeprefix(":")
    host, _, port = place.partition(":")
    return host, port


_HOST_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)


@lru_cache(maxsize=4096)
def ascii_host(host: str) -> str | None:
    """The host in lower-case ASCII, IDN as punycode (UTS #46, IDNA 2008); None if not valid.

    IPv4 must be four decimal numbers, IPv6 stands in square brackets. A last dot is dropped.
    """
    if len(host) > LONGEST_HOST:
        return None
    if host.startswith("["):
        return _ip(host[1:-1], ipaddress.IPv6Address) if host.endswith("]") else None
    name = host.lower()
    if not host.isascii() or "xn--" in name:
        try:
            name = idna.encode(host, uts46=True).decode("ascii")
        except ValueError:  # idna's own error and UnicodeError are both
            return None
    name = name.removesuffix(".")
    if len(name) > LONGEST_HOST or not _HOST_NAME.fullmatch(name):
        return None
    # Browsers read a last label of digits (or 0x…) as IPv4, in all its old spellings.
    if re.fullmatch(r"\d+|0x[0-9a-f]*", name.rpartition(".")[2]):
        return _ip(name, ipaddress.IPv4Address)
    return name


def _ip(text: str, kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> str | None:
    try:
        address = kind(text)
    except ValueError:
        return None
    return str(address) if address.version == 4 else f"[{address.compressed.partition('%')[0]}]"


# ------------------------------------------------------------------ publishing


class UrlProblem(ValueError):
    """A text that is no publishable URL. `code` is `invalid_url`, `url_scheme` (neither http
    nor https) or `url_credentials` (a user name before the host).
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_WEB_SCHEME = re.compile(r"(https?):[/\\]*", re.IGNORECASE)
_STRAY_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")
_PORTS = {"http": "80", "https": "443"}


def clean_url(text: str) -> str | None:
    """The URL as it may be published, None when it may not. See `read_url`."""
    try:
        return read_url(text)
    except UrlProblem:
        return None


def read_url(text: str) -> str:
    """The publishable form of a URL as people type it: ASCII, http or https, no user name.

    A missing scheme becomes http, as in WordPress. Hosts are made punycode, control and
    invisible characters are removed, what is not ASCII is percent-encoded, addresses in path,
    query and fragment are masked. At most `LONGEST_URL` characters. Reading the result again
    gives the same. Raises UrlProblem.
    """
    scheme, rest = _split_scheme(_without_invisible(text))
    authority = _AUTHORITY.match(rest)
    place = authority.group() if authority else ""
    if "@" in place:
        raise UrlProblem("url_credentials" if _SCHEME.match(text.strip()) else "invalid_url")
    host, port = _host_and_port(place)
    name = ascii_host(host)
    if name is None or ("." not in name and ":" not in name):
        raise UrlProblem("invalid_url")
    url = f"{scheme}://{name}{_checked_port(port, scheme)}{_quoted(rest[len(place) :])}"
    if len(url) > LONGEST_URL:
        raise UrlProblem("invalid_url")
    return url


def _without_invisible(text: str) -> str:
    stripped = text.strip()
    if stripped.isascii() and stripped.isprintable():
        return stripped
    return "".join(c for c in stripped if unicodedata.category(c) not in ("Cc", "Cf", "Cs")).strip()


def _split_scheme(text: str) -> tuple[str, str]:
    if web := _WEB_SCHEME.match(text):
        return web.group(1).lower(), text[web.end() :]
    if scheme := _SCHEME.match(text):
        port = re.compile(r"\d{1,5}(?:[/\\?#]|$)").match(text, scheme.end())
        if not port or "." not in scheme.group():  # "example.org:8080/x" has no scheme
            raise UrlProblem("url_scheme")
    return "http", text[2:] if text[:2] in ("//", "\\\\") else text


def _checked_port(port: str, scheme: str) -> str:
    if not port:
        return ""
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise UrlProblem("invalid_url")
    number = str(int(port))
    return "" if number == _PORTS[scheme] else f":{number}"


def _quoted(tail: str) -> str:
    masked = mask_addresses(tail.replace("\\", "/"))
    # Quotes and brackets are encoded as well, so that the URL ends where it ends in any markup.
    quoted = quote(_STRAY_PERCENT.sub("%25", masked), safe="/?#[]@!$&()*+,;=:%~", errors="replace")
    # Once more: what was no part of an address may read as one when it is percent-encoded.
    return mask_addresses(quoted).replace("•", "%E2%80%A2")
