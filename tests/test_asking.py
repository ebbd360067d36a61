import pytest

from model.asking import CHARACTERS, SIGNS
from tests.judging_cases import content_signs


def signs(text: str) -> set[str]:
    return {sign for sign in content_signs(text) if sign in SIGNS}


@pytest.mark.parametrize(
    "text",
    [
        "Subscribe to them, folks",
        "hey guys, check this",
        "Please vote for us",
        "Liên hệ 0900 để biết thêm",
        "mọi người nhắn zalo nhé",
        "Cả nhà ơi. Đăng ký ngay",
    ],
)
def test_a_request_that_opens_a_sentence_is_seen(text):
    assert "asks:1" in signs(text)


@pytest.mark.parametrize(
    "text", ["?", "I read it and it made my day", "Bài viết rất hay", "the visit was a win"]
)
def test_what_asks_for_nothing_has_no_sign_but_that(text):
    assert signs(text) == {"asks:0"}


def test_two_requests_count_as_many():
    assert "asks:2" in signs("Like. Share. Subscribe. Vote.")


def test_asking_first_is_told_from_asking_later():
    assert "asks first" in signs("hey guys please check it")
    assert "asks first" not in signs("What a song. Check it")


@pytest.mark.parametrize("text", ["see my new channel", "visit our little shop", "ghé kênh của em"])
def test_what_is_the_writers_own_is_seen(text):
    assert "asks for own" in signs(text)


@pytest.mark.parametrize(
    "text", ["see this channel", "kênh này hay", "of my own I add: that channel"]
)
def test_what_is_another_s_is_not(text):
    assert "asks for own" not in signs(text)


def test_please_is_a_sign():
    assert "asks please" in signs("read it plz")


def test_decomposed_text_asks_the_same():
    assert signs("Đa\u0306ng ky\u0301 ngay") == signs("Đăng ký ngay")


def test_only_the_beginning_is_read():
    assert signs("x " * (CHARACTERS // 2) + ". Subscribe") == {"asks:0"}
