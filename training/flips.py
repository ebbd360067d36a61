"""Comments that two versions treat otherwise, and how one may be shown to a stranger.

Knows what is worst for a newsroom: a genuine comment lost comes first. Shows of a comment an
excerpt in which addresses, numbers to call and what a link leads to are masked.
"""

import re
import unicodedata
from collections.abc import Iterator

import numpy as np

from model.addresses import mask_addresses
from model.comparison import Flip, FlipExample
from model.decision import LabelledExample
from model.outcome import Head, Outcome
from training.contenders import Compared
from training.paired import Bools

EXCERPT = 160
"""Characters of a comment that are shown."""

HARMS_SHOWN, OTHERS_SHOWN = 8, 3

_READ_AT_MOST = 4000  # of a longer comment only the beginning is looked at
_MARKS_KEPT = 2
_LABELS = (
    ("genuine", Head.SPAM, False),
    ("clean", Head.TOXICITY, False),
    ("spam", Head.SPAM, True),
    ("toxic", Head.TOXICITY, True),
)
_MOVES = tuple((a, b) for a in Outcome for b in Outcome if a != b)
_LINK = re.compile(r"(?P<host>(?:https?|hxxps?|ftp)://[^\s/?#<>\"']{1,80})[^\s<>\"']*", re.I)
_TAIL = re.compile(r"(?P<host>\b[\w-]{1,63}(?:\.[\w-]{1,63}){1,4})[/?#][^\s<>\"']+")
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_NUMBER = re.compile(r"\d(?:[\s.\-()]{0,2}\d){5,}")


def flips_of(both: Compared) -> Iterator[Flip]:
    """Every move from one outcome to another, by label: harms first, the worst of them foremost."""
    found = []
    for label, head, positive in _LABELS:
        rows = both.of(head, positive=positive)
        for before, after in _MOVES:
            moved = rows & (both.pair.champion.outcome == before)
            moved &= both.pair.challenger.outcome == after
            if moved.any():
                is_harm = (after > before) != positive
                shown = _examples(both, moved, HARMS_SHOWN if is_harm else OTHERS_SHOWN)
                found.append(
                    Flip(
                        label=label,
                        before=before.word,
                        after=after.word,
                        count=int(moved.sum()),
                        of=int(rows.sum()),
                        is_harm=is_harm,
                        examples=tuple(shown),
                    )
                )
    yield from sorted(found, key=_gravity)


def _gravity(flip: Flip) -> tuple[bool, int, int, int]:
    label = [name for name, _, _ in _LABELS].index(flip.label)
    before, after = Outcome.of(flip.before), Outcome.of(flip.after)
    # Rejected is worse than queued, and spam published is worse than spam queued.
    worst = -after if label < 2 else after
    return (not flip.is_harm, label, worst if flip.is_harm else -abs(before - after), -before)


def _examples(both: Compared, moved: Bools, most: int) -> Iterator[FlipExample]:
    """Those whose scores are furthest apart; of equal texts one."""
    one, other = both.pair.champion, both.pair.challenger
    gap = np.nan_to_num(np.abs(other.score - one.score))
    rows = sorted(np.flatnonzero(moved).tolist(), key=lambda row: (-gap[row], row))
    told: set[str] = set()
    for row in rows:
        text = excerpt(both.examples[row].text)
        if text in told:
            continue
        told.add(text)
        yield FlipExample(
            id=_store_id(both.examples[row]),
            text=text,
            language=one.read_as[row],
            source=plain_name(one.source[row]),
            champion_score=_score(one.score[row]),
            challenger_score=_score(other.score[row]),
        )
        if len(told) == most:
            return


def excerpt(text: str, *, most: int = EXCERPT) -> str:
    """The beginning of a comment as a stranger may read it, on one line.

    Email addresses and numbers of six digits or more are masked, links lose what follows their
    host, and what cannot be seen or would change how the line is read (control, direction,
    invisible and private characters, marks in heaps) is left out or shown as U+FFFD.
    """
    known = mask_addresses(_readable(text[:_READ_AT_MOST]))
    for link in (_LINK, _TAIL):
        known = link.sub(
            lambda found: found["host"] + "/…" if found[0] != found["host"] else found[0], known
        )
    known = _NUMBER.sub(lambda found: f"{found[0][:2]}•••", known)
    known = " ".join(known.split())
    return known if len(known) <= most else known[: most - 1].rstrip() + "…"


def plain_name(name: str) -> str:
    """A name of someone else's making, masked, on one line and of 60 characters at most."""
    return excerpt(name, most=60)


def _readable(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)
        marks = marks + 1 if kind[0] == "M" else 0
        if marks > _MARKS_KEPT or kind == "Cf":
            continue
        if character.isspace():
            kept.append(" ")
        else:
            kept.append("\ufffd" if kind[0] == "C" else character)
    return "".join(kept)


def _store_id(example: LabelledExample) -> str:
    told = example.extra.get("comment_id")
    return told if isinstance(told, str) and _ID.fullmatch(told) else ""


def _score(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
