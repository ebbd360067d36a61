"""Which promise an own version gives: the site's where its comments can speak, else the champion's.

Three know something of a language. The site's genuine comments in it, once they are enough. All of
the site's together, whatever their language: what they keep holds for the site as a whole, while in
the language it flags no more than the risk of those few that it has, as they are. And the
champion's promise, moved (`training.shifted`), which holds for comments like those it was chosen
on, and costs a moved score most of what it found.

Comments can speak of a risk when they can tell half of it. With fewer, the one that has the highest
score decides alone, which as likely as not is spam that somebody took for genuine.
"""

from bisect import bisect_right
from functools import reduce
from itertools import accumulate

from model.outcome import OFF
from model.promise import ANY, RISKS, Kept, Promise

_HALF = tuple(bisect_right(RISKS, risk / 2) - 1 for risk in RISKS)
"""Where the half of each risk stands among RISKS, -1 for nowhere."""

_OFF = (OFF,) * len(RISKS)
_NOTHING = Kept(0, 0, _OFF, _OFF, _OFF)

Column = tuple[float, ...]


def site_first(own: Promise, estimated: Promise, moved: Promise) -> Promise:
    """For each language and risk the threshold of the first that can speak of it.

    `own` is promised of the site's genuine comments, `estimated` what is likely of them, and
    `moved` the champion's promise for moved scores. Of a language that the site has no genuine
    comment in, all of the site's say nothing.
    """
    found = {}
    for tag in sorted({*own.languages, *moved.languages}):
        alone, other = own.languages.get(tag, _NOTHING), moved.languages.get(tag, _NOTHING)
        known = [_columns(alone), _columns(other)]
        if tag in own.languages:
            pooled, likely = own.languages[ANY], estimated.languages[tag]
            known.insert(1, _higher(_columns(pooled), _columns(likely)))
        found[tag] = Kept(
            alone.comments + other.comments,
            alone.groups + other.groups,
            *(reduce(_before, each[::-1], _OFF) for each in zip(*known, strict=True)),
        )
    return Promise(found, unit=moved.unit)


def _columns(kept: Kept) -> tuple[Column, ...]:
    return kept.spam_queue_at, kept.toxicity_queue_at, kept.spam_reject_at


def _higher(one: tuple[Column, ...], other: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(tuple(map(max, *each)) for each in zip(one, other, strict=True))


def _before(second: Column, first: Column) -> Column:
    """The first column from the least risk on that it can speak of, else the second.

    Where the one chosen is off for want of comments, the other's. What keeps a smaller risk keeps
    a greater one.
    """
    speaks = [first[half] < OFF if half >= 0 else False for half in _HALF]
    found = [
        x if spoken else y if y < OFF else x
        for x, y, spoken in zip(first, second, speaks, strict=True)
    ]
    return tuple(accumulate(found, min))
