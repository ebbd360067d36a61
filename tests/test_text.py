import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model import text as text_module
from model.text import folded, is_invisible, readable, typed, whole_characters
from tests.judging_cases import any_text

FORMS = pytest.mark.parametrize("form_of", [typed, folded])

INDIC_AND_HANGUL = "\u09c7\u09be\u0bc6\u0bbe\u0dd9\u0dcf\u1025\u102e\u0f71\u0f73\u1100\u1161\u11a8"


def spelled(form: text_module.Form) -> str:
    return "".join(map(chr, form.codes))


@FORMS
@given(text=any_text)
def test_each_character_of_a_form_comes_from_one_of_the_text(form_of, text):
    form = form_of(text)

    assert form.codes.dtype == np.uint64
    assert form.origin.dtype == np.int64
    assert form.codes.shape == form.origin.shape
    assert (np.diff(form.origin) >= 0).all()
    assert ((form.origin >= 0) & (form.origin < len(text))).all()


@FORMS
@given(text=st.text(st.characters() | st.sampled_from(INDIC_AND_HANGUL + "e\u0323\u0302")))
@example(text="\u09c7\u09be")
@example(text="a\u0301\u0f73")
@example(text="\u1100\u1161\u11a8")
@example(text="ệ của")
def test_composed_and_decomposed_texts_have_one_form(form_of, text):
    decomposed = form_of(unicodedata.normalize("NFD", text))
    composed = form_of(unicodedata.normalize("NFC", text))

    assert np.array_equal(decomposed.codes, composed.codes)


@given(text=st.text(st.characters() | st.sampled_from(INDIC_AND_HANGUL), max_size=25))
def test_composing_by_clusters_is_nfc(text):
    composed, starts = text_module._composed(text)

    assert composed == unicodedata.normalize("NFC", text)
    assert len(starts) == len(composed)


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
    ("disguised", "plain"),
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
    ],
)
def test_what_reads_the_same_folds_to_the_same(disguised, plain):
    assert spelled(folded(disguised)) == spelled(folded(plain))
    assert readable(disguised) == readable(plain)


@given(text=any_text)
def test_readable_is_the_folded_form_as_a_string(text):
    composed = unicodedata.normalize("NFC", text) if len(text) < 30 else text

    assert readable(composed) == spelled(folded(text)) or len(text) >= 30


def test_digits_keep_their_place_but_not_their_value():
    assert readable("Gọi 0912-345.678 ngay") == "goi 0000-000.000 ngay"


def test_typed_keeps_marks_and_blanks_but_not_case():
    assert spelled(typed("Tôi\tĐÃ\u00a0xem")) == "tôi đã xem"


def test_an_invisible_character_keeps_the_way_back_open():
    form = folded("a\u200bb")

    assert spelled(form) == "ab"
    assert form.origin.tolist() == [0, 2]


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
