"""A comment as a moderator sees it: nothing in it runs, hides, or shows an address.

Knows what a text can do to the page around it. Does not know HTML: it gives pieces of plain
text, each with what it is, and the template escapes them.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import inf
from typing import Literal, Protocol

from model.addresses import addresses_in, mask_addresses
from model.language import UNKNOWN, language_of
from model.links import clean_url, links_in
from model.outcome import Head
from model.reasons import sentence
from model.submission import CommentType, FormFacts, History
from model.verdict import Reason, Span, Verdict
from service.storage import QueueItem, StoredComment, Waiting

MOST_HIDDEN = 200
"""Hidden characters that are named in one text; the rest are left out."""

MOST_SPANS = 24
"""Spans that are marked in one text, the weightiest."""

LONGEST_AT_ONCE = 900
MOST_LINES_AT_ONCE = 14
"""Of a text, as much is shown before one asks for the rest."""

Kind = Literal["plain", "mask", "hidden"]


FOLDED_FROM = 0.9
"""The toxicity, in [0, 1], from which a text is folded that was queued for it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text as shown.

    `mask` stands for the local part of an address, `hidden` names characters that one would
    not see ("U+202E"). `head` is the head that the piece weighed towards.
    """

    text: str
    kind: Kind = "plain"
    head: Head | None = None


Pieces = tuple[Piece, ...]

# Controls, invisible characters and fillers, and all that turns the direction of reading.
_INVISIBLE = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e0fff"
)
# Joiners belong to emoji and to Persian or Indic words; after a Latin letter they only hide.
_LATIN = "\x00-\u02ff\u1e00-\u1eff"
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e31\u0e34-\u0e3a"
    "\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_HIDDEN = re.compile(
    f"[{_INVISIBLE}]+|(?<=[{_LATIN}])[\u200c\u200d]+|(?<=[{_MARKS}]{{5}})[{_MARKS}]+"
)


def pieces_of(text: str, spans: Sequence[Span] = ()) -> Pieces:
    """The text in pieces, in order; `spans` are of this text and mark what weighed.

    Only weight towards a head is marked, and where two spans meet, the weightier one.
    """
    towards = [s for s in spans if s.weight > 0 and s.start < s.end]
    marked = sorted(towards, key=lambda s: -s.weight)[:MOST_SPANS]
    edges = sorted({edge for s in marked for edge in (s.start, s.end)})
    pieces: list[Piece] = []
    at = 0
    for start, end, replacement in _replacements(text):
        pieces += _plain(text, at, start, marked, edges)
        if replacement.text:
            pieces.append(Piece(replacement.text, replacement.kind, _head(marked, start, end)))
        at = end
    pieces += _plain(text, at, len(text), marked, edges)
    return tuple(pieces)


def _replacements(text: str) -> list[tuple[int, int, Piece]]:
    """What is not shown as it is, by where it starts and ends; apart from each other."""
    runs = [run.span() for run in _HIDDEN.finditer(text)]
    masks = _masks(text, runs)
    starts = [start for start, _, _ in masks]
    hidden: list[tuple[int, int, Piece]] = []
    for first, last in runs:
        before = bisect_right(starts, first) - 1
        start = max(first, masks[before][1] if before >= 0 else 0)
        end = min(last, masks[before + 1][0] if before + 1 < len(masks) else len(text))
        if start < end:
            named = _named(text[start:end]) if len(hidden) < MOST_HIDDEN else ""
            hidden.append((start, end, Piece(named, "hidden")))
    return sorted([*masks, *hidden], key=lambda found: found[0])


def _masks(text: str, runs: Sequence[tuple[int, int]]) -> list[tuple[int, int, Piece]]:
    """The addresses that a reader would make out, with the hidden characters not in the way."""
    if not runs:
        return [(a.start, a.at, Piece(a.masked_local, "mask")) for a in addresses_in(text)]
    ends = [0, *(end for _, end in runs)]
    starts = [*(start for start, _ in runs), len(text)]
    seen = [at for a, b in zip(ends, starts, strict=True) for at in range(a, b)]
    visible = "".join(text[at] for at in seen)
    return [
        (seen[a.start], seen[a.at - 1] + 1, Piece(a.masked_local, "mask"))
        for a in addresses_in(visible)
    ]


def _named(run: str) -> str:
    more = f" +{len(run) - 1}" if len(run) > 1 else ""
    return f"U+{ord(run[0]):04X}{more}"


def _plain(
    text: str, start: int, end: int, marked: Sequence[Span], edges: Sequence[int]
) -> Iterable[Piece]:
    cuts = [start, *(edge for edge in edges if start < edge < end), end]
    for a, b in pairwise(cuts):
        if a < b:
            yield Piece(text[a:b], "plain", _head(marked, a, b))


def _head(marked: Sequence[Span], start: int, end: int) -> Head | None:
    return next((s.head for s in marked if s.start < end and start < s.end), None)


def at_once_and_rest(pieces: Pieces) -> tuple[Pieces, Pieces]:
    """The pieces shown at once, and those for whoever asks; no rest if it would be short."""
    total = sum(len(piece.text) for piece in pieces)
    letters = lines = 0
    for index, piece in enumerate(pieces):
        cut = _cut(piece.text, LONGEST_AT_ONCE - letters, MOST_LINES_AT_ONCE - lines)
        if cut < len(piece.text):
            if total - letters - cut < LONGEST_AT_ONCE // 4 and "\n" not in piece.text[cut:]:
                break
            first, rest = piece.text[:cut], piece.text[cut:]
            return (
                (*pieces[:index], *_nonempty(Piece(first, piece.kind, piece.head))),
                (Piece(rest, piece.kind, piece.head), *pieces[index + 1 :]),
            )
        letters += len(piece.text)
        lines += piece.text.count("\n")
    return pieces, ()


def first_of(pieces: Pieces, letters: int) -> tuple[Pieces, bool]:
    """The first so many letters, to the end of a word, and whether that leaves some out.

    Cut after the text was taken apart: half of an address would not be known for one.
    """
    for index, piece in enumerate(pieces):
        if len(piece.text) > letters:
            cut = _cut(piece.text, letters, MOST_LINES_AT_ONCE)
            first = Piece(piece.text[:cut], piece.kind, piece.head)
            return (*pieces[:index], *_nonempty(first)), True
        letters -= len(piece.text)
    return pieces, False


def _cut(text: str, letters: int, lines: int) -> int:
    """Where a text is cut: after so many lines or letters, back to the end of a word."""
    end = min(len(text), max(letters, 0))
    at = -1
    for _ in range(max(lines, 1)):
        at = text.find("\n", at + 1, end)
        if at < 0:
            break
    else:
        return at
    if end == len(text):
        return end
    blank = text.rfind(" ", max(0, end - 60), end)
    return blank if blank > 0 else end


def _nonempty(piece: Piece) -> Pieces:
    return (piece,) if piece.text else ()


def plain_name(text: str, *, longest: int = 60) -> str:
    """A name as one short line of plain text, for sentences and titles."""
    pieces = pieces_of(text[: longest * 4])
    name = " ".join("".join(p.text for p in pieces if p.kind != "hidden").split())
    return name if len(name) <= longest else name[: longest - 1] + "…"


# ------------------------------------------------------------------ the card

Band = Literal["low", "unsure", "likely", "unknown"]
Standing = Literal["fine", "unsure", "spam", "toxic", "unknown"]

RECORD_FROM = 20
"""A reason's record is told from so many decisions on: fewer say nothing yet."""

MOST_HOSTS = 6
"""Domains linked to that are named; of more only how many."""


class Record(Protocol):
    """Of `of` comments with a reason, in how many a person agreed with it."""

    @property
    def right(self) -> int:
        """How often a person agreed."""

    @property
    def of(self) -> int:
        """How many were decided."""


Records = Mapping[tuple[str, str], Record]
"""By site id and the reason's code."""


@dataclass(frozen=True, slots=True)
class ShownReason:
    """A reason in words, with what shows it; `quotes` if that is words of the comment.

    `record` is None where there were too few decisions to tell.
    """

    sentence: str
    evidence: Pieces
    quotes: bool
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class ShownScore:
    """A head, how sure the machine was by the thresholds then in force, and its score."""

    head: Head
    band: Band
    score: float | None


@dataclass(frozen=True, slots=True)
class Card:
    """All that a moderator is shown of a waiting comment.

    `language` is the tag for its `lang` attribute, "" when unknown. `article_url` is http,
    https or "". `hosts` are the domains that content and name link to. Where `is_folded`, text
    and quotations are shown to whoever asks for them. `looking` are the names of others who have
    it in front of them.
    """

    id: str
    site_id: str
    site: str
    name: str
    author: Pieces
    email: Pieces
    ip: str
    url: Pieces
    content: Pieces
    rest: Pieces
    rest_length: int
    hosts: tuple[str, ...]
    more_hosts: int
    language: str
    article: Pieces
    article_url: str
    parent: Pieces
    type: CommentType
    received_at: datetime
    why: Waiting
    history: History
    form: FormFacts
    standing: Standing
    reasons: tuple[ShownReason, ...]
    scores: tuple[ShownScore, ...]
    model: str
    policy: str
    has_address: bool
    is_folded: bool
    looking: tuple[str, ...] = ()
    appeal: Pieces = ()


def card_of(
    item: QueueItem,
    *,
    language: str,
    site: str,
    records: Records | None = None,
    looking: Sequence[str] = (),
    appeal: Pieces = (),
) -> Card:
    """The card of a waiting comment, its reasons in `language`; `site` "" leaves that out."""
    comment, verdict = item.comment, item.comment.verdict
    sent = comment.submission

    # What weighed towards a head that found nothing is no reason to look at.
    told = [head for head in Head if any(f".{head}_" in r.code for r in verdict.reasons)]

    # What the site's own lists found is marked before anything else.
    listed = [] if verdict.laid is None else verdict.laid.marks

    def spans(field: str) -> list[Span]:
        marks = [Span(m.field, m.start, m.end, Head.SPAM, inf) for m in listed if m.field == field]
        return marks + [span for span in verdict.spans if span.field == field and span.head in told]

    content, rest = at_once_and_rest(pieces_of(sent.content, spans("content")))
    hosts = _hosts(sent.content, sent.author.name)
    scores = _scores(verdict)
    return Card(
        id=comment.id,
        site_id=comment.site_id,
        site=site,
        name=plain_name(sent.author.name),
        author=pieces_of(sent.author.name, spans("author.name")),
        email=pieces_of(comment.email_masked, _in_address(comment)),
        ip=comment.ip_masked,
        url=pieces_of(sent.author.url, spans("author.url")),
        content=content,
        rest=rest,
        rest_length=sum(len(piece.text) for piece in rest),
        hosts=hosts[:MOST_HOSTS],
        more_hosts=max(0, len(hosts) - MOST_HOSTS),
        language=language_tag(sent.content),
        article=pieces_of(sent.article.title or sent.permalink),
        article_url=mask_addresses(clean_url(sent.permalink) or "") if sent.permalink else "",
        parent=pieces_of(sent.parent_id) if sent.parent_id != "0" else (),
        type=sent.type,
        received_at=comment.received_at,
        why=item.why,
        history=comment.history,
        form=sent.form,
        standing=_standing(scores),
        reasons=tuple(
            _reason(reason, comment, language, records or {}) for reason in verdict.reasons
        ),
        scores=scores,
        model=verdict.model,
        policy=verdict.policy,
        has_address=bool(comment.email_masked),
        is_folded=reads_as_toxic(verdict),
        looking=tuple(plain_name(name) for name in looking),
        appeal=appeal,
    )


def language_tag(text: str) -> str:
    """The language of a text as its `lang` attribute has it, "" when unknown."""
    tag = language_of(text)
    return "" if tag == UNKNOWN else tag


def reads_as_toxic(verdict: Verdict) -> bool:
    """Whether a text is shown only to whoever asks for it.

    A default policy rejects nothing for its toxicity, so that it calls nothing likely.
    """
    codes = {reason.code for reason in verdict.reasons}
    is_sure = verdict.scores is not None and verdict.scores.toxicity >= FOLDED_FROM
    return f"score.{Head.TOXICITY}_likely" in codes or (
        is_sure and f"score.{Head.TOXICITY}_unsure" in codes
    )


def _hosts(*texts: str) -> tuple[str, ...]:
    """The domains that texts link to, each once, however they are dressed up."""
    links = [link for text in texts for link in links_in(text)]
    return tuple(dict.fromkeys(link.registered_domain or link.host for link in links if link.host))


def _in_address(comment: StoredComment) -> list[Span]:
    """The domain of the masked address, where a reason is about it."""
    masked = comment.email_masked
    at = masked.rfind("@") + 1
    domain = masked[at:].casefold()
    about = [r.evidence.casefold() for r in comment.verdict.reasons if r.field == "author.email"]
    weighed = any(span.field == "author.email" for span in comment.verdict.spans)
    named = any(one and (one in domain or domain in one) for one in about)
    return [Span("author.email", at, len(masked), Head.SPAM, 1.0)] if weighed or named else []


def _reason(reason: Reason, comment: StoredComment, language: str, records: Records) -> ShownReason:
    try:
        words = sentence(reason.code, language)
    except KeyError:  # the verdict is older, or newer, than the wording
        words = plain_name(reason.code, longest=200)
    quotes = reason.code.startswith("score.") or (
        bool(reason.evidence) and reason.evidence in comment.submission.content
    )
    record = records.get((comment.site_id, reason.code))
    known = record if record is not None and record.of >= RECORD_FROM else None
    return ShownReason(words, pieces_of(reason.evidence), quotes, known)


def _standing(scores: Sequence[ShownScore]) -> Standing:
    """What the machine took it for, in one word, by the head that is surest."""
    bands = {score.head: score.band for score in scores}
    if "unknown" in bands.values():
        return "unknown"
    if bands[Head.SPAM] == "likely":
        return "spam"
    if bands[Head.TOXICITY] == "likely":
        return "toxic"
    return "unsure" if "unsure" in bands.values() else "fine"


def _scores(verdict: Verdict) -> tuple[ShownScore, ...]:
    codes = {reason.code for reason in verdict.reasons}

    def band(head: Head) -> Band:
        if verdict.scores is None:
            return "unknown"
        if f"score.{head}_likely" in codes:
            return "likely"
        return "unsure" if f"score.{head}_unsure" in codes else "low"

    scores = verdict.scores
    return tuple(ShownScore(head, band(head), scores.of(head) if scores else None) for head in Head)
