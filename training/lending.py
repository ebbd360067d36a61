"""Lend URLs to comments whose source never has one.

Most ham at hand comes from sites that ask for no URL, and nearly all spam with a form comes with
one. A fit to that takes any URL for spam, and with it the readers of a blog who have sites of
their own. So some comments without a URL, spam and ham alike, also count with the kind of URL
that readers have: the home page of a site that ham links to. That says of URLs as such that they
are no sign; which URLs are one, the comments that came with theirs have to tell.
"""

import hashlib
import re
from collections.abc import Sequence

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


def lent_urls(
    examples: Sequence[LabelledExample], share: float, seed: int
) -> list[tuple[int, str]]:
    """Which examples are lent a URL, by index, and which; in order.

    Of spam and ham without a URL about `share`, in [0, 1]. A draw by hash of source, id and text,
    so that it depends on no order; which URL, on the set of hosts that can be lent.
    """
    hosts = _lendable(examples)
    if not hosts:
        return []
    lent = []
    for at, example in enumerate(examples):
        if example.label.head is Head.SPAM and not example.author_url:
            draw = _draw(f"{seed}/{example.source}/{example.id}/{example.text}")
            if draw % 2**32 < share * 2**32:
                form = WRITTEN[(draw >> 52) % len(WRITTEN)]
                lent.append((at, form.format(hosts[(draw >> 32) % 2**20 % len(hosts)])))
    return lent


def _lendable(examples: Sequence[LabelledExample]) -> list[str]:
    """The hosts that ham links to, but names that are reserved and so nobody's."""
    hosts = {
        link.host.removeprefix("www.")
        for example in examples
        if example.label.head is Head.SPAM and not example.label.positive
        for link in links_in(example.text)
    }
    return sorted(host for host in hosts if _HOST.fullmatch(host) and not _RESERVED.search(host))


_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid)$")  # RFC 2606


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
