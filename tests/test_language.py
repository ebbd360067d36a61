"""The guess of a text's language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Bài viết rất hay, cảm ơn tác giả.", "vi"),
        ("B\u0061\u0300i viê\u0301t râ\u0301t hay, ca\u0309m ơn ta\u0301c gia\u0309.", "vi"),
        ("bai viet rat hay cam on ban nhieu", "vi"),
        ("shop online gia re lien he zalo 0909", "vi"),
        ("Bạn có thể share link được không", "vi"),
        ("Great post, thanks for sharing!", "en"),
        ("I love phở in Hanoi, it is the best", "en"),
        ("I don’t think this is right", "en"),
        ("Привет, как дела", "ru"),
        ("Привіт, як справи", "uk"),
        ("こんにちは世界", "ja"),
        ("世界你好", "zh"),
        ("안녕하세요 여러분", "ko"),
        ("สวัสดีครับ", "th"),
        ("مرحبا بكم", "ar"),
        ("سلام، چطور هستید", "fa"),
        ("שלום לכם", "he"),
        ("Καλημέρα σας", "el"),
        ("नमस्ते दुनिया", "hi"),
        ("សួស្តី", "km"),
        ("Hola amigo, mi casa es muy bonita", "und"),
        ("C'est un très bon article", "und"),
        ("Das ist ein sehr guter Artikel", "und"),
        ("", "und"),
        ("123 😀 !!!", "und"),
        ("http://the.and.you/this/that", "und"),
        ("xq zzk wfp", "und"),
        ("ok", "und"),
    ],
)
def test_language_is_told_by_script_or_by_words(text, language):
    assert language_of(text) == language


@given(st.text(st.characters(), max_size=300))
def test_guess_never_raises_and_is_a_tag(text):
    assert 2 <= len(language_of(text)) <= 3


def test_only_the_beginning_is_read():
    assert (
        language_of("This is the best of all the posts that you have made. " * 4 + "я" * 10**6)
        == "en"
    )
