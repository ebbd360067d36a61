import unicodedata

import pytest
from hypothesis import example, given

from model.facts import gather
from model.features import FEATURES_VERSION
from model.signs import letters_as_read, signs_of
from model.submission import Article, Author, FormFacts, Submission
from model.text import is_disguised, readable
from tests.judging_cases import any_text, content_signs


@given(any_text)
@example("ﬃ… Ⅻ İ 9１ đ")
def test_letters_as_read_are_what_is_left_of_the_readable_text(text):
    assert letters_as_read(text) == "".join(filter(str.isalnum, readable(text)))


@given(text=any_text.filter(bool), name=any_text, url=any_text)
def test_any_submission_has_signs(text, name, url):
    found = (*signs_of(Submission(text, Author(name=name, url=url)), links=0), *content_signs(text))

    assert all(sign and not sign.isspace() for sign in found)
    assert len(found) == len(set(found))


@given(text=any_text.filter(bool), name=any_text, url=any_text)
@example(text="a", name="Nguyễn Thị Hồng Nhung", url="http://tiền.vn/[urĺ]")
@example(text="[urĺ", name="", url="")
def test_composed_and_decomposed_submissions_have_the_same_signs(text, name, url):
    forms = [
        [unicodedata.normalize(form, field) for field in (text, name, url)]
        for form in ("NFC", "NFD")
    ]

    (composed, *by), (decomposed, *decomposed_by) = forms

    assert content_signs(composed) == content_signs(decomposed)
    assert signs_of(Submission(composed, Author(by[0], "", by[1])), links=1) == signs_of(
        Submission(decomposed, Author(decomposed_by[0], "", decomposed_by[1])), links=1
    )


def test_signs_are_those_that_models_were_fitted_to():
    # If this fails, models in the field see other features: change FEATURES_VERSION, and this.
    submission = Submission(
        "Gọi 0912 345 678 để nhận 500k!!! 𝐬𝐥𝐨𝐭 s\u200bl 😀",
        Author(name="slot vip", url="http://slot-vip88.example.com/a/b?c=1"),
    )

    assert FEATURES_VERSION == 4
    assert signs_of(submission, links=2) == (
        *("links:2", "links per length:4", "name words:1", "name length:1", "name lower"),
        *("url depth:2", "host hyphens:1", "host length:3", "host labels:1", "host digits"),
        *("url query", "name in host"),
    )
    assert set(content_signs(submission.content)) == {
        *("letters:2", "digits:4", "longest number:4", "capitals:1", "symbols:1", "lines:0"),
        *("exclamations:2", "questions:0", "handles:0", "hashtags:0", "money:0"),
        *("asks:1", "asks first"),
    }


def test_a_field_that_was_left_empty_is_no_sign():
    bare = signs_of(Submission("Bài viết rất hay"), links=0)

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
        ("[LINK]x[/LINK]", "bbcode"),
        ("zalo 0912.345.678", "longest number:4"),
        ("năm 2024", "longest number:1"),
        ("chỉ 500k", "digits:4"),
        ("HÀNG CAO CẤP", "capitals:4"),
        ("ib @nohu_vip", "handles:1"),
        ("#xoso #nohu", "hashtags:2"),
        ("giá bao nhiêu?", "questions:1"),
        ("giá bao nhiêu？", "questions:1"),
        ("$5, 3€, 100%", "money:2"),
        ("a\nb\nc\nd", "lines:2"),
        ("😀😀", "symbols:2"),
        ("word " * 100, "letters:6"),
    ],
)
def test_forms_are_seen(text, sign):
    assert sign in content_signs(text)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("abc<abbr>", "anchor"),
        ("[urls] [links]", "bbcode"),
        ("a\r\nb", "lines:2"),
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
