"""Cards as they are dealt: what is waiting, with all that a card says besides.

Knows what has to be read for some cards at once: names of sites, records of reasons, who else
is looking. Used by every page that shows cards.
"""

from collections.abc import Sequence

from model.decision import RejectReason
from service.storage import QueueItem, Role
from service.storage.claims import Claims
from service.storage.statistics import Statistics
from service.web.card import Card, card_of, plain_name
from service.web.desk import Caller, Desk
from service.web.status import appeals_on
from service.web.texts import TEXTS

REASONS = tuple(RejectReason)
LANGUAGE_NAMES = {tag: texts.name for tag, texts in TEXTS.items()}


def deal(desk: Desk, caller: Caller, items: Sequence[QueueItem], *, language: str) -> list[Card]:
    """The cards of waiting comments that the caller may see, in order."""
    seen = caller.sites_as(Role.VIEWER)
    sites = {site.id: site.name for site in caller.visible(desk.store.sites())}
    several = len(sites) > 1
    codes = {reason.code for item in items for reason in item.comment.verdict.reasons}
    records = Statistics(desk.store).records(seen, codes)
    looking: dict[str, list[str]] = {}
    for claim in Claims(desk.store).on(seen, [item.comment.id for item in items]):
        if claim.moderator_id != caller.session.moderator.id:
            looking.setdefault(claim.comment_id, []).append(claim.moderator)
    appeals = appeals_on(desk.store, seen, items)
    return [
        card_of(
            item,
            language=language,
            site=plain_name(sites.get(item.comment.site_id, "")) if several else "",
            records=records,
            looking=looking.get(item.comment.id, ()),
            appeal=appeals.get(item.comment.id, ()),
        )
        for item in items
    ]
