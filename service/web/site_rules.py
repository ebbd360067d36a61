"""The page of a site's rules: words, domains and raids, each change tried before it is made.

Admins of a site change its lists; moderators read them, and undo what they may do themselves.
Works without JavaScript.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from model.lists import Act, Kind, way_of
from model.outcome import Head
from model.verdict import Span
from service.rule_trial import FIRST_SECONDS, LONGER_SECONDS, Draft, Sample, Trial, tried
from service.storage import NothingToUndo, Role, Site, UnknownSite
from service.storage.rule_records import (
    OF_LISTS,
    RuleChange,
    RulesChanged,
    StoredRule,
    TooManyRules,
    entries_of,
)
from service.storage.site_rules import RuleBook
from service.web.card import Pieces, at_once_and_rest, language_tag, pieces_of, plain_name
from service.web.desk import Admin, Caller, Desk, Moderator, TheDesk
from service.web.notices import changed_at, notice_of_change
from service.web.raids import raids_on
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.rule_forms import (
    LASTS,
    RAID_HOURS,
    USUAL_RAID_HOURS,
    Read,
    Wanted,
    back_to,
    id_of,
    read,
    why_of,
)
from service.web.texts import texts_for

PER_PAGE = 200
"""Entries shown at once; whoever looks for another one filters."""

_CHANGES = 20


class Undone(BaseModel):
    """Which change of which site is to be undone, and the page to go back to."""

    site: str = ""
    version: int = Field(0, ge=0, le=2**53)
    back: str = ""


_Wanted = Annotated[Wanted, Form()]
_Undone = Annotated[Undone, Form()]


def routes() -> APIRouter:
    """The page, and what its forms do."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/rules", rules, methods=["GET"], response_model=None)
    for path, function in (
        ("/rules/try", try_change),
        ("/rules/save", save),
        ("/rules/undo", undo),
    ):
        router.add_api_route(path, function, methods=["POST"], response_model=None)
    return router


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """An entry of a list as shown. `way` is how a word is looked for, "" for a domain."""

    id: str
    text: Pieces
    kind: Kind
    act: Act
    of_address: bool
    way: str
    rule: StoredRule
    why: Pieces
    made_by: str


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A change as shown, and whether the caller may undo it."""

    change: RuleChange
    actor: str
    what: Pieces
    why: Pieces
    site: str
    may_undo: bool


def rules(
    request: Request,
    caller: Moderator,
    desk: TheDesk,
    site: str = "",
    q: str = "",
    changed: str = "",
) -> Response:
    """The lists, raids and last changes of one of the caller's sites."""
    return _rules_page(request, caller, desk, _site(desk, caller, site), q=q[:100], changed=changed)


def _rules_page(
    request: Request,
    caller: Caller,
    desk: Desk,
    site: Site,
    *,
    q: str = "",
    changed: str = "",
    wanted: Wanted | None = None,
    asked: Read | None = None,
    problem: str = "",
) -> Response:
    book = RuleBook(desk.store)
    here = frozenset({site.id})
    entries = book.listed(here, OF_LISTS)
    matching = [one for one in entries if q.casefold() in one.key.casefold()] if q else entries
    changes = book.changes(here, limit=_CHANGES)
    return page(
        request,
        "rules.html",
        status=422 if asked is not None or problem else 200,
        site=site,
        site_name=plain_name(site.name),
        sites=[(one.id, plain_name(one.name)) for one in _moderated(desk, caller)],
        entries=[_shown(one) for one in matching[:PER_PAGE]],
        matching=len(matching),
        total=len(entries),
        query=q,
        raids=[one for one in raids_on(desk, caller) if one.site_id == site.id],
        changes=shown_changes(desk, caller, changes, several=False),
        notice=notice_of_change(
            texts_for(request), desk, caller, changed, f"/rules?site={site.id}"
        ),
        wanted=wanted or Wanted(site=site.id),
        problems=asked.problems if asked is not None else (),
        problem=problem,
        is_admin=caller.may(Role.ADMIN, site.id),
        lasts=list(LASTS),
        hours=RAID_HOURS,
        usual_hours=USUAL_RAID_HOURS,
        now=desk.now(),
    )


def try_change(request: Request, caller: Admin, desk: TheDesk, wanted: _Wanted) -> Response:
    """What a change would have done to the last days' comments; changes nothing."""
    site = _own(desk, caller, wanted.site)
    asked = read(wanted, desk.now())
    if asked.problems or asked.is_empty or not why_of(wanted.why):
        problem = "" if asked.problems else ("no_entry" if asked.is_empty else "no_why")
        return _rules_page(request, caller, desk, site, wanted=wanted, asked=asked, problem=problem)
    return _trial_page(request, desk, site, wanted, asked)


def _trial_page(
    request: Request, desk: Desk, site: Site, wanted: Wanted, asked: Read, *, notice: str = ""
) -> Response:
    book = RuleBook(desk.store)
    version, stored = book.in_force(site.id)
    going = [rule for rule in stored if rule.id in set(asked.end) and rule.kind in OF_LISTS]
    draft = Draft(
        entries_of(rule for rule in stored if rule.counts(desk.now())),
        asked.entries,
        entries_of(going),
    )
    seconds = LONGER_SECONDS if wanted.longer else FIRST_SECONDS
    trial = tried(book, site.id, site.policy, draft, now=desk.now(), seconds=seconds)
    return page(
        request,
        "rules_trial.html",
        status=409 if notice else 200,
        site=site,
        site_name=plain_name(site.name),
        wanted=wanted,
        asked=asked,
        adding=[pieces_of(entry.text) for entry in asked.entries[:PER_PAGE]],
        ending=[pieces_of(rule.key) for rule in going[:PER_PAGE]],
        ending_count=len(going),
        trial=trial,
        samples=_samples(trial),
        notice=notice,
        token=_token(desk, wanted, version, is_sweeping=trial.is_sweeping),
    )


def save(request: Request, caller: Admin, desk: TheDesk, wanted: _Wanted) -> Response:
    """Make a change that was tried on the version in force; what was not is tried now."""
    site = _own(desk, caller, wanted.site)
    asked = read(wanted, desk.now())
    if asked.problems or asked.is_empty or not why_of(wanted.why):
        raise Refusal(400, "unreadable")
    book = RuleBook(desk.store)
    version = book.version(site.id)
    was_sweeping = wanted.tried == _token(desk, wanted, version, is_sweeping=True)
    if not was_sweeping and wanted.tried != _token(desk, wanted, version, is_sweeping=False):
        return _trial_page(request, desk, site, wanted, asked, notice="changed")
    if was_sweeping and not wanted.sure:
        return _trial_page(request, desk, site, wanted, asked, notice="unsure")
    try:
        change = book.change_lists(
            site.id,
            add=asked.rules(),
            end=asked.end,
            since=version,
            by=caller.name,
            why=why_of(wanted.why),
        )
    except RulesChanged:
        return _trial_page(request, desk, site, wanted, asked, notice="changed")
    except TooManyRules as limit:
        raise Refusal(409, "too_many_entries", values={"most": limit.most}) from None
    return see_other(request, changed_at(f"/rules?site={site.id}", change))


def undo(request: Request, caller: Moderator, desk: TheDesk, sent: _Undone) -> Response:
    """Bring back exactly what was before a change, as a change of its own."""
    kinds = {"author", "raid"}
    if caller.may(Role.ADMIN, sent.site):
        kinds.add("lists")
    sites = caller.sites_as(Role.MODERATOR)
    try:
        change = RuleBook(desk.store).undo(
            sites, id_of(sent.site), sent.version, by=caller.name, kinds=kinds
        )
    except (NothingToUndo, UnknownSite):
        raise Refusal(409, "rule_not_undone") from None
    back = back_to(sent.back, f"/rules?site={change.site_id}")
    return see_other(request, changed_at(back, change))


# ------------------------------------------------------------------ sites


def _moderated(desk: Desk, caller: Caller) -> list[Site]:
    return [site for site in desk.store.sites() if caller.may(Role.MODERATOR, site.id)]


def _site(desk: Desk, caller: Caller, site_id: str) -> Site:
    """One of the sites that the caller moderates; without a choice the first."""
    sites = _moderated(desk, caller)
    for site in sites:
        if site.id == site_id or not site_id:
            return site
    raise Refusal(404, "unknown_site")


def _own(desk: Desk, caller: Caller, site_id: str) -> Site:
    site = _site(desk, caller, site_id) if site_id else None
    if site is None or not caller.may(Role.ADMIN, site.id):
        raise Refusal(404, "unknown_site")
    return site


# ------------------------------------------------------------------ as shown


def _shown(rule: StoredRule) -> ShownEntry:
    return ShownEntry(
        rule.id,
        pieces_of(rule.key),
        Kind(rule.kind.value),
        Act(rule.action),
        rule.scope == "address",
        way_of(rule.key).value if rule.kind.value == Kind.WORD else "",
        rule,
        pieces_of(rule.why),
        plain_name(rule.made_by),
    )


def shown_changes(
    desk: Desk, caller: Caller, changes: Sequence[RuleChange], *, several: bool
) -> list[ShownChange]:
    """Changes as shown, each with whether the caller may undo it."""
    names = {site.id: plain_name(site.name) for site in desk.store.sites()} if several else {}
    return [
        ShownChange(
            change,
            plain_name(change.actor),
            pieces_of(change.what),
            pieces_of(change.why),
            names.get(change.site_id, ""),
            change.undone is None
            and (change.kind != "lists" or caller.may(Role.ADMIN, change.site_id)),
        )
        for change in changes
    ]


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A comment that the change would have treated otherwise, as shown."""

    name: Pieces
    content: Pieces
    language: str
    before: str
    after: str
    decided: str
    contradicts: bool
    entry: Pieces


def _samples(trial: Trial) -> list[ShownSample]:
    return [
        ShownSample(
            pieces_of(sample.name[:120]),
            at_once_and_rest(pieces_of(sample.content[:2000], _marks(sample)))[0],
            language_tag(sample.content[:2000]),
            sample.before.word,
            sample.after.word,
            sample.decided.word if sample.decided is not None else "",
            sample.contradicts,
            pieces_of(sample.found.entry.text) if sample.found is not None else (),
        )
        for sample in trial.samples
    ]


def _marks(sample: Sample) -> list[Span]:
    """Where the entry stands in the content, to be marked like what weighs on a score."""
    found = sample.found
    if found is None or found.field != "content":
        return []
    return [Span(found.field, found.start, found.end, Head.SPAM, 1.0)]


def _token(desk: Desk, wanted: Wanted, version: int, *, is_sweeping: bool) -> str:
    """What only a trial of this very change on this version can know."""
    asked = wanted.model_dump(exclude={"tried", "sure", "why", "longer"})
    return desk.store.keyring.token_hash(f"trial {version} {is_sweeping} {sorted(asked.items())}")
