"""Lend URLs to ham whose source never has one.

Most ham at hand comes from sites that ask for no URL, and nearly all spam with a form comes with
one. A fit to that takes any URL for spam, and with it half of a blog's readers. So some ham also
counts with a URL of the kind that readers have: the home page of a site that other ham links to,
or a URL that other ham came with. What is left to learn is which URLs are spam.
"""

import hashlib
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

    Of ham without a URL about `share`, in [0, 1]. A draw by hash of source, id and text, so that
    it depends on no order; which URL, on the set of those that can be lent.
    """
    urls = _lendable(examples)
    if not urls:
        return []
    lent = []
    for at, example in enumerate(examples):
        if _is_ham(example) and not example.author_url:
            draw = _draw(f"{seed}/{example.source}/{example.id}/{example.text}")
            if draw % 2**32 < share * 2**32:
                lent.append((at, urls[(draw >> 32) % len(urls)]))
    return lent


def _lendable(examples: Sequence[LabelledExample]) -> list[str]:
    """The URLs that ham came with, and the home pages of what it links to."""
    ham = [example for example in examples if _is_ham(example)]
    own = {example.author_url for example in ham if example.author_url}
    hosts = {
        link.host.removeprefix("www.")
        for example in ham
        for link in links_in(example.text)
        if "." in link.host and link.host.isascii()
    }
    pages = {WRITTEN[_draw(host) % len(WRITTEN)].format(host) for host in hosts}
    return sorted(own | pages)


def _is_ham(example: LabelledExample) -> bool:
    return example.label.head is Head.SPAM and not example.label.positive


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
