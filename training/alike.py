"""Which labelled comments are alike: near-duplicates, texts after one pattern, the same links.

Knows texts, links and sketches. Does not know what labels say, nor what being alike is worth.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from joblib import Parallel, delayed

from model.campaigns import Look, look_of
from model.facts import gather
from model.memory import ALIKE, COPIES, TELLING_RUNS, Sketch, SketchIndex
from model.signs import letters_as_read
from training.examples import Commented, submission_of

PATTERN = 0.25
"""The share of the shorter text's runs from which two texts are after one pattern, or padded."""

# Nobody's, by RFC 2606: texts that were made up for a test or a manual link there.
_RESERVED = re.compile(r"(^|\.)example\.(com|net|org)$")

MOST_NEAR = 64
"""What so many texts are near to is after a pattern that is known well enough: a flood of padded
copies, each unlike the others, is not compared with itself."""

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Alike:
    """Comments grouped, an entry for each in order: of equal numbers are near-duplicates.

    `links` is equal for those that link to the same domains. `patterns` are pairs of groups whose
    texts have a good part in common; `domains` what each comment links to, less what everybody
    links to and what is nobody's.
    """

    group: tuple[int, ...]
    links: tuple[frozenset[int], ...]
    patterns: frozenset[tuple[int, int]]
    domains: tuple[frozenset[str], ...]


def alike(comments: Sequence[Commented], *, jobs: int = 1) -> Alike:
    """Group comments, each looked at in order. Some 200 µs for each."""
    chunks = [comments[at : at + CHUNK] for at in range(0, len(comments), CHUNK)]
    looks = [
        look
        for of_chunk in Parallel(n_jobs=jobs)(map(delayed(_looks), chunks))
        for look in of_chunk
    ]
    groups = _Groups()
    group = [groups.put(letters, look.sketch) for letters, look in looks]
    return Alike(
        group=tuple(group),
        links=tuple(look.sketch.hosts for _, look in looks),
        patterns=frozenset(groups.patterns),
        domains=tuple(
            frozenset(d for d in look.domains if not _RESERVED.search(d)) for _, look in looks
        ),
    )


def _looks(chunk: Sequence[Commented]) -> list[tuple[str, Look]]:
    return [(letters_as_read(c.text) or c.text, look_of(gather(submission_of(c)))) for c in chunk]


class _Groups:
    """Groups of near-duplicates: a text joins the one that has the text most like it.

    Of a group `COPIES` texts are compared with what comes, and of a pattern some `MOST_NEAR`, so
    that a flood costs no more.
    """

    def __init__(self) -> None:
        self.patterns: set[tuple[int, int]] = set()
        self._index = SketchIndex()
        self._kept: list[tuple[Sketch, int]] = []
        self._sizes: dict[int, int] = defaultdict(int)
        self._same: dict[str, int] = {}
        self._groups = 0

    def put(self, letters: str, sketch: Sketch) -> int:
        """The group of a text, which may be its own."""
        known = self._same.get(letters)
        if known is not None:
            return known
        near = list(self._near(sketch))
        likeness, nearest = max(near, default=(0.0, 0), key=lambda one: (one[0], -one[1]))
        if likeness >= ALIKE:
            group = nearest
        else:
            group, self._groups = self._groups, self._groups + 1
        self._same[letters] = group
        self.patterns |= {
            (min(group, other), max(group, other)) for _, other in near if other != group
        }
        if sketch.minhash is not None and self._sizes[group] < COPIES and len(near) < MOST_NEAR:
            self._sizes[group] += 1
            self._index.put(str(len(self._kept)), sketch)
            self._kept.append((sketch, group))
        return group

    def _near(self, sketch: Sketch) -> Iterator[tuple[float, int]]:
        """Likeness and group of what is a near-duplicate, or after the same pattern."""
        for key in self._index.like(sketch):
            other, group = self._kept[int(key)]
            likeness = sketch.likeness(other)
            least = min(sketch.runs, other.runs)
            # The union is the sum of both less what they share: solved for what they share.
            shared = likeness / (1 + likeness) * (sketch.runs + other.runs) / least
            if likeness >= ALIKE or (shared >= PATTERN and least >= TELLING_RUNS):
                yield likeness, group


class Unions:
    """Which things hang together by pairs of them (a union-find)."""

    def __init__(self) -> None:
        self._above: dict[Hashable, Hashable] = {}

    def join(self, one: Hashable, other: Hashable) -> None:
        """Let two things hang together."""
        self._above[self.of(one)] = self.of(other)

    def of(self, one: Hashable) -> Hashable:
        """What stands for all that hangs together with a thing."""
        while (above := self._above.get(one, one)) != one:
            self._above[one] = self._above.get(above, above)
            one = above
        return one
