"""Links: what is one, what is not, and what may be published of it."""

import time
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.addresses import has_address
from model.links import LONGEST_URL, UrlProblem, clean_url, host_of, links_in, read_url

_TRAPS = (
    "http:// https:// ftp:// HTTP: // / \\ ? # : @ . www. x.vn shop88.vn/abc bit.ly/x 1.5 e.g. "
    "nam@x.vn <a href= <a_href=' <a_href=\" ' \" > </a> [url= [url] ] [/url] mailto: javascript: "
    "data: %zz %40 %41 xn-- xn--a.vn bücher.de [::1] :80 :99999 ( ) . , \u202e \u200b \ud800 \0 \t "
    "。 127.1 0x7f.1 &#58; ü"
)
TRAPS = [trap.replace("_", " ") for trap in _TRAPS.split(" ")]
texts = st.lists(st.sampled_from(TRAPS) | st.text(max_size=6), max_size=20).map("".join)


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("see https://x.vn/a(b) and (http://y.vn/a).", ["https://x.vn/a(b)", "http://y.vn/a"]),
        ("ftp://x.vn/f, www.a.example!", ["ftp://x.vn/f", "www.a.example"]),
        ("shop88.vn/abc bit.ly/x t.me/abc", ["shop88.vn/abc", "bit.ly/x", "t.me/abc"]),
        ("SHOP88.VN x.com,y.com;z.co.uk", ["SHOP88.VN", "x.com", "y.com", "z.co.uk"]),
        ("đặthàng.vn http://bücher.de/ü", ["đặthàng.vn", "http://bücher.de/ü"]),
        ("http://u:p@x.vn/ http://192.0.2.1/x", ["http://u:p@x.vn/", "http://192.0.2.1/x"]),
        ("http://[::1]/", ["http://[::1]/"]),
        ("<a href='http://x.vn'>http://y.vn</a> z.vn", ["http://x.vn", "z.vn"]),
        ("<a class=b href=http://x.vn>t", ["http://x.vn"]),
        ('<a href="http&#58;//x.vn">t</a>', ["http://x.vn"]),
        ("[url=http://x.vn/a]click[/url] [url]http://y.vn[/url]", ["http://x.vn/a", "http://y.vn"]),
        ("<a href=//x.vn>a</a><a href=/r>b</a>", ["//x.vn", "/r"]),
    ],
)
def test_links_are_found(text, urls):
    assert [link.url for link in links_in(text)] == urls


@pytest.mark.parametrize(
    "text",
    [
        "file.name.Foo main.py README.md photo.jpg",
        "version 1.5, 1.500.000 đ, 9.am",
        "e.g. this, i.e. that, v.v. TP.HCM",
        "Hay quá.Cảm ơn. It is.So good",
        "nam@gmail.com nam.ng@x.vn nam.ng+tag@x.vn n•••@gmail.com",
        "<a href='mailto:nam@x.vn'>write</a>",
        "co.uk com.vn",
        "http:// https:///",
        "a/b and/or ...",
        "",
    ],
)
def test_words_files_numbers_and_addresses_are_no_links(text):
    assert links_in(text) == ()


def test_link_tells_where_it_stands_and_where_it_leads():
    text = "xem <a href='http://shop.evil.co.uk/x'>http://good.vn</a> nhé"

    (link,) = links_in(text)

    assert text[link.start : link.end] == "<a href='http://shop.evil.co.uk/x'>http://good.vn</a>"
    assert link.host == "shop.evil.co.uk"
    assert link.registered_domain == "evil.co.uk"
    assert link.visible == "http://good.vn"


def test_ten_thousand_links_are_all_found():
    text = " ".join(f"shop{n}.vn" for n in range(10_000))

    assert len(links_in(text)) == 10_000


@pytest.mark.parametrize(
    "unit",
    [
        "a.", "<a ", "<a href=", '<a href="', "<a href=x ", "[url=", "[url=x]", "http://", "http:/",
        "http://x.vn/)", "a@b.vn ", "-.", "www.", "a.vn", "a.vn/", "(", "<a href=x>y</a>", " ",
        "a-.b ", "p: ", "[u", "<a", "a.b", ".b ", "http: ", "x y.z",
    ],
)  # fmt: skip
@pytest.mark.parametrize("start", ["", "http://x.vn/", "<a "])
def test_finding_takes_linear_time(unit, start):
    text = start + unit * (150_000 // len(unit))

    began = time.process_time()
    links_in(text)
    clean_url(text)

    assert time.process_time() - began < 3


@given(texts)
@example("a-.b/http://x.vn")
@example("x <a class=b href=http://x.vn>t</a> y.vn")
def test_talk_before_and_after_changes_no_link(text):
    before, after = "nói chuyện một lúc ", " rồi thôi"

    links = links_in(f" {text}{after}")
    moved = links_in(f"{before} {text}{after}")

    assert [replace(link, start=0, end=0) for link in moved] == [
        replace(link, start=0, end=0) for link in links
    ]
    assert [(link.start, link.end) for link in moved] == [
        (link.start + len(before), link.end + len(before)) for link in links
    ]


@given(texts)
@example("http://x.vn/" + ")" * 50)
def test_finding_links_never_raises_and_keeps_them_apart(text):
    links = links_in(text)

    bounds = [at for link in links for at in (link.start, link.end)]
    assert bounds == sorted(bounds)
    assert all(0 <= link.start < link.end <= len(text) for link in links)


# ------------------------------------------------------------------ publishing


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("example.org/x", "http://example.org/x"),
        ("HTTP://Example.ORG:80", "http://example.org"),
        ("https://x.vn:443/a", "https://x.vn/a"),
        ("x.vn:8080/a", "http://x.vn:8080/a"),
        ("//x.vn", "http://x.vn"),
        ("https:\\\\x.vn\\a", "https://x.vn/a"),
        ("http://bücher.de/ü ü", "http://xn--bcher-kva.de/%C3%BC%20%C3%BC"),
        ("http://xn--bcher-kva.de", "http://xn--bcher-kva.de"),
        ("http://ｘ。vn./", "http://x.vn/"),
        ("http://x\u200b.v\u202en/\t\n", "http://x.vn/"),
        ("http://x.vn/\"'<>`", "http://x.vn/%22%27%3C%3E%60"),
        ("http://x.vn/%zz%41", "http://x.vn/%25zz%41"),
        ("http://x.vn/?e=nam@y.vn", "http://x.vn/?e=n%E2%80%A2%E2%80%A2%E2%80%A2@y.vn"),
        ("http://x.vn/?e=nam%2540y.vn", "http://x.vn/?e=n%E2%80%A2%E2%80%A2%E2%80%A2%2540y.vn"),
        ("http://[2001:db8::1]:8/", "http://[2001:db8::1]:8/"),
    ],
)
def test_url_is_made_publishable(text, clean):
    assert read_url(text) == clean


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_url"),
        ("not a url", "invalid_url"),
        ("http://x", "invalid_url"),
        ("http://", "invalid_url"),
        ("nam@gmail.com", "invalid_url"),
        ("x.vn:99999", "invalid_url"),
        ("http://x.vn:0", "invalid_url"),
        ("http://0x7f.1/", "invalid_url"),
        ("http://%65x.org", "invalid_url"),
        ("http://xn--a.vn", "invalid_url"),
        ("http://a_.x vn/", "invalid_url"),
        ("http://x.vn/" + "ü" * LONGEST_URL, "invalid_url"),
        ("javascript:alert(1)", "url_scheme"),
        ("java\tscript:alert(1)", "url_scheme"),
        ("data:text/html,x", "url_scheme"),
        ("ftp://x.vn", "url_scheme"),
        ("mailto:nam@x.vn", "url_scheme"),
        ("http://user@x.vn", "url_credentials"),
        ("http://user:pass@x.vn", "url_credentials"),
    ],
)
def test_what_may_not_be_published_says_why(text, code):
    with pytest.raises(UrlProblem) as problem:
        read_url(text)

    assert (problem.value.code, str(problem.value)) == (code, code)
    assert clean_url(text) is None


def test_backslash_ends_the_host_as_in_browsers():
    assert read_url("http://good.vn\\@evil.vn/") == "http://good.vn/@evil.vn/"


@given(texts)
@example("www.a#nam@x.vn")
@example('www.a#"nam@x.vn')
def test_clean_url_is_web_only_ascii_and_stable(text):
    clean = clean_url(text) or "http://x.vn"

    assert urlsplit(clean).scheme in ("http", "https")
    assert clean.isascii()
    assert clean.isprintable()
    assert len(clean) <= LONGEST_URL
    assert "@" not in urlsplit(clean).netloc
    assert not has_address(clean)
    assert clean_url(clean) == clean


@given(texts)
def test_host_never_raises(text):
    assert len(host_of(text)) <= 260
