"""Attacks on text: what each does, what it leaves alone, and that none of them breaks."""

import html
import re
import subprocess
import sys
import unicodedata
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.attacks import threshold_at
from model.text import readable
from training.attacks import ATTACKS, CHAINS, PADDINGS, chained, is_link, is_vietnamese

EVERY = {**ATTACKS, **CHAINS}

VIETNAMESE = (
    "Vay tiền nhanh không thế chấp, được giải ngân ngay. Gọi 0912 345 678 "
    "hoặc vào https://vay.example/a?b=1 nhé bạn!"
)
ENGLISH = "Please play at <b>our</b> Casino for free, you win 500: www.play.example call 0912345678"

anything = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("aA đĐ\u0301\u0323<>&#;:/.0919\u200b\ud800\u20e3"),
    ),
    max_size=200,
)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=25, deadline=None)
@given(text=anything, seed=seeds)
def test_no_text_breaks_an_attack_and_a_seed_settles_it(name, text, seed):
    once = EVERY[name](text, Random(seed))
    again = EVERY[name](text, Random(seed))

    assert isinstance(once, str)
    assert once == again


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("text", [VIETNAMESE, ENGLISH], ids=["vi", "en"])
def test_each_attack_changes_a_typical_text(name, text):
    # English has no marks to drop or part.
    text += " Café" if {"diacritics_dropped", "decomposed"} & set(name.split(" + ")) else ""

    changed = EVERY[name](text, Random(3))

    assert changed != text


@pytest.mark.parametrize(
    "name",
    [
        "look_alikes",
        "fullwidth",
        "mathematical",
        "invisible",
        "diacritics_dropped",
        "decomposed",
        "changed_case",
        "look_alikes + invisible",
        "decomposed + fullwidth + invisible",
    ],
)
@pytest.mark.parametrize("text", [VIETNAMESE, ENGLISH], ids=["vi", "en"])
def test_what_looks_the_same_reads_the_same(name, text):
    changed = [EVERY[name](text, Random(seed)) for seed in range(8)]

    assert {readable(one) for one in changed} == {readable(text)}


@pytest.mark.parametrize("name", ["markup", "entities", "markup + entities"])
def test_a_browser_shows_marked_up_text_as_it_was(name):
    shown = {_as_shown(EVERY[name](VIETNAMESE, Random(seed))) for seed in range(8)}

    assert shown == {VIETNAMESE}


@pytest.mark.parametrize("name", ["spaced_out", "dotted", "run_together"])
def test_parting_and_joining_words_keeps_every_letter_in_order(name):
    parted = [EVERY[name](VIETNAMESE, Random(seed)) for seed in range(8)]

    assert {_letters(one) for one in parted} == {_letters(VIETNAMESE)}


@pytest.mark.parametrize("name", [n for n in EVERY if "dot_com" not in n])
def test_a_link_can_still_be_followed(name):
    changed = [EVERY[name](VIETNAMESE, Random(seed)) for seed in range(4)]

    assert [one for one in changed if "https://vay.example/a?b=1" not in one] == []


@pytest.mark.parametrize("seed", range(12))
def test_dot_com_leaves_no_link_that_could_be_followed(seed):
    said = ATTACKS["dot_com"](VIETNAMESE, Random(seed))

    assert not any(map(is_link, said.split()))
    assert "vay" in said
    assert "example/a?b=1" in said


@pytest.mark.parametrize("seed", range(12))
def test_a_split_phone_number_keeps_its_digits(seed):
    split = ATTACKS["split_phone"]("Gọi 0912 345 678 nhé", Random(seed))

    assert re.sub(r"[ ./-]", "", split).replace("o", "0") == "Gọi0912345678nhé"
    assert "0912 345 678" not in split


@pytest.mark.parametrize("name", ["copied_article", "padding"])
@pytest.mark.parametrize("text", [VIETNAMESE, ENGLISH], ids=["vi", "en"])
def test_good_words_stand_around_the_whole_text_in_its_language(name, text):
    padded = ATTACKS[name](text, Random(1))

    before, found, after = padded.partition(text)
    assert found
    assert is_vietnamese(before) == is_vietnamese(after) == is_vietnamese(text)


def test_a_padded_link_keeps_the_link_and_few_words_before_it():
    padded = ATTACKS["padded_link"](VIETNAMESE, Random(1))

    assert "345 678 hoặc vào https://vay.example/a?b=1 " in padded
    assert "Vay tiền nhanh" not in padded
    assert len(padded) > 3 * len(VIETNAMESE)


@pytest.mark.parametrize(
    ("name", "text", "disguised"),
    [
        ("diacritics_dropped", "Đường về quê", "Duong ve que"),
        ("decomposed", "được", unicodedata.normalize("NFD", "được")),
        ("emoji_digits", "09 x", "0\ufe0f\u20e39\ufe0f\u20e3 x"),
        ("emoji_digits", "www.bet88.com", "www.bet88.com"),
        ("fullwidth", "Bet88!", "Ｂｅｔ８８！"),
        ("teencode", "gì được", "j đc"),
        ("teencode", "you are", "u r"),
        ("split_phone", "năm 2024 có 1.500 người", "năm 2024 có 1.500 người"),
    ],
)
def test_examples(name, text, disguised):
    allowed = {ATTACKS[name](text, Random(seed)) for seed in range(30)}

    assert disguised in allowed


def test_vietnamese_is_told_with_and_without_marks():
    told = [is_vietnamese(t) for t in ("Được", "khong vay duoc tien", "déjà vu", "for the money")]

    assert told == [True, True, False, False]


@pytest.mark.parametrize("name", EVERY)
def test_long_runs_of_anything_take_no_time_by_their_square(name):
    units = ("<", "&", "a", "a-", "0 ", "\u0301", "a.", "://", "<a ", " ")

    lengths = [len(EVERY[name](unit * (20_000 // len(unit)), Random(1))) for unit in units]

    assert max(lengths) < 40 * 19_998


def test_other_processes_draw_the_same():
    program = (
        "from random import Random; from training.attacks import ATTACKS, CHAINS;"
        "import sys, hashlib;"
        "text = sys.stdin.buffer.read().decode();"
        "all_of_them = [a(text, Random('7/x')) for a in {**ATTACKS, **CHAINS}.values()];"
        "print(hashlib.sha256(repr(all_of_them).encode()).hexdigest())"
    )

    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=VIETNAMESE.encode(),
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1


def test_paddings_are_attacks_and_a_chain_needs_attacks_there_are():
    assert set(ATTACKS) >= PADDINGS
    with pytest.raises(KeyError):
        chained("leet", "no such attack")


def test_the_threshold_flags_at_most_its_share_of_ham():
    ham = np.array([0.9, 0.8, 0.8, *[0.1] * 97])

    at = threshold_at(ham, 0.01)

    assert (ham >= at).sum() == 1


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def _as_shown(text: str) -> str:
    return html.unescape(re.sub(r"<[^<>]+>", "", text))
