import unicodedata

import pytest
from hypothesis import given

from model.facts import gather
from model.features import FEATURES_VERSION
from model.signs import is_disguised, signs_of
from model.submission import Article, Author, FormFacts, Submission
from tests.judging_cases import any_text


def content_signs(text: str) -> set[str]:
    return set(signs_of(Submission(text), links=0))


@given(text=any_text, name=any_text, url=any_text)
def test_any_submission_has_signs(text, name, url):
    signs = signs_of(Submission(text, Author(name=name, url=url)), links=0)

    assert all(sign and not sign.isspace() for sign in signs)
    assert len(signs) == len(set(signs))


def test_signs_are_those_that_models_were_fitted_to():
    # If this fails, models in the field see other features: change FEATURES_VERSION, and this.
    submission = Submission(
        "Gọi 0912 345 678 để nhận 500k!!! 𝐬𝐥𝐨𝐭 s\u200bl 😀",
        Author(name="slot vip", url="http://slot-vip88.example.com/a/b?c=1"),
    )

    assert (FEATURES_VERSION, signs_of(submission, links=2)) == (
        2,
        (
            *("length:1", "links:2", "links per length:4", "capitals:1", "digits:4"),
            *("exclamations:2", "lines:0", "phone", "price", "invisible:1", "disguised:2"),
            *("emoji:1", "name words:1", "name length:1", "name lower", "url depth:2"),
            *("host hyphens:1", "host length:3", "host labels:1", "host digits", "url query"),
            "name in host",
        ),
    )


def test_a_field_that_was_left_empty_is_no_sign():
    bare = content_signs("Bài viết rất hay")

    assert not {sign for sign in bare if sign.startswith(("name", "host", "url"))}


@pytest.mark.parametrize(
    "url", ["http://[", "http://a]b", "//", "://", "http://\u2100.vn", "x" * 9999]
)
def test_an_address_that_cannot_be_read_is_a_sign_at_most(url):
    assert signs_of(Submission("a", Author(url=url)), links=0)


@pytest.mark.parametrize("character", ["𝐚", "ａ", "ⓐ", "🄰", "ᵃ", "８", "𝟖", "ℝ"])
def test_stand_ins_for_letters_and_digits_are_disguised(character):
    assert is_disguised(character)


@pytest.mark.parametrize(
    "character",
    ["a", "ệ", "đ", "а", "α", "™", "№", "㎡", "₂", "⁴", "²", "①", "½", "…", "º", "한", "\ud800"],
)
def test_letters_of_a_script_and_signs_of_their_own_are_not(character):
    assert not is_disguised(character)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("<a href=x>", "anchor"),
        ("[url=x]y[/url]", "bbcode"),
        ("<b>x</b>", "markup"),
        ("zalo 0912.345.678", "phone"),
        ("chỉ 500k", "price"),
        ("hayyyyy", "repeated"),
        ("s l o t v i p", "spaced out"),
        ("vào taphu88 nhé", "brand with digits"),
        ("ib @nohu_vip", "handle"),
        ("#xoso", "hashtag"),
        ("giá bao nhiêu?", "question"),
    ],
)
def test_patterns_are_seen(text, sign):
    assert sign in content_signs(text)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("abc<abbr>", "anchor"),
        ("năm 2024", "phone"),
        ("hayyy", "repeated"),
        ("nam@x.vn", "handle"),
        ("covid19x", "brand with digits"),
        ("iPhone 15", "brand with digits"),
    ],
)
def test_near_misses_are_not(text, sign):
    assert sign not in content_signs(text)


# --- what is counted in a content -----------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Tuyệt vời 👨\u200d👩\u200d👧\u200d👦 ❤️\u200d🔥 👍🏽 🏳️\u200d🌈 1️⃣ 2️⃣ #️⃣ ©️ ‼️",
        "England 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 🇻🇳",
        "mới ra 🫨 hay 🫩 quá 🪾 nè",
        "می‌خواهم کتاب‌های خوب را بخوانم",
        "שלום!\u200f מה נשמע?\u200f (טוב)\u200f",
        "क्\u200dष और श्री\u200cमान",
        "ภาษา\u200bไทย\u200bสวย",
        "\ufeffBài viết hay",
        unicodedata.normalize("NFD", "Nguyễn Thị Hồng Nhung thấy bài viết rất ổn"),
        "⣿⣿⠀⠀⠀⣿\n⠀⠀⠀⣿⣿⠀",
        "葛\U000e0100城 辻\U000e0101",
        "한국어 ㅤ 좋아요",
        "a\x85b\u2028c",
    ],
)
def test_what_people_write_hides_nothing(text):
    assert gather(Submission(text)).invisible <= 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("s\u200bl\u200bo\u200bt", 3),
        ("slot\u200b\u200b\u200b\u200b88", 4),
        ("đánh\u200d \u200cbạc", 2),
        (unicodedata.normalize("NFD", "ạ\u200bạ\u200b"), 2),
        ("с\u200bл\u200bо\u200bт", 3),
        ("\u3164\u3164\u3164", 3),
        ("🙂" + "\U000e0061" * 50, 49),
        ("🙂" + "\ufe0f" * 50, 49),
        ("a\U000e0061b\U000e0062", 2),
        ("hello\u200f\u200f world", 2),
    ],
)
def test_what_hides_something_is_counted(text, count):
    assert gather(Submission(text)).invisible == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("ＳＬＯＴ tặng ngay", 4),
        ("𝐬𝐥𝐨𝐭𝟖𝟖", 6),
        ("ⓢⓛⓞⓣ", 4),
        ("① rửa ② thái ③ xào ④ nêm ⑤ ăn", 0),
        ("CO₂, H₂O, m³, 10⁴ và E=mc²", 0),
        ("すごいｗｗｗｗ これはＡＢＣだ", 0),
        ("ABC™ №5 tốt", 0),
    ],
)
def test_disguised_characters_are_counted(text, count):
    assert gather(Submission(text)).disguised == count


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        (unicodedata.normalize("NFD", "ệ ữ"), 2),
        ("นี้ น้ำ ที่", 2),
        ("हिन्दी में", 2),
        ("z" + "\u0301" * 9 + "a", 9),
        ("Hay quá ❤️", 1),
    ],
)
def test_the_longest_run_of_marks_is_measured(text, longest):
    assert gather(Submission(text)).marks == longest


def test_facts_show_no_text_in_a_repr():
    canary = "canary-7731@y.vn"
    author = Author(canary, canary, f"http://y.vn/?e={canary}", canary, canary)
    submission = Submission(
        f"{canary} http://x.vn/?e={canary}",
        author,
        permalink=f"http://y.vn/?e={canary}",
        article=Article(title=canary, language=canary),
        parent_id=canary,
        form=FormFacts(honeypot=canary),
        external_id=canary,
    )

    assert "canary" not in repr(gather(submission))
