"""Lend URLs to comments whose source never has one.

Most ham at hand comes from sites that ask for no URL, and nearly all spam with a form comes with
one. A fit to that takes any URL for spam, and with it the readers of a blog who have sites of
their own. So some comments without a URL, spam and ham alike, also count with the kind of URL
that readers have: the home page of a site that ham links to. That says of URLs as such that they
are no sign; which URLs are one, the comments that came with theirs have to tell.
"""

import hashlib
import heapq
import re
from collections.abc import Iterable, Sequence

from model.decision import LabelledExample
from model.links import links_in
from model.outcome import Head

WRITTEN = (
    "http://{}",
    "http://{}/",
    "https://{}",
    "https://{}/",
    "http://www.{}",
    "{}",
    "http://{}/blog",
)
"""How people write the address of their site."""

HOSTS = 65_536
"""The most hosts that are lent: more say no more of URLs as such."""


def lent_urls(
    examples: Sequence[LabelledExample], share: float, seed: int
) -> list[tuple[int, str]]:
    """Which examples are lent a URL, by index, and which; in order.

    Of spam and ham without a URL about `share`, in [0, 1]. A draw by hash of source, id and text,
    so that it depends on no order; which URL, on the set of hosts that can be lent.
    """
    hosts = lendable(host for example in examples for host in hosts_of(example))
    lent = [(at, lent_url(example, hosts, share, seed)) for at, example in enumerate(examples)]
    return [(at, url) for at, url in lent if url is not None]


def lent_url(example: LabelledExample, hosts: Sequence[str], share: float, seed: int) -> str | None:
    """The URL that is lent to an example, None for most; `hosts` are those that can be lent."""
    draw = _drawn(example, share, seed)
    if draw is None or not hosts:
        return None
    form = WRITTEN[(draw >> 52) % len(WRITTEN)]
    return form.format(hosts[(draw >> 32) % 2**20 % len(hosts)])


def may_borrow(example: LabelledExample, share: float, seed: int) -> bool:
    """Whether a URL is lent to an example where there is a host to lend."""
    return _drawn(example, share, seed) is not None


def hosts_of(example: LabelledExample) -> set[str]:
    """The hosts that a ham links to, but names that are reserved and so nobody's."""
    if example.label.head is not Head.SPAM or example.label.positive:
        return set()
    hosts = {link.host.removeprefix("www.") for link in links_in(example.text)}
    return {host for host in hosts if _HOST.fullmatch(host) and not _RESERVED.search(host)}


def lendable(hosts: Iterable[str]) -> list[str]:
    """The hosts that can be lent, sorted: of more than `HOSTS` a draw by hash.

    Never holds more than twice as many.
    """
    chosen: set[str] = set()
    for host in hosts:
        chosen.add(host)
        if len(chosen) == 2 * HOSTS:
            chosen = set(_fewer(chosen))
    return sorted(_fewer(chosen))


def _fewer(hosts: set[str]) -> Iterable[str]:
    return hosts if len(hosts) <= HOSTS else heapq.nsmallest(HOSTS, hosts, key=_draw)


def _drawn(example: LabelledExample, share: float, seed: int) -> int | None:
    if example.label.head is not Head.SPAM or example.author_url:
        return None
    draw = _draw(f"{seed}/{example.source}/{example.id}/{example.text}")
    return draw if draw % 2**32 < share * 2**32 else None


_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid)$")  # RFC 2606


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
