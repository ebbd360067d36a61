"""WordPress' own export (WXR, an extension of RSS), of every version and of several blogs.

Knows what WordPress calls things. Comment ids are a blog's own, so that the blog's address is part
of what a comment is recognised by.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import BinaryIO

from model.submission import CommentType
from service.history.records import Draft, Record, Records, Refused, Status, time_of
from service.history.xml_stream import records_in

_WP = "http://wordpress.org/export/"
_STATUS = {
    "1": Status.APPROVED,
    "approve": Status.APPROVED,
    "0": Status.WAITING,
    "hold": Status.WAITING,
    "spam": Status.SPAM,
    "trash": Status.TRASH,
    "post-trashed": Status.TRASH,
}
KINDS = {
    "": CommentType.COMMENT,
    "comment": CommentType.COMMENT,
    "review": CommentType.COMMENT,  # of a product
    "pingback": CommentType.PINGBACK,
    "trackback": CommentType.TRACKBACK,
}
"""What readers write. Of any other kind are notes that programs keep among the comments."""

NO_COMMENT = "it is no comment but another program's note"

_OF_COMMENT = {
    "comment_id",
    "comment_author",
    "comment_author_email",
    "comment_author_url",
    "comment_author_IP",
    "comment_agent",
    "comment_date",
    "comment_date_gmt",
    "comment_content",
    "comment_approved",
    "comment_type",
    "comment_parent",
}


def read(stream: BinaryIO) -> Records:
    """The comments of an export, in its order."""
    return records_in(stream, _Wxr())


class _Wxr:
    def __init__(self) -> None:
        self.found: list[Record] = []
        self._blog = ""
        self._item: dict[str, str] = {}
        self._item_at = 0
        self._comment: dict[str, str] = {}
        self._comment_at = 0
        self._line = 0

    def opened(self, name: str, attributes: Mapping[str, str], *, line: int, depth: int) -> bool:
        local, is_wp = _named(name)
        if is_wp and local == "comment" and self._item_at:
            self._comment, self._comment_at, self._line = {}, depth, line
            return False
        if name == "item":
            self._item, self._item_at = {}, depth
            return False
        if self._comment_at:
            return is_wp and local in _OF_COMMENT and depth == self._comment_at + 1
        if self._item_at:
            return _is_of_item(name) and depth == self._item_at + 1
        return is_wp and local == "base_blog_url"

    def closed(self, name: str, text: str, *, depth: int) -> None:
        local, is_wp = _named(name)
        if depth == self._comment_at:
            self.found.append(self._record())
            self._comment_at = 0
        elif depth == self._comment_at + 1 and self._comment_at:
            if is_wp and local in _OF_COMMENT:
                self._comment[local] = text
        elif depth == self._item_at and name == "item":
            self._item_at = 0
        elif depth == self._item_at + 1 and self._item_at and _is_of_item(name):
            self._item[local] = text
        elif is_wp and local == "base_blog_url":
            self._blog = text.strip()

    def _record(self) -> Record:
        place = f"line {self._line}"
        said = self._comment
        kind = said.get("comment_type", "").strip()
        if kind not in KINDS:  # an order's note, an editor's note: not written by a reader
            return Refused(place, NO_COMMENT, is_fault=False)
        parent = said.get("comment_parent", "").strip()
        times = (
            said.get("comment_date_gmt", ""),
            said.get("comment_date", ""),
            self._item.get("post_date_gmt", ""),
        )
        return Draft(
            place,
            scope=self._blog,
            id=said.get("comment_id", "").strip(),
            status=_STATUS.get(said.get("comment_approved", "").strip()),
            content=said.get("comment_content", ""),
            name=said.get("comment_author", ""),
            email=said.get("comment_author_email", ""),
            url=said.get("comment_author_url", ""),
            ip=said.get("comment_author_IP", ""),
            user_agent=said.get("comment_agent", ""),
            # A time of 0000-00-00 is one that WordPress did not know.
            written=next(filter(None, map(time_of, times)), None),
            permalink=self._item.get("link", "").strip(),
            title=self._item.get("title", "").strip(),
            parent_id="" if parent == "0" else parent,
            type=KINDS[kind],
        ).finished()


def _is_of_item(name: str) -> bool:
    return name in {"title", "link"} or _named(name) == ("post_date_gmt", True)


@lru_cache(maxsize=256)
def _named(name: str) -> tuple[str, bool]:
    """The local name, and whether it is of WordPress' namespace, whose version is in it."""
    namespace, _, local = name.rpartition(" ")
    return local, namespace.startswith(_WP) and not namespace.endswith("/excerpt/")
