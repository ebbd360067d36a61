import os
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model import features
from model.features import FEATURES_VERSION, Lengths, Spec, Texts, row
from model.text import folded, typed
from tests.judging_cases import SMALL, Block, any_text, blocks_of

WIDE = Spec(bits=24)
TEXTS = Texts(
    "Đánh bạc ＳＬＯＴ８８ ở xoso.vn!", "Nguyễn Văn A", "http://a.vn/b", ("links:1", "phone")
)

# --- a slow and plain second opinion --------------------------------------------------------

M = 2**64
B = 0x9E3779B97F4A7C15


def mixed(h: int) -> int:
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 % M
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB % M
    return h ^ (h >> 31)


def salt(name: str) -> int:
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) % M
    return value


def place(value: int, bits: int) -> int:
    return mixed(value) >> (64 - bits)


def char_place(gram: str, field: str, form: str, bits: int) -> int:
    value = 0
    for character in gram:
        value = (value * B + ord(character)) % M
    return place(value ^ ((salt(f"{field}/{form}") + len(gram)) % M), bits)


def word_place(words: list[str], field: str, form: str, bits: int) -> int:
    value = None
    for word in words:
        spoken = sum(ord(c) * pow(B, at, M) for at, c in enumerate(word)) % M
        value = spoken if value is None else (mixed(value) * B + spoken) % M
    assert value is not None
    return place(value ^ ((salt(f"{field}/{form}") + 64 + len(words)) % M), bits)


def slow_places(text: str, field: str, spec: Spec) -> list[int]:
    places = []
    for form, name, lengths in (
        (typed(text), "typed", spec.typed),
        (folded(text), "folded", spec.folded),
    ):
        padded = " " + "".join(map(chr, form.codes)) + " "
        for n in lengths.chars:
            places += [
                char_place(padded[at : at + n], field, name, spec.bits)
                for at in range(len(padded) - n + 1)
            ]
        words = "".join(c if ord(c) > 127 or c.isalnum() else " " for c in padded).split(" ")
        words = [word for word in words if word]
        for n in lengths.words:
            places += [
                word_place(words[at : at + n], field, name, spec.bits)
                for at in range(len(words) - n + 1)
            ]
    return sorted(places)


@given(text=any_text.filter(bool))
def test_places_are_those_of_the_slow_and_plain_way(text):
    (block,) = blocks_of(Texts(text), WIDE)

    assert sorted(block.places.tolist()) == slow_places(text, "content", WIDE)


def test_places_of_all_lengths_are_those_of_the_slow_and_plain_way():
    every = Spec(bits=20, typed=Lengths((1, 3, 6), (2, 3)), folded=Lengths((2, 7), (1, 3)))

    (block,) = blocks_of(Texts("", name=TEXTS.content), every)

    assert sorted(block.places.tolist()) == slow_places(TEXTS.content, "author.name", every)


# --- what must not change without a new FEATURES_VERSION ------------------------------------

GOLDEN_VERSION = 2
GOLDEN = {
    "content": (147, 59608, 19316224),
    "author.name": (68, 207109, 9860431),
    "author.url": (76, 119459, 11059514),
    "signs": (2, 237606, 294663),
}


def summed(blocks: list[Block]) -> dict[str, tuple[int, int, int]]:
    return {b.field: (b.places.size, int(b.places[0]), int(b.places.sum())) for b in blocks}


def test_features_are_those_that_models_were_fitted_to():
    # If this fails, models in the field see other features: change FEATURES_VERSION, and this.
    assert (FEATURES_VERSION, summed(blocks_of(TEXTS, Spec()))) == (GOLDEN_VERSION, GOLDEN)


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_features_are_the_same_in_every_process(seed):
    program = (
        "from tests.test_features import TEXTS, summed\n"
        "from model.features import Spec\nfrom tests.judging_cases import blocks_of\n"
        "print(summed(blocks_of(TEXTS, Spec())))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert printed.strip() == str(summed(blocks_of(TEXTS, Spec())))


# --- laws ------------------------------------------------------------------------------------


@given(text=any_text)
def test_any_text_has_features(text):
    places, values = row(Texts(text, text, text, ("a sign",)), SMALL)

    assert places.shape == values.shape
    assert ((places >= 0) & (places < 2**SMALL.bits)).all()
    assert np.isfinite(values).all()


@given(text=any_text.filter(bool))
def test_a_field_has_the_same_length_however_long_it_is(text):
    (block,) = blocks_of(Texts(text), SMALL)

    assert block.distinct.size * block.value**2 == pytest.approx(1.0)
    assert block.distinct.tolist() == sorted(set(block.places.tolist()))


@given(text=any_text.filter(bool))
def test_features_stand_within_the_field_as_typed(text):
    (block,) = blocks_of(Texts(text), SMALL)

    assert block.starts.shape == block.ends.shape == block.places.shape
    assert (block.starts >= 0).all()
    assert (block.starts < block.ends).all()
    assert (block.ends <= len(text)).all()


@given(batch=st.lists(st.tuples(any_text, any_text, st.sampled_from([(), ("a", "b")])), max_size=6))
@example(
    batch=[("a\u1100", "", ()), ("\u1161\u0301", "\u0323", ()), ("", "", ()), ("\ufe0f", "", ())]
)
@example(batch=[("x", "", ()), ("\u0301\u0316" * 40, "\udc00", ()), ("\ud800", "", ("a",))])
def test_a_batch_has_the_features_of_its_texts_one_by_one(batch):
    texts = [Texts(content, name, "", signs) for content, name, signs in batch]

    indptr, places, values = features.features(texts, SMALL).rows()

    alone = [row(text, SMALL) for text in texts]
    parts = list(pairwise(indptr.tolist()))
    assert [places[a:b].tolist() for a, b in parts] == [p.tolist() for p, _ in alone]
    assert [values[a:b].tolist() for a, b in parts] == [v.tolist() for _, v in alone]


def test_fields_never_share_features():
    blocks = blocks_of(Texts("đánh bạc", "đánh bạc", "đánh bạc", ("đánh bạc",)), WIDE)

    seen = [set(block.distinct.tolist()) for block in blocks]

    assert len(blocks) == 4
    assert all(a.isdisjoint(b) for i, a in enumerate(seen) for b in seen[i + 1 :])


def test_the_two_forms_of_a_field_never_share_features():
    one = Lengths((1, 2, 3), (1, 2))
    of_typed = Spec(bits=24, typed=one, folded=Lengths((), ()))
    of_folded = Spec(bits=24, typed=Lengths((), ()), folded=one)

    (a,), (b,) = blocks_of(Texts("danh bac"), of_typed), blocks_of(Texts("danh bac"), of_folded)

    assert set(a.distinct.tolist()).isdisjoint(b.distinct.tolist())


def test_a_missing_name_changes_no_other_block():
    with_name = blocks_of(TEXTS, SMALL)
    without = blocks_of(Texts(TEXTS.content, "", TEXTS.url, TEXTS.signs), SMALL)

    kept = [block for block in with_name if block.field != "author.name"]
    assert [b.field for b in without] == ["content", "author.url", "signs"]
    assert all(
        np.array_equal(a.places, b.places) and a.value == b.value
        for a, b in zip(kept, without, strict=True)
    )


@given(
    word=st.text(st.characters(categories=["Ll"]), min_size=1, max_size=12),
    before=st.lists(st.sampled_from(["a", "ơi", "rất", "x" * 90]), max_size=6),
)
def test_a_word_has_one_hash_wherever_it_stands(word, before):
    words = Spec(bits=24, typed=Lengths((), (1,)), folded=Lengths((), ()))
    (alone,) = blocks_of(Texts(word), words)

    (among,) = blocks_of(Texts(f"{' ,'.join(before)}!{word}? z"), words)

    assert set(alone.places.tolist()) <= set(among.places.tolist())


@pytest.mark.parametrize(
    "texts",
    [Texts(""), Texts("\u200b"), Texts("", "", "", ("a sign",)), Texts("."), Texts("\x00")],
)
def test_a_spec_without_short_ngrams_takes_any_text(texts):
    long_only = Spec(bits=12, typed=Lengths((4,), ()), folded=Lengths((), (2,)))

    places, values = row(texts, long_only)

    assert places.size == values.size <= 1


def test_neighbours_in_a_huge_text_are_found_at_their_place():
    text = "a" * 65_535 + "b"

    (block,) = blocks_of(Texts(text), SMALL)

    assert int(block.ends.max()) == 65_536
    assert all(a <= b for a, b in pairwise(block.distinct.tolist()))


def test_words_of_growing_length_are_hashed_in_many_threads_at_once():
    texts = [Texts("x" * (97 * n % 3_000 + 1)) for n in range(120)]
    expected = [row(t, SMALL)[0].tolist() for t in texts]
    features._power_table = np.ones((2, 1), np.uint64)
    got: list[list[list[int]]] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        got.append([row(t, SMALL)[0].tolist() for t in texts])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == [expected] * 4


def test_texts_show_nothing_in_a_repr():
    assert "nam" not in repr(Texts("nam@x.vn", "nam@x.vn", "http://x.vn/?e=nam@x.vn"))
