import re
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model import text as text_module
from model.letters import read
from model.text import (
    BLANK,
    DIGIT,
    LETTER,
    LINE,
    LOWER,
    SIGN,
    STOP,
    SYMBOL,
    UPPER,
    is_invisible,
    readable,
    whole_characters,
)
from tests.judging_cases import any_text

INDIC_AND_HANGUL = "\u09c7\u09be\u0bc6\u0bbe\u0dd9\u0dcf\u1025\u102e\u0f71\u0f73\u1100\u1161\u11a8"


def plain(text: str) -> str:
    return "".join(map(chr, read(text).plain))


def marked(text: str) -> str:
    return "".join(map(chr, read(text).marked))


def kinds(text: str, kind: int) -> str:
    """Which characters of the text, as it reads, are of a kind."""
    reading = read(text)
    return "".join(map(chr, reading.plain[(reading.kinds & kind) != 0]))


@given(text=any_text)
def test_each_character_of_a_reading_comes_from_one_of_the_text(text):
    reading = read(text)

    assert reading.plain.dtype == reading.marked.dtype == np.uint32
    shapes = {reading.plain.shape, reading.marked.shape, reading.kinds.shape, reading.origin.shape}
    assert len(shapes) == 1
    assert (np.diff(reading.origin) >= 0).all()
    assert ((reading.origin >= 0) & (reading.origin < len(text))).all()


@given(text=st.text(st.characters() | st.sampled_from(INDIC_AND_HANGUL + "e\u0323\u0302")))
@example(text="\u09c7\u09be")
@example(text="a\u0301\u0f73")
@example(text="\u1100\u1161\u11a8")
@example(text="ệ của")
def test_composed_and_decomposed_texts_read_alike(text):
    decomposed = read(unicodedata.normalize("NFD", text))
    composed = read(unicodedata.normalize("NFC", text))

    assert np.array_equal(decomposed.plain, composed.plain)
    assert np.array_equal(decomposed.marked, composed.marked)
    assert np.array_equal(decomposed.kinds, composed.kinds)


@given(before=any_text, after=any_text)
def test_what_stands_beside_a_text_changes_nothing_in_its_reading(before, after):
    together, apart = read(f"{before}\n{after}"), (read(f"{before}\n"), read(after))

    for column in ("plain", "marked", "kinds"):
        parts = [getattr(reading, column) for reading in apart]
        assert np.array_equal(getattr(together, column), np.concatenate(parts))


@given(text=st.text(st.characters() | st.sampled_from(INDIC_AND_HANGUL), max_size=25))
def test_composing_by_clusters_is_nfc(text):
    composed, starts = text_module.composed(text)

    assert composed == unicodedata.normalize("NFC", text)
    assert (starts is None) == (composed == text)
    assert starts is None or starts.shape == (len(composed),)


def test_every_character_that_composes_backwards_is_known():
    pairs = (unicodedata.normalize("NFD", chr(code)) for code in range(0x110000))
    seconds = {
        pair[-1] for pair in pairs if len(pair) > 1 and len(unicodedata.normalize("NFC", pair)) == 1
    }

    plain = {character for character in seconds if not unicodedata.combining(character)}

    assert plain <= text_module._COMPOSING


def test_a_run_of_marks_is_put_in_order_in_pieces():
    # Ordering a run costs the square of its length: 64 KiB in one piece took seconds.
    clusters = text_module._clusters("a" + "\u0301\u0316" * 16_000)

    assert max(map(len, clusters)) <= 32
    assert sum(map(len, clusters)) == 32_001


@pytest.mark.parametrize(
    ("disguised", "plainly"),
    [
        ("ＳＬＯＴ８８", "slot88"),
        ("𝐬𝐥𝐨𝐭𝟖𝟖", "slot88"),
        ("ⓢⓛⓞⓣ⑧⑧", "slot88"),
        ("s\u200bl\u2060o\u00adt\ufeff88", "slot88"),
        ("ѕlоt88", "slot88"),
        ("s\u0336l\u0336o\u0336t\u033688", "slot88"),
        ("đánh bạc", "danh bac"),
        (unicodedata.normalize("NFD", "đánh bạc"), "danh bac"),
        ("ĐÁNH\u00a0BẠC", "danh bac"),
        ("slot\U000e006188", "slot88"),
        ("ｎổ hũ", "no hu"),
        ("ϹAЅINΟ ϲasino", "casino casino"),
        ("ΜΟΝΕΥ \u03a5\u0301", "money y"),
        ("🅲🄰Ⓢⓘ🅝🅾", "casino"),
        ("0\ufe0f\u20e39\ufe0f\u20e3", "09"),
        ("ﬁne ﬀ ½ ㎏", "fine ff 1⁄2 kg"),
    ],
)
def test_what_looks_the_same_reads_the_same(disguised, plainly):
    assert plain(disguised) == plain(plainly)
    assert readable(disguised) == readable(plainly)


@given(text=any_text)
def test_readable_is_the_reading_as_a_string_with_noughts(text):
    composed, _ = text_module.composed(text)

    assert readable(composed) == re.sub("[0-9]", "0", plain(text))


def test_digits_keep_their_place_but_not_their_value():
    assert readable("Gọi 0912-345.678 ngay") == "goi 0000-000.000 ngay"


def test_marks_of_latin_letters_are_kept_beside():
    assert marked("Tôi\tĐÃ\u00a0xem") == "tôi đã xem"
    assert plain("Tôi\tĐÃ\u00a0xem") == "toi da xem"


def test_an_invisible_character_keeps_the_way_back_open():
    reading = read("a\u200bb")

    assert reading.plain.tolist() == [ord("a"), ord("b")]
    assert reading.origin.tolist() == [0, 2]


def test_a_character_that_reads_as_several_leads_back_to_itself():
    reading = read("aﬁ\u200b…")

    assert "".join(map(chr, reading.plain)) == "afi..."
    assert reading.origin.tolist() == [0, 1, 1, 3, 3, 3]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (LETTER, "aebeиक漢"),
        (DIGIT, "5"),
        (BLANK, "  "),
        (SIGN, "@!"),
        (STOP, "!."),
        (LINE, " "),
        (UPPER, "ae"),
        (LOWER, "beи"),
        (SYMBOL, "😀"),
    ],
)
def test_a_reading_says_what_each_character_is(kind, found):
    assert kinds("AẾ bếйक漢٥@!.\n😀", kind) == found


def test_a_character_that_reads_as_several_changes_the_kinds_of_no_other():
    assert kinds("Ab\nﬁ", UPPER) == "a"
    assert kinds("Ab\nﬁ", LINE) == " "
    assert kinds("Ab\nﬁ", LETTER) == "abfi"


def test_lines_of_a_form_end_once():
    assert kinds("a\r\nb\r\n", LINE) == "  "


def test_a_ligature_of_many_letters_stays_one_letter():
    # 18 letters for one: a text of nothing else would take 18 times the memory.
    assert plain("\ufdfa") == "\ufdfa"


@given(character=st.characters(categories=None))
def test_no_character_reads_as_many(character):
    assert read(character).plain.size <= text_module._LONGEST_SPELLING


@pytest.mark.parametrize(
    "character", ["\u200b", "\u00ad", "\u2060", "\ufeff", "\u3164", "\u2800", "\ufe0f", "\x00",
                  "\U000e0061", "\U000e0100", "\u202e", "\u034f", "\u180b"],
)  # fmt: skip
def test_characters_that_show_nothing_are_invisible(character):
    assert is_invisible(character)


@pytest.mark.parametrize(
    "character",
    ["a", "ệ", " ", "\n", "\t", "\u0301", "\u06dd", "\U0001fae8", "\U0001fbff", "\u0bff", "\u00a0"],
)
def test_characters_that_show_or_part_words_are_not(character):
    # U+1FAE8 is an emoji of 2022: not in the tables of every Python, on every telephone.
    assert not is_invisible(character)


@given(text=any_text, ends=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_a_widened_range_holds_the_range_and_stays_inside(text, ends):
    start, end = sorted(min(at, len(text)) for at in ends)

    wide_start, wide_end = whole_characters(text, start, end)

    assert 0 <= wide_start <= start <= end <= wide_end <= len(text)


def test_a_letter_is_not_cut_from_its_marks():
    text = unicodedata.normalize("NFD", "cờ bạc")

    start, end = whole_characters(text, 6, 8)

    assert unicodedata.normalize("NFC", text[start:end]) == "ạ"


def test_a_family_is_not_cut_apart():
    text = "a👨\u200d👩\u200d👧b"

    assert whole_characters(text, 2, 4) == (1, 6)
