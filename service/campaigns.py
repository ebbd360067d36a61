"""Look at what waits, and find the campaigns in it.

One process of all does it at a time, by a lease in the store, in a thread beside the judging of
comments; it keeps what it has seen in memory, by site, and reads it again when the lease comes to
it. What is found is written down by `service.storage.campaign_finds`. The comments of sites that
allow it are looked at once more, all together, for the same words on several of them.

An author of whom a comment was published before is in no campaign, nor is a comment that the
machine did not queue itself (published, then reported): whoever copies a reader's words often does
not get the reader's own comment rejected with the copies.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from model.campaigns import LEAST_ALIKE, Group, Grouping, Look, Trait, look_of
from model.facts import gather
from model.outcome import Outcome
from service.storage import Store, StoredComment
from service.storage.campaign_finds import CampaignFinds, Known
from service.storage.finding import catch_up
from service.storage.kin import NONE
from service.storage.leases import take_lease
from service.storage.records import new_id

LEASE = timedelta(seconds=30)
RENEWED = LEASE / 3
"""How often the lease is taken again while what waits is loaded: of very much it takes longer."""

AT_ONCE = 25
"""Comments read or written at once, 4 ms of work: whoever waits for an answer waits for that."""

MOST_AT_A_TIME = 500
"""Comments looked at in a turn, under a millisecond each: what is judged comes first."""

_NAME = "campaigns"


@dataclass(slots=True)
class _Finds:
    """What was found of some comments and is written down together: ids by campaign."""

    joined: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    back: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    related: defaultdict[str, defaultdict[str, dict[str, None]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )  # by kin and site, each once


class CampaignFinder:
    """Finds campaigns, a turn at a time. For one thread; `pause` is called after each comment."""

    def __init__(self, store: Store, *, pause: Callable[[], object] = lambda: None) -> None:
        self._pause = pause
        self._store = store
        self._campaigns = CampaignFinds(store)
        self._now = store.now
        self._holder = secrets.token_hex(8)
        self._sites: dict[str, Grouping] = {}
        self._sharing: frozenset[str] = frozenset()
        self._wide = Grouping()  # of all sites that share
        self._site_of: dict[str, str] = {}  # of the comments in it
        self._is_loaded = False
        self._turns = 0

    def turn(self) -> int:
        """Look at what is new, if it is this process that does; how many it looked at."""
        if not take_lease(self._store, _NAME, self._holder, LEASE):
            self._is_loaded = False
            return 0
        sharing = self._campaigns.sharing()
        self._is_loaded &= sharing == self._sharing
        self._sharing = sharing
        catch_up(self._store, most=MOST_AT_A_TIME, at_once=AT_ONCE, pause=self._pause)
        if not self._is_loaded:
            self._is_loaded = self._load()
        return self._look_at_new() if self._is_loaded else 0

    def _look_at_new(self) -> int:
        looked = 0
        while looked < MOST_AT_A_TIME:
            new = self._campaigns.unlooked(limit=AT_ONCE)
            self._is_loaded = False  # should that fail, more is remembered than is written down
            self._look(new)
            self._is_loaded = True
            looked += len(new)
            if len(new) < AT_ONCE:
                break
        self._turns += 1
        if self._turns % 30 == 0:
            self._forget_decided()
        return looked

    def _load(self) -> bool:
        """See again what was looked at before, and what arrivals follow; False if it is too late.

        Then the lease has come to another process.
        """
        self._sites, self._wide, self._site_of = {}, Grouping(), {}
        renewed = self._now()
        for known in self._campaigns.followed_samples():
            self._put_again(known)
        after = ""
        while page := self._campaigns.looked_at(after=after, limit=AT_ONCE):
            for known in page:
                self._put_again(known)
            after = page[-1].comment.id
            if self._now() - renewed >= RENEWED:
                if not take_lease(self._store, _NAME, self._holder, LEASE):
                    return False
                renewed = self._now()
        finds = _Finds()
        for comment_id in self._wide:
            self._found_wide(comment_id, finds)
        self._write(finds)
        return True

    def _put_again(self, known: Known) -> None:
        self._pause()
        comment = known.comment
        if _may_be_of_one(comment):
            look = _look(comment)
            grouping = self._of(comment.site_id)
            grouping.put(comment.id, look)
            self._put_wide(comment, look)
            if known.trait is None:
                return
            if known.own:
                grouping.mark(comment.id, known.trait, known.campaign)
            if known.kin is not None and known.trait is Trait.TEXT:
                self._wide.mark(comment.id, Trait.TEXT, known.kin)
        elif _is_known(comment):
            self._of(comment.site_id).know(_look(comment))

    def _look(self, new: list[StoredComment]) -> None:
        known = self._campaigns.members_known([comment.id for comment in new])
        finds = _Finds()
        for comment in new:
            if comment.id in known:  # it waits again: its decision was taken back, and stays so
                if known[comment.id] != NONE:
                    finds.back[known[comment.id]].append(comment.id)
            elif _may_be_of_one(comment):
                look = _look(comment)
                group = self._of(comment.site_id).put(comment.id, look)
                if group is not None:
                    self._found(comment, group, finds)
                if self._put_wide(comment, look):
                    self._found_wide(comment.id, finds)
                self._pause()
            elif _is_known(comment):
                self._of(comment.site_id).know(_look(comment))
                self._pause()
        self._write(finds)
        self._campaigns.settle([comment.id for comment in new])

    def _write(self, finds: "_Finds") -> None:
        for campaign, ids in finds.back.items():
            self._campaigns.join(campaign, ids, follow=False)
        self._write_joined(finds)
        for kin, by_site in finds.related.items():
            self._campaigns.relate(kin, {site: list(ids) for site, ids in by_site.items()})
            self._pause()

    def _write_joined(self, finds: "_Finds") -> None:
        while finds.joined:
            self._campaigns.join(*finds.joined.popitem())
            self._pause()

    def _found(self, comment: StoredComment, group: Group, finds: "_Finds") -> None:
        if group.campaign:
            finds.joined[group.campaign].append(comment.id)
            return
        self._write_joined(finds)  # a new campaign takes what is in none
        ids = list(group.ids)
        group.campaign = self._campaigns.make(comment.site_id, group.trait, group.said, ids)

    def _put_wide(self, comment: StoredComment, look: Look) -> bool:
        """Put a comment among those of all sites that share; whether its site does."""
        if comment.site_id not in self._sharing:
            return False
        self._wide.put(comment.id, look)
        self._site_of[comment.id] = comment.site_id
        return True

    def _found_wide(self, comment_id: str, finds: "_Finds") -> None:
        """Note what has nearly the same words on several sites."""
        group = self._wide.of_text(comment_id)
        if group is None:
            return
        ids = [comment_id] if group.campaign else list(group.ids)
        if not group.campaign:
            if len(ids) < LEAST_ALIKE or len({self._site_of[one] for one in ids}) == 1:
                return
            group.campaign = new_id(self._now())
        for one in ids:
            finds.related[group.campaign][self._site_of[one]][one] = None

    def _forget_decided(self) -> None:
        """Let go what does not wait any more, unless something follows it."""
        followed = {known.comment.id for known in self._campaigns.followed_samples()}
        for grouping in (*self._sites.values(), self._wide):
            ids = set(grouping) - followed
            grouping.forget(ids - self._campaigns.still_waiting(ids))
        self._site_of = {one: self._site_of[one] for one in self._wide}

    def _of(self, site_id: str) -> Grouping:
        return self._sites.setdefault(site_id, Grouping())


def _may_be_of_one(comment: StoredComment) -> bool:
    queued = comment.verdict.outcome is Outcome.QUEUE and comment.verdict.unaudited is None
    return queued and not _is_known(comment)


def _is_known(comment: StoredComment) -> bool:
    return comment.history.author_accepted > 0


def _look(comment: StoredComment) -> Look:
    return look_of(gather(comment.submission))
