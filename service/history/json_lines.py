"""A JSON object a line: Remark42's backup, the labelled files of training, and our own export.

Knows the three layouts. A line is read by itself: a bad one costs none of the others.
"""

import json
from collections.abc import Callable, Mapping
from typing import BinaryIO

from model.decision import RejectReason
from model.submission import CommentType
from service.history.json_stream import refuse_constant
from service.history.records import Draft, Record, Records, Refused, Status, status_of, time_of
from service.history.sources import LONGEST_LINE, lines_of

_LABELS = {
    "ham": (Status.APPROVED, None),
    "spam": (Status.SPAM, None),
    "toxic": (Status.TRASH, RejectReason.TOXIC),
}
_TYPES = {kind.value: kind for kind in CommentType}
_REASONS = {reason.value: reason for reason in RejectReason}
Said = Mapping[str, object]


def read_remark42(stream: BinaryIO) -> Records:
    """The comments of a backup of Remark42. Its first line has its users' addresses, if any."""
    addresses: dict[str, str] = {}
    return _read(stream, lambda said, place: _of_remark42(said, place, addresses))


def read_jsonl(stream: BinaryIO, unsaid: Status | None = None) -> Records:
    """Comments as `duyet export comments` writes them, or labelled examples.

    `unsaid` is the status of one that says none.
    """
    return _read(stream, lambda said, place: _of_jsonl(said, place, unsaid))


def _read(stream: BinaryIO, made: Callable[[Said, str], Record | None]) -> Records:
    for number, line in lines_of(stream):
        place = f"line {number}"
        if line is None:
            yield Refused(place, f"it is longer than {LONGEST_LINE:,} bytes")
        elif line.strip():
            said = _object(line)
            record = Refused(place, said) if isinstance(said, str) else made(said, place)
            if record is not None:
                yield record


def _object(line: bytes) -> Said | str:
    """The object in a line, or what is wrong with it."""
    try:
        body: object = json.loads(line.decode(), parse_constant=refuse_constant)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except RecursionError:
        return "it is nested too deeply"
    except ValueError:  # of numbers with thousands of digits as well
        return "it is not JSON"
    return body if isinstance(body, dict) else "it is not a JSON object"


def _of_remark42(said: Said, place: str, addresses: dict[str, str]) -> Record | None:
    if "version" in said and "id" not in said:
        addresses |= _addresses_in(said)
        return None
    user, locator = inner(said, "user"), inner(said, "locator")
    return Draft(
        place,
        scope=text_of(locator, "site"),
        id=text_of(said, "id"),
        status=Status.TRASH if said.get("delete") is True else Status.APPROVED,
        content=text_of(said, "orig") or text_of(said, "text"),  # as typed, else as shown
        name=text_of(user, "name"),
        email=text_of(user, "email") or addresses.get(text_of(user, "id"), ""),
        written=time_of(text_of(said, "time")),
        permalink=text_of(locator, "url"),
        title=text_of(said, "title"),
        parent_id=text_of(said, "pid"),
    ).finished()


def _addresses_in(said: Said) -> dict[str, str]:
    """The addresses of users who want to be told of answers, by their ids."""
    listed = said.get("users")
    users = [user for user in listed if isinstance(user, dict)] if isinstance(listed, list) else []
    found = {text_of(user, "id"): text_of(inner(user, "details"), "email") for user in users}
    return {id_: email for id_, email in found.items() if id_ and email}


def _of_jsonl(said: Said, place: str, unsaid: Status | None) -> Record:
    return of_fields(said, place, unsaid) if "content" in said else _labelled(said, place, unsaid)


def of_fields(said: Said, place: str, unsaid: Status | None = None) -> Record:
    """A comment from what is under the names that `duyet export comments` uses, and no others."""
    word = text_of(said, "status")
    decided_by = said.get("moderator")
    reason = text_of(said, "reason")
    own = text_of(said, "external_id")
    return Draft(
        place,
        id=text_of(said, "id") or own,
        external_id=own,
        status=status_of(word) if word else unsaid,
        content=text_of(said, "content"),
        name=text_of(said, "author_name"),
        email=text_of(said, "author_email"),
        url=text_of(said, "author_url"),
        ip=text_of(said, "author_ip"),
        user_agent=text_of(said, "user_agent"),
        written=time_of(text_of(said, "written_at")),
        permalink=text_of(said, "permalink"),
        title=text_of(said, "article_title"),
        language=text_of(said, "article_language"),
        parent_id=text_of(said, "parent_id"),
        type=_TYPES.get(text_of(said, "type"), CommentType.COMMENT),
        reason=_REASONS.get(reason),
        # A file that has the field, empty, says that nobody decided.
        by_person=decided_by is None or decided_by != "",
    ).finished()


def _labelled(said: Said, place: str, unsaid: Status | None) -> Record:
    extra = inner(said, "extra")
    label = text_of(said, "label")
    if label == "clean":  # an acceptance says ham as well, on a line of its own
        return Refused(place, "`clean` alone is not what a person decides", is_fault=False)
    status, reason = _LABELS.get(label, (unsaid if not label else None, None))
    group = text_of(said, "group")
    return Draft(
        place,
        scope=text_of(said, "source"),
        # Both labels of one comment are one comment.
        id=text_of(extra, "comment_id") or text_of(said, "id"),
        status=status,
        content=text_of(said, "text"),
        name=text_of(said, "author"),
        email=_own_address(text_of(said, "email")),
        url=text_of(said, "author_url"),
        ip=text_of(said, "ip"),
        user_agent=text_of(said, "user_agent"),
        written=time_of(text_of(said, "date")),
        permalink=group[group.find("http") :] if "http" in group else group,
        title=text_of(extra, "title") or text_of(extra, "post_title"),
        language=text_of(said, "lang"),
        type=_TYPES.get(text_of(extra, "comment_type"), CommentType.COMMENT),
        reason=reason,
    ).finished()


def _own_address(email: str) -> str:
    """The address, unless it stands for anybody's, as in an export of labels."""
    return "" if email.startswith("person@") else email


def inner(said: Said, key: str) -> Said:
    """The object under a name; an empty one when there is none."""
    value = said.get(key)
    return value if isinstance(value, dict) else {}


def text_of(said: Said, key: str) -> str:
    """The text or number under a name, as text; "" for anything else."""
    value = said.get(key)
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else ""
