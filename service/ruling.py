"""The rules of sites as their comments are judged by them, kept ready for the hot path.

Which version a site is at comes with what is known of each comment; only a new version is read, so
that a change counts for the next batch on every process. Entries are made ready again only when
they changed. Judges nothing.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from model.lists import Entry, Lists
from model.site_rules import Applied, Raid, SiteRules, article_name
from service.storage import Asked, Known, Store
from service.storage.rule_records import entries_of, made_ready
from service.storage.site_rules import RuleBook

MOST_REMEMBERED = 500
"""Sites whose rules are kept ready."""


@dataclass(frozen=True, slots=True)
class _Ready:
    version: int
    entries: tuple[Entry, ...]
    rules: SiteRules


class Ruling:
    """What of its site's rules concerns each comment; one object for a process, one thread."""

    def __init__(self, store: Store) -> None:
        self._book = RuleBook(store)
        self._ready: OrderedDict[str, _Ready] = OrderedDict()

    def on(self, batch: Sequence[tuple[Asked, Known]]) -> list[Applied | None]:
        """For each comment of a batch what concerns it, None where its site has no rules.

        Raises StoreUnavailable when a new version cannot be read.
        """
        if not any(known.changes.rules for _, known in batch):
            return [None] * len(batch)
        applied: list[Applied | None] = []
        published: dict[str, bool] = {}
        for asked, known in batch:
            rules = self._rules(asked.site_id, known.changes.rules) if known.changes.rules else None
            applied.append(self._applied(rules, asked, known, published) if rules else None)
        return applied

    def _rules(self, site_id: str, version: int) -> SiteRules:
        ready = self._ready.get(site_id)
        if ready is None or ready.version != version:
            ready = self._read(site_id, ready)
            self._ready[site_id] = ready
            while len(self._ready) > MOST_REMEMBERED:
                self._ready.popitem(last=False)
        self._ready.move_to_end(site_id)
        return ready.rules

    def _read(self, site_id: str, before: _Ready | None) -> _Ready:
        version, stored = self._book.in_force(site_id)
        entries = tuple(entries_of(stored))
        lists: Lists | None = None
        if before is not None and before.entries == entries:
            lists = before.rules.lists
        return _Ready(version, entries, made_ready(version, stored, lists=lists))

    def _applied(
        self, rules: SiteRules, asked: Asked, known: Known, published: dict[str, bool]
    ) -> Applied:
        raid = None
        if rules.raids:
            raid = rules.raid_on(asked.received_at, article_name(asked.submission.permalink))
        was_published = raid is not None and self._published(raid, known, published)
        return rules.applied(
            asked.received_at,
            author=known.keys.author,
            network=known.keys.ip,
            raid=raid,
            published=was_published,
        )

    def _published(self, raid: Raid, known: Known, published: dict[str, bool]) -> bool:
        """Whether the author of a comment had one published before a raid."""
        author, history = known.keys.author, known.history
        if not author or not history.author_seen:
            return False
        if history.author_accepted:
            return True
        if author not in published:
            published[author] = author in self._book.published([author], raid.since)
        return published[author]
