"""What goes in and out of a site's rules, and what can go wrong with them. No I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from model.lists import Act, Entry, Kind, Lists
from model.site_rules import AuthorRule, Raid, SiteRules, Standing
from service.storage.errors import StoreError

MOST_AUTHORS = 20_000
"""Authors and networks that a site may have rules for at a time."""

MOST_RAIDS = 50

LONGEST_RAID = timedelta(days=7)

LATE = timedelta(days=2)
"""What ended so long ago is still read: clocks step back."""


class RuleKind(StrEnum):
    """What a rule is about."""

    AUTHOR = "author"
    NETWORK = "network"
    WORD = "word"
    DOMAIN = "domain"
    RAID = "raid"


OF_LISTS = frozenset({RuleKind.WORD, RuleKind.DOMAIN})
OF_AUTHORS = frozenset({RuleKind.AUTHOR, RuleKind.NETWORK})


class TooManyRules(StoreError):
    """A site may not have so many rules of a kind; `most` says how many."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a site may have at most {most} of these")
        self.most = most


class RulesChanged(StoreError):
    """Somebody changed the site's rules since they were read."""


class NotKnown(StoreError):
    """The comment came without what was to be acted on: no address, or no IP."""


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule to be laid down. `key` is what it is matched by, `label` what people know it by."""

    kind: RuleKind
    key: str = field(repr=False)
    action: str
    scope: str = ""
    label: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as laid down: by whom, when and why, and the versions in which it holds."""

    id: str
    site_id: str
    kind: RuleKind
    key: str = field(repr=False)
    action: str
    scope: str
    label: str
    why: str
    made_by: str
    made_at: datetime
    expires_at: datetime | None
    since: int
    ended: int | None

    def counts(self, at: datetime) -> bool:
        """Whether it is in force then, as far as time goes."""
        return self.expires_at is None or at < self.expires_at


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A change of a site's rules: what it did, and what undid it.

    `kind` is `lists`, `author`, `raid` or `undo`; `what` names the first few rules.
    """

    site_id: str
    version: int
    kind: str
    actor: str
    at: datetime
    why: str
    what: str
    made: int
    ended: int
    undoes: int | None
    undone: int | None


# ------------------------------------------------------------------ made ready


def entries_of(rules: Iterable[StoredRule]) -> list[Entry]:
    """The words and domains among some rules."""
    return [
        Entry(Kind(rule.kind.value), rule.key, Act(rule.action), rule.scope == "address")
        for rule in rules
        if rule.kind in OF_LISTS
    ]


def made_ready(
    version: int, rules: Sequence[StoredRule], *, lists: Lists | None = None
) -> SiteRules:
    """A site's rules as comments are judged by them; `lists` if they were made before."""
    raids = [rule for rule in rules if rule.kind is RuleKind.RAID]
    return SiteRules(
        version=version,
        authors=_standings(rules, RuleKind.AUTHOR),
        networks=_standings(rules, RuleKind.NETWORK),
        raids=tuple(
            Raid(rule.key, rule.made_at, rule.expires_at)
            for rule in raids
            if rule.expires_at is not None
        ),
        lists=Lists(entries_of(rules)) if lists is None else lists,
    )


def _standings(rules: Iterable[StoredRule], kind: RuleKind) -> dict[str, AuthorRule]:
    return {
        rule.key: AuthorRule(Standing(rule.action), rule.expires_at)
        for rule in rules
        if rule.kind is kind
    }
