"""Forms as clients and their visitors send them: every escape, nothing too large, nothing lost."""

from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.akismet.calls import call_of
from service.api.akismet.forms import MOST_BYTES_OF_FIELD, MOST_IN_LIST, WANTED, read_form
from tests.akismet.conftest import Client

NAMES = sorted(WANTED - {"comment_context", "blog_charset", "honeypot_field_name"})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(st.tuples(st.sampled_from([*NAMES, "other", ""]), TEXTS), max_size=12), st.data())
def test_a_form_reads_as_it_was_written_in_whatever_parts_it_comes(
    fields: list[tuple[str, str]], data: st.DataObject
):
    body = urlencode(fields).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4)))
    bounds = zip([0, *cuts], [*cuts, len(body)], strict=True)
    form = read_form([body[begin:end] for begin, end in bounds])

    first = dict(reversed(parse_qsl(body.decode(), keep_blank_values=True)))
    assert {name: form[name] for name in NAMES} == {name: first.get(name, "") for name in NAMES}


@given(st.binary(max_size=300))
def test_no_body_is_too_strange(body: bytes):
    form = read_form([body, b"&comment_content=ok"])
    call_of(form)
    assert form["comment_content"] or b"comment_content" in body


@pytest.mark.parametrize(
    "body",
    [
        b"comment_context[0]=a&comment_context[1]=b",
        b"comment_context%5B0%5D=a&comment_context%5B1%5D=b",
        b"comment_context[]=a&comment_context[]=b",
        b"comment_context=a&comment_context=b",
    ],
)
def test_a_list_is_read_in_all_its_spellings(body: bytes):
    assert read_form([body]).context == ("a", "b")


def test_a_bare_name_is_an_empty_value():
    form = read_form([b"POST_ak_hp_textarea&REQUEST_URI=/x&key"])
    assert (form["POST_ak_hp_textarea"], form["REQUEST_URI"], form["key"]) == ("", "/x", "")
    assert "key" in form


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (b"comment_author=Zo%EB&blog_charset=ISO-8859-1", ""),
        (b"comment_author=Zo%EB", "iso-8859-1"),
        ("comment_author=Zoë&blog_charset=latin1".encode("latin-1"), "utf-8"),
        ("comment_author=Zoë".encode(), ""),
        ("comment_author=Zoë&blog_charset=unicode_escape".encode(), ""),
        ("comment_author=Zoë&blog_charset=%00%ff".encode(), "utf-7"),
    ],
)
def test_values_are_read_in_the_character_set_of_the_blog(body: bytes, charset: str):
    assert read_form([body], charset)["comment_author"] == "Zoë"


def test_what_means_nothing_is_not_kept():
    cookie = b"HTTP_COOKIE=secret&PHP_AUTH_PW=secret&HTTP_AUTHORIZATION=secret&POST_pwd=secret"
    form = read_form([cookie + b"&comment_content=hay"])
    assert "secret" not in str(form._fields)


def test_long_values_and_lists_are_cut():
    body = b"comment_content=" + b"a" * (MOST_BYTES_OF_FIELD + 9)
    form = read_form([body, b"&comment_context[]=x" * (MOST_IN_LIST + 5)])
    assert len(form["comment_content"]) == MOST_BYTES_OF_FIELD
    assert len(form.context) == MOST_IN_LIST


def test_a_honeypot_of_any_name_is_read():
    form = read_form([b"trap=robot&honeypot_field_name=trap&comment_content=x"])
    assert call_of(form).submission.form.honeypot == "robot"
    assert call_of(read_form([b"trap=robot&comment_content=x"])).submission.form.honeypot == ""


def test_a_visitor_s_thousand_fields_and_megabytes_get_their_verdict(client: Client):
    many = "&".join(f"POST_f{number}={number}" for number in range(1_200))
    junk = f"POST_junk={'x' * 5_000_000}"
    text = quote("Đọc hay lắm, cảm ơn.")
    own = f"comment_content={text}&user_ip=::1&is_test=1"
    last = f"blog=https://blog.example&api_key={client.key}"

    for body in (f"{own}&{many}&{last}", f"{own}&{junk}&{last}"):
        answer = client.call("/1.1/comment-check", body)
        assert (answer.status_code, answer.text) == (200, "false")
    wrong_type = client.call("/1.1/comment-check", f"{own}&{last}", Content_Type="application/json")
    assert wrong_type.text == "false"


@pytest.mark.parametrize(
    "injected",
    ["user_role=administrator", "is_test=1", "recheck_reason=x", "key=000000000000",
     "api_key=000000000000", "honeypot_field_name=POST_x", "%75ser_role=administrator"],
)  # fmt: skip
def test_a_visitor_s_field_that_wordpress_did_not_escape_is_not_the_site_s(
    client: Client, injected: str
):
    before = client.service.stored()
    text = quote(f"Chào mọi người {injected}")
    answer = client.call(
        "/1.1/comment-check",
        f"comment_content={text}&user_ip=::1&blog=https://blog.example&POST_x&{injected}"
        f"&REQUEST_URI=/wp-comments-post.php&api_key={client.key}",
    )

    assert answer.text == "false"
    assert client.service.stored() == before + 1
    stored = client.store.comment(None, answer.headers["x-akismet-guid"])
    assert stored is not None
    assert stored.submission.form.honeypot == ""


def test_the_longest_comment_wordpress_takes_is_read_whole(client: Client):
    content = "ế" * 21_000
    guid = client.check(content).headers["x-akismet-guid"]
    stored = client.store.comment(None, guid)
    assert stored is not None
    assert stored.submission.content == content
