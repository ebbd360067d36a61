"""The wire forms: JSON in, submissions out; verdicts in, JSON out.

Knows what a body may look like and turns it into the domain's types, or into a problem that
names the field and says what would be right, never what was sent. Whether a comment passes
the form's rules is not decided here: a missing name or a bad address gets through.

What is forgiven: unknown fields, null for an absent field, a byte order mark, half an emoji. Of
a key given twice the last counts. What is not: a wrong type.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError, from_json

from model.addresses import mask_addresses
from model.decision import RejectReason, ReportKind
from model.outcome import Outcome, Scores
from model.publishable import Publishable
from model.reasons import sentence
from model.submission import Article, Author, CommentType, FormFacts, Submission
from model.verdict import Reason, Verdict
from service.api.fields import (
    ID_LENGTH,
    URL_LENGTH,
    USER_AGENT_LENGTH,
    ip_of,
    masked,
    masked_url,
    storable,
)
from service.problems import FieldError, Problem, field_errors
from service.storage import QueueItem, StoredComment

MAX_BATCH = 1000

# What browsers and pages send along is cut rather than refused: no visitor should lose a
# comment to a long user agent. What the site itself chooses is refused.
_CUT_AT = USER_AGENT_LENGTH

# A body of brackets alone makes ten million Python objects of 32 MiB: 14 s and 0.9 GB, measured.
# A thousand comments need a few thousand brackets; the rest is room for those in their texts.
_MOST_OPENINGS = 500_000
_MOST_COMMAS = 4_000_000

_BOM = b"\xef\xbb\xbf"
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_JSON = re.compile(r"application/(json|[a-z0-9!#$&^_.-]+\+json)\Z")


# ------------------------------------------------------------------ what comes in


def _cut(text: str) -> str:
    return masked(text[:_CUT_AT])


def _ip(text: str) -> str:
    ip = ip_of(text)
    if ip is None:
        without = " without a zone" if "%" in text else ""
        raise PydanticCustomError("wrong_ip", f"must be an IPv4 or IPv6 address{without}")
    return ip


def _instant(text: str) -> str:
    """The moment in UTC, as ISO 8601; without an offset it is taken to be UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):  # the year 1 east of Greenwich is the year 0
        raise PydanticCustomError(
            "wrong_time", "must be a date and time such as 2026-01-31T09:30:00+07:00"
        ) from None


def _language(text: str) -> str:
    text = text.strip().replace("_", "-")
    if text and not re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", text):
        raise PydanticCustomError("wrong_language", "must be a language tag such as vi or en-GB")
    return text


def _seconds(value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise PydanticCustomError("out_of_range", "must be a finite number, 0 or more")
    return value


_Text = Annotated[str, AfterValidator(storable)]
_Cut = Annotated[str, AfterValidator(_cut)]
_Id = Annotated[str, Field(max_length=ID_LENGTH), AfterValidator(masked)]


class _In(BaseModel):
    # Unknown fields are ignored: sites send more than we read, and more next year.
    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, hide_input_in_errors=True, ser_json_inf_nan="null"
    )


class AuthorIn(_In):
    """Who wrote it, as claimed. Name, email and URL are judged by the site's form rules."""

    name: _Text | None = Field(None, description="As typed.")
    email: _Text | None = Field(None, description="As typed. Never shown, stored encrypted.")
    url: Annotated[str, AfterValidator(masked_url)] | None = Field(
        None, description="The author's website; addresses in its path or query are masked."
    )
    ip: Annotated[str, Field(max_length=100), AfterValidator(_ip)] | None = Field(
        None, description="IPv4 or IPv6, of the visitor."
    )
    user_agent: _Cut | None = Field(None, description="Cut after 1,000 characters.")


class ArticleIn(_In):
    """What was commented on."""

    title: _Cut | None = Field(None, description="Cut after 1,000 characters.")
    language: Annotated[str, Field(max_length=35), AfterValidator(_language)] | None = Field(
        None, description="A BCP 47 tag such as vi or en-GB."
    )
    published_at: Annotated[str, Field(max_length=64), AfterValidator(_instant)] | None = Field(
        None,
        description="ISO 8601; without an offset it is UTC.",
        json_schema_extra={"format": "date-time"},
    )


class FormIn(_In):
    """What the site's form observed."""

    honeypot: _Cut | None = Field(
        None, description="What was typed into the field that people do not see."
    )
    seconds_to_fill: Annotated[float, AfterValidator(_seconds)] | None = Field(
        None, description="How long the form was open; finite, 0 or more."
    )


class CommentIn(_In):
    """A comment to be judged. Every field may be left out or null; the form's rules judge that."""

    content: _Text | None = Field(None, description="The comment as typed.")
    author: AuthorIn | None = None
    permalink: Annotated[str, Field(max_length=URL_LENGTH), AfterValidator(masked)] | None = Field(
        None, description="The address of the article."
    )
    article: ArticleIn | None = None
    parent_id: _Id | None = Field(None, description="The comment this one answers.")
    type: Literal["comment", "reply", "pingback", "trackback"] | None = None
    form: FormIn | None = None
    external_id: _Id | None = Field(None, description="The site's own id of this comment.")

    def submission(self) -> Submission:
        """The comment as the domain knows it."""
        return Submission(
            content=self.content or "",
            author=_author(self.author),
            permalink=self.permalink or "",
            article=_article(self.article),
            parent_id=self.parent_id or "",
            type=CommentType(self.type or "comment"),
            form=_form(self.form),
            external_id=self.external_id or "",
        )


def _author(sent: AuthorIn | None) -> Author:
    if sent is None:
        return Author()
    return Author(
        name=sent.name or "",
        email=sent.email or "",
        url=sent.url or "",
        ip=sent.ip or "",
        user_agent=sent.user_agent or "",
    )


def _article(sent: ArticleIn | None) -> Article:
    if sent is None:
        return Article()
    published = sent.published_at
    return Article(
        title=sent.title or "",
        language=sent.language or "",
        published_at=datetime.fromisoformat(published) if published else None,
    )


def _form(sent: FormIn | None) -> FormFacts:
    if sent is None:
        return FormFacts()
    return FormFacts(honeypot=sent.honeypot or "", seconds_to_fill=sent.seconds_to_fill)


class DecisionIn(_In):
    """A person's word: accept, or reject with a reason."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"outcome": {"const": "accept"}, "reason": {"type": "null"}}},
                {
                    "properties": {"outcome": {"const": "reject"}, "reason": {"type": "string"}},
                    "required": ["reason"],
                },
            ]
        }
    )

    outcome: Literal["accept", "reject"]
    reason: Literal["spam", "toxic", "off_topic", "other"] | None = Field(
        None, description="Required to reject, absent to accept."
    )

    def reject_reason(self) -> RejectReason | None:
        """The reason as the domain knows it."""
        return RejectReason(self.reason) if self.reason else None


class ReportIn(_In):
    """A site's word that a verdict was wrong."""

    kind: Literal["spam", "ham", "toxic"]

    def report(self) -> ReportKind:
        """The report as the domain knows it."""
        return ReportKind(self.kind)


def read_comment(body: bytes, content_type: str | None) -> Submission:
    """The submission that a body holds.

    Raises Problem: 415 for a content type that is not JSON (none at all is taken), 400 for
    what is not JSON or not UTF-8, 422 for wrong fields.
    """
    _require_json(content_type, and_lines=False)
    return _read(CommentIn, body).submission()


def read_decision(body: bytes, content_type: str | None) -> DecisionIn:
    """The decision that a body holds. Raises Problem as `read_comment` does."""
    _require_json(content_type, and_lines=False)
    decision = _read(DecisionIn, body)
    if (decision.outcome == "reject") != (decision.reason is not None):
        raise _wrong_fields(
            {"reason": "is required to reject" if decision.reason is None else "goes with reject"}
        )
    return decision


def read_report(body: bytes, content_type: str | None) -> ReportIn:
    """The report that a body holds. Raises Problem as `read_comment` does."""
    _require_json(content_type, and_lines=False)
    return _read(ReportIn, body)


def read_batch(body: bytes, content_type: str | None) -> list[Submission | Problem]:
    """The submissions that a body holds, in order, a problem in the place of each bad one.

    A JSON array, or one object a line when the content type says so or the body begins with
    an object; blank lines count for nothing. Raises Problem for the whole: 415, 400 when an
    array is not JSON, 422 for more than 1,000 items, more structure than those can have, or
    neither an array nor lines.
    """
    lines = _require_json(content_type, and_lines=True)
    if body.count(b"[") + body.count(b"{") > _MOST_OPENINGS or body.count(b",") > _MOST_COMMAS:
        raise Problem("too_complex", "Send it in smaller batches.")
    body = body.removeprefix(_BOM)
    first = body.lstrip()[:1]
    if lines or first == b"{":
        found = list(_at_most(_lines_of(body)))
        if len(found) == 1 and not lines and _is_around_a_batch(found[0]):
            raise Problem("wrong_fields", "Send the array itself, with nothing around it.")
        return [_from_line(line) for line in found]
    if first != b"[":
        _parsed(body)  # what is not JSON at all is told so
        raise Problem("wrong_fields", "Send an array of comments, or one comment a line.")
    items = _parsed(body)
    return [_from_item(item) for item in _at_most(items)]


_M = TypeVar("_M", bound=_In)


def _read(model: type[_M], body: bytes) -> _M:
    body = body.removeprefix(_BOM)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        if not _is_syntax(error):
            raise _fields_of(error) from None
    # Only now: the parser refuses half a surrogate pair, as from an emoji that was cut in two.
    repaired = _repaired(body)
    try:
        return model.model_validate_json(repaired)
    except ValidationError as error:
        raise _broken(body, error) if _is_syntax(error) else _fields_of(error) from None


def read_json(body: bytes) -> Any:
    """What a body of another protocol holds. Raises Problem 400."""
    return _parsed(body.removeprefix(_BOM))


def _parsed(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        pass
    try:
        return from_json(_repaired(body))
    except ValueError as error:
        raise _broken(body, error) from None


def _is_around_a_batch(line: bytes) -> bool:
    """Whether an object is no comment: an array stands in it where a comment has nothing."""
    try:
        said = from_json(line)
    except ValueError:
        return False
    others = said.keys() - CommentIn.model_fields.keys() if isinstance(said, dict) else ()
    return any(isinstance(said[name], list) for name in others)


def _from_line(line: bytes) -> Submission | Problem:
    try:
        return _read(CommentIn, line).submission()
    except Problem as problem:
        return problem


def _from_item(item: object) -> Submission | Problem:
    try:
        return CommentIn.model_validate(item).submission()
    except ValidationError as error:
        return _fields_of(error)


def _lines_of(body: bytes) -> Iterator[bytes]:
    # Not split(): a body of line breaks alone would become as many objects.
    return (match.group() for match in re.finditer(rb"[^\s][^\n]*", body))


_T = TypeVar("_T")


def _at_most(items: Iterable[_T]) -> Iterator[_T]:
    for count, item in enumerate(items):
        if count == MAX_BATCH:
            raise Problem("too_many_items", f"A batch holds at most {MAX_BATCH} comments.")
        yield item


def _require_json(content_type: str | None, *, and_lines: bool) -> bool:
    """Whether the type says lines. Raises Problem (415) when it says neither that nor JSON."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if and_lines and kind in _LINES:
        return True
    if kind and not _JSON.match(kind):
        lines = " or application/x-ndjson" if and_lines else ""
        raise Problem("wrong_content_type", f"Send Content-Type: application/json{lines}.")
    return False


# An escape in a JSON string: a surrogate pair, half a pair, or any other.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def _repaired(body: bytes) -> bytes:
    """The JSON with U+FFFD for each half of a surrogate pair; as long as before."""
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found.group(), body)


def _is_syntax(error: ValidationError) -> bool:
    return error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid"


_PLACE = re.compile(r"at line (\d+) column (\d+)\Z")


def _broken(body: bytes, error: ValueError) -> Problem:
    """What is wrong with JSON, and where; of the parser's own message only the place is kept."""
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return Problem("not_utf8", f"The byte at offset {wrong.start} is not valid UTF-8.")
    text = str(error)
    if isinstance(error, ValidationError):
        text = error.errors(include_url=False, include_input=False)[0]["msg"]
    found = _PLACE.search(text)
    place = f" at line {found[1]}, column {found[2]}" if found else ""
    if "recursion limit" in text:
        return Problem("too_deep", f"The nesting is too deep{place}.")
    return Problem("broken_json", f"The JSON is broken or ends early{place}.")


def _fields_of(error: ValidationError) -> Problem:
    details = error.errors(include_url=False, include_input=False)
    return Problem("wrong_fields", errors=field_errors(details))


def _wrong_fields(wrong: Mapping[str, str]) -> Problem:
    details = [
        FieldError(field=field, code="wrong_reason", message=message)
        for field, message in wrong.items()
    ]
    return Problem("wrong_fields", errors=details)


# ------------------------------------------------------------------ what goes out


class ScoresOut(BaseModel):
    """Calibrated probabilities from 0 to 1."""

    spam: float
    toxicity: float


class ReasonOut(BaseModel):
    """Why: a stable code, a sentence, the field it is about, what shows it."""

    code: str
    message: str
    field: str = ""
    evidence: str = ""


class PublishableOut(BaseModel):
    """What may be shown: never the address; `html` is safe, `rel` belongs on the link."""

    name: str
    url: str
    rel: str
    html: str


class LearntOut(BaseModel):
    """What the site's own decisions had to do with a verdict."""

    layer: str = Field(description="The site's layer by name; empty when there was none.")
    lessons: int = Field(description="How many decisions had been learnt from.")
    added: float = Field(description="What the layer added to the log-odds of the spam score.")
    twin: str | None = Field(description="The decided comment that this one is nearly the same as.")


VerdictWord = Literal["accept", "queue", "reject"]


class VerdictOut(BaseModel):
    """The answer to a comment. `scores` is null when no model could score."""

    id: str
    verdict: VerdictWord
    scores: ScoresOut | None
    reasons: list[ReasonOut]
    model: str
    policy: str
    learnt: LearntOut | None = Field(
        None, description="There when something had been learnt from the site's decisions."
    )
    publishable: PublishableOut
    status_url: str | None = Field(
        None,
        description="For the commenter alone: a page that says what became of the comment. "
        "There when the service has a public address.",
    )


class FieldErrorOut(BaseModel):
    """What is wrong with one field, and what would be right."""

    field: str
    code: str
    message: str


class StandingOut(BaseModel):
    """The decision that stands on a comment."""

    outcome: Literal["accept", "reject"]
    reason: Literal["spam", "toxic", "off_topic", "other"] | None
    moderator: str
    at: datetime


class ProblemOut(BaseModel):
    """An RFC 9457 problem. `type` leads to the list of all codes."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    errors: list[FieldErrorOut] = Field(default_factory=list)
    verdict: Literal["reject"] | None = Field(
        None, description="There when the comment did not pass the form's rules."
    )
    error_id: str | None = Field(None, description="There with status 500: the id in the log.")
    standing: StandingOut | None = Field(
        None, description="There with already_decided: the decision that stands."
    )


class BatchItemOut(BaseModel):
    """One comment of a batch: with status 200 its verdict, otherwise its problem."""

    index: int
    status: int
    answer: VerdictOut | None = None
    problem: ProblemOut | None = None


class BatchOut(BaseModel):
    """The results of a batch, in the order the comments came."""

    items: list[BatchItemOut]


class CommentOut(VerdictOut):
    """A comment as it stands now.

    `verdict` is what the machine said and never changes; `state` is the outcome in force,
    which a report or a decision may have changed.
    """

    received_at: datetime
    state: VerdictWord
    waiting_since: datetime | None
    decision: StandingOut | None


class QueueAuthorOut(BaseModel):
    """Who wrote it, as a moderator sees it: the address masked."""

    name: str
    email: str = Field(description="Masked, as in n•••@gmail.com.")
    url: str


class QueueItemOut(BaseModel):
    """A comment that waits for a decision."""

    id: str
    received_at: datetime
    why: Literal["verdict", "audit", "report", "import", "appeal"] = Field(
        description="The verdict queued it, it was drawn at random, the site reported it, it "
        "waited where it was imported from, or its author appealed."
    )
    content: str
    author: QueueAuthorOut
    permalink: str
    scores: ScoresOut | None
    reasons: list[ReasonOut]
    model: str
    policy: str


class QueueOut(BaseModel):
    """A page of the queue, and how to ask for the next one."""

    items: list[QueueItemOut]
    waiting: int = Field(description="How many wait in all.")
    next: str | None = Field(None, description="Pass as `after`; null on the last page.")


_WORDS: Final[Mapping[Outcome, VerdictWord]] = {
    Outcome.ACCEPT: "accept",
    Outcome.QUEUE: "queue",
    Outcome.REJECT: "reject",
}


def scores_out(scores: Scores | None) -> ScoresOut | None:
    """Scores as they are answered."""
    return ScoresOut(spam=scores.spam, toxicity=scores.toxicity) if scores else None


def reasons_out(reasons: Iterable[Reason], language: str) -> list[ReasonOut]:
    """Reasons as they are answered, their sentences in `language` or else in English."""
    return [ReasonOut(**members) for members in _reasons(reasons, language)]


def _reasons(reasons: Iterable[Reason], language: str) -> list[dict[str, str]]:
    return [
        {
            "code": reason.code,
            "message": _sentence(reason.code, language),
            "field": reason.field,
            "evidence": reason.evidence,
        }
        for reason in reasons
    ]


def _sentence(code: str, language: str) -> str:
    try:
        return sentence(code, language)
    except KeyError:  # stored by a version that had a rule which is gone
        return code


def verdict_members(
    id: str, verdict: Verdict, shown: Publishable, *, language: str, status_url: str = ""
) -> dict[str, object]:
    """A verdict as it is answered: the members of a `VerdictOut`, ready to be written as JSON.

    Without a `status_url` there is none. Not the model itself: it would check again what was
    just made here.
    """
    scores, learnt = verdict.scores, verdict.learnt
    members: dict[str, object] = {
        "id": id,
        "verdict": _WORDS[verdict.outcome],
        "scores": scores and {"spam": scores.spam, "toxicity": scores.toxicity},
        "reasons": _reasons(verdict.reasons, language),
        "model": verdict.model,
        "policy": verdict.policy,
    }
    if learnt is not None:
        members["learnt"] = {
            "layer": learnt.layer,
            "lessons": learnt.lessons,
            "added": learnt.added,
            "twin": learnt.twin or None,
        }
    members["publishable"] = {
        "name": shown.name,
        "url": shown.url,
        "rel": shown.rel,
        "html": shown.html,
    }
    if status_url:
        members["status_url"] = status_url
    return members


def comment_out(
    stored: StoredComment, shown: Publishable, *, language: str, status_url: str = ""
) -> CommentOut:
    """A stored comment as it is answered."""
    members = verdict_members(
        stored.id, stored.verdict, shown, language=language, status_url=status_url
    )
    judged = VerdictOut.model_validate(members)
    decision = stored.decision
    return CommentOut(
        **{name: getattr(judged, name) for name in judged.model_fields_set},
        received_at=stored.received_at,
        state=_WORDS[stored.state],
        waiting_since=stored.waiting_since,
        decision=decision
        and StandingOut(
            outcome="accept" if decision.outcome is Outcome.ACCEPT else "reject",
            reason=decision.reason and decision.reason.value,
            moderator=decision.moderator,
            at=decision.at,
        ),
    )


def queue_item_out(item: QueueItem, language: str) -> QueueItemOut:
    """A waiting comment as it is answered, every address in it masked."""
    comment = item.comment
    submission = comment.submission
    return QueueItemOut(
        id=comment.id,
        received_at=comment.received_at,
        why=item.why.value,
        content=mask_addresses(submission.content),
        author=QueueAuthorOut(
            name=mask_addresses(submission.author.name),
            email=comment.email_masked,
            url=mask_addresses(submission.author.url),
        ),
        permalink=submission.permalink,
        scores=scores_out(comment.verdict.scores),
        reasons=reasons_out(comment.verdict.reasons, language),
        model=comment.verdict.model,
        policy=comment.verdict.policy,
    )


def batch_item_members(index: int, result: dict[str, object] | Problem) -> dict[str, object]:
    """One result of a batch as it is answered: the members of a `BatchItemOut`.

    `result` is a problem or what `verdict_members` gives.
    """
    if isinstance(result, Problem):
        return {"index": index, "status": result.status, "problem": result.body()}
    return {"index": index, "status": 200, "answer": result}
