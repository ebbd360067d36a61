"""Between records and rows: what a checked submission is written as, and how it is read back.

The one place where an address is encrypted, masked and left out. Runs no statement.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from pydantic_core import PydanticSerializationError, to_json

from model.addresses import has_at_sign, mask_address, mask_addresses
from model.decision import Decision, RejectReason
from model.outcome import Head, Outcome, Scores
from model.submission import Article, Author, CommentType, FormFacts, History, Submission
from model.verdict import Laid, Learnt, Mark, Reason, RuleHit, Span, Verdict
from service.keyring import Keyring, key_id_of, masked_ip
from service.storage.records import Asked, Checked, MatchKeys, StoredComment, Waiting
from service.storage.tables import comments, decisions, queue, undos, verdicts

FILLED_HONEYPOT = "•"  # stands for whatever was typed into it
Row = tuple[Any, ...]
"""The values of a table's columns, in their order."""
StoredTime = Callable[[datetime], Any]
"""What a database is given for an aware time."""


def compact(value: object) -> str:
    """A value as JSON without spaces, letters as they are. Raises UnicodeError."""
    # Half the time of the standard encoder, which is set up anew for every value.
    try:
        return to_json(value, inf_nan_mode="constants").decode()
    except PydanticSerializationError:  # its text quotes what cannot be written
        raise UnicodeError("no text: it holds half of a surrogate pair") from None


def match_keys(keyring: Keyring, asked: Asked) -> MatchKeys:
    """The keyed hashes that a submission is matched by.

    A twin is the same text by the same author, by address or else by name, under the same
    article.
    """
    site_id, submission = asked.site_id, asked.submission
    author = keyring.author_key(site_id, submission.author.email)
    text = keyring.text_key(site_id, asked.normal_text)
    twin = (submission.permalink, author or submission.author.name.casefold(), text)
    idempotency = keyring.match_key("idempotency", site_id, asked.idempotency_key)
    return MatchKeys(
        author=author,
        ip=keyring.ip_key(site_id, submission.author.ip),
        text=text,
        twin=keyring.match_key("twin", site_id, "\0".join(twin)) if text else "",
        idempotency=idempotency,
        body=keyring.match_key("body", site_id, _body(submission)) if idempotency else "",
    )


_author_values = attrgetter(*(f.name for f in fields(Author)))
_article_values = attrgetter(*(f.name for f in fields(Article)))
_form_values = attrgetter(*(f.name for f in fields(FormFacts)))


def _body(submission: Submission) -> str:
    # All of it, unlike the submission's own repr. What `astuple` gives, in a tenth of the time:
    # keys of requests that are stored already depend on it.
    return repr(
        (
            submission.content,
            _author_values(submission.author),
            submission.permalink,
            _article_values(submission.article),
            submission.parent_id,
            submission.type,
            _form_values(submission.form),
            submission.external_id,
        )
    )


# ------------------------------------------------------------------ writing


def is_storable(submission: Submission) -> bool:
    """Whether both databases keep it as it is: no NUL, no lone surrogate, no naive time."""
    author, article = submission.author, submission.article
    if article.published_at is not None and article.published_at.utcoffset() is None:
        return False
    texts = (
        submission.content,
        author.name,
        author.email,
        author.url,
        author.user_agent,
        submission.permalink,
        article.title,
        article.language,
        submission.parent_id,
        submission.external_id,
    )
    text = "".join(texts)
    if text.isascii():
        return "\0" not in text
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def comment_row(keyring: Keyring, checked: Checked, stored: StoredTime) -> Row:
    """The row of `comments`, its times as `stored` has them. Raises ValueError for a naive one.

    An address typed into content or name stays there, as the commenter's own text; anywhere
    else it is masked.
    """
    asked, keys, submission = checked.asked, checked.known.keys, checked.asked.submission
    author, article, form = submission.author, submission.article, submission.form
    email, published_at = author.email, article.published_at
    sealed = _sealed(keyring, asked) if email else None
    url, user_agent, permalink, title, language, parent_id, external_id = _masked(
        author.url,
        author.user_agent,
        submission.permalink,
        article.title,
        article.language,
        submission.parent_id,
        submission.external_id,
    )
    return (
        asked.comment_id,
        asked.site_id,
        stored(asked.received_at),
        submission.type.value,
        submission.content,
        author.name,
        url,
        sealed,
        None if sealed is None else key_id_of(sealed),
        mask_address(email) if email else "",
        keys.author or None,
        masked_ip(author.ip) if author.ip else "",
        keys.ip or None,
        user_agent,
        permalink,
        title,
        language,
        None if published_at is None else stored(published_at),
        parent_id,
        external_id,
        bool(form.honeypot),
        form.seconds_to_fill,
        keys.text or None,
        keys.twin or None,
        _history_json(checked.known.history),
        _WORDS[checked.verdict.outcome],
        None,
    )


def _sealed(keyring: Keyring, asked: Asked) -> bytes:
    email = asked.submission.author.email
    return keyring.encrypt_address(email, site_id=asked.site_id, comment_id=asked.comment_id)


def _masked(*texts: str) -> tuple[str, ...]:
    # One look at all of them; no way of writing an at sign goes over the end of a line.
    return tuple(map(mask_addresses, texts)) if has_at_sign("\n".join(texts)) else texts


def verdict_row(checked: Checked) -> Row:
    """The row of `verdicts`."""
    verdict = checked.verdict
    scores = verdict.scores
    return (
        checked.asked.comment_id,
        _WORDS[verdict.outcome],
        None if scores is None else scores.spam,
        None if scores is None else scores.toxicity,
        _explanation_json(verdict),
        verdict.model,
        verdict.policy,
        verdict.audit,
        None if verdict.unaudited is None else _WORDS[verdict.unaudited],
        checked.review_probability,
    )


def queue_row(checked: Checked, stored: StoredTime) -> Row:
    """The row of `queue` for a comment whose verdict is `queue`."""
    verdict, asked = checked.verdict, checked.asked
    return (
        asked.comment_id,
        asked.site_id,
        stored(asked.received_at),
        (Waiting.AUDIT if verdict.audit else Waiting.VERDICT).value,
        risk_of(verdict.scores),
    )


def risk_of(scores: Scores | None) -> float:
    """How risky a waiting comment is, in [0, 1]; 1 when nobody, not even a model, looked."""
    return 1.0 if scores is None else max(scores.spam, scores.toxicity)


def idempotency_row(checked: Checked, stored: StoredTime) -> Row:
    """The row of `idempotency` for a request that had a key."""
    asked, keys = checked.asked, checked.known.keys
    return (keys.idempotency, keys.body, asked.comment_id, stored(asked.received_at))


def akismet_row(keyring: Keyring, checked: Checked) -> Row:
    """The row of `akismet_checks` for a comment that came by that protocol."""
    asked, origin = checked.asked, checked.asked.origin
    assert origin is not None, "only what came so has such a row"
    return (
        asked.comment_id,
        asked.site_id,
        keyring.match_key("akismet", asked.site_id, origin.match),
        mask_addresses(origin.home),
        f"{asked.received_at:%Y-%m}",
        mask_addresses(origin.callback),
    )


_HISTORY = {f.name: f.default for f in fields(History)}
_history_values = attrgetter(*_HISTORY)
_NOTHING_KNOWN = _history_values(History())


def _history_json(history: History) -> str:
    values = _history_values(history)
    if values == _NOTHING_KNOWN:
        return "{}"
    known = zip(_HISTORY.items(), values, strict=True)
    return compact({name: value for (name, default), value in known if value != default})


_WORDS = tuple(outcome.word for outcome in sorted(Outcome))


def _explanation_json(verdict: Verdict) -> str:
    learnt = verdict.learnt
    told: dict[str, Any] = {} if learnt is None else {"learnt": asdict(learnt)}
    if verdict.laid is not None:  # as `asdict` would, in a tenth of the time
        laid = verdict.laid
        told["laid"] = {
            "version": laid.version,
            "published": laid.published,
            "marks": [{"field": m.field, "start": m.start, "end": m.end} for m in laid.marks],
        }
    told["reasons"] = [
        {"code": r.code, "field": r.field, "evidence": mask_addresses(r.evidence)}
        for r in verdict.reasons
    ]
    told["hits"] = [
        {
            "rule": h.rule,
            "effect": _WORDS[h.effect],
            "evidence": mask_addresses(h.evidence),
            "field": h.field,
            "trust": h.trust,
        }
        for h in verdict.hits
    ]
    told["spans"] = [
        # `value` is looked up by a function each time, `_value_` is what it gives.
        {
            "field": s.field,
            "start": s.start,
            "end": s.end,
            "head": s.head._value_,
            "weight": s.weight,
        }
        for s in verdict.spans
    ]
    return compact(told)


# ------------------------------------------------------------------ reading

# Everything of a comment but its encrypted address and the keys it is matched by.
_NEVER_READ = {"email_cipher", "email_key_id", "author_key", "ip_key", "text_key", "twin_key"}

COMMENT = tuple(column for column in comments.c if column.name not in _NEVER_READ)

DECISION = (
    decisions.c.outcome.label("decision_outcome"),
    decisions.c.reason.label("decision_reason"),
    decisions.c.moderator.label("decision_moderator"),
    decisions.c.at.label("decision_at"),
)

STORED = (
    sa.select(
        *COMMENT,
        verdicts.c.outcome,
        verdicts.c.spam,
        verdicts.c.toxicity,
        verdicts.c.explanation,
        verdicts.c.model,
        verdicts.c.policy,
        verdicts.c.audit,
        verdicts.c.unaudited,
        verdicts.c.review_probability,
        *DECISION,
        decisions.c.was_why.label("decision_was_why"),
        queue.c.waiting_since,
        queue.c.why,
    )
    .select_from(comments)
    .join(verdicts, verdicts.c.comment_id == comments.c.id)
    .outerjoin(
        decisions,
        sa.and_(
            decisions.c.comment_id == comments.c.id,
            comments.c.decided.is_not(None),
            ~sa.exists().where(undos.c.decision_id == decisions.c.id),
        ),
    )
    .outerjoin(queue, queue.c.comment_id == comments.c.id)
)


def stored_comment(row: sa.RowMapping) -> StoredComment:
    """The comment in a row of `STORED`."""
    return StoredComment(
        id=row["id"],
        site_id=row["site_id"],
        received_at=row["received_at"],
        submission=submission_of(row),
        email_masked=row["email_masked"],
        ip_masked=row["ip_masked"],
        history=History(**json.loads(row["history"])),
        verdict=_verdict(row),
        review_probability=row["review_probability"],
        state=Outcome.of(row["state"]),
        decision=_decision(row),
        waiting_since=row["waiting_since"],
    )


def submission_of(row: sa.RowMapping) -> Submission:
    """What was submitted, without address and IP, from a row with a comment's columns."""
    return Submission(
        content=row["content"],
        author=Author(row["author_name"], url=row["author_url"], user_agent=row["user_agent"]),
        permalink=row["permalink"],
        article=Article(row["article_title"], row["article_language"], row["article_published_at"]),
        parent_id=row["parent_id"],
        type=CommentType(row["type"]),
        form=FormFacts(FILLED_HONEYPOT if row["honeypot"] else "", row["seconds_to_fill"]),
        external_id=row["external_id"],
    )


def _verdict(row: sa.RowMapping) -> Verdict:
    told = json.loads(row["explanation"])
    return Verdict(
        outcome=Outcome.of(row["outcome"]),
        scores=None if row["spam"] is None else Scores(row["spam"], row["toxicity"]),
        reasons=tuple(Reason(**r) for r in told["reasons"]),
        hits=tuple(RuleHit(**h | {"effect": Outcome.of(h["effect"])}) for h in told["hits"]),
        spans=tuple(Span(**s | {"head": Head(s["head"])}) for s in told["spans"]),
        model=row["model"],
        policy=row["policy"],
        audit=bool(row["audit"]),
        unaudited=None if row["unaudited"] is None else Outcome.of(row["unaudited"]),
        learnt=Learnt(**told["learnt"]) if "learnt" in told else None,
        laid=_laid(told["laid"]) if "laid" in told else None,
    )


def _laid(told: dict[str, Any]) -> Laid:
    return Laid(told["version"], told["published"], tuple(Mark(**m) for m in told["marks"]))


def _decision(row: sa.RowMapping) -> Decision | None:
    return None if row["decision_outcome"] is None else decision_of(row)


def decision_of(row: sa.RowMapping) -> Decision:
    """The decision in a row with a decision's columns, named as in `DECISION`."""
    return Decision(
        outcome=Outcome.of(row["decision_outcome"]),
        reason=RejectReason(row["decision_reason"]) if row["decision_reason"] else None,
        moderator=row["decision_moderator"],
        at=row["decision_at"],
    )
