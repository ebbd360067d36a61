import os
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.features import (
    FEATURES_VERSION,
    FIELDS,
    KINDS,
    Occurrences,
    Spec,
    Texts,
    features,
    row,
)
from tests.judging_cases import SENTENCE, SMALL, Block, any_text, blocks_of, wordy
from tests.second_opinion import Gram, grams_of

WIDE = replace(Spec(), bits=24)
EVERY = replace(WIDE, chars=(1, 2, 3, 7), words=(1, 2, 3), marked=(2,))
TEXTS = Texts(
    "Đánh bạc ＳＬＯＴ８８ ở xoso.vn! 😀", "Nguyễn Văn A", "http://a.vn/b", ("links:1", "phone")
)


def grams(texts: Texts, spec: Spec) -> list[Gram]:
    """The n-grams of texts of which one field is filled in, sorted."""
    found = Occurrences.of([texts], spec)
    kinds = [KINDS[block % len(KINDS)] for block in found.blocks.tolist()]
    columns = (found.places, found.starts, found.ends, found.parts)
    return sorted(zip(kinds, *(column.tolist() for column in columns), strict=True))


# --- a slow and plain second opinion --------------------------------------------------------


@given(text=any_text.filter(bool) | wordy.filter(bool))
@example(text=SENTENCE + "😀 " + SENTENCE)
def test_n_grams_are_those_of_the_slow_and_plain_way(text):
    assert grams(Texts(text), WIDE) == grams_of(text, "content", WIDE)


@given(text=any_text.filter(bool) | wordy.filter(bool))
def test_n_grams_of_a_name_are_those_of_the_slow_and_plain_way(text):
    assert grams(Texts("", name=text), WIDE) == grams_of(text, "author.name", WIDE)


@pytest.mark.parametrize("text", [TEXTS.content, TEXTS.url, "漢字 한국 a"])
def test_n_grams_of_all_lengths_are_those_of_the_slow_and_plain_way(text):
    assert grams(Texts("", "", text), EVERY) == grams_of(text, "author.url", EVERY)


# --- what must not change without a new FEATURES_VERSION ------------------------------------

# After a change of the defaults in `Spec` alone: python -m tests.test_features
GOLDEN_VERSION = 4
GOLDEN = {
    "content chars": (51, 130721, 6358789),
    "content words": (12, 216446, 1533094),
    "content marked": (6, 21313, 709788),
    "author.name chars": (33, 24648, 3805224),
    "author.name words": (5, 100294, 601404),
    "author.name marked": (3, 230734, 308567),
    "author.url chars": (33, 172332, 4608325),
    "author.url words": (7, 21047, 840668),
    "author.url marked": (4, 10622, 229318),
    "signs": (14, 237606, 1812848),
}


def summed(blocks: list[Block]) -> dict[str, tuple[int, int, int]]:
    return {
        f"{b.field} {b.kind}".strip(): (b.places.size, int(b.places[0]), int(b.places.sum()))
        for b in blocks
    }


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


@given(text=any_text.filter(bool), name=any_text)
def test_a_block_has_the_same_length_however_long_its_text_is(text, name):
    spec = replace(SMALL, bits=20)

    for block in blocks_of(Texts(text, name), spec)[:-1]:
        length = block.distinct.size * block.value**2
        share = spec.shares[block.field] * spec.shares[block.kind]
        assert length == pytest.approx(share**2)


@given(text=any_text.filter(bool))
def test_rows_hold_each_n_gram_once_with_what_its_occurrences_count(text):
    occurring = Occurrences.of([Texts(text)], SMALL)
    summed_up: dict[tuple[int, int], float] = {}
    for block, place, value in zip(
        occurring.blocks.tolist(), occurring.places.tolist(), occurring.values.tolist(), strict=True
    ):
        summed_up[block, place] = summed_up.get((block, place), 0.0) + value

    places, values = row(Texts(text), SMALL)

    n_grams = places.size - occurring.sign_places.size
    expected = sorted((place, value) for (_, place), value in summed_up.items())
    told = sorted(zip(places[:n_grams].tolist(), values[:n_grams].tolist(), strict=True))
    assert [place for place, _ in told] == [place for place, _ in expected]
    assert [v for _, v in told] == pytest.approx([v for _, v in expected], rel=1e-6)


@given(text=any_text.filter(bool))
def test_n_grams_stand_within_the_field_as_typed(text):
    for block in blocks_of(Texts(text, text, text), SMALL)[:-1]:
        assert block.starts.shape == block.ends.shape == block.places.shape
        assert (block.starts >= 0).all()
        assert (block.starts < block.ends).all()
        assert (block.ends <= len(text)).all()


@given(text=any_text.filter(bool) | wordy.filter(bool))
@example(text=(SENTENCE + "😀 ") * 3)
def test_a_part_counts_as_if_it_were_the_whole_text(text):
    occurring = Occurrences.of([Texts(text)], SMALL)

    values = occurring.part_values

    lengths: dict[tuple[int, int], dict[int, float]] = {}
    for at in range(occurring.places.size):
        part = lengths.setdefault((int(occurring.blocks[at]), int(occurring.parts[at])), {})
        place = int(occurring.places[at])
        part[place] = part.get(place, 0.0) + values[at]
    for (block, _), part in lengths.items():
        share = SMALL.shares["content"] * SMALL.shares[KINDS[block]]
        assert sum(v**2 for v in part.values()) == pytest.approx(share**2)


@given(
    batch=st.lists(
        st.tuples(any_text | wordy, any_text, st.sampled_from([(), ("a", "b")])), max_size=6
    )
)
@example(
    batch=[("a\u1100", "", ()), ("\u1161\u0301", "\u0323", ()), ("", "", ()), ("\ufe0f", "", ())]
)
@example(batch=[("x", "", ()), ("\u0301\u0316" * 40, "\udc00", ()), ("\ud800", "", ("a",))])
def test_a_batch_has_the_features_of_its_texts_one_by_one(batch):
    texts = [Texts(content, name, "", signs) for content, name, signs in batch]

    indptr, places, values = features(texts, SMALL).rows()

    alone = [row(text, SMALL) for text in texts]
    parts = list(pairwise(indptr.tolist()))
    assert [places[a:b].tolist() for a, b in parts] == [p.tolist() for p, _ in alone]
    assert [values[a:b].tolist() for a, b in parts] == [v.tolist() for _, v in alone]


def test_fields_and_kinds_never_share_features():
    blocks = blocks_of(Texts("đánh bạc 😀", "đánh bạc 😀", "đánh bạc 😀", ("đánh bạc",)), WIDE)

    seen = [set(block.distinct.tolist()) for block in blocks]

    assert len(blocks) == 3 * len(KINDS) + 1
    assert all(a.isdisjoint(b) for i, a in enumerate(seen) for b in seen[i + 1 :])


def test_a_missing_name_changes_no_other_block():
    with_name = blocks_of(TEXTS, SMALL)
    without = blocks_of(replace(TEXTS, name=""), SMALL)

    kept = [block for block in with_name if block.field != "author.name"]
    assert {block.field for block in with_name} == set(FIELDS)
    assert [(b.field, b.kind) for b in without] == [(b.field, b.kind) for b in kept]
    assert all(
        np.array_equal(a.places, b.places) and a.value == b.value
        for a, b in zip(kept, without, strict=True)
    )


@given(
    word=st.text(st.characters(categories=["Ll"]), min_size=2, max_size=12),
    before=st.lists(st.sampled_from(["an", "ơi", "rất", "xy" * 45]), max_size=6),
)
def test_a_word_has_one_hash_wherever_it_stands(word, before):
    words = replace(WIDE, chars=(), words=(1,), marked=())
    (alone,) = blocks_of(Texts(word), words)[:1]

    (among,) = blocks_of(Texts(f"{' ,'.join(before)} {word}? zz"), words)[:1]

    assert set(alone.places.tolist()) <= set(among.places.tolist())


@pytest.mark.parametrize(
    "texts",
    [Texts(""), Texts("\u200b"), Texts("", "", "", ("a sign",)), Texts("."), Texts("\x00")],
)
def test_a_spec_without_short_ngrams_takes_any_text(texts):
    long_only = replace(SMALL, chars=(9,), words=(), marked=(5,))

    occurring = Occurrences.of([texts], long_only)

    assert occurring.places.size == 0
    assert row(texts, long_only)[0].size == occurring.sign_places.size


def test_neighbours_in_a_huge_text_are_found_at_their_place():
    text = "ac" * 32_767 + "bd"

    block = blocks_of(Texts(text), SMALL)[0]

    assert int(block.ends.max()) == 65_536
    assert all(a <= b for a, b in pairwise(block.distinct.tolist()))


@pytest.mark.parametrize(
    "unit", ["a", "a b ", "1", "4a", "e\u0301", "漢", "क्ष", "😀", "\n", "ﬁ", "\ufdfa", SENTENCE]
)
def test_a_long_text_has_n_grams_by_its_length_at_most(unit):
    found = Occurrences.of([Texts((unit * 65_536)[:65_536])], SMALL)

    lengths = len(SMALL.chars) + len(SMALL.words) + len(SMALL.marked) + 2
    assert found.places.size <= lengths * 65_536 * (2 if unit == "ﬁ" else 1)


def test_many_short_texts_beside_one_of_many_parts_are_told_apart():
    long = Texts(SENTENCE * 70)
    alone = Occurrences.of([long], WIDE)

    together = Occurrences.of([*(Texts("ab") for _ in range(12_000)), long], WIDE)

    (own,) = np.nonzero(together.text_of == 12_000)
    assert np.array_equal(together.values[own], alone.values)
    assert np.array_equal(together.part_values[own], alone.part_values)


def test_words_of_growing_length_are_hashed_in_many_threads_at_once():
    texts = [Texts("x" * (97 * n % 3_000 + 1)) for n in range(120)]
    expected = [row(t, SMALL)[0].tolist() for t in texts]
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


if __name__ == "__main__":
    for name, golden in summed(blocks_of(TEXTS, Spec())).items():
        print(f'    "{name}": {golden},')
