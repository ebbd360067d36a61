"""Labelled examples for training, from what people said: decisions, else a site's reports.

Knows which word counts and what may leave. No address and no whole IP does.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from model.addresses import FREEMAIL, mask_addresses
from model.decision import (
    Label,
    LabelledExample,
    Provenance,
    ReportKind,
    WordOf,
    labels_of,
    labels_of_report,
)
from model.outcome import Head
from service.storage.records import Report, StoredComment, Waiting
from service.storage.review import SiteIds
from service.storage.rows import STORED, stored_comment
from service.storage.tables import comments, decisions, following, reports, sites

_UNASKED = "unasked"  # a person decided what nobody had put in the queue
_DRAWN = frozenset({Waiting.VERDICT.value, Waiting.AUDIT.value})
Place = tuple[Any, str]


def labelled_page(
    connection: sa.Connection, site_ids: SiteIds, after: Place | None, *, limit: int
) -> tuple[list[LabelledExample], Place | None]:
    """The examples of up to `limit` comments that people spoke of, and where to go on.

    In order of receipt. The place is None at the end.
    """
    found = connection.execute(_spoken_of(site_ids, after).limit(limit)).mappings().all()
    ids = [row["id"] for row in found]
    reported = _reports(connection, ids)
    examples = [
        example
        for row in found
        for example in _examples(stored_comment(row), row, reported.get(row["id"], []))
    ]
    place = (found[-1]["received_at"], found[-1]["id"]) if len(found) == limit else None
    return examples, place


def _spoken_of(site_ids: SiteIds, after: Place | None) -> sa.Select[Any]:
    spoken_of = sa.or_(
        comments.c.decided.is_not(None),
        comments.c.id.in_(sa.select(reports.c.comment_id)),
    )
    order = (comments.c.received_at, comments.c.id)
    # What only followed a campaign's decision was seen by nobody.
    followed = sa.exists().where(following.c.decision_id == decisions.c.id)
    statement = STORED.add_columns(
        sites.c.name.label("site_name"), decisions.c.change.label("decision_change")
    )
    statement = statement.join(sites, sites.c.id == comments.c.site_id).where(spoken_of, ~followed)
    if site_ids is not None:
        statement = statement.where(comments.c.site_id.in_(list(site_ids)))
    if after is not None:
        start = sa.tuple_(sa.literal(after[0], comments.c.received_at.type), sa.literal(after[1]))
        statement = statement.where(sa.tuple_(*order) > start)
    return statement.order_by(*order)


def _reports(connection: sa.Connection, ids: list[str]) -> dict[str, list[Report]]:
    by_comment: dict[str, list[Report]] = {}
    statement = sa.select(reports).where(reports.c.comment_id.in_(ids))
    for row in connection.execute(statement.order_by(reports.c.at, reports.c.kind)):
        noted = Report(ReportKind(row.kind), row.at)
        by_comment.setdefault(row.comment_id, []).append(noted)
    return by_comment


def _labels(comment: StoredComment, reported: Iterable[Report]) -> tuple[Label, ...]:
    if comment.decision is not None:
        return labels_of(comment.decision)
    # Of two reports that disagree, the later one is the site's word.
    by_head: dict[Head, Label] = {}
    for noted in reported:
        by_head |= {label.head: label for label in labels_of_report(noted.kind)}
    return tuple(by_head[head] for head in Head if head in by_head)


def _examples(
    comment: StoredComment, row: sa.RowMapping, reported: list[Report]
) -> Iterator[LabelledExample]:
    sent = comment.submission
    site = mask_addresses(row["site_name"])
    for label in _labels(comment, reported):
        yield LabelledExample(
            id=f"{comment.id}:{label.head.value}",
            text=mask_addresses(sent.content),
            label=label,
            lang=sent.article.language,
            source=f"duyet:{site}",
            group=f"{site}/{sent.permalink}",
            author=mask_addresses(sent.author.name),
            author_url=sent.author.url,
            email=_email_shape(comment.email_masked),
            ip=_ip_shape(comment.ip_masked),
            user_agent=sent.author.user_agent,
            date=comment.received_at.isoformat(),
            extra=_extra(comment, row, reported),
            provenance=_provenance(comment, row, reported),
        )


def _provenance(comment: StoredComment, row: sa.RowMapping, reported: list[Report]) -> Provenance:
    decision = comment.decision
    if decision is None:
        site = mask_addresses(row["site_name"])
        return Provenance(WordOf.REPORT, site, reported[-1].at.isoformat())
    # Decisions that came with a site's history are numbered downwards from 0.
    kind = WordOf.IMPORT if row["decision_change"] <= 0 else WordOf.DECISION
    who = mask_addresses(decision.moderator)
    # Of what came with a history nobody says when it was decided, and then is not now.
    at = (comment.received_at if kind is WordOf.IMPORT else decision.at).isoformat()
    # What a report, an appeal or a moderator's own eye brought up, no draw did.
    drawn = kind is WordOf.DECISION and row["decision_was_why"] in _DRAWN
    chance = comment.review_probability if drawn and comment.review_probability > 0 else None
    return Provenance(kind, who, at, chance)


def _email_shape(masked: str) -> str:
    if not masked:
        return ""
    domain = masked.rpartition("@")[2].casefold()
    return f"person@{domain if domain in FREEMAIL else 'example.invalid'}"


def _ip_shape(masked: str) -> str:
    """The network cut once more: a training file travels further than a database."""
    if not masked:
        return ""
    network = ipaddress.ip_network(masked)
    return str(network.supernet(new_prefix=16 if network.version == 4 else 32))


def _extra(comment: StoredComment, row: sa.RowMapping, reported: list[Report]) -> dict[str, object]:
    decision, verdict = comment.decision, comment.verdict
    at = decision.at if decision else reported[-1].at
    return {
        "comment_id": comment.id,
        "comment_type": comment.submission.type.value,
        "outcome": verdict.outcome.word,
        "unaudited": verdict.unaudited.word if verdict.unaudited is not None else None,
        "scores": verdict.scores
        and {"spam": verdict.scores.spam, "toxicity": verdict.scores.toxicity},
        "model": verdict.model,
        "policy": verdict.policy,
        "review_probability": comment.review_probability,
        "reviewed_because": (row["decision_was_why"] or _UNASKED) if decision else "report",
        "decided_by": mask_addresses(decision.moderator) if decision else "site",
        "decided_at": at.isoformat(),
        "reason": decision.reason.value if decision and decision.reason else None,
        "history": _history(comment),
    }


def _history(comment: StoredComment) -> dict[str, object]:
    history = comment.history
    return {name: getattr(history, name) for name in type(history).__dataclass_fields__}
