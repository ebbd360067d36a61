"""Look at what waits, and find the campaigns in it.

One process of all does it at a time, by a lease in the store, in a thread beside the judging of
comments; it keeps what it has seen in memory, by site, and reads it again when the lease comes to
it. What is found is written down by `service.storage.campaigns`, and is the same for everybody.

An author of whom a comment was published before is in no campaign, nor is a comment that the
machine did not queue itself (published, then reported): whoever copies a reader's words often does
not get the reader's own comment rejected with the copies.
"""

import secrets
from collections.abc import Callable
from datetime import timedelta

from model.campaigns import Group, Grouping, Look, Trait, look_of
from model.facts import gather
from model.outcome import Outcome
from service.storage import Store, StoredComment
from service.storage.campaigns import NONE, Campaigns
from service.storage.finding import Finding

LEASE = timedelta(seconds=30)
AT_ONCE = 100
MOST_AT_A_TIME = 500
"""Comments looked at in a turn, under a millisecond each: what is judged comes first."""

_NAME = "campaigns"


class CampaignFinder:
    """Finds campaigns, a turn at a time. For one thread; `pause` is called after each comment."""

    def __init__(self, store: Store, *, pause: Callable[[], object] = lambda: None) -> None:
        self._pause = pause
        self._campaigns = Campaigns(store)
        self._finding = Finding(store)
        self._holder = secrets.token_hex(8)
        self._sites: dict[str, Grouping] = {}
        self._is_loaded = False
        self._turns = 0

    def turn(self) -> int:
        """Look at what is new, if it is this process that does; how many it looked at."""
        if not self._campaigns.take_lease(_NAME, self._holder, LEASE):
            self._sites, self._is_loaded = {}, False
            return 0
        self._finding.catch_up(most=MOST_AT_A_TIME)
        if not self._is_loaded:
            self._load()
        looked = 0
        while looked < MOST_AT_A_TIME:
            new = self._campaigns.unlooked(limit=AT_ONCE)
            self._look(new)
            looked += len(new)
            if len(new) < AT_ONCE:
                break
        self._turns += 1
        if self._turns % 30 == 0:
            self._forget_decided()
        return looked

    def _load(self) -> None:
        """See again what was looked at before, and what arrivals follow."""
        for comment, campaign, trait in self._campaigns.followed_samples():
            self._put_again(comment, campaign, trait)
        after = ""
        while page := self._campaigns.looked_at(after=after, limit=AT_ONCE):
            for comment, campaign, trait in page:
                self._put_again(comment, campaign, trait)
            after = page[-1][0].id
        self._is_loaded = True

    def _put_again(self, comment: StoredComment, campaign: str, trait: Trait | None) -> None:
        if _may_be_of_one(comment):
            grouping = self._of(comment.site_id)
            grouping.put(comment.id, _look(comment))
            if trait is not None:
                grouping.mark(comment.id, trait, campaign)
        elif _is_known(comment):
            self._of(comment.site_id).know(_look(comment))

    def _look(self, new: list[StoredComment]) -> None:
        known = self._campaigns.members_known([comment.id for comment in new])
        for comment in new:
            if comment.id in known:  # it waits again: its decision was taken back
                if known[comment.id] != NONE:
                    self._campaigns.join(known[comment.id], [comment.id])
            elif _may_be_of_one(comment):
                group = self._of(comment.site_id).put(comment.id, _look(comment))
                if group is not None:
                    self._found(comment, group)
                self._pause()
            elif _is_known(comment):
                self._of(comment.site_id).know(_look(comment))
                self._pause()
        self._campaigns.settle([comment.id for comment in new])

    def _found(self, comment: StoredComment, group: Group) -> None:
        if group.campaign:
            self._campaigns.join(group.campaign, [comment.id])
            return
        ids = list(group.ids)
        group.campaign = self._campaigns.make(comment.site_id, group.trait, group.said, ids)

    def _forget_decided(self) -> None:
        """Let go what does not wait any more, unless something follows it."""
        followed = {comment.id for comment, _, _ in self._campaigns.followed_samples()}
        for grouping in self._sites.values():
            ids = set(grouping) - followed
            grouping.forget(ids - self._campaigns.still_waiting(ids))

    def _of(self, site_id: str) -> Grouping:
        return self._sites.setdefault(site_id, Grouping())


def _may_be_of_one(comment: StoredComment) -> bool:
    queued = comment.verdict.outcome is Outcome.QUEUE and comment.verdict.unaudited is None
    return queued and not _is_known(comment)


def _is_known(comment: StoredComment) -> bool:
    return comment.history.author_accepted > 0


def _look(comment: StoredComment) -> Look:
    return look_of(gather(comment.submission))
