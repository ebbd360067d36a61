"""Remember decided comments, so that near-duplicates of them need no second decision.

Likeness is that of sets of character runs, estimated by MinHash (Broder 1997) and looked up by
locality-sensitive hashing, both from rensa. A memory belongs to one site, holds no text, and is
a fold over the site's decisions in order. It is bounded: the oldest decisions are forgotten.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashLSH

from model.addresses import registered_domain
from model.facts import Facts
from model.links import host_of
from model.outcome import Outcome
from model.signs import letters_as_read

RUN = 5
"""Likeness is of runs of so many letters, as `letters_as_read` has them."""

READ = 8_000
"""Characters of a comment that are read."""

LEAST_RUNS = 24
"""A comment with fewer distinct runs says too little to be told from what anybody writes."""

TELLING_RUNS = 60
"""One decision settles the twins of a comment with so many; a shorter one needs `OFTEN`."""

OFTEN = 3
ALIKE = 0.75
"""The likeness (Jaccard index) from which two comments are twins."""

CONTAINED = 0.8
"""The share of a decided comment's runs from which another is said to hold it."""

COPIES = 8
"""Of one campaign so many decisions each way are kept: a flood drives out nothing else."""

_HASHES = 128  # likeness has a standard error of 0.04 at worst
_BANDS = 64  # of two hashes: finds a likeness of .25 in 98 % of cases, .05 in 15 %
_TWIN_BANDS = 32  # of four
# Any odd numbers with bits set everywhere serve: a sum of products keeps equal bands equal.
_ODD = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], np.uint32)
_SEED = 20_240


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """What a comment is remembered by: some 600 bytes, no text. `runs` counts distinct runs.

    `minhash` is None when there are fewer than `LEAST_RUNS`. `hosts` are hashes of what the
    comment and its author link to, by registered domain.
    """

    minhash: RMinHash | None = field(repr=False)
    runs: int
    hosts: frozenset[int] = field(repr=False)

    def likeness(self, other: "Sketch") -> float:
        """The Jaccard index of both, estimated; 0 when one of them says too little."""
        if self.minhash is None or other.minhash is None:
            return 0.0
        return float(self.minhash.jaccard(other.minhash))

    def says_as_much_as(self, other: "Sketch") -> bool:
        """Whether all but the hashes of both is equal."""
        return self.runs == other.runs and self.hosts == other.hosts


@dataclass(frozen=True, slots=True)
class Twin:
    """A decided comment that a new one is like, and what follows.

    `id` is the decided comment's, `campaign` the key of its campaign. `similarity` in [0, 1] is
    the Jaccard index of both, `contained` the share of the decided one that is in the new one,
    both estimated. `spam` and `ham` count the campaign's decisions that are remembered, at most
    `COPIES` each.

    `outcome` is REJECT when the campaign is settled as spam, QUEUE when a person should see
    it, ACCEPT when it is settled as ham and the new one brings no link of its own; None when
    people disagree on it.
    """

    id: str
    campaign: str
    similarity: float
    contained: float
    spam: int
    ham: int
    outcome: Outcome | None


def sketch_of(facts: Facts) -> Sketch:
    """What to remember of a comment, or to look it up by. Some 30 µs for 300 characters."""
    runs = set(_runs(letters_as_read(facts.submission.content[:READ])))
    minhash = None
    if len(runs) >= LEAST_RUNS:
        minhash = RMinHash(num_perm=_HASHES, seed=_SEED)
        minhash.update(list(runs))
    return Sketch(minhash, len(runs), frozenset(map(_hashed, _hosts(facts))))


def cell_of(content: str) -> int:
    """A number that two comments share with a chance that is their likeness, in [0, 2**32).

    So those that share a comment's number are, on average, as many as their likenesses to it add
    up to. A comment with fewer than `LEAST_RUNS` shares its own with the same letters only.
    """
    letters = letters_as_read(content[:READ])
    runs = set(_runs(letters))
    if len(runs) < LEAST_RUNS:
        return _hashed(letters) >> 32
    minhash = RMinHash(num_perm=1, seed=_SEED)
    minhash.update(list(runs))
    return int(minhash.digest()[0])


def _runs(letters: str) -> list[str]:
    """All runs of `RUN` letters, in order."""
    count = len(letters) - RUN + 1
    if count < 1:
        return []
    # Strings that overlap in an array, four bytes a letter: a third of what slicing takes.
    runs: list[str] = np.ndarray(
        count, f"<U{RUN}", letters.encode("utf-32-le"), strides=(4,)
    ).tolist()
    return runs


class Memory:
    """The near-duplicate memory of one site. Not safe for threads: guard it with the site's lock.

    Keeps between `size` and half as many of the decisions that were remembered last.
    """

    def __init__(self, *, size: int = 2_000) -> None:
        if size < 2:
            raise ValueError("size must be 2 or more")
        self._half = size // 2
        self._young, self._old = _Shelf(), _Shelf()
        self._tally: Counter[tuple[str, bool]] = Counter()

    @property
    def remembered(self) -> int:
        """How many decisions are remembered."""
        return len(self._young.kept) + len(self._old.kept)

    def remember(self, id: str, sketch: Sketch, *, positive: bool) -> str:
        """Remember a decision, spam if `positive`, else ham; the key of its campaign comes back.

        That is the key of the campaign it is a twin of, else `id`; empty when the comment says
        too little. A comment decided again counts once, as it was decided last.
        """
        if sketch.minhash is None:
            return ""
        nearest = self._nearest(sketch, but=id)
        campaign = nearest.kept.campaign if nearest else id
        for shelf in (self._young, self._old):
            self._untally(shelf.kept.pop(id, None))
        if self._tally[campaign, positive] >= COPIES:
            return campaign
        if self._young.put_so_far >= self._half:
            for kept in self._old.kept.values():
                self._untally(kept)
            self._young, self._old = _Shelf(), self._young
        self._young.put(_Kept(id, sketch, positive, campaign))
        self._tally[campaign, positive] += 1
        return campaign

    def twin(self, sketch: Sketch) -> Twin | None:
        """The decided comment that this one is most like, if it is like any."""
        nearest = self._nearest(sketch)
        if nearest is None:
            return None
        kept = nearest.kept
        spam, ham = self._tally[kept.campaign, True], self._tally[kept.campaign, False]
        return Twin(
            id=kept.id,
            campaign=kept.campaign,
            similarity=nearest.similarity,
            contained=nearest.contained,
            spam=spam,
            ham=ham,
            outcome=_outcome(sketch, nearest, spam=spam, ham=ham),
        )

    def _nearest(self, sketch: Sketch, but: str = "") -> "_Near | None":
        """The remembered comment most like it; of equals the one decided last."""
        found: _Near | None = None
        for shelf in (self._old, self._young):
            for kept in shelf.like(sketch):
                near = _Near.of(kept, sketch)
                if near.counts and kept.id != but and (found is None or near.rank >= found.rank):
                    found = near
        return found

    def _untally(self, kept: "_Kept | None") -> None:
        if kept is not None:
            self._tally[kept.campaign, kept.positive] -= 1
            if not self._tally[kept.campaign, kept.positive]:
                del self._tally[kept.campaign, kept.positive]


def _outcome(sketch: Sketch, near: "_Near", *, spam: int, ham: int) -> Outcome | None:
    if spam and ham:
        return None
    decided = near.kept.sketch
    if ham:
        # A spammer who copies an accepted comment has to bring a link.
        honest = near.similarity >= ALIKE and sketch.hosts <= decided.hosts
        return Outcome.ACCEPT if honest else None
    # Praise may be spam for its author's link alone: the same words without one are a reader's.
    as_linked = not decided.hosts or bool(sketch.hosts)
    telling = decided.runs >= TELLING_RUNS or spam >= OFTEN
    # What holds spam among other words may be a padded copy, or a reader who quotes it.
    whole = near.similarity >= ALIKE or bool(decided.hosts & sketch.hosts)
    return Outcome.REJECT if as_linked and telling and whole else Outcome.QUEUE


@dataclass(frozen=True, slots=True)
class _Kept:
    id: str
    sketch: Sketch
    positive: bool
    campaign: str


@dataclass(frozen=True, slots=True)
class _Near:
    """How near a decided comment is to a new one."""

    kept: _Kept
    similarity: float
    contained: float

    @classmethod
    def of(cls, kept: _Kept, sketch: Sketch) -> "_Near":
        similarity = kept.sketch.likeness(sketch)
        # The union is the sum of both less what they share: solved for what they share.
        shared = similarity / (1 + similarity) * (kept.sketch.runs + sketch.runs)
        return cls(kept, similarity, min(shared / kept.sketch.runs, 1.0))

    @property
    def counts(self) -> bool:
        held = self.contained >= CONTAINED and self.kept.sketch.runs >= TELLING_RUNS
        return self.similarity >= ALIKE or held

    @property
    def rank(self) -> tuple[float, float]:
        return self.similarity, self.contained


class SketchIndex:
    """Finds which of many sketches may be like one. Forgets nothing: make another.

    At a likeness of .25 it finds 98 % of those there are, and 15 % at .05: measure `likeness`.
    """

    def __init__(self) -> None:
        self._index = RMinHashLSH(threshold=0.5, num_perm=_HASHES, num_bands=_BANDS)
        self._ids: list[str] = []

    def put(self, id: str, sketch: Sketch) -> None:
        """Put a sketch by an id; one that says too little is never found."""
        if sketch.minhash is not None:
            self._index.insert(len(self._ids), sketch.minhash)
            self._ids.append(id)

    def like(self, sketch: Sketch) -> Iterator[str]:
        """The ids of those that may be like it, in the order they were put."""
        if sketch.minhash is not None and self._ids:
            for key in sorted(self._index.query(sketch.minhash)):
                yield self._ids[key]


class TwinIndex:
    """Finds which of many sketches may be twins of one. Forgets nothing: make another.

    Finds all but five in a million of those there are at `ALIKE`, 12 % at .25, and one in two
    thousand of any others: measure `likeness`. Goes over all of them, which takes some 4 µs a
    thousand, as tables of hashes would take fifty times the memory: 64 bytes for each sketch.
    """

    def __init__(self) -> None:
        self._keys = np.empty((_TWIN_BANDS, 64), np.uint16)  # a column a sketch
        self._ids: list[str] = []

    @property
    def size(self) -> int:
        """How many were put."""
        return len(self._ids)

    def put(self, id: str, sketch: Sketch) -> None:
        """Put a sketch by an id; one that says too little is never found."""
        if sketch.minhash is None:
            return
        if self.size == self._keys.shape[1]:
            self._keys = np.concatenate([self._keys, np.empty_like(self._keys)], axis=1)
        self._keys[:, self.size] = _keys_of(sketch.minhash)
        self._ids.append(id)

    def like(self, sketch: Sketch) -> Iterator[str]:
        """The ids of those that may be twins of it, in the order they were put."""
        if sketch.minhash is not None and self._ids:
            own = _keys_of(sketch.minhash)[:, None]
            for at in (self._keys[:, : self.size] == own).any(axis=0).nonzero()[0].tolist():
                yield self._ids[at]


def _keys_of(minhash: RMinHash) -> NDArray[np.uint16]:
    """What two sketches share where all hashes of a band are equal, a number a band."""
    of_bands = np.array(minhash.digest(), np.uint32).reshape(_TWIN_BANDS, -1)
    mixed = (of_bands * _ODD).sum(axis=1, dtype=np.uint32) >> np.uint32(16)
    return np.asarray(mixed, np.uint16)


class _Shelf:
    """Decided comments with an index. The index forgets nothing, so shelves are dropped whole."""

    def __init__(self) -> None:
        self.kept: dict[str, _Kept] = {}
        self._index = RMinHashLSH(threshold=0.5, num_perm=_HASHES, num_bands=_BANDS)
        self._ids: list[str] = []

    @property
    def put_so_far(self) -> int:
        return len(self._ids)

    def put(self, kept: _Kept) -> None:
        self._index.insert(len(self._ids), kept.sketch.minhash)
        self._ids.append(kept.id)
        self.kept[kept.id] = kept

    def like(self, sketch: Sketch) -> Iterator[_Kept]:
        """Those that may be like it, in the order they were put."""
        if sketch.minhash is not None and self.kept:
            for key in sorted(self._index.query(sketch.minhash)):
                kept = self.kept.get(self._ids[key])
                if kept is not None:
                    yield kept


def _hosts(facts: Facts) -> Iterator[str]:
    for link in facts.links:
        yield link.registered_domain or link.host or link.url
    if facts.submission.author.url:
        host = host_of(facts.submission.author.url)
        yield registered_domain(host) or host or facts.submission.author.url


def _hashed(host: str) -> int:
    digest = hashlib.sha256(host.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")
