"""What every door makes of the same fields."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest

from service.api.akismet.calls import call_of
from service.api.akismet.forms import read_form
from service.api.fields import ip_of, masked_url
from service.api.schemas import read_comment

LONG = "x" * 3000


@pytest.mark.parametrize(
    ("sent", "ip"),
    [
        ("", ""),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", None),
        ("unknown", None),
        ("1" * 5000, None),
    ],
)
def test_an_ip_has_one_spelling(sent: str, ip: str | None) -> None:
    assert ip_of(sent) == ip


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("https://x.vn/?to=lan@gmail.com", "https://x.vn/?to=l•••@gmail.com"),
        ("https://lan@x.vn/", "https://lan@x.vn/"),  # the form's rules refuse it
        ("https://medium.com/@lan", "https://medium.com/@lan"),
        ("x\0y", "x\ufffdy"),
    ],
)
def test_an_address_in_an_author_s_url_is_masked(sent: str, kept: str) -> None:
    assert masked_url(sent) == kept


@pytest.mark.parametrize(
    ("field", "form", "value"),
    [
        ("url", "comment_author_url", "https://x.vn/?to=lan@gmail.com"),
        ("ip", "user_ip", "::FFFF:203.0.113.7"),
        ("user_agent", "user_agent", f"Mozilla (lan@gmail.com) {LONG}"),
        ("name", "comment_author", "Lan\0 lan@gmail.com"),
        ("permalink", "permalink", "https://x.vn/lan@gmail.com"),
        ("parent_id", "comment_parent", "lan@gmail.com"),
        ("external_id", "comment_ID", "lan@gmail.com\0"),
    ],
)
def test_akismet_s_form_is_read_as_json_is(field: str, form: str, value: str) -> None:
    body = f"comment_content=hay&{form}={quote_plus(value)}".encode()
    is_author = field in {"url", "ip", "user_agent", "name"}
    sent: dict[str, Any] = {"content": "hay"} | (
        {"author": {field: value}} if is_author else {field: value}
    )

    assert call_of(read_form([body])).submission == read_comment(json.dumps(sent).encode(), None)
