"""What was just done beside single decisions, as the queue says it: an act, a campaign, a rule.

Knows the addresses that lead there. What they name is read back from the store, and is said only
to whoever did it; nothing of an address is shown or believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from service.storage import Role
from service.storage.acts import Act, Acts, ActState
from service.storage.campaigns import Campaigns, UnknownCampaign
from service.storage.rule_records import RuleChange
from service.storage.site_rules import RuleBook
from service.web.desk import Caller, Desk
from service.web.place import ID, Place
from service.web.texts import Texts

CHANGED = "changed"
"""The field of an address that names a change of a site's rules: its site and version."""

_LAST = 20


@dataclass(frozen=True, slots=True)
class Notice:
    """What was done, in words; where that is undone, and what the form of it sends.

    `undo` and `more`, a page about it, are "" for none.
    """

    said: str | Markup
    undo: str = ""
    sends: Mapping[str, str] = field(default_factory=dict)
    more: str = ""


def changed_at(path: str, change: RuleChange) -> str:
    """The address of a page of the desk that says so of a change."""
    before, mark, fragment = path.partition("#")
    joint = "&" if "?" in before else "?"
    return f"{before}{joint}{CHANGED}={change.site_id}.{change.version}{mark}{fragment}"


def notice_of(
    t: Texts, desk: Desk, caller: Caller, place: Place, named: Mapping[str, str]
) -> Notice | None:
    """What the address of the queue says that the caller did, if the store says so too.

    `named` are the fields of the address that name an act, a campaign, a change of rules.
    """
    for name, read in (("act", _of_act), ("campaign", _of_campaign), (CHANGED, _of_change)):
        if named[name]:
            return read(t, desk, caller, place, named[name])
    return None


def notice_of_change(t: Texts, desk: Desk, caller: Caller, named: str, back: str) -> Notice | None:
    """What the address of another page says that the caller changed; an undo leads to `back`."""
    site_id, _, version = named.partition(".")
    if not ID.fullmatch(site_id) or not caller.may(Role.MODERATOR, site_id):
        return None
    found = RuleBook(desk.store).changes([site_id], limit=_LAST)
    change = next((one for one in found if str(one.version) == version), None)
    if change is None or change.actor != caller.name:
        return None
    if change.undone is not None or change.kind == "undo":
        return Notice(t("changed.undone"))
    word = change.kind if change.made else f"{change.kind}_over"
    sends = {"site": site_id, "version": version, "back": back}
    more = "/authors" if change.kind == "author" else f"/rules?site={site_id}"
    return Notice(t(f"changed.{word}", what=change.what), "/rules/undo", sends, more)


def _of_act(t: Texts, desk: Desk, caller: Caller, place: Place, act_id: str) -> Notice | None:
    known = ID.fullmatch(act_id)
    act = Acts(desk.store).act(caller.sites_as(Role.VIEWER), act_id) if known else None
    if act is None or act.state is ActState.PLANNED or act.decision.moderator != caller.name:
        return None
    if act.undone_at:
        return Notice(t("act.undone", n=act.restored), more=f"/acts/{act.id}")
    sends = {"order": place.order.value, "view": place.view, "back": "queue"}
    return Notice(_decided(t, act, act.decided), f"/acts/{act.id}/undo", sends)


def _of_campaign(
    t: Texts, desk: Desk, caller: Caller, place: Place, campaign_id: str
) -> Notice | None:
    if not ID.fullmatch(campaign_id):
        return None
    try:
        campaign = Campaigns(desk.store).campaign(caller.sites_as(Role.VIEWER), campaign_id)
    except UnknownCampaign:
        return None
    page = f"/campaigns/{campaign.id}"
    if campaign.act is None:
        return Notice(t("act.undone", n=campaign.waiting), more=page)
    if campaign.act.decision.moderator != caller.name:
        return None
    said = Markup("{}.").format(_decided(t, campaign.act, campaign.decided))
    if campaign.is_followed(desk.now()) and campaign.follows_until is not None:
        until = t.moment(campaign.follows_until)
        said += Markup(" {}").format(t.marked("campaign.followed_until", when=until))
    return Notice(said, f"{page}/undo", {"back": "queue"}, more=page)


def _of_change(t: Texts, desk: Desk, caller: Caller, place: Place, named: str) -> Notice | None:
    return notice_of_change(t, desk, caller, named, place.path())


def _decided(t: Texts, act: Act, number: int) -> str:
    return t(f"act.done.{act.decision.reason or act.decision.outcome.word}", n=number)
