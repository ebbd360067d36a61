"""What may be shown of a comment: a name, a link to the author, safe HTML. No address.

Knows HTML and what WordPress lets a visitor write. Everything here is for the eyes of
readers: what was typed stays as it is elsewhere.
"""

import html
import re
import unicodedata
from dataclasses import dataclass

import nh3

from model.addresses import addresses_in, has_at_sign, mask_addresses
from model.form import without_tags
from model.links import clean_url
from model.submission import Submission

REL = "nofollow ugc"
# A tree of thousands of tags takes the parser quadratic time; no person writes so many.
MOST_TAGS = 1000
MOST_MARKS = 5  # on one letter; Hebrew and Tibetan need four, "zalgo" piles up dozens

# ------------------------------------------------------------------ letters


def _marks() -> str:
    """Combining marks as the inside of a character class."""
    marks = [n for n in range(0x300, 0x1E950) if unicodedata.category(chr(n)) in ("Mn", "Me")]
    ends = [n for n in marks if unicodedata.category(chr(n + 1)) not in ("Mn", "Me")]
    starts = [n for n in marks if unicodedata.category(chr(n - 1)) not in ("Mn", "Me")]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True))


# With the joiners, or these would break a pile into allowed ones.
_MARKS = _marks() + "\u200c\u200d"
_PILED_MARKS = re.compile(f"([{_MARKS}]{{{MOST_MARKS}}})[{_MARKS}]+")
# Overrides, embeddings and isolates turn the text around them; the marks U+200E, U+200F and
# U+061C, which right-to-left languages need, do not. Joiners (emoji, Persian) stay as well.
_HARMFUL = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u180e\u200b\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e0fff"
)
_REMOVED = re.compile(f"[{_HARMFUL}]+")
_REMOVED_FROM_NAME = re.compile(f"[{_HARMFUL}\u200e\u200f\u061c\u2028\u2029]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
# A mark needs a letter: tags between would hide a pile, and NFC makes ">" and U+0338 one letter,
# which would open the tag again in the hands of whoever normalises.
_AFTER_TAG = re.compile(f">[{_MARKS}]+")


# Anything that is not plainly a letter, sign or emoji. One quick look that spares most comments
# the patterns above, which are slow for having hundreds of ranges.
_UNUSUAL = re.compile(
    "[^\t\n -~\u00a0-\u00ac\u00ae-\u02ff\u1e00-\u1fff\u2010-\u2027\u0370-\u0482\u048a-\u058f"
    "\u20a0-\u20cf\u2100-\u2fff\u3000-\u3029\u3030-\u3098\u309b-\u9fff\uac00-\ud7a3"
    "\U0001f000-\U0001faff]"
)


def _harmless(text: str) -> str:
    """The text without what disturbs its surroundings: bidi controls, piles of marks, controls."""
    if not _UNUSUAL.search(text):
        return text
    whole = _SURROGATES.sub("\ufffd", _REMOVED.sub("", text))
    return _AFTER_TAG.sub(">", _PILED_MARKS.sub(r"\1", whole))


# ------------------------------------------------------------------ HTML

_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "acronym": {"title"},
    "blockquote": {"cite"},
    "del": {"datetime"},
    "q": {"cite"},
}
TAGS = frozenset({*_ATTRIBUTES, "b", "cite", "code", "em", "i", "s", "strike", "strong"})
_URLS = frozenset({"href", "cite"})


def _shown_attribute(_tag: str, attribute: str, value: str) -> str | None:
    """An attribute's value as it may be published; None drops the attribute."""
    return clean_url(value) if attribute in _URLS else _harmless(value)


def _shown_masked_attribute(tag: str, attribute: str, value: str) -> str | None:
    shown = _shown_attribute(tag, attribute, value)
    return None if shown is None else mask_addresses(shown)


def _cleaner(*, show_addresses: bool) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=set(TAGS),
        clean_content_tags=set(),  # as in WordPress, what stood in a forbidden tag stays, as text
        attributes={"*": set(), **_ATTRIBUTES},  # without "*" the library adds lang and title
        attribute_filter=_shown_attribute if show_addresses else _shown_masked_attribute,
        link_rel=REL,
        url_schemes={"http", "https"},
        url_relative="deny",
    )


_CLEANERS = {shown: _cleaner(show_addresses=shown) for shown in (True, False)}
# The cleaner writes attributes in double quotes and escapes those inside.
_TAG = re.compile(r'(<[^<>"]*(?:"[^"]*"[^<>"]*)*>)')
_MARKUP = re.compile("[<>&]")


@dataclass(frozen=True, slots=True)
class Publishable:
    """What may be shown of a comment.

    `name` is plain text, to be escaped like any; `url` is http or https, or empty, and is to
    be linked with `rel`; `html` is safe as it is, with WordPress' tags for visitors. Line
    breaks are kept as line breaks, for the site to turn into paragraphs.
    """

    name: str
    url: str
    html: str
    rel: str = REL


def publishable(submission: Submission, *, show_addresses: bool) -> Publishable:
    """What may be shown of the comment. Never raises, whatever was typed.

    `show_addresses` leaves addresses in name and content as their author typed them; in URLs
    they are masked all the same. About 20 µs for a plain comment, 60 µs for one with markup.
    """
    name = _shown_name(submission.author.name)
    url = submission.author.url
    return Publishable(
        name=name if show_addresses else mask_addresses(name),
        url=(clean_url(url) or "") if url else "",
        html=safe_html(submission.content, show_addresses=show_addresses),
    )


def _shown_name(name: str) -> str:
    shown = without_tags(name)
    if _UNUSUAL.search(shown):
        shown = _SURROGATES.sub("\ufffd", _REMOVED_FROM_NAME.sub("", shown))
        shown = _PILED_MARKS.sub(r"\1", shown)
    return " ".join(shown.split())


def safe_html(text: str, *, show_addresses: bool) -> str:
    """A comment's text as HTML that runs nothing, loads nothing and shows no address."""
    harmless = _harmless(text).replace("\r\n", "\n").replace("\r", "\n")
    if not _MARKUP.search(harmless):
        return harmless if show_addresses else mask_addresses(harmless)
    if harmless.count("<") > MOST_TAGS:
        harmless = html.escape(html.unescape(without_tags(harmless)), quote=False)
    # Once more after cleaning: references such as &#x202e; have become letters by then.
    clean = _harmless(_CLEANERS[show_addresses].clean(harmless))
    return clean if show_addresses else _masked_html(clean)


def _masked_html(clean: str) -> str:
    """Clean HTML with the addresses masked that a reader would see, even across tags."""
    if not has_at_sign(clean):
        return clean
    parts = _TAG.split(clean)  # text, tag, text, …
    texts = [html.unescape(text) for text in parts[::2]]
    # Only blockquote breaks the line; every other tag is invisible between two letters.
    breaks = ["\n" if "blockquote" in tag[:13] else "" for tag in parts[1::2]] + [""]
    seen = "".join(text + gap for text, gap in zip(texts, breaks, strict=True))
    found = addresses_in(seen)
    if not found:
        return clean
    letters = list(seen)
    for address in found:
        letters[address.start : address.at] = [address.masked_local] + [""] * (
            address.at - address.start - 1
        )
    at = 0
    for part, (text, gap) in enumerate(zip(texts, breaks, strict=True)):
        masked = html.escape("".join(letters[at : at + len(text)]), quote=False)
        parts[2 * part] = masked.replace("\xa0", "&nbsp;")  # as the cleaner writes it
        at += len(text) + len(gap)
    return "".join(parts)
