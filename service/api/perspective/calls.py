"""A call of a client of Perspective, as the rest of the service understands it.

Knows the names of fields and attributes, in lower camel case or with underscores, as Google's
services take both. Answers nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from model.decision import ReportKind
from model.outcome import Head
from service.api.fields import storable

MEASURED: Mapping[str, Head] = {"TOXICITY": Head.TOXICITY, "SPAM": Head.SPAM}
"""The attributes that a head of the model measures."""

NAMED = frozenset(
    (
        *("TOXICITY", "SEVERE_TOXICITY", "INSULT", "PROFANITY", "THREAT", "IDENTITY_ATTACK"),
        *("SEXUALLY_EXPLICIT", "FLIRTATION", "SPAM", "ATTACK_ON_AUTHOR", "INFLAMMATORY"),
        *("ATTACK_ON_COMMENTER", "INCOHERENT", "LIKELY_TO_REJECT", "OBSCENE", "UNSUBSTANTIAL"),
    )
)
"""The attributes that the protocol has a name for."""

SURE = 0.5
"""The suggested score from which on a comment is reported as having the attribute."""

_LANGUAGE = r"^[A-Za-z]{1,8}([-_][A-Za-z0-9]{1,8}){0,7}$"


class _Sent(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True
    )


class TextEntry(_Sent):
    """A text, plain or HTML."""

    text: str | None = Field(None, repr=False)
    type: Literal["PLAIN_TEXT", "HTML", "TEXT_TYPE_UNSPECIFIED"] | None = None


class ArticleAndParentComment(_Sent):
    """What was commented on."""

    article: TextEntry | None = None
    parent_comment: TextEntry | None = None


class Context(_Sent):
    """What was commented on, in either of two forms; it changes no score."""

    entries: list[TextEntry] | None = None
    article_and_parent_comment: ArticleAndParentComment | None = None


class AttributeParameters(_Sent):
    """How an attribute's score is wanted."""

    score_type: Literal["PROBABILITY", "SCORE_TYPE_UNSPECIFIED"] | None = None
    score_threshold: float | None = Field(None, allow_inf_nan=False)


class Score(_Sent):
    """A probability from 0 to 1."""

    value: float = Field(ge=0, le=1)
    type: Literal["PROBABILITY", "SCORE_TYPE_UNSPECIFIED"] | None = None


class SpanScore(_Sent):
    """A score of a part of the text."""

    begin: int | None = None
    end: int | None = None
    score: Score | None = None


class AttributeScores(_Sent):
    """What is said of an attribute."""

    summary_score: Score | None = None
    span_scores: list[SpanScore] | None = None


class _Call(_Sent):
    comment: TextEntry | None = None
    context: Context | None = None
    languages: list[Annotated[str, Field(pattern=_LANGUAGE)]] | None = Field(None, max_length=100)
    client_token: str | None = Field(None, max_length=1000)
    session_id: str | None = None
    community_id: str | None = None

    @property
    def text(self) -> str:
        """The comment's text, NUL replaced."""
        sent = self.comment.text if self.comment else ""
        return storable(sent or "")


class AnalyzeIn(_Call):
    """The body of comments:analyze."""

    requested_attributes: dict[str, AttributeParameters | None] | None = Field(
        None,
        description="At least one. A call that names another one is refused.",
        json_schema_extra={"propertyNames": {"enum": [*MEASURED]}},
    )
    span_annotations: bool | None = None
    do_not_store: bool | None = None


class SuggestIn(_Call):
    """The body of comments:suggestscore."""

    attribute_scores: dict[str, AttributeScores | None] | None = Field(
        None,
        description="At least one summaryScore. A call that names another attribute is refused.",
        json_schema_extra={"propertyNames": {"enum": [*MEASURED]}},
    )


FIELDS = frozenset(
    (
        *("comment", "text", "type", "context", "entries", "articleAndParentComment", "article"),
        *("parentComment", "languages", "clientToken", "sessionId", "communityId"),
        *("requestedAttributes", "scoreType", "scoreThreshold", "spanAnnotations", "doNotStore"),
        *("attributeScores", "summaryScore", "spanScores", "value", "begin", "end", "score"),
        *MEASURED,
    )
)
"""What a message about a field may name: nothing else in a request is the protocol's."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is asked about a comment: measured attributes, the lowest score of each to tell."""

    text: str = field(repr=False)
    attributes: Mapping[str, float]
    languages: tuple[str, ...]
    client_token: str
    may_store: bool


def kinds_of(suggested: Mapping[str, float]) -> list[ReportKind]:
    """The reports that suggested scores of measured attributes come to."""
    named = {"TOXICITY": ReportKind.TOXIC, "SPAM": ReportKind.SPAM}
    found = [named[attribute] for attribute, value in suggested.items() if value >= SURE]
    return found or [ReportKind.HAM]


def has_two_contexts(call: AnalyzeIn | SuggestIn) -> bool:
    """Whether a context says twice what was commented on."""
    context = call.context
    return bool(context and context.entries and context.article_and_parent_comment)
