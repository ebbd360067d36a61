"""The form's rules, after WordPress' own, and what visitors are told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import model
from model.form import (
    CODES,
    CONTENT,
    EMAIL,
    NAME,
    URL,
    form_errors,
    is_blank,
    message,
    prepared,
    visitor_language,
    without_tags,
)
from model.language import LANGUAGES
from model.policy import FormRules
from model.submission import Author, CommentType, Submission

LONG = "b" * 60 + "." + "c" * 33
NAM = Author(name="Nam", email="nam@gmail.com")
texts = st.text(st.characters(), max_size=40) | st.sampled_from(
    [
        "<b>",
        "<<b>b>",
        "<3",
        "\ud800",
        "\u200b",
        "\0",
        "\u3000x\u00a0",
        "<",
        "<!--",
        "\u2800",
        "a@b.test",
    ]
)


def errors(submission, rules=None, **known):
    found = form_errors(prepared(submission), rules or FormRules(), **known)
    return [(error.field, error.code) for error in found]


def from_nam(content="hi", **author):
    return Submission(content, replace(NAM, **author))


def test_filled_form_has_no_error():
    assert errors(from_nam(url="example.org/x")) == []


def test_all_errors_come_at_once_in_the_order_of_wordpress():
    wrong = Submission(" ", Author(email="nam", url="javascript:alert(1)" + "a" * 200))

    assert errors(wrong) == [
        (NAME, "required"),
        (EMAIL, "invalid_email"),
        (URL, "url_scheme"),
        (CONTENT, "required"),
        (URL, "too_long"),
    ]


def test_empty_form_names_every_required_field():
    found = errors(Submission(""), FormRules(require_url=True))

    assert found == [(field, "required") for field in (NAME, EMAIL, URL, CONTENT)]


def test_site_may_require_less():
    rules = FormRules(require_name=False, require_email=False)

    assert errors(Submission("hi"), rules) == []


@pytest.mark.parametrize(
    "content", ["", " \t\r\n", "\u00a0\u3000", "\u200b\ufeff\u2060", "\u3164\u2800"]
)
def test_comment_in_which_nothing_is_visible_is_empty(content):
    assert errors(from_nam(content)) == [(CONTENT, "required")]


@pytest.mark.parametrize("content", ["<img src=x>", "<b> </b>", "<a href='http://x.vn'></a>"])
def test_comment_of_tags_alone_is_empty(content):
    assert errors(from_nam(content)) == [(CONTENT, "required")]


@pytest.mark.parametrize(
    "content", ["👍", "<3", "<-- đúng", ".", "0", "<b>x</b>", "a < b", "\u202ex"]
)
def test_comment_in_which_something_is_visible_is_not_empty(content):
    assert errors(from_nam(content)) == []


@pytest.mark.parametrize("name", [" ", "<b></b>", "\u200b", "<script>"])
def test_name_of_blanks_or_tags_alone_is_missing(name):
    assert errors(from_nam(name=name)) == [(NAME, "required")]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Nam\t", "Nam"),
        ("\u3000Nam\u00a0", "Nam"),
        ("\0Nam\0", "Nam"),
        ("<b>Bob</b> & Co", "Bob & Co"),
        ("I <3 you", "I <3 you"),
        ("Nam <nam", "Nam"),
        ("<<b>script>x", "script>x"),
        ("Nam\u200bNg", "Nam\u200bNg"),
    ],
)
def test_name_is_trimmed_and_loses_its_tags(typed, kept):
    assert prepared(from_nam(name=typed)).author.name == kept


def test_other_fields_are_trimmed_and_otherwise_as_typed():
    typed = Submission(" <b>x</b>\n", Author(email=" a@b.vn ", url=" x.vn\n", user_agent=" u "))

    ready = prepared(typed)

    assert ready.content == "<b>x</b>"
    assert ready.author == Author(email="a@b.vn", url="x.vn", user_agent=" u ")


@pytest.mark.parametrize(
    ("fits", "over", "error"),
    [
        ({"name": "é" * 122 + "x"}, {"name": "é" * 123}, (NAME, "too_long")),
        ({"email": "a@" + LONG + "c.vn"}, {"email": "a@" + LONG + "cc.vn"}, (EMAIL, "too_long")),
        ({"url": "x.vn/" + "a" * 195}, {"url": "x.vn/" + "a" * 196}, (URL, "too_long")),
        ({"content": "x" * 65_525}, {"content": "x" * 65_526}, (CONTENT, "too_long")),
        ({"content": "ế" * 21_841 + "xx"}, {"content": "ế" * 21_842}, (CONTENT, "too_long")),
        ({"content": " " * 70_000 + "x"}, {"content": "x" * 65_537}, (CONTENT, "too_long")),
    ],
)
def test_lengths_are_bytes_after_trimming_and_the_limit_itself_is_accepted(fits, over, error):
    assert errors(from_nam(**fits)) == []
    assert errors(from_nam(**over)) == [error]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://u:p@x.vn", "url_credentials"),
        ("data:,x", "url_scheme"),
        ("not a url", "invalid_url"),
    ],
)
def test_bad_website_is_an_error_though_it_is_optional(url, code):
    assert errors(from_nam(url=url)) == [(URL, code)]


@pytest.mark.parametrize(
    "url", ["", "http://", "https://", "bücher.de", "HTTPS://X.VN:8443/ü?q=1#f"]
)
def test_good_or_untouched_website_is_accepted(url):
    assert errors(from_nam(url=url)) == []


def test_reserved_domain_has_its_own_code():
    assert errors(from_nam(email="nam@x.test")) == [(EMAIL, "reserved_domain")]


@pytest.mark.parametrize("kind", [CommentType.PINGBACK, CommentType.TRACKBACK])
def test_pings_need_neither_name_nor_address(kind):
    ping = Submission("<strong>t</strong>", Author(email="none", url="http://x.vn"), type=kind)

    assert errors(ping) == []


@pytest.mark.parametrize(
    ("asked", "takes_mail", "found"),
    [
        (True, False, [(EMAIL, "undeliverable_email")]),
        (True, None, []),
        (True, True, []),
        (False, False, []),
    ],
)
def test_only_a_domain_known_to_refuse_mail_is_refused_and_only_if_the_site_asks(
    asked, takes_mail, found
):
    rules = FormRules(check_deliverability=asked)

    assert errors(from_nam(), rules, takes_mail=takes_mail) == found


@given(texts, texts, texts, texts)
def test_form_never_raises_and_preparing_twice_is_once(content, name, email, url):
    once = prepared(Submission(content, Author(name=name, email=email, url=url)))

    assert prepared(once) == once
    assert {(e.field, e.code) for e in form_errors(once, FormRules())} <= set(CODES)


@given(texts)
def test_nothing_left_of_a_name_is_a_tag(name):
    once = without_tags(name)

    assert without_tags(once) == once


def test_blank_is_decided_in_linear_time_on_long_texts():
    assert is_blank(" \u200b" * 500_000)
    assert not is_blank(" \u200b" * 500_000 + "x")


# ------------------------------------------------------------------ messages


@pytest.mark.parametrize("lang", ["en", "vi"])
def test_every_code_of_every_field_has_its_sentence_and_no_other_has(lang):
    assert set(LANGUAGES[lang].messages) == {f"{field} {code}" for field, code in CODES}
    assert all(len(sentence) > 10 for sentence in LANGUAGES[lang].messages.values())


@pytest.mark.parametrize(("field", "code"), CODES)
def test_languages_do_not_repeat_each_other(field, code):
    assert message(code, field, "vi") != message(code, field, "en")


def test_unknown_language_is_english_and_unknown_code_is_an_error():
    assert message("required", NAME, "xx") == "Please enter your name."
    assert message("required", NAME, "vi") == "Vui lòng nhập tên của bạn."
    with pytest.raises(KeyError):
        message("no_such_code", NAME, "en")


def test_language_files_are_composed_unicode():
    folder = Path(model.__file__).parent / "languages"

    bodies = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))]

    assert [json.loads(body)["tag"] for body in bodies] == ["en", "vi"]
    assert not any("\u0300" <= letter <= "\u036f" for body in bodies for letter in body)


@pytest.mark.parametrize(
    ("header", "article", "spoken"),
    [
        ("vi-VN,vi;q=0.9,en;q=0.8", "", "vi"),
        ("en;q=0.1, vi;q=0.5", "", "vi"),
        ("fr, vi;q=0.2, en;q=0.3", "vi", "en"),
        ("VI", "en", "vi"),
        ("fr", "vi-VN", "vi"),
        ("*", "vi", "vi"),
        ("vi;q=0", "en", "en"),
        ("", "vi_VN", "vi"),
        ("", "", "en"),
        (";;q=,,=;vi;q=x", "fr", "en"),
        ("en;q=nan, vi;q=2", "vi", "vi"),
        (",".join(["xx"] * 100_000) + ",vi", "", "en"),
        ("\ud800, vi", "", "vi"),
    ],
)
def test_visitor_is_spoken_to_in_the_preferred_known_language(header, article, spoken):
    assert visitor_language(header, article) == spoken


@given(texts, texts)
def test_visitor_language_is_always_a_known_one(header, article):
    assert visitor_language(header, article) in LANGUAGES
