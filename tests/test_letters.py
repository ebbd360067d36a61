import sys
import unicodedata
from collections.abc import Callable
from dataclasses import fields
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model import letters as letters_module
from model.letters import COUNTED, PART_LETTERS, PARTS_APART, Letters, letters_of
from tests import second_opinion
from tests.judging_cases import SENTENCE, any_text, wordy
from training.attacks import ATTACKS, CHAINS


def letters(text: str, *, whole: bool = False) -> Letters:
    return letters_of([text], [whole])


def plain(text: str) -> str:
    return "".join(map(chr, letters(text).plain.tolist()))


def words(text: str) -> list[str]:
    found = letters(text)
    pieces = np.split(found.plain, found.words)
    return ["".join(map(chr, piece.tolist())) for piece in pieces if piece.size]


def columns(found: Letters) -> dict[str, list[int]]:
    return {field.name: getattr(found, field.name).tolist() for field in fields(found)}


@pytest.mark.parametrize("whole", [False, True], ids=["content", "name"])
@given(text=any_text.filter(bool) | wordy.filter(bool))
@example(text="a" * 30 + ". " + "b c " * 30 + "😀")
def test_letters_are_those_of_the_slow_and_plain_way(whole, text):
    found = letters(text, whole=whole)

    slow = second_opinion.letters_of(text, whole=whole)
    assert found.plain.tolist() == [ord(c.plain) for c in slow]
    assert found.marked.tolist() == [ord(c.marked) for c in slow]
    assert found.place.tolist() == [c.place for c in slow]
    assert found.part.tolist() == [c.part for c in slow]
    assert found.spoken.tolist() == [c.inside for c in slow]
    assert found.words.tolist() == [at for at, c in enumerate(slow) if c.begins_word]


@given(text=any_text.filter(bool) | wordy.filter(bool), whole=st.booleans())
def test_letters_stand_in_the_text_and_never_fall(text, whole):
    found = letters(text, whole=whole)

    for place in (found.place, found.symbol_place):
        assert ((place >= 0) & (place < len(text))).all()
        assert (np.diff(place) >= 0).all()
    assert (np.diff(found.part) >= 0).all()
    assert found.part.max(initial=0) <= PARTS_APART
    assert (np.diff(found.words) > 0).all()


@given(
    batch=st.lists(
        st.tuples(any_text.filter(bool) | wordy.filter(bool), st.booleans()), min_size=1, max_size=6
    )
)
@example(batch=[("a b", False), ("c d", False), ("\u0301", True), ("<b>", True), ("4", False)])
@example(batch=[("ABC\nd", False), ("ﬁ", False)])
@example(batch=[("a" * 25 + ".", False), ("b" * 25 + ". c", False), ("😀", False)])
def test_a_batch_has_the_letters_of_its_texts_one_by_one(batch):
    together = letters_of([text for text, _ in batch], [whole for _, whole in batch])

    for number, (text, whole) in enumerate(batch):
        alone = letters(text, whole=whole)
        own = together.text == number
        symbols = together.symbol_text == number
        begin = int(together.text.searchsorted(number))
        begins = together.words[own[together.words]] - begin
        assert together.plain[own].tolist() == alone.plain.tolist()
        assert together.marked[own].tolist() == alone.marked.tolist()
        assert together.place[own].tolist() == alone.place.tolist()
        assert together.part[own].tolist() == alone.part.tolist()
        assert together.spoken[own].tolist() == alone.spoken.tolist()
        assert begins.tolist() == alone.words.tolist()
        assert together.symbols[symbols].tolist() == alone.symbols.tolist()
        assert together.symbol_part[symbols].tolist() == alone.symbol_part.tolist()
        assert together.counts[number].tolist() == alone.counts[0].tolist()


@given(text=any_text.filter(bool) | wordy.filter(bool))
@example(text="nổ hũ chấm com")
def test_composed_and_decomposed_texts_have_the_same_letters(text):
    composed = letters(unicodedata.normalize("NFC", text))
    decomposed = letters(unicodedata.normalize("NFD", text))

    places = {"place", "symbol_place"}
    assert {k: v for k, v in columns(decomposed).items() if k not in places} == {
        k: v for k, v in columns(composed).items() if k not in places
    }


# --- what people do to words -----------------------------------------------------------------

VIETNAMESE = (
    "Vay tiền nhanh không thế chấp, giải ngân ngay. Nhắn tin cho chị Lan hoặc anh Nam nhé bạn!"
)
ENGLISH = "Please play at our big casino today, everybody wins. You will never be the same again."
RUSSIAN = "Приходите играть к нам, всё честно и быстро. Пишите в личные сообщения прямо сейчас."

# `leet` and `split_phone` write digits that may stand for themselves, `diacritics_dropped` and
# `teencode` change what is read, the good words add to it: what those do is told below.
CHANGES_NO_LETTER = (
    *("look_alikes", "fullwidth", "mathematical", "enclosed", "invisible", "spaced_out", "dotted"),
    *("decomposed", "emoji_digits", "markup", "entities", "run_together", "repeated_letters"),
    *("changed_case", "diacritics_dropped", "dot_com"),
    *("look_alikes + invisible", "mathematical + emoji_digits", "markup + entities"),
    "decomposed + fullwidth + invisible",
)


@pytest.mark.parametrize("name", CHANGES_NO_LETTER)
@pytest.mark.parametrize("text", [VIETNAMESE, ENGLISH], ids=["vi", "en"])
def test_a_disguise_changes_no_letter(name, text):
    disguised = [{**ATTACKS, **CHAINS}[name](text, Random(seed)) for seed in range(8)]

    assert {plain(one) for one in disguised} == {plain(text)}


@pytest.mark.parametrize("name", ["invisible", "spaced_out", "dotted", "decomposed", "markup",
                                  "entities", "changed_case", "repeated_letters"])  # fmt: skip
def test_a_disguise_changes_no_letter_of_another_script(name):
    disguised = [ATTACKS[name](RUSSIAN, Random(seed)) for seed in range(4)]

    assert {plain(one) for one in disguised} == {plain(RUSSIAN)}


@pytest.mark.parametrize("seed", range(8))
def test_numbers_read_alike_however_they_are_written(seed):
    text = "Gọi 0912 345 678 nhé"

    for name in ("emoji_digits", "fullwidth", "mathematical"):
        disguised = ATTACKS[name](text, Random(seed))

        assert columns(letters(disguised))["counts"] == columns(letters(text))["counts"]
        assert plain(disguised) == plain(text) == "goi0000000000nhe"


@pytest.mark.parametrize(
    ("written", "reads"),
    [
        ("c4s1n0", "casino"),
        ("v1agra fr33", "viagra fre"),
        ("c@sino $ex", "casino ex"),
        ("wa$up h0t b0nus $$", "wasup hot bonus"),
        ("500k 24h 12th", "000k 00h 00th"),
        ("slot88", "slot00"),
        ("slot888", "slot000"),
        ("h2o b4 m3", "h0o ba me"),
        ("me@x.vn", "meax vn"),
        ("wow! a!b", "wow aib"),
        ("1 2 3", "000"),
        ("2024", "0000"),
    ],
)
def test_digits_and_signs_in_words_are_letters_and_others_noughts(written, reads):
    assert " ".join(words(written)) == reads


@pytest.mark.parametrize(
    ("written", "reads"),
    [
        ("c a s i n o", ["casino"]),
        ("c a s i n o  v.a.y", ["casino", "vay"]),
        ("v.a.y t-i-e-n", ["vay", "tien"]),
        ("s_l_o_t", ["slot"]),
        ("a b", ["ab"]),
        ("I am a man", ["i", "am", "a", "man"]),
        ("A. Nguyen", ["a", "nguyen"]),
        ("ClickHere NOW", ["click", "here", "now"]),
        ("iPhone McDonald USA", ["iphone", "mcdonald", "usa"]),
        ("goooood đẹpppp", ["god", "dep"]),
        ("it\u2019s e-mail", ["it", "s", "e", "mail"]),
        ("ca<b></b>sino", ["casino"]),
        (
            "한국어 漢字 ภาษาไทย",
            ["한국어", "漢字", "ภาษาไทย".translate(dict.fromkeys(map(ord, "ั")))],
        ),
    ],
)
def test_words_set_apart_are_joined_and_words_run_together_parted(written, reads):
    assert words(written) == reads


def test_what_stands_between_the_words_of_a_name_or_address_is_kept():
    found = letters("http://a-b.vn/x", whole=True)

    assert "".join(map(chr, found.plain.tolist())) == " htp://a-b.vn/x "
    assert found.spoken.tolist() == [chr(c).isalnum() for c in found.plain.tolist()]


# --- parts -----------------------------------------------------------------------------------


def test_a_part_ends_where_a_sentence_or_line_does():
    found = letters(SENTENCE * 2 + SENTENCE.replace(". ", "\n") + "a tail " * 20)

    ends = np.flatnonzero(np.diff(found.part)) + 1
    assert [len(word) for word in np.split(found.part, ends)] == [92, 92, 92, 100]


@pytest.mark.parametrize("stop", [".", "!", "?", "…", "。", "！", "।", "؟"])
def test_sentences_end_in_many_scripts(stop):
    assert letters("bc" * 40 + stop + " " + "de" * 40).part.max() == 1


def test_short_sentences_share_a_part_and_none_is_left_over():
    found = letters("Yes. No. Well. " * 20 + "Bye.")

    assert np.unique(found.part, return_counts=True)[1].min() >= PART_LETTERS


def test_the_rest_of_a_text_of_many_parts_is_one_part():
    found = letters(SENTENCE * 100)

    sizes = np.bincount(found.part)
    assert sizes.size == PARTS_APART + 1
    assert set(sizes[:-1]) == {92}
    assert sizes[-1] == 92 * (100 - PARTS_APART)


def test_an_emoji_is_in_the_part_of_the_letter_before_it():
    found = letters(f"😀{SENTENCE}😀{SENTENCE}😀😀")

    assert found.symbol_part.tolist() == [0, 0, 1, 1]
    assert [chr(c) for c in found.symbols.tolist()] == ["😀"] * 4


# --- what is counted -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", (0, 0, 0, 0, 0, 0)),
        ("Ab c", (3, 0, 0, 1, 0, 0)),
        ("Gọi 0912 345 678", (13, 10, 10, 1, 0, 0)),
        ("12 ab 3456 c", (9, 6, 4, 0, 0, 0)),
        ("A\r\nB\nC", (3, 0, 0, 3, 0, 2)),
        ("😀😀 ☎", (0, 0, 0, 0, 3, 0)),
        ("<b>Ab</b>", (2, 0, 0, 1, 0, 0)),
    ],
)
def test_counts_are_of_the_text_as_it_reads(text, counts):
    assert len(COUNTED) == len(counts)
    assert letters(text).counts.tolist() == [list(counts)]


# --- any length ------------------------------------------------------------------------------


def calls_of(work: Callable[[], object]) -> int:
    """How many calls, of Python's and of C's functions, a piece of work makes."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "unit",
    ["a", "a b ", "1", "4a", "<", "&", "<b>", "&#97;", "a. ", SENTENCE, "e\u0301", "\u0301\u0316",
     "漢", "\u0e01\u0e34", "क्ष", "😀", "\u200b", "\n", "ﬁ", "\ufdfa", "dot com ", "ClickHere",
     "@a"],
)  # fmt: skip
def test_a_long_text_takes_calls_by_its_length_at_most(unit):
    short, long = ((unit * length)[:length] for length in (16_384, 65_536))
    letters_of([short], [False])  # so that what each character becomes is known

    assert calls_of(lambda: letters_of([long], [False])) <= 4.2 * calls_of(
        lambda: letters_of([short], [False])
    )


@pytest.mark.parametrize("unit", ["\ufdfa", "㌀", "ﬃ", "½", "⑽"])
def test_no_text_has_many_more_letters_than_characters(unit):
    found = letters(unit * 1_000)

    assert found.plain.size <= 6_000


def test_the_table_of_leet_says_what_the_second_opinion_says():
    table = {chr(at): chr(letter) for at, letter in enumerate(letters_module._LEET.tolist())}

    assert {k: v for k, v in table.items() if v != "0"} == second_opinion.LEET
