"""Which labels a training of an installation takes, where memory does not hold all of them.

Knows whose word comes first, and draws among the rest. Reads nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import groupby

from model.decision import LabelledExample, WordOf
from training.memory import size_of

_HERE = frozenset({WordOf.DECISION, WordOf.REPORT})


def taken(
    examples: Iterable[LabelledExample], room: int, *, seed: int
) -> tuple[list[LabelledExample], int]:
    """As many examples as so many bytes hold, in the order they came, and how many were left.

    The labels of a comment, which follow each other, are taken together or not at all. What people
    of the installation decided or its sites reported comes before what was imported; among either
    a hash of the comment draws, so that the same labels give the same ones. Holds no more than
    those, and the labels of one comment.
    """
    held: list[tuple[bool, int, int, list[LabelledExample]]] = []
    size = left = 0
    for place, of_comment in enumerate(_by_comment(examples)):
        said_here = any(e.provenance.kind in _HERE for e in of_comment)
        # The heap's first is the next to go: imported before decided, of a high draw first.
        heappush(held, (said_here, -_draw(of_comment[0], seed), place, of_comment))
        size += sum(map(size_of, of_comment))
        while size > room:
            gone = heappop(held)[-1]
            size -= sum(map(size_of, gone))
            left += len(gone)
    held.sort(key=lambda one: one[2])
    return [example for *_, of_comment in held for example in of_comment], left


def _by_comment(examples: Iterable[LabelledExample]) -> Iterator[list[LabelledExample]]:
    for _, of_comment in groupby(examples, _comment):
        yield list(of_comment)


def _comment(example: LabelledExample) -> tuple[str, str]:
    return example.source, str(example.extra.get("comment_id") or example.id)


def _draw(example: LabelledExample, seed: int) -> int:
    named = "\0".join((str(seed), *_comment(example)))
    return int.from_bytes(hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()[:8])
