"""Bodies of Akismet's clients: forms that a visitor may have filled with anything.

A site copies every field of the visitor's form into the call, thousands if somebody wants, and
megabytes. Only fields that mean something here are kept; of all others not even the value is
held. Reading takes time linear in the length, and no field makes it fail.
"""

import codecs
import re
from binascii import a2b_qp
from collections.abc import Iterable, Mapping

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
        *("offset", "extended", "honeypot_field_name", _LIST),
    )
)
"""The fields that are read. Cookies and credentials of a visitor are among those that are not."""

_WANTED = {name.encode(): name for name in WANTED - {_LIST}}

_VISITORS = b"POST_"
_NEVER_BEHIND_VISITORS = frozenset(
    (
        *(b"user_role", b"is_test", b"test_discard", b"recheck_reason", b"akismet_pre_check"),
        *(b"key", b"comment_ID", b"honeypot_field_name", b"content_type"),
    )
)
_LAST_COUNTS = frozenset(("callback", "api_key"))


class Form:
    """The fields of one body. A field that was sent twice counts as first sent."""

    def __init__(
        self, fields: Mapping[str, bytes], context: Iterable[bytes] = (), *, charset: str = ""
    ) -> None:
        self._fields = fields
        self._charset = charset
        self._texts: dict[str, str] = {}  # those asked for so far: the content is, several times
        self.context = tuple(_text(value, charset) for value in context)
        """What was sent as `comment_context`, in any of its spellings."""

    def __getitem__(self, name: str) -> str:
        """The value of a field, "" where it was not sent."""
        text = self._texts.get(name)
        if text is None:
            value = self._fields.get(name)
            if not value:
                return ""
            text = self._texts[name] = _text(value, self._charset)
        return text

    def __contains__(self, name: str) -> bool:
        return name in self._fields


class FormReader:
    """Reads a form part by part; `form` is what came of it.

    `charset` is what the content type names; the body's own `blog_charset` goes before it.

    WordPress' plugin does not escape names, so that a visitor's field "x&user_role" comes as
    "POST_x" and "user_role". With `is_check`, what the plugin never puts behind the visitor's
    fields is not taken from there, and of what it puts there the last one counts.
    """

    def __init__(self, charset: str = "", *, is_check: bool = False) -> None:
        self._charset = charset
        self._is_check = is_check
        self._is_behind_visitors = False
        self._fields: dict[str, bytes] = {}
        self._context: list[bytes] = []
        self._others: dict[bytes, bytes] = {}  # short ones, of which one may be a honeypot
        self._name = bytearray()
        self._value = bytearray()
        self._in_value = False

    def feed(self, part: bytes) -> None:
        """Read on."""
        pieces = part.split(b"&")
        self._more(pieces[0])
        if len(pieces) == 1:
            return
        self._end()
        for piece in pieces[1:-1]:
            name, _, value = piece.partition(b"=")
            self._keep(name, value)
        self._more(pieces[-1])

    def form(self) -> Form:
        """All that was read; nothing may be fed any more."""
        self._end()
        charset = _codec(_text(self._fields.get("blog_charset", b""), "")) or _codec(self._charset)
        hidden = _plain(self._fields.get(_HONEYPOT, b""))
        if hidden in self._others:
            self._fields["honeypot"] = self._others[hidden]
        return Form(self._fields, self._context, charset=charset)

    def _more(self, piece: bytes) -> None:
        """A part of a field, of which no more is held than is kept of it."""
        if not self._in_value:
            name, equals, piece = piece.partition(b"=")
            self._name += name[: _LONGEST_NAME + 1 - len(self._name)]
            if not equals:
                return
            self._in_value = True
        name = _plain(bytes(self._name))
        most = MOST_BYTES_OF_FIELD if name in _WANTED or _is_list(name) else _LONGEST_NAME
        self._value += piece[: max(0, most - len(self._value))]

    def _end(self) -> None:
        self._keep(bytes(self._name), bytes(self._value))
        self._name.clear()
        self._value.clear()
        self._in_value = False

    def _keep(self, name: bytes, value: bytes) -> None:
        if b"%" in name or b"+" in name:
            name = _plain(name[: _LONGEST_NAME + 1])
        wanted = _WANTED.get(name)
        if self._is_check and name.startswith(_VISITORS):
            self._is_behind_visitors = True
        elif self._is_behind_visitors:
            if name in _NEVER_BEHIND_VISITORS:
                return
            if wanted in _LAST_COUNTS:
                self._fields.pop(wanted, None)
        if wanted is not None:
            self._fields.setdefault(wanted, value[:MOST_BYTES_OF_FIELD])
        elif _is_list(name):
            if len(self._context) < MOST_IN_LIST:
                self._context.append(value[:MOST_BYTES_OF_FIELD])
        elif len(self._others) < MOST_IN_LIST:
            self._others.setdefault(name, value[:_LONGEST_NAME])


_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def _plain(text: bytes) -> bytes:
    """A name or value with its escapes undone."""
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" not in text:
        return text
    if b"=" not in text and not _NO_ESCAPE.search(text):
        # Written so, it is MIME's "quoted-printable", which is undone far faster.
        return a2b_qp(text.replace(b"%", b"="))
    return _ESCAPES.sub(lambda run: bytes.fromhex(run[0].replace(b"%", b"").decode()), text)


def _is_list(name: bytes) -> bool:
    return name.startswith(b"comment_context") and name[15:16] in (b"", b"[")


def _text(value: bytes, charset: str) -> str:
    """A value with its escapes undone. What is not of its character set reads as U+FFFD."""
    return _plain(value).decode(charset or "utf-8", "replace")


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
