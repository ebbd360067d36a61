"""What may be shown of a comment: nothing that runs, nothing that disturbs, no address."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.addresses import addresses_in, has_address
from model.publishable import MOST_MARKS, REL, TAGS, publishable, safe_html
from model.submission import Author, Submission

ATTRIBUTES = {
    "a": {"href", "title", "rel"},
    "abbr": {"title"},
    "acronym": {"title"},
    "blockquote": {"cite"},
    "del": {"datetime"},
    "q": {"cite"},
}
_TRAPS = (
    "<b> </b> <i> </i> <blockquote> </blockquote> <a_href='http://x.vn/?e=nam@x.vn'> </a> "
    "<script> </script> <style> <svg> <math> <img_src=x_onerror=alert(1)> "
    "<a_href=javascript:alert(1)> <a_href='mailto:nam@x.vn'_title='nam@x.vn'> "
    "<q_cite='javascript:1'> <!-- --> <![CDATA[ ]]> & &lt; &#64; &commat; &amp;#64; &#x202e; "
    "\u202e \u2066 \u0338 \u0301 @ nam x.vn nam@x.vn . > < \" ' <b_title='nam@x.vn'_lang=x> "
    "onclick= \ud800 \x00 <del_datetime='nam@x.vn'> <noscript> <textarea> <plaintext> <b n "
    "am@gmail.com"
)
TRAPS = [trap.replace("_", " ") for trap in _TRAPS.split(" ")]
texts = st.lists(st.sampled_from(TRAPS) | st.text(max_size=5), max_size=20).map("".join)


class Reader(HTMLParser):
    """Reads HTML as a browser would: tags with attributes, and the text that is seen."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.seen = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.seen += "\n" * (tag == "blockquote")

    def handle_endtag(self, tag):
        self.seen += "\n" * (tag == "blockquote")

    def handle_data(self, data):
        self.seen += data


def shown(content, *, show_addresses=False):
    return safe_html(content, show_addresses=show_addresses)


@pytest.mark.parametrize(
    ("typed", "html"),
    [
        ("plain 'text' \"q\"\r\nand\rmore", "plain 'text' \"q\"\nand\nmore"),
        ("1 < 2 & 3", "1 &lt; 2 &amp; 3"),
        ("I <3 you", "I &lt;3 you"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<p>a</p><b onclick=x>c</b>", "a<b>c</b>"),
        ("<a href='javascript:1'>x</a>", '<a rel="nofollow ugc">x</a>'),
        ("<a href='/relative'>x</a>", '<a rel="nofollow ugc">x</a>'),
        ("<a href='http://u:p@x.vn'>x</a>", '<a rel="nofollow ugc">x</a>'),
        (
            "<a href=http://x.vn rel=follow target=_blank>x</a>",
            '<a href="http://x.vn" rel="nofollow ugc">x</a>',
        ),
        ("<q cite='javascript:1'>x</q>", "<q>x</q>"),
        ("<del datetime='2024'>x</del>", '<del datetime="2024">x</del>'),
        ("<abbr title=T lang=vi>y</abbr>", '<abbr title="T">y</abbr>'),
        ("<b>open", "<b>open</b>"),
        ("&lt;b&gt;", "&lt;b&gt;"),
    ],
)
def test_content_keeps_what_wordpress_lets_visitors_write(typed, html):
    assert shown(typed) == html


@pytest.mark.parametrize(
    ("typed", "html"),
    [
        ("mail nam@gmail.com", "mail n•••@gmail.com"),
        ("nam&#64;b.vn", "n•••@b.vn"),
        ("nam&commat;x.vn", "n•••@x.vn"),
        ("&#110;am@x.vn", "n•••@x.vn"),
        ("<b>n</b>am@gmail.com", "<b>n•••</b>@gmail.com"),
        ("nam<i>@</i>gmail<b>.com</b>", "n•••<i>@</i>gmail<b>.com</b>"),
        ("n<b>a</b>m<!-- -->@x.vn", "n•••<b></b>@x.vn"),
        ("nam<wbr>@x<span>.vn</span>", "n•••@x.vn"),
        ("nam<blockquote>@x.vn</blockquote>", "nam<blockquote>@x.vn</blockquote>"),
        ("<a href='mailto:nam@x.vn'>me</a>", '<a rel="nofollow ugc">me</a>'),
        ("<b title='nam@x.vn'>x</b>", "<b>x</b>"),
        ("<abbr title='nam@x.vn'>y</abbr>", '<abbr title="n•••@x.vn">y</abbr>'),
        ("&lt;nam@x.vn&gt;", "&lt;n•••@x.vn&gt;"),
        ("nam&amp;#64;x.vn", "n•••&amp;#64;x.vn"),
        ("na\u200bm\u202e@x.vn", "n•••@x.vn"),
    ],
)
def test_addresses_are_masked_as_a_reader_would_see_them(typed, html):
    assert shown(typed) == html


def test_site_may_show_addresses_but_not_in_urls():
    typed = "nam@x.vn <b>nam</b>@x.vn <a href='http://x.vn/?e=nam@x.vn'>x</a>"
    author = Author(name="nam@x.vn", url="http://x.vn/nam@x.vn")

    answer = publishable(Submission(typed, author), show_addresses=True)

    assert answer.name == "nam@x.vn"
    assert answer.html.startswith("nam@x.vn <b>nam</b>@x.vn")
    assert "nam@" not in answer.html.partition("href=")[2]
    assert "nam@" not in answer.url


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Nam", "Nam"),
        ("<b>Nam</b> & Co", "Nam & Co"),
        ("nam@gmail.com", "n•••@gmail.com"),
        ("a\u202eb\u2066c\u200fd\u200be\nf\0", "abcde f"),
        ("a" + "\u0301" * 50, "a" + "\u0301" * MOST_MARKS),
        ("Nguyễn 👩‍👩‍👧", "Nguyễn 👩‍👩‍👧"),
        ("\ud800", "\ufffd"),
    ],
)
def test_name_is_plain_text_that_stays_in_its_place(typed, name):
    assert publishable(Submission("", Author(name=typed)), show_addresses=False).name == name


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("x.vn", "http://x.vn"),
        ("", ""),
        ("javascript:1", ""),
        ("http://u:p@x.vn", ""),
        ("nam@x.vn", ""),
    ],
)
def test_website_is_clean_or_left_out(typed, url):
    answer = publishable(Submission("", Author(url=typed)), show_addresses=False)

    assert (answer.url, answer.rel) == (url, REL)


@pytest.mark.parametrize("turn", ["\u202e", "\u202d", "\u202a", "\u2066", "&#x202e;", "&#8238;"])
def test_nothing_turns_the_text_around_it(turn):
    assert shown(f"a{turn}b <b>c</b>") == "ab <b>c</b>"


def test_right_to_left_marks_and_joiners_that_languages_need_stay():
    assert shown("א\u200fב می\u200cخواهم 👩‍👧") == "א\u200fב می\u200cخواهم 👩‍👧"


@pytest.mark.parametrize("pile", ["\u0301" * 90, "\u0301\u200d" * 90, "&#x301;" * 90])
def test_piled_marks_are_bounded(pile):
    assert len(shown(f"a{pile}b")) == 2 + MOST_MARKS


def test_normalising_the_html_opens_no_tag_again():
    assert shown("<i>\u0338 onmouseover=alert(1) </i>") == "<i> onmouseover=alert(1) </i>"


@given(texts)
@example("<b>\u0338")
@example("\ud800<noscript>&#64;<b>x.vn")
@example("<a href='http://x.vn/?e=nam@x.vn'>nam</a>@x.vn")
def test_nothing_published_can_run_load_or_show_an_address(text):
    answer = publishable(Submission(text, Author(name=text, url=text)), show_addresses=False)
    read = Reader(answer.html)

    names = [tag for tag, _ in read.tags]
    assert set(names) <= TAGS
    assert all(set(attrs) <= ATTRIBUTES.get(tag, set()) for tag, attrs in read.tags)
    assert all(attrs.get("rel") == REL for tag, attrs in read.tags if tag == "a")
    links = [attrs[name] for _, attrs in read.tags for name in ("href", "cite") if name in attrs]
    assert all(link.startswith(("http://", "https://")) for link in links)
    values = [value for _, attrs in read.tags for value in attrs.values()]
    assert addresses_in(read.seen) == []
    assert not any(map(has_address, [answer.html, answer.name, answer.url, *values]))
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(answer.html)
    assert "<" not in "".join(part.partition(">")[0] for part in answer.html.split("<")[1:])


@given(texts)
@example("<b>am@gmail.com\xa0")
def test_publishing_what_was_published_changes_nothing(text):
    once = shown(text)

    assert shown(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"<b id={n}>" for n in range(6_000)),
        "".join(f"<b id={n}>" for n in range(999)),
        "<b><blockquote>" * 4_000,
        "a@b.vn " * 9_000,
        "<b>a@</b>b.vn " * 499,
        "<" * 65_000,
        "&" * 65_000,
        "&amp;#64;" * 7_000,
        "\u0301" * 65_000,
        "<a href=http://x.vn title=a@b.vn>" * 1_900,
    ],
    ids=lambda text: text[:12],
)
def test_the_longest_comments_are_published_in_bounded_time(text):
    began = time.process_time()
    shown(text)

    assert time.process_time() - began < 2
