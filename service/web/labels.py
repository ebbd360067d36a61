"""What is known of labels, for admins: what people said, how they agree, what is probably wrong.

Knows what may be shown to whom: figures over all sites to admins of all, comments and counts of
their own sites to others. What takes fits is made by `duyet labels` and kept in the store; nothing
is counted here but what one look gives. Works without JavaScript.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from model.decision import labels_of
from service.storage import Role, StoredComment
from service.storage.finding import Finding, Order
from service.storage.label_findings import FindingKind, LabelFinding, LabelFindings, Spoken
from service.storage.review import SiteIds
from service.web.card import Pieces, first_of, language_tag, pieces_of, plain_name
from service.web.desk import Admin, TheDesk
from service.web.rendering import PageRoute, page

MOST_SHOWN = 50
"""Labels that are probably wrong, the most probable first."""

LETTERS = 280
WORDS = ("accept", "spam", "toxic", "off_topic", "other")


@dataclass(frozen=True, slots=True)
class Said:
    """What stands of a site: how often each word, of decisions and imports, and of reports."""

    site: str
    words: Mapping[str, int]
    reports: int
    total: int


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A label that is probably wrong, with enough of its comment to tell."""

    comment_id: str
    site: str
    who: str
    label: str
    suggests: str
    percent: int
    author: Pieces
    content: Pieces
    language: str
    is_cut: bool


def routes() -> APIRouter:
    """The page of labels."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/labels", labels_page, methods=["GET"], response_model=None)
    return router


def labels_page(request: Request, caller: Admin, desk: TheDesk) -> Response:
    """What people said, the last report and the last audit."""
    site_ids = caller.sites_as(Role.ADMIN)
    findings = LabelFindings(desk.store)
    names = {site.id: plain_name(site.name) for site in desk.store.sites()}
    audit = findings.last(FindingKind.AUDIT)
    # The figures are of all sites together.
    report = findings.last(FindingKind.REPORT) if site_ids is None else None
    return page(
        request,
        "labels.html",
        said=_said(findings.spoken(site_ids), names),
        words=WORDS,
        report=report,
        audit=audit,
        whole=site_ids is None,
        doubtful=_doubtful(Finding(desk.store), audit, site_ids, names),
        teaches=Order.TEACHES.value,
    )


def _said(spoken: Sequence[Spoken], names: Mapping[str, str]) -> list[Said]:
    found = []
    for site_id in {one.site_id for one in spoken}:
        of_site = [one for one in spoken if one.site_id == site_id]
        words = Counter[str]()
        for one in of_site:
            if one.kind != "report":
                words[one.word] += one.number
        reports = sum(one.number for one in of_site if one.kind == "report")
        name = names.get(site_id, "")
        found.append(Said(name, words, reports, words.total() + reports))
    return sorted(found, key=lambda one: (-one.total, one.site))


def _doubtful(
    finding: Finding, audit: LabelFinding | None, site_ids: SiteIds, names: Mapping[str, str]
) -> list[Doubtful]:
    """What still stands of what was found, on these sites."""
    told: list[dict[str, Any]] = [] if audit is None else audit.body["labels"]
    ids = [one["comment_id"] for one in told if one["comment_id"]]
    comments = {one.id: one for one in finding.comments(site_ids, ids)}
    return [
        _shown(one, comments[one["comment_id"]], names)
        for one in told
        if one["comment_id"] in comments and _stands(comments[one["comment_id"]], one["label"])
    ][:MOST_SHOWN]


def _stands(comment: StoredComment, label: str) -> bool:
    """Whether a decision still says what was found doubtful; a report does until one is made."""
    decision = comment.decision
    return decision is None or label in {one.word for one in labels_of(decision)}


def _shown(told: Mapping[str, Any], comment: StoredComment, names: Mapping[str, str]) -> Doubtful:
    content, is_cut = first_of(pieces_of(comment.submission.content), LETTERS)
    return Doubtful(
        comment_id=comment.id,
        site=names.get(comment.site_id, ""),
        who=plain_name(told["who"]),
        label=told["label"],
        suggests=told["suggests"],
        percent=round(100 * told["score"]),
        author=pieces_of(comment.submission.author.name),
        content=content,
        language=language_tag(comment.submission.content),
        is_cut=is_cut,
    )
