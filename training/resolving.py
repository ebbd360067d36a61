"""What labels weigh once they have been held against each other: pure, and in any order the same.

Knows where people contradict themselves and each other, and how much one account, one author or
one campaign may move a model. Reads nothing and fits nothing; what is alike, `training.alike` says.

By these rules, in this order:

1. Of one comment a person's decision holds before a site's report, that before what was imported,
   that before what a file says; of two of a kind the later one. A decision is the whole word on
   its comment: what was said before teaches neither head any more. Two that disagree and of which
   neither is later teach nothing.
2. Near-duplicates with the same links that disagree are settled by whoever counts most as above.
   Every account has one vote, its last word. More votes hold, of as many the later one; where none
   is later, none of them teaches.
3. A label weighs what it came with, times the inverse of the chance that a person was asked, up to
   `Bounds.most_inverse`, times its age: half for every `Bounds.half_life_days` before the newest,
   never below `Bounds.least_of_age`; and times what its account is to be relied on, if given.
4. Near-duplicates with the same label weigh as one campaign: n of them 2 - 1/n times what one of
   them does on average, less than two. So do spam and insults after one pattern, or padded. At
   most `COPIES` of a campaign, from all its time, stand for the others.
5. On each side of a head (spam, ham, toxic, clean) no account, no author and no kin of spam weighs
   more than its share: see `Bounds`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from model.decision import Label, LabelledExample, Provenance, WordOf
from model.memory import COPIES
from model.outcome import Head
from training.alike import Alike, Unions, alike
from training.fit import content_key
from training.shares import Family, bound, by, parts


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much what may weigh.

    `account_share` is the most of one side of a head that one account may have, a moderator or a
    reporting site; or `lenience` times a fair share of what all accounts have, where that is more.
    It takes several to tell who is wrong: a fair share is one of those with `established` labels
    of that side, and for fewer than three of them there is no bound. `author_share` and
    `kin_share` are likewise for all authors and kin there are.
    """

    most_inverse: float = 5.0
    half_life_days: float = 730.0
    least_of_age: float = 0.25
    account_share: float = 0.2
    author_share: float = 0.05
    kin_share: float = 0.1
    established: int = 30
    lenience: float = 1.5


USUAL = Bounds()


class Clash(StrEnum):
    """How two words on the same thing came to disagree."""

    AGAIN = "again"  # somebody said otherwise later
    RANK = "rank"  # one of them counts more: a decision and a report
    EVEN = "even"  # of two of a kind nobody knows which is later
    COPIES = "copies"  # near-duplicates


@dataclass(frozen=True, slots=True)
class Conflict:
    """Labels of one side that gave way to others, by ids of examples.

    `kept` are those that held, none where nobody's did.
    """

    clash: Clash
    kept: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Campaign:
    """Near-duplicates with the same label, by ids of examples: `weight` is what all have."""

    label: str
    ids: tuple[str, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Voices:
    """What several accounts said last of near-duplicates: words of labels by who."""

    head: Head
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Share:
    """What one account has of one side of a head, in [0, 1]: `before` the bounds, and `after`."""

    label: str
    kind: WordOf
    who: str
    labels: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Resolved:
    """Labels that are held against each other.

    `examples` are what is left, in the order they came; `weights` what each weighs, in place of
    its own weight. `left_out` counts the others by why. `shares` are by label, heaviest first.
    `voices` are of people alone.
    """

    examples: tuple[LabelledExample, ...]
    weights: tuple[float, ...]
    conflicts: tuple[Conflict, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    shares: tuple[Share, ...] = ()
    voices: tuple[Voices, ...] = ()

    def weighed(self) -> list[LabelledExample]:
        """The examples with these weights as their own."""
        both = zip(self.examples, self.weights, strict=True)
        return [replace(example, weight=weight) for example, weight in both]


def settled(
    examples: Iterable[LabelledExample], left_out: Counter[str]
) -> Iterator[LabelledExample]:
    """Examples of files for a fit: what people of an installation said, held against each other.

    So an export teaches what its installation's labels do: each of what is left has its chance of
    review in its weight, and no chance. What a file alone says passes as it comes; the others
    follow when all are read, and are held in memory until then, some 3 KB each. `left_out`
    counts those that do not hold.
    """
    said = []
    for example in examples:
        if example.provenance.kind is WordOf.FILE:
            yield example
        else:
            said.append(example)
    found = resolved(said)
    left_out.update(found.left_out)
    for example in found.weighed():
        yield replace(example, provenance=replace(example.provenance, chance=None))


Reliance: TypeAlias = Mapping[tuple[Head, WordOf, str], float]
"""What an account's labels on a head weigh beside others', in [0, 1]: by head, kind and who."""


def resolved(
    examples: Iterable[LabelledExample],
    bounds: Bounds = USUAL,
    *,
    reliance: Reliance | None = None,
    jobs: int = 1,
) -> Resolved:
    """Hold labels against each other, by the rules above.

    `reliance` is for accounts that `training.relying.reliance_of` found to err much more than the
    others; whoever is not in it is relied on.

    Takes some 300 µs an example for what is alike, shared among `jobs` processes.
    """
    given = list(examples)
    left_out: Counter[str] = Counter()
    conflicts: list[Conflict] = []
    # In an order of their own, so that what was read first decides nothing.
    in_order = sorted(_words(given), key=lambda word: (word.comment, word.example.label.word))
    words = _one_word_each(in_order, conflicts, left_out)
    comments = {word.comment: word.example for word in words}
    found = alike(list(comments.values()), jobs=jobs)
    place = {comment: at for at, comment in enumerate(comments)}
    same = _same(words, found, place)
    voices = [said for words_alike in same.values() if (said := _voices(words_alike))]
    words = _votes(words, same, conflicts, left_out)
    weights = _own_weights(words, bounds, reliance or {})
    campaigns, standing = _as_campaigns(_sides(words), words, weights, found, place)
    left_out["whose campaign others stand for"] += len(words) - len(standing)
    words, weights = [words[at] for at in standing], list(standing.values())
    shares = _within_shares(words, weights, found, place, bounds)
    order = sorted(range(len(words)), key=lambda at: words[at].place)
    return Resolved(
        examples=tuple(words[at].example for at in order),
        weights=tuple(weights[at] for at in order),
        conflicts=tuple(conflicts),
        campaigns=tuple(campaigns),
        left_out={why: count for why, count in left_out.items() if count},
        shares=tuple(shares),
        voices=tuple(voices),
    )


# ------------------------------------------------------------------ one word on each comment

_RANKS = {kind: rank for rank, kind in enumerate(WordOf)}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Word:
    """A label with what it is compared by. `place` is where it stood in what was given."""

    example: LabelledExample
    place: int
    comment: tuple[str, str]
    at: datetime

    @property
    def rank(self) -> int:
        return _RANKS[self.example.provenance.kind]

    @property
    def weighs(self) -> tuple[int, datetime]:
        """What makes one word hold before another."""
        return self.rank, self.at


def _words(examples: Sequence[LabelledExample]) -> list[_Word]:
    return [
        _Word(example, place, _comment_of(example, place), _time(example.provenance))
        for place, example in enumerate(examples)
    ]


def _comment_of(example: LabelledExample, place: int) -> tuple[str, str]:
    """The comment that a label is about: an acceptance gives two labels with ids of their own."""
    known = example.extra.get("comment_id")
    if isinstance(known, str) and known:
        return example.source, known
    if not example.source and example.id:  # of two files, each may count its own from 1
        return example.source, f"{example.id}\0{content_key(example.text)}"
    return example.source, example.id or f"\0{place:012}"


def time_of(text: str) -> datetime | None:
    """A time as labels have it, in UTC also where it does not say; None for what is none."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _time(provenance: Provenance) -> datetime:
    return time_of(provenance.at) or _LONG_AGO


def _one_word_each(
    words: Sequence[_Word], conflicts: list[Conflict], left_out: Counter[str]
) -> list[_Word]:
    """What holds of several words on one comment."""
    by_comment: dict[tuple[str, str], list[_Word]] = defaultdict(list)
    for word in words:
        by_comment[word.comment].append(word)
    kept = []
    for of_comment in by_comment.values():
        best = max(of_comment, key=lambda word: word.weighs)
        is_whole = best.rank in (_RANKS[WordOf.DECISION], _RANKS[WordOf.IMPORT])
        for head in Head:
            of_head = [word for word in of_comment if word.example.label.head is head]
            holding = best if is_whole else max(of_head, key=lambda w: w.weighs, default=best)
            kept += _holding(of_head, holding, conflicts, left_out)
    return kept


def _holding(
    of_head: Sequence[_Word], holding: _Word, conflicts: list[Conflict], left_out: Counter[str]
) -> list[_Word]:
    """Of labels on one head of a comment the one that is as heavy as the word that holds."""
    stands = [word for word in of_head if word.weighs == holding.weighs]
    says = {word.example.label.positive for word in stands}
    if len(says) > 1:
        conflicts.append(Conflict(Clash.EVEN, (), _ids(stands)))
        left_out["that contradict each other"] += len(stands)
        stands = []
    kept = sorted(stands, key=_tie)[:1]
    left_out["that say the same of a comment again"] += len(stands) - len(kept)
    others = [word for word in of_head if word.weighs != holding.weighs]
    against = [w for w in others if not kept or w.example.label != kept[0].example.label]
    if against:
        again = all(word.rank == holding.rank for word in against)
        conflicts.append(Conflict(Clash.AGAIN if again else Clash.RANK, _ids(kept), _ids(against)))
    left_out["that gave way to another word on the same comment"] += len(others)
    return kept


def _tie(word: _Word) -> tuple[str, float, float, str]:
    """Of words that are the same, the one that is taken: whichever, but always that one."""
    example = word.example
    chance = example.provenance.chance
    return example.provenance.who, -2.0 if chance is None else -chance, example.weight, example.text


def _ids(words: Iterable[_Word]) -> tuple[str, ...]:
    return tuple(word.example.id for word in words)


# ------------------------------------------------------------------ near-duplicates that disagree


def _same(
    words: Sequence[_Word], found: Alike, place: Mapping[tuple[str, str], int]
) -> dict[Hashable, list[_Word]]:
    """Words on a head by what is nearly the same with the same links."""
    same: dict[Hashable, list[_Word]] = defaultdict(list)
    for word in words:
        at = place[word.comment]
        same[word.example.label.head, found.group[at], found.links[at]].append(word)
    return same


def _voices(words: Sequence[_Word]) -> Voices | None:
    """What people said of near-duplicates, if several did."""
    head = words[0].example.label.head
    people = [word for word in words if word.example.provenance.kind is WordOf.DECISION]
    said = {
        who: Label(head, says).word
        for who, of_account in _by_account(people).items()
        if (says := _last_word(of_account)[1]) is not None
    }
    return Voices(head, said) if len(said) > 1 else None


def _by_account(words: Sequence[_Word]) -> dict[str, list[_Word]]:
    found: dict[str, list[_Word]] = defaultdict(list)
    for word in words:
        found[word.example.provenance.who].append(word)
    return found


def _votes(
    words: Sequence[_Word],
    same: Mapping[Hashable, Sequence[_Word]],
    conflicts: list[Conflict],
    left_out: Counter[str],
) -> list[_Word]:
    """What holds where near-duplicates were labelled both ways."""
    lost: set[int] = set()
    for alike_words in same.values():
        if len({word.example.label.positive for word in alike_words}) > 1:
            holds = _winner(alike_words)
            left = [w for w in alike_words if w.example.label.positive is not holds]
            kept = [w for w in alike_words if w.example.label.positive is holds]
            conflicts.append(Conflict(Clash.COPIES, _ids(kept), _ids(left)))
            lost |= {word.place for word in left}
    left_out["that others like them outvoted"] += len(lost)
    return [word for word in words if word.place not in lost]


def _winner(words: Sequence[_Word]) -> bool | None:
    """What most accounts of those that count say; None where nobody knows."""
    rank = max(word.rank for word in words)
    counting = [word for word in words if word.rank == rank]
    last_words = [_last_word(of_account) for of_account in _by_account(counting).values()]
    votes = [says for _, says in last_words]
    if votes.count(True) != votes.count(False):
        return votes.count(True) > votes.count(False)
    latest = max(at for at, _ in last_words)
    says_last = {says for at, says in last_words if at == latest}
    return says_last.pop() if len(says_last) == 1 else None


def _last_word(words: Sequence[_Word]) -> tuple[datetime, bool | None]:
    """What was said last and when; of what was said at one time, or nobody knows when, most."""
    last = max(word.at for word in words)
    says = Counter(word.example.label.positive for word in words if word.at == last)
    return last, None if says[True] == says[False] else says[True] > says[False]


# ------------------------------------------------------------------ weights


def _own_weights(words: Sequence[_Word], bounds: Bounds, reliance: Reliance) -> list[float]:
    # A clock that was ahead, or a file that says anything, would make all others old.
    soon = datetime.now(UTC) + timedelta(days=1)
    newest = max((word.at for word in words if word.at <= soon), default=_LONG_AGO)
    return [
        _own_weight(word, newest, bounds)
        * reliance.get(
            (
                word.example.label.head,
                word.example.provenance.kind,
                word.example.provenance.who,
            ),
            1.0,
        )
        for word in words
    ]


def _own_weight(word: _Word, newest: datetime, bounds: Bounds) -> float:
    chance = word.example.provenance.chance
    weight = word.example.weight
    weight *= 1.0 if chance is None else min(1 / chance, bounds.most_inverse)
    if word.at == _LONG_AGO:
        return weight
    age = max(0.0, (newest - word.at).total_seconds() / 86_400)
    return weight * max(math.pow(0.5, age / bounds.half_life_days), bounds.least_of_age)


def _sides(words: Sequence[_Word]) -> dict[str, list[int]]:
    """Which words are on which side of a head."""
    sides: dict[str, list[int]] = defaultdict(list)
    for at, word in enumerate(words):
        sides[word.example.label.word].append(at)
    return sides


def _as_campaigns(
    sides: Mapping[str, Sequence[int]],
    words: Sequence[_Word],
    weights: Sequence[float],
    found: Alike,
    place: Mapping[tuple[str, str], int],
) -> tuple[list[Campaign], dict[int, float]]:
    """Campaigns, and what each word weighs that stands for itself or for others."""
    campaigns: list[Campaign] = []
    standing: dict[int, float] = {}
    for label, side in sorted(sides.items()):
        patterns = found.patterns if words[side[0]].example.label.positive else frozenset()
        for members in _groups(side, words, found, place, patterns).values():
            number, whole = len(members), sum(weights[at] for at in members)
            weight = whole / number * (2 - 1 / number)
            in_time = sorted(members, key=lambda at: (words[at].at, words[at].comment))
            some = in_time[:: -(-number // COPIES)]
            standing |= {at: weight / len(some) for at in some}
            if number > 1:
                campaigns.append(Campaign(label, _ids(words[at] for at in in_time), weight))
    return sorted(campaigns, key=lambda c: (-len(c.ids), c.label, c.ids)), standing


def _groups(
    side: Sequence[int],
    words: Sequence[_Word],
    found: Alike,
    place: Mapping[tuple[str, str], int],
    pairs: Iterable[tuple[int, int]],
) -> dict[Hashable, list[int]]:
    """The words of a side by groups of near-duplicates, those joined that `pairs` join."""
    here = {found.group[place[words[at].comment]] for at in side}
    unions = Unions()
    for one, other in sorted(pairs):
        if one in here and other in here:
            unions.join(one, other)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for at in side:
        groups[unions.of(found.group[place[words[at].comment]])].append(at)
    return groups


# ------------------------------------------------------------------ shares


def _within_shares(
    words: Sequence[_Word],
    weights: list[float],
    found: Alike,
    place: Mapping[tuple[str, str], int],
    bounds: Bounds,
) -> list[Share]:
    """Have no account, no author and no kin of spam weigh more than its share of a side."""
    shares = []
    for label, side in sorted(_sides(words).items()):
        accounts = by(side, lambda at: _accountable(words[at]))
        authors = by(side, lambda at: _author(words[at].example))
        kin = _kin(side, words, found, place) if words[side[0]].example.label.positive else {}
        before = parts(accounts, side, weights)
        bound(
            side,
            weights,
            (
                Family(authors, bounds.author_share),
                Family(kin, bounds.kin_share),
                Family(accounts, bounds.account_share, bounds.established),
            ),
            lenience=bounds.lenience,
        )
        after = parts(accounts, side, weights)
        shares += [
            Share(label, *who, labels=len(of), before=before[who], after=after[who])
            for who, of in accounts.items()
        ]
    return sorted(shares, key=lambda share: (share.label, -share.before, share.who))


def _accountable(word: _Word) -> tuple[WordOf, str] | None:
    """Who answers for a label; for files and imports whoever brought them here does."""
    kind, who = word.example.provenance.kind, word.example.provenance.who
    return (kind, who) if kind in (WordOf.DECISION, WordOf.REPORT) else None


def _author(example: LabelledExample) -> tuple[str, ...] | None:
    """Whom a comment is by, as far as labels tell; None for one without a name."""
    name = example.author.strip().casefold()
    return (example.source, name, example.email, example.ip) if name else None


def _kin(
    side: Sequence[int],
    words: Sequence[_Word],
    found: Alike,
    place: Mapping[tuple[str, str], int],
) -> dict[Hashable, list[int]]:
    """Words by what links to the same domain."""
    unions = Unions()
    for at in side:
        comment = place[words[at].comment]
        for domain in sorted(found.domains[comment]):
            unions.join(domain, found.group[comment])
    return by(side, lambda at: unions.of(found.group[place[words[at].comment]]))
