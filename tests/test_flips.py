import pytest
from hypothesis import given, settings

from model.addresses import has_address
from tests.judging_cases import any_text
from training.flips import EXCERPT, excerpt


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Viết cho nam@gmail.com nhé", "Viết cho n•••@gmail.com nhé"),
        ("gọi 0912 345 678 ngay", "gọi 09••• ngay"),
        ("+84-912-345-678", "+84•••"),
        ("xem https://vay.example/?ref=9&mail=nam%40gmail.com đi", "xem https://vay.example/… đi"),
        ("vào vay.example/khuyen-mai ngay", "vào vay.example/… ngay"),
        ("https://vay.example", "https://vay.example"),
        ("năm 2026, 15000 đồng, 1/2", "năm 2026, 15000 đồng, 1/2"),
        ("một\n\n  hai\thai", "một hai hai"),
        ("a\u202eb\u200bc\u0000d\ue000", "abc\ufffdd\ufffd"),
        ("e\u0300\u0301\u0302\u0303\u0304\u0305", "è\u0301\u0302"),
        ("", ""),
    ],
)
def test_an_excerpt_is_masked_and_on_one_line(text, shown):
    assert excerpt(text) == shown


def test_an_excerpt_is_cut_after_it_was_masked():
    text = "x" * 150 + " nam.nguyen@gmail.com " + "y" * 100

    shown = excerpt(text)

    assert len(shown) <= EXCERPT
    assert "nam.nguyen" not in shown


@settings(max_examples=40)
@given(any_text)
def test_no_excerpt_has_an_address_or_a_line_break(text):
    shown = excerpt(text)

    assert not has_address(shown)
    assert len(shown) <= EXCERPT
    assert len(shown.splitlines()) <= 1
