"""`model/glance.c` against the same in plain Python."""

import re
import sys
import unicodedata
from array import array
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model import glance
from model.asking import ASKING
from model.facts import gather
from model.features import Fields, Texts
from model.glance import CODEC, LINKS, MARKUP, UNCOMPOSED, Lexicon, Steps, Telling
from model.kernel import weigh
from model.language import TELLING, language_of
from model.letters import letters_of
from model.links import _may_link
from model.shown import _may_change
from model.signs import CONTENT_SIGNS, STEPS
from model.submission import Submission
from tests import plain_glance
from tests.fuzz_kernel import hostile
from tests.judging_cases import SMALL, a_classifier, any_text, content_signs, wordy

EVERY = [chr(code) for code in range(sys.maxunicode + 1)]

# What languages are told by, what asks, what opens links and tags, what is hidden or composes.
SPOKEN = [
    *("the", "and", "it’s", "IS", "của", "KHÔNG", "không", "bai", "viet", "được", "và", "người"),
    *("please", "Subscribe", "đăng", "ký", "KÍ", "my", "channel", "kênh", "em", "của", "share"),
    *(" ", " ", " ", "\n", ". ", ", ", "!", "?", "-", "_", "/", "@", "'", "’", "\x1c", "\x00"),
    *("http://", "https://x", "www.", "www.x", "<b>", "<", ">", "a@b", "<a ", "<A\t", "[url=x]"),
    *("[LİN\u212a]", "[lınk ", "[Link=", "(dot)", "chấm", "CHA\u0302\u0301M", "$", "％", "＃"),
    *("\u0130", "\u0130n", "Σ", "ẞ", "\u017f", "\u212a", "\u0307", "\u0301", "\u0323", "\u0f73"),
    *(
        "\u200b",
        "\u200d",
        "\ufe0f",
        "\ufeff",
        "\u2800",
        "⠿",
        "\u200f",
        "א",
        "👩",
        "🏴",
        "\U000e0067",
    ),
    *("Ｓ", "𝐬", "漢", "か", "한", "\u1100", "\u1161", "я", "і", "پ", "س", "ก", "\ud800", "\udfff"),
]
spoken = st.lists(st.sampled_from(SPOKEN), max_size=60).map("".join)
texts = st.one_of(any_text, wordy, spoken)


def assert_told_alike(text: str) -> None:
    facts, language = gather(Submission(text)), plain_glance.language_of(text)
    assert facts.language == language_of(text) == language
    assert (facts.invisible, facts.disguised, facts.marks) == plain_glance.hiding(text, language)
    flags = TELLING.told(text).flags
    assert flags & LINKS or not _may_link(text)
    assert flags & (MARKUP | UNCOMPOSED) or not _may_change(text)
    assert flags & UNCOMPOSED or unicodedata.is_normalized("NFC", text)
    if text:
        counts = letters_of([text], [False]).counts[0].tolist()
        assert content_signs(text) == [*plain_glance.content_signs(text, counts)]


@given(texts)
@example("")
@example("\x00")
@example("I don’t know, it\x1cis")
@example("kênh của em http://x.vn/a@b <b>của</b> www. www.x")
@example("<a@b.c> x@y<b> @x x@ @")
@example("<" + "a" * 200 + "> / <" + "b" * 201 + ">")
@example("\u0130add it. \u0130 add it")
@example("ΑΣ please")
@example("đa\u0306ng ky\u0301 " * 900)
@example("x" * 64 + " please " + "x" * 65)
@example("🏴\U000e0067\u200b e\u0301\u200d👩\u200d\ufe0f\ufe0f א\u200f")
def test_a_glance_tells_what_plain_python_does(text):
    assert_told_alike(text)


@pytest.mark.parametrize("seed", range(40))
def test_hostile_texts_are_told_alike(seed):
    draw = Random(seed)

    assert_told_alike(hostile(draw, 3_000))
    assert_told_alike("".join(draw.choices(SPOKEN, k=2_000)))


@pytest.mark.parametrize("cut", [glance._MOST_ASKED, ASKING.sample, TELLING.sample])
def test_texts_around_a_limit_are_told_alike(cut):
    for size in range(cut - 2, cut + 3):
        assert_told_alike(("my shop. " * cut)[:size] + "vào kênh e\u0301m của em")


def test_every_character_is_told_alike():
    # Beside letters, as a tag's and a word's end, and alone between blanks.
    assigned = [c for c in EVERY if unicodedata.category(c) not in {"Cn", "Co"}]
    for start in range(0, len(assigned), 60):
        some = assigned[start : start + 60]
        spaced = "".join(f"a{c} {c}<a{c}[url{c}" for c in some)
        language = plain_glance.language_of(spaced)
        facts = gather(Submission(spaced))
        assert facts.language == language
        told = facts.invisible, facts.disguised, facts.marks
        assert told == plain_glance.hiding(spaced, language)


def test_what_signs_take_a_character_for_is_what_patterns_do():
    # What upper and lower case make of it, and what is blank, over all there are.
    of_case = [c for c in EVERY if re.fullmatch("[aurlink]", c, re.IGNORECASE)]
    blank = [c for c in EVERY if c.isspace()]
    for text in (
        *(f"[{c}rl]" for c in of_case),
        *(f"[u{c}l]" for c in of_case),
        *(f"[l{c}nk]" for c in of_case),
        *(f"[lin{c}]" for c in of_case),
        *(f"<{c} " for c in of_case),
        *(f"<a{c}" for c in blank),
        *(f"[url{c}" for c in blank),
    ):
        assert content_signs(text) == [
            *plain_glance.content_signs(text, letters_of([text], [False]).counts[0].tolist())
        ]


def test_only_one_character_becomes_two_in_lower_case():
    assert [c for c in EVERY if len(c.lower()) > 1] == ["\u0130"]
    assert not any(c.lower().lower() != c.lower() for c in EVERY)


@given(text=texts.filter(bool), data=st.data())
def test_spans_are_widened_as_plain_python_does(text, data):
    size = len(text)
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    other = "e\u0301" * 3
    laid = Fields.of([Texts(other, text)]).laid
    spans = np.array([[0, 0, 1, start, end]], np.int64)

    glance.widen(laid.typed, laid.rows, spans)

    assert tuple(spans[0, 3:].tolist()) == plain_glance.whole_characters(text, start, end)


@given(st.lists(st.tuples(texts, st.sampled_from(["", "Nam", "e\u0301m"])), max_size=6))
def test_signs_of_a_batch_are_those_of_each(batch):
    submissions = [Texts(text, name, signs=("links:1",)) for text, name in batch]
    fields = Fields.of(submissions)
    found = weigh(a_classifier()._plan, fields.laid)

    places, owners = fields.signs(found.counts, SMALL.bits)

    for owner, one in enumerate(submissions):
        alone = Fields.of([one])
        expected, _ = alone.signs(weigh(a_classifier()._plan, alone.laid).counts, SMALL.bits)
        assert [p for p, of in zip(places, owners, strict=True) if of == owner] == [*expected]


def test_a_character_that_was_not_met_yet_is_looked_up():
    unassigned = "\U000efff0"
    glance._TRAITS[ord(unassigned)] = 0

    assert TELLING.told(f"a{unassigned}").flags == 0
    assert glance._TRAITS[ord(unassigned)]


# ------------------------------------------------------------------ what is asked for wrongly


@pytest.mark.parametrize("words", [{"": 1}, {"a" * 65: 1}, {"a": 0}, {"a": 1 << 32}])
def test_words_that_would_lead_out_of_memory_are_refused(words):
    with pytest.raises(ValueError, match="no such lexicon"):
        Lexicon(words)


@pytest.mark.parametrize(
    ("number", "letters", "languages", "sample"),
    [
        (5, {"ế": 1}, 2, 160),
        (1, {"ế": 4}, 2, 160),
        (1, {"e": 1}, 2, 160),
        (1, {"ế": 1}, 32, 160),
        (1, {"ế": 1}, 2, 300),
        (1, {}, 0, 160),
    ],
)
def test_languages_that_would_lead_out_of_memory_are_refused(number, letters, languages, sample):
    with pytest.raises(ValueError, match="no such languages"):
        Telling(Lexicon({"a": number}), Lexicon(letters), languages, sample)


def test_a_sample_that_would_lead_out_of_memory_is_refused():
    with pytest.raises(ValueError, match="no such sample"):
        glance.Asking(Lexicon({"a": 1}), 5_001)


def test_measures_that_are_not_counted_are_refused():
    with pytest.raises(ValueError, match="no such measures"):
        Steps(((1, 2),), ASKING)


def test_counts_of_other_texts_are_refused():
    laid = "a".encode(CODEC), array("q", [0, 0, 0, 1, -1, 0])
    places = array("q", range(STEPS.signs))

    with pytest.raises(ValueError, match="counts for each text"):
        STEPS.add_signs((array("q"), array("q")), ["a"], laid, np.zeros((2, 6), np.int64), places)


def test_there_are_as_many_signs_as_names():
    assert len(CONTENT_SIGNS) == len(set(CONTENT_SIGNS)) == STEPS.signs
