"""Bodies of Akismet's clients: forms that a visitor may have filled with anything.

A site copies every field of the visitor's form into the call, thousands if somebody wants, and
megabytes. Only fields that mean something here are kept; of all others not even the value is
held. Reading takes time linear in the length, and no field makes it fail.
"""

import codecs
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

MOST_BYTES_OF_FIELD = 1024 * 1024
"""What is kept of one field as sent, escapes included; the rest of it is dropped."""

MOST_IN_LIST = 100

_LIST = "comment_context"
_LONGEST_NAME = 256
_HONEYPOT = "honeypot_field_name"

WANTED = frozenset(
    (
        *("key", "api_key", "blog", "blog_lang", "blog_charset", "user_ip", "user_agent"),
        *("permalink", "comment_type", "content_type", "comment_author", "comment_author_email"),
        *("comment_author_url", "comment_content", "comment_date_gmt", "comment_parent"),
        *("comment_post_modified_gmt", "comment_post_ID", "comment_ID", "user_role", "is_test"),
        *("test_discard", "recheck_reason", "akismet_pre_check", "callback", "reporter"),
        *("comment_check_response", "REQUEST_URI", "POST_comment", "POST_ak_hp_textarea"),
        *("POST_ak_bib", "POST_ak_bfs", "from", "month", "filter", "format", "order", "limit"),
        *("offset", "extended", _HONEYPOT, _LIST),
    )
)
"""The fields that are read. Cookies and credentials of a visitor are among those that are not."""


class Form:
    """The fields of one body. A field that was sent twice counts as first sent."""

    def __init__(self, fields: Mapping[str, str], context: tuple[str, ...] = ()) -> None:
        self._fields = fields
        self.context = context
        """What was sent as `comment_context`, in any of its spellings."""

    def __getitem__(self, name: str) -> str:
        """The value of a field, "" where it was not sent."""
        return self._fields.get(name, "")

    def __contains__(self, name: str) -> bool:
        return name in self._fields


class FormReader:
    """Reads a form part by part; `form` is what came of it.

    `charset` is what the content type names; the body's own `blog_charset` goes before it.
    """

    def __init__(self, charset: str = "") -> None:
        self._charset = charset
        self._fields: dict[bytes, bytes] = {}
        self._context: list[bytes] = []
        self._others: dict[bytes, bytes] = {}  # short ones, of which one may be a honeypot
        self._name = bytearray()
        self._value = bytearray()
        self._in_value = False

    def feed(self, part: bytes) -> None:
        """Read on."""
        first, *rest = part.split(b"&")
        self._more(first)
        for piece in rest:
            self._end()
            self._more(piece)

    def form(self) -> Form:
        """All that was read; nothing may be fed any more."""
        self._end()
        charset = _codec(_text(self._fields.get(b"blog_charset", b""), "utf-8")) or _codec(
            self._charset
        )
        fields = {
            name.decode("ascii"): _text(value, charset) for name, value in self._fields.items()
        }
        hidden = self._others.get(fields.get(_HONEYPOT, "").encode("utf-8", "replace"))
        if hidden is not None:
            fields["honeypot"] = _text(hidden, charset)
        context = tuple(_text(value, charset) for value in self._context)
        return Form(fields, context)

    def _more(self, piece: bytes) -> None:
        if not self._in_value:
            name, equals, piece = piece.partition(b"=")
            self._name += name[: _LONGEST_NAME + 1 - len(self._name)]
            if not equals:
                return
            self._in_value = True
        room = MOST_BYTES_OF_FIELD - len(self._value)
        if room > 0 and (not self._value or self._is_wanted()):
            self._value += piece[: room if self._is_wanted() else _LONGEST_NAME]

    def _is_wanted(self) -> bool:
        name = _plain(self._name)
        return name in _WANTED_BYTES or _is_list(name)

    def _end(self) -> None:
        name, value = _plain(self._name), bytes(self._value)
        self._name.clear()
        self._value.clear()
        self._in_value = False
        if _is_list(name):
            if len(self._context) < MOST_IN_LIST:
                self._context.append(value)
        elif name in _WANTED_BYTES:
            self._fields.setdefault(name, value)
        elif len(self._others) < MOST_IN_LIST:
            self._others.setdefault(name, value)


_WANTED_BYTES = frozenset(name.encode() for name in WANTED) - {_LIST.encode()}


def _plain(name: bytearray) -> bytes:
    if b"%" not in name and b"+" not in name:
        return bytes(name)
    return unquote_to_bytes(bytes(name.replace(b"+", b" ")))


def _is_list(name: bytes) -> bool:
    return name.startswith(b"comment_context") and name[15:16] in (b"", b"[")


def _text(value: bytes, charset: str) -> str:
    """A value with its escapes undone. What is not of its character set reads as U+FFFD."""
    if b"+" in value:
        value = value.replace(b"+", b" ")
    if b"%" in value:
        value = unquote_to_bytes(value)
    return value.decode(charset or "utf-8", "replace")


# Those that pages were written in, and none that could be slow or give half a surrogate pair.
_PAGES = ("utf-8", "ascii", "iso8859", "cp", "koi8", "gb", "big5", "shift_jis", "euc_", "tis-620")


def _codec(charset: str) -> str:
    """The codec of a character set's name; "" for one that pages are not written in."""
    try:
        found = codecs.lookup(charset.strip()[:40])
    except (LookupError, ValueError):
        return ""
    return found.name if found.name.startswith(_PAGES) else ""


def charset_of(content_type: str) -> str:
    """The character set that a Content-Type names; "" for none."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return ""


def read_form(parts: Iterable[bytes], charset: str = "") -> Form:
    """The form in a body that is all there."""
    reader = FormReader(charset)
    for part in parts:
        reader.feed(part)
    return reader.form()
