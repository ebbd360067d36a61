"""Disqus' XML export: threads first, then posts that point to them.

Knows Disqus' elements. What is kept of a thread is its address and title, for all threads of a
file: some hundred bytes each.
"""

from collections.abc import Mapping
from typing import BinaryIO

from service.history.records import LONGEST_FIELD, Draft, Record, Records, Status, time_of
from service.history.xml_stream import records_in

_NS = "http://disqus.com "
_ID = "http://disqus.com/disqus-internals id"
_OF_POST = {"message", "createdAt", "isDeleted", "isSpam", "isApproved", "ipAddress"}
_OF_AUTHOR = {"name", "email", "username", "link"}


def read(stream: BinaryIO) -> Records:
    """The posts of an export, in its order."""
    return records_in(stream, _Disqus())


class _Disqus:
    def __init__(self) -> None:
        self.found: list[Record] = []
        self._threads: dict[str, tuple[str, str]] = {}
        self._in = ""  # "thread" or "post", which are the children of the root
        self._id = ""
        self._line = 0
        self._said: dict[str, str] = {}

    def opened(self, name: str, attributes: Mapping[str, str], *, line: int, depth: int) -> bool:
        local = name.removeprefix(_NS)
        if depth == 2:
            self._in = local if local in {"thread", "post"} else ""
            self._id, self._line, self._said = attributes.get(_ID, ""), line, {}
            return False
        if self._in == "thread":
            return depth == 3 and local in {"link", "title"}
        if self._in != "post":
            return False
        if depth == 3 and local in {"thread", "parent"}:
            self._said[local] = attributes.get(_ID, "")
        return (depth == 3 and local in _OF_POST) or (depth == 4 and local in _OF_AUTHOR)

    def closed(self, name: str, text: str, *, depth: int) -> None:
        local = name.removeprefix(_NS)
        if depth == 2 and self._in == "thread":
            link, title = (self._said.get(key, "").strip() for key in ("link", "title"))
            self._threads[self._id] = (link[: LONGEST_FIELD + 1], title[: LONGEST_FIELD + 1])
        elif depth == 2 and self._in == "post":
            self.found.append(self._record())
        elif text:
            self._said[local] = text
        if depth == 2:
            self._in = ""

    def _record(self) -> Record:
        said = self._said
        link, title = self._threads.get(said.get("thread", ""), ("", ""))
        return Draft(
            f"line {self._line}",
            id=self._id,
            status=_status(said),
            content=said.get("message", "").strip(),
            name=said.get("name", "") or said.get("username", ""),
            email=said.get("email", ""),
            url=said.get("link", ""),
            ip=said.get("ipAddress", ""),
            written=time_of(said.get("createdAt", "")),
            permalink=link,
            title=title,
            parent_id=said.get("parent", ""),
        ).finished()


def _status(said: Mapping[str, str]) -> Status | None:
    flags = {key: said.get(key, "false").strip() for key in ("isSpam", "isDeleted")}
    if not set(flags.values()) <= {"true", "false"}:
        return None
    if flags["isSpam"] == "true":
        return Status.SPAM
    if flags["isDeleted"] == "true":
        return Status.TRASH
    return Status.WAITING if said.get("isApproved", "").strip() == "false" else Status.APPROVED
