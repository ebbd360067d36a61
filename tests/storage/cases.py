"""Submissions and verdicts for the tests, and the shortest way to have them recorded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from model.decision import Decision, RejectReason
from model.outcome import Head, Outcome, Scores
from model.submission import Article, Author, CommentType, FormFacts, Submission
from model.verdict import Reason, RuleHit, Span, Verdict
from service.storage import Asked, Checked, Site, Store, StoredComment, new_id

EMAIL = "Nguyen.Van.An@mail.example"
AUTHOR = Author("An", EMAIL, "https://an.example/", "203.0.113.77", "Mozilla/5.0")
SUBMISSION = Submission(
    content="Bài viết hay quá, cảm ơn tác giả!",
    author=AUTHOR,
    permalink="https://blog.example/a-post",
    article=Article("A post", "vi", None),
    parent_id="7",
    type=CommentType.REPLY,
    form=FormFacts(seconds_to_fill=12.5),
    external_id="wp-12",
)
VERDICT = Verdict(
    outcome=Outcome.QUEUE,
    scores=Scores(spam=0.625, toxicity=0.125),
    reasons=(Reason("links.many", "content", "3 links"),),
    hits=(RuleHit("links.many", Outcome.QUEUE, "3 links", "content"),),
    spans=(Span("content", 0, 8, Head.SPAM, 0.75), Span("author.name", 0, 2, Head.TOXICITY, -1.5)),
    model="m-1",
    policy="p-1",
)


class Clock:
    """The time, which goes on only when told to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


def verdict(outcome: Outcome = Outcome.QUEUE, *, spam: float = 0.625, **changes: Any) -> Verdict:
    return replace(VERDICT, outcome=outcome, scores=Scores(spam, 0.125), **changes)


def submission(content: str = SUBMISSION.content, **author: str) -> Submission:
    return replace(SUBMISSION, content=content, author=replace(AUTHOR, **author))


def asked(
    site: Site, at: datetime, sent: Submission = SUBMISSION, *, idempotency_key: str = ""
) -> Asked:
    normal_text = sent.content.casefold()
    return Asked(site.id, new_id(at), sent, at, normal_text, idempotency_key)


def many(number: int, site: Site, clock: Clock, sent: Submission = SUBMISSION) -> list[Asked]:
    """As many submissions, a millisecond apart."""
    batch = []
    for _ in range(number):
        clock.advance(milliseconds=1)
        batch.append(asked(site, clock(), sent))
    return batch


def put(store: Store, *batch: Asked, by: Verdict = VERDICT) -> list[str]:
    """Gather and record a batch, with the same verdict for each; the ids."""
    known = store.gather(batch)
    store.record([Checked(a, k, by, 1.0) for a, k in zip(batch, known, strict=True)])
    return [one.comment_id for one in batch]


def record(store: Store, *batch: Asked, by: Verdict = VERDICT) -> list[StoredComment]:
    """Gather and record a batch, with the same verdict for each."""
    return [found(store, comment_id) for comment_id in put(store, *batch, by=by)]


def found(store: Store, comment_id: str) -> StoredComment:
    comment = store.comment(None, comment_id)
    assert comment is not None
    return comment


def accept(at: datetime, by: str = "ann") -> Decision:
    return Decision(Outcome.ACCEPT, None, by, at)


def reject(at: datetime, by: str = "bob", reason: RejectReason = RejectReason.SPAM) -> Decision:
    return Decision(Outcome.REJECT, reason, by, at)
