"""Commento's export (version 1) and Comentario's (versions 1 and 3): one JSON object with lists.

Comments come before their authors, so that the file is read twice. What is kept between is a name,
an address and a link for each author, in memory: an address is not written to a file of ours.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple

from service.history.json_lines import Said, text_of
from service.history.json_stream import elements_of
from service.history.records import Draft, HistoryError, Record, Records, Refused, Status, time_of

_STATES = {
    "approved": Status.APPROVED,
    "unapproved": Status.WAITING,
    "flagged": Status.WAITING,  # held as spam by a filter, which no person confirmed
    "rejected": Status.TRASH,
    "deleted": Status.TRASH,
}
_NOBODY = {"", "root", "anonymous", "0" * 64, "00000000-0000-0000-0000-000000000000"}


class _Person(NamedTuple):
    name: str = ""
    email: str = ""
    url: str = ""


class _Around(NamedTuple):
    """What comments point to."""

    version: int
    people: dict[str, _Person]
    pages: dict[str, tuple[str, str]]


def read(opened: Callable[[], AbstractContextManager[BinaryIO]]) -> Records:
    """The comments of an export, in its order. Raises HistoryError."""
    with opened() as stream:
        around = _around(stream)
    made = _of_v3 if around.version >= 3 else _of_v1
    with opened() as stream:
        for key, number, value in elements_of(stream):
            if key == "comments" and number:
                place = f"comment {number}"
                if isinstance(value, dict):
                    yield made(value, place, around)
                else:
                    yield Refused(place, "it is not a JSON object")


def _around(stream: BinaryIO) -> _Around:
    people: dict[str, _Person] = {}
    pages: dict[str, tuple[str, str]] = {}
    version = 0
    for key, number, value in elements_of(stream):
        if key == "version" and isinstance(value, int):
            version = value
        if key == "comments" and not number:
            raise HistoryError("its comments are no list")
        if not number or not isinstance(value, dict):
            continue
        if key == "commenters":
            link = text_of(value, "websiteUrl") or text_of(value, "link")
            person = _Person(text_of(value, "name"), text_of(value, "email"), link)
            people[text_of(value, "id") or text_of(value, "commenterHex")] = person
        elif key == "pages":
            page = (text_of(value, "path"), text_of(value, "title"))
            pages[text_of(value, "id")] = page
    if version not in {1, 2, 3}:
        raise HistoryError("it is an export of Commento of no known version (1, 2 and 3 are)")
    return _Around(version, people, pages)


def _of_v1(said: Said, place: str, around: _Around) -> Record:
    person = around.people.get(text_of(said, "commenterHex"), _Person())
    text = text_of(said, "markdown") or text_of(said, "html")
    # Commento's own export never sets `deleted`; what was deleted has this text.
    is_deleted = said.get("deleted") is True or text == "[deleted]"
    site = text_of(said, "host") or text_of(said, "domain")
    path = text_of(said, "path") or text_of(said, "url")
    return Draft(
        place,
        scope=site,
        id=text_of(said, "commentHex"),
        status=Status.TRASH if is_deleted else _STATES.get(text_of(said, "state")),
        content="" if text == "[deleted]" else text,
        name=person.name,
        email=person.email,
        url=person.url,
        written=time_of(text_of(said, "creationDate")),
        permalink=f"https://{site}/{path.lstrip('/')}" if site else path,
        parent_id=_known(text_of(said, "parentHex")),
    ).finished()


def _of_v3(said: Said, place: str, around: _Around) -> Record:
    person = around.people.get(text_of(said, "userCreated"), _Person())
    path, title = around.pages.get(text_of(said, "pageId"), ("", ""))
    return Draft(
        place,
        id=text_of(said, "id"),
        status=_status_of_v3(said),
        content=text_of(said, "markdown") or text_of(said, "html"),
        name=text_of(said, "authorName") or person.name,
        email=person.email,
        url=person.url,
        ip=text_of(said, "authorIp") or text_of(said, "authorIP"),
        written=time_of(text_of(said, "createdTime")),
        permalink=text_of(said, "url").partition("#")[0] or path,
        title=title,
        parent_id=_known(text_of(said, "parentId")),
    ).finished()


def _status_of_v3(said: Said) -> Status:
    if said.get("isDeleted") is True:
        return Status.TRASH
    if said.get("isPending") is True:
        return Status.WAITING
    # What a moderator rejected, for whatever reason.
    return Status.APPROVED if said.get("isApproved") is True else Status.TRASH


def _known(id_: str) -> str:
    return "" if id_ in _NOBODY else id_
