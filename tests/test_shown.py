import html
import re
import unicodedata
from re import _parser  # type: ignore[attr-defined]  # nothing else says what a pattern may repeat

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model import shown as shown_module
from model.shown import shown
from tests.judging_cases import any_text

PIECES = ["<b>", "</b>", "<", ">", "&", "&#99;", "&#x63", "&amp;", "&lt;", "<!--", "-->", "<wbr>"]
PIECES += [
    "<a href='http://x.vn'>",
    " dot ",
    "com",
    "[.]",
    "chấm",
    "x",
    " ",
    "\u0338",
    "ế",
    "e\u0301",
]

markup = st.lists(st.sampled_from(PIECES)).map("".join)


def shown_text(text: str) -> str:
    found = shown(text)
    return text if found is None else found.text


@given(text=any_text | markup)
def test_each_character_shown_comes_from_one_of_the_text(text):
    found = shown(text)

    if found is not None:  # None says that the text itself is shown
        assert found.origin.shape == (len(found.text),)
        assert (np.diff(found.origin) >= 0).all()
        assert ((found.origin >= 0) & (found.origin < len(text))).all()


@given(text=any_text | markup)
@example(text="a<\u0338b>c")
@example(text="nổ hũ chấm com")
def test_composed_and_decomposed_texts_show_the_same(text):
    decomposed = unicodedata.normalize("NFD", text)

    assert shown_text(decomposed) == shown_text(unicodedata.normalize("NFC", text))


@given(text=st.text(st.characters(exclude_characters="<&")).filter(lambda t: "d" not in t))
def test_a_text_without_markup_is_shown_as_it_is(text):
    assert shown_text(text) == unicodedata.normalize("NFC", text)


@given(text=st.text("casinoế 0.,", max_size=30))
def test_an_escaped_text_is_shown_as_it_was(text):
    referred = "".join(f"&#{ord(character)};" for character in text)

    assert shown_text(referred) == text
    assert shown_text(html.escape(text)) == text


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        ("ca<b></b>si<!-- x -->no", "casino"),
        ("ca<wbr>si<span class='x'>no</span>", "casino"),
        ("one<br>two<p>three</p>", "one two three "),
        ('<a href="http://x.vn/?a=1&amp;b=2">here</a>', " http://x.vn/?a=1&b=2 here"),
        ("<A HREF=x.vn>here</A>", " x.vn here"),
        ("&#99;&#x61;&#0000115&#000000000000000105;&#110&#111", "casino"),
        ("a &lt; b &amp;&amp; c", "a < b && c"),
        ("caf&eacute; &nbsp;", "café \u00a0"),
        ("shop dot com", "shop.com"),
        ("shop(dot)vn, shop [chấm] com", "shop.vn, shop.com"),
        ("nổ hũ chấm com", "nổ hũ.com"),
    ],
)
def test_a_browser_and_a_reader_see_this(text, is_shown):
    assert shown_text(text) == is_shown


@pytest.mark.parametrize(
    "text",
    [
        "1 < 2 and 3 > 2",
        "<3 and <-",
        "<http://x.vn>",
        "<nam@x.vn>",
        "AT&T, Q&A; &unknown; &#; &#x; &",
        "<b",
        "a < b >",
        "the dot com bubble of a dotcom",
        "chấm điểm",
        "cham soc com",
    ],
)
def test_what_only_looks_like_markup_stays(text):
    assert shown_text(text).replace("the.com", "the dot com") == text


def test_what_is_shown_leads_back_to_where_it_stood():
    found = shown("x<b>y</b>&#122;!")

    assert found is not None
    assert found.text == "xyz!"
    assert found.origin.tolist() == [0, 4, 9, 15]


def test_markup_alone_shows_nothing():
    assert shown_text("<b></b><!-- --><i>") == ""


def longest_repeats(pattern: re.Pattern[str]) -> list[int]:
    """How often each repeated thing in a pattern may be repeated."""
    found = []

    def walk(part: object) -> None:
        if isinstance(part, (list, tuple, _parser.SubPattern)):
            if isinstance(part, tuple) and len(part) == 3 and isinstance(part[1], int):
                found.append(int(part[1]))
            for inner in part:
                walk(inner)

    walk(_parser.parse(pattern.pattern, pattern.flags))
    return found


@pytest.mark.parametrize(("name", "least"), [("_MARKUP", 6), ("_DOT", 3), ("_BEFORE_DOT", 3)])
def test_what_is_tried_at_one_place_is_bounded(name, least):
    # So that no text takes time by its square: at most so many steps for each character.
    repeats = longest_repeats(getattr(shown_module, name))

    assert len(repeats) >= least
    assert max(repeats) <= 2000
