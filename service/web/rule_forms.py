"""What the forms of a site's rules send, read and checked; nothing here changes anything."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel

from model.lists import (
    MOST_ENTRIES,
    Act,
    Entry,
    EntryProblem,
    Kind,
    read_domain,
    read_word,
)
from model.one_line import one_line
from model.site_rules import Standing
from service.storage.rule_records import NewRule, RuleKind
from service.web.place import ID

LONGEST_WHY = 300
MOST_PROBLEMS = 20
"""Lines that are said to be wrong; one who has more has them all alike."""

EVER = "ever"

LASTS: dict[str, timedelta | None] = {
    "1": timedelta(days=1),
    "7": timedelta(days=7),
    "30": timedelta(days=30),
    "90": timedelta(days=90),
    "365": timedelta(days=365),
    EVER: None,
}
"""For how long something is laid down, by what forms call it; None is until somebody ends it."""

USUAL: dict[Standing, str] = {Standing.BANNED: "90", Standing.QUEUED: "30", Standing.TRUSTED: "365"}
USUAL_OF_NETWORK = "7"  # others have it next

RAID_HOURS = (1, 2, 6, 24, 72, 168)
USUAL_RAID_HOURS = 2

_BACK = re.compile(
    r"/(?:queue|authors|rules)(?:[?][\w=&%.,:+~-]{0,2000})?(?:#[\w-]{0,80})?", re.ASCII
)


def id_of(text: str) -> str:
    """An id as sent; what looks like none is "", which nothing has."""
    return text if ID.fullmatch(text) else ""


def why_of(text: str) -> str:
    """A reason as it is kept."""
    return one_line(text[:2000], longest=LONGEST_WHY)


def back_to(path: str, otherwise: str) -> str:
    """Where a form says to go back to, if that is a page of the desk."""
    return path if _BACK.fullmatch(path) else otherwise


class Wanted(BaseModel):
    """A change of a site's lists as sent; a field that a form does not have is empty."""

    site: str = ""
    kind: str = "word"
    act: str = "queue"
    entries: str = ""
    of_address: str = ""
    lasts: str = EVER
    why: str = ""
    end: list[str] = []
    tried: str = ""
    sure: str = ""
    longer: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that is no entry: which one, from 1, and the code of `EntryProblem`."""

    line: int
    text: str
    code: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a form asks for: entries to add, ids of those to end, and what is wrong."""

    entries: tuple[Entry, ...]
    expires_at: datetime | None
    end: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return not (self.entries or self.end)

    def rules(self) -> list[NewRule]:
        """The entries as rules to be laid down."""
        return [
            NewRule(
                RuleKind(entry.kind.value),
                entry.text,
                entry.act.value,
                "address" if entry.of_address else "",
                "",
                self.expires_at,
            )
            for entry in self.entries
        ]


def read(wanted: Wanted, now: datetime) -> Read:
    """What a form asks for. Lines that are alike are one entry; empty ones are none."""
    kind = Kind(wanted.kind) if wanted.kind in set(Kind) else Kind.WORD
    act = Act(wanted.act) if wanted.act in set(Act) else Act.QUEUE
    if kind is Kind.WORD and act is Act.TRUST:
        return Read((), None, (), (Problem(1, "", "no_trust"),))
    lasts = LASTS.get(wanted.lasts)
    entries, problems = _entries(wanted.entries.splitlines(), kind, act, bool(wanted.of_address))
    return Read(
        entries,
        None if lasts is None else now + lasts,
        tuple(dict.fromkeys(filter(None, map(id_of, wanted.end)))),
        problems,
    )


def _entries(
    lines: Sequence[str], kind: Kind, act: Act, of_address: bool
) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    found: dict[str, Entry] = {}
    problems: list[Problem] = []
    if len(lines) > 2 * MOST_ENTRIES:
        return (), (Problem(2 * MOST_ENTRIES, "", "too_many"),)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            text = read_word(line) if kind is Kind.WORD else read_domain(line, act)
        except EntryProblem as problem:
            problems.append(Problem(number, line.strip()[:60], problem.code))
            if len(problems) >= MOST_PROBLEMS:
                break
            continue
        found[text] = Entry(kind, text, act, of_address and kind is Kind.DOMAIN)
    if len(found) > MOST_ENTRIES:
        problems.append(Problem(len(lines), "", "too_many"))
    return tuple(found.values()), tuple(problems)
