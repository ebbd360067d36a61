import math
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.classifier import HEADS, SPANS_PER_HEAD, Classifier, _parts
from model.facts import gather
from model.features import KINDS, Occurrences, Spec, Texts, row
from model.outcome import Head
from model.submission import Author, Submission
from tests.judging_cases import (
    SENTENCE,
    SMALL,
    a_classifier,
    a_promise,
    a_table,
    any_text,
    blocks_of,
    wordy,
)
from tests.second_opinion import Gram, grams_of

CLASSIFIER = a_classifier()

TEXTS = Texts(
    "Vào nổ hũ 𝐬𝐥𝐨𝐭𝟖𝟖 nhận thưởng ngay", "Nguyễn Văn A", "http://slot.vn/a", ("links:1", "phone")
)


# Several parts, so that the worst of them counts.
PARTED = (SENTENCE + "😀 ") * 2 + "Vào nổ hũ nhận thưởng ngay, nạp đầu tặng gấp đôi! " + SENTENCE

long_text = st.lists(any_text | wordy | st.just(SENTENCE), max_size=8).map("".join)


@given(content=long_text, name=any_text | long_text, url=any_text | long_text)
@example(content=PARTED, name=PARTED, url=PARTED)
def test_contributions_and_bias_are_the_log_odds(content, name, url):
    texts = Texts(content, name, url, ("links:1",))

    parts = CLASSIFIER.contributions(texts)

    total = CLASSIFIER.bias + sum(part.total for part in parts)
    assert np.allclose(total, CLASSIFIER.log_odds([texts])[0], rtol=0, atol=1e-9)


@given(content=long_text, name=any_text | long_text, url=any_text | long_text)
@example(content=PARTED, name=PARTED, url=PARTED)
def test_characters_share_out_all_that_their_field_adds(content, name, url):
    parts = CLASSIFIER.contributions(Texts(content, name, url))

    of = {"content": content, "author.name": name, "author.url": url}
    shared = [part for part in parts if part.field != "signs"]
    assert [part.field for part in shared] == [field for field, text in of.items() if text]
    assert all(part.characters.shape[1] == len(of[part.field]) for part in shared)
    assert all(
        np.allclose(part.characters.sum(axis=1), part.total, rtol=0, atol=1e-9) for part in shared
    )


@given(content=long_text, name=long_text)
@example(content=PARTED, name=PARTED)
def test_the_worst_part_never_lowers_a_score(content, name):
    whole = replace(CLASSIFIER, spec=replace(CLASSIFIER.spec, worst_part=0.0))
    texts = Texts(content, name)

    assert (CLASSIFIER.log_odds([texts]) >= whole.log_odds([texts]) - 1e-9).all()


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@given(content=long_text, name=long_text)
@example(content=PARTED, name="")
@example(content=PARTED, name=PARTED)
def test_log_odds_are_those_of_the_slow_and_plain_way(share, content, name):
    classifier = replace(CLASSIFIER, spec=replace(CLASSIFIER.spec, worst_part=share))
    texts = Texts(content, name, signs=("links:1",))

    found = classifier.log_odds([texts])[0]

    assert np.allclose(found, slow_log_odds(classifier, texts), rtol=0, atol=1e-9)


def slow_log_odds(classifier: Classifier, texts: Texts) -> np.ndarray:
    spec, table = classifier.spec, classifier.table.astype(np.float64)
    signs = Occurrences.of([texts], spec).sign_places
    log_odds = classifier.bias + spec.shares["signs"] * table[signs].sum(axis=0)
    for field, text in (("content", texts.content), ("author.name", texts.name)):
        grams = grams_of(text, field, spec) if text else []
        whole = says(grams, field, spec, table)
        parts = {part for *_, part in grams}
        if len(parts) > 1:
            of_parts = [
                says([g for g in grams if g[-1] == part], field, spec, table) for part in parts
            ]
            whole = whole + spec.worst_part * np.maximum(np.max(of_parts, axis=0) - whole, 0)
        log_odds = log_odds + whole
    return log_odds


def says(grams: list[Gram], field: str, spec: Spec, table: np.ndarray) -> np.ndarray:
    """What n-grams say, those of a kind with one length together."""
    total = np.zeros(len(HEADS))
    for kind in KINDS:
        places = sorted({place for of, place, *_ in grams if of == kind})
        if places:
            length = spec.shares[field] * spec.shares[kind]
            total += length / math.sqrt(len(places)) * table[places].sum(axis=0)
    return total


def test_good_words_around_bad_ones_hide_none_of_them():
    bad = (
        "Vào nổ hũ nhận thưởng ngay, nạp đầu tặng gấp đôi, rút tiền trong một phút, "
        "hoàn trả mỗi tuần cho hội viên mới!"
    )
    classifier = one_word_classifier(bad)
    padded = " ".join(["Thank you, this was a lovely read on a quiet sunday."] * 6)

    (alone, among, good) = (
        classifier.log_odds([Texts(text)])[0, 0]
        for text in (bad, f"{padded} {bad} {padded}", padded)
    )

    assert alone > 0
    assert among > classifier.spec.worst_part * 0.9 * alone
    assert good < 0.2 * alone


def test_signs_stand_for_the_whole_and_not_for_characters():
    (signs,) = CLASSIFIER.contributions(Texts("", signs=("links:1",)))

    assert signs.field == "signs"
    assert signs.characters.size == 0
    assert (signs.total != 0).all()


@given(content=any_text, name=any_text, url=any_text)
@example(content="\u200b", name="", url="")
def test_spans_lie_inside_their_field_and_weigh_something(content, name, url):
    scores, spans = CLASSIFIER.explain([Texts(content, name, url)])[0]

    of = {"content": content, "author.name": name, "author.url": url}
    assert 0 <= scores.spam <= 1
    assert all(0 <= s.start < s.end <= len(of[s.field]) and s.weight > 0 for s in spans)
    assert all(sum(s.head is head for s in spans) <= SPANS_PER_HEAD for head in HEADS)


@given(content=any_text)
def test_explaining_gives_the_scores_of_scoring(content):
    texts = Texts(content, "a", "", ("links:1",))

    assert CLASSIFIER.explain([texts])[0][0] == CLASSIFIER.score([texts])[0]


def test_a_batch_is_scored_in_its_order_and_like_one_by_one():
    batch = [TEXTS, Texts(""), Texts("a"), TEXTS]

    scores = CLASSIFIER.score(batch)

    assert scores == [CLASSIFIER.score([texts])[0] for texts in batch]
    assert scores[0] == scores[3] != scores[1]


@pytest.mark.parametrize("lengths", [[], [70_000, 1, 70_000], [30_000] * 5, [0, 0, 1]])
def test_a_batch_is_scored_in_parts_of_bounded_length(lengths):
    batch = [Texts("slot " * (length // 5) + "z") for length in lengths]

    parts = list(_parts(batch))

    assert [texts for part in parts for texts in part] == batch
    assert all(len(p) == 1 or sum(len(t.content) for t in p) <= 65_536 for p in parts)
    assert CLASSIFIER.score(batch) == [CLASSIFIER.score([texts])[0] for texts in batch]


@given(batch=st.lists(any_text, max_size=4))
def test_a_batch_is_explained_in_its_order_and_like_one_by_one(batch):
    texts = [Texts(content, "Lan", "", ("links:1",)) for content in batch]

    told = CLASSIFIER.explain(texts)

    alone = [CLASSIFIER.explain([one])[0] for one in texts]
    assert [scores for scores, _ in told] == [scores for scores, _ in alone]
    assert [[(s.field, s.start, s.end, s.head) for s in spans] for _, spans in told] == [
        [(s.field, s.start, s.end, s.head) for s in spans] for _, spans in alone
    ]


def one_word_classifier(word: str) -> Classifier:
    """Only what stands in `word` weighs, and towards spam."""
    spec = replace(Spec(), bits=20)
    table = np.zeros((2**20, 2), np.float32)
    for block in blocks_of(Texts(word), spec):
        if block.field == "content":
            table[block.places, 0] = 1.0
    return Classifier("test", spec, table, np.zeros(2), a_promise())


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["nổhũ", "nổ\u200bhũ", "𝐧ổ𝐡ũ", "nổ<b></b>hũ"])
def test_the_heaviest_span_is_the_word_that_weighs_as_it_was_typed(form, written):
    classifier = one_word_classifier("nổhũ")
    word = unicodedata.normalize(form, written)
    text = unicodedata.normalize(form, "bài này ") + word + " đọc rất thích"

    _, spans = classifier.explain([Texts(text)])[0]

    found = next(span for span in spans if span.head is Head.SPAM)
    assert text[found.start : found.end].strip() == word
    assert not [span for span in spans if span.head is Head.TOXICITY]


@pytest.mark.parametrize("bias", [-2000.0, 2000.0])
def test_extreme_log_odds_are_still_probabilities(bias):
    extreme = Classifier("test", SMALL, a_table(), np.array([bias, -bias]), a_promise())

    scores = extreme.score([TEXTS])[0]

    assert {scores.spam, scores.toxicity} == {0.0, 1.0}


def test_weights_that_are_no_numbers_give_an_error_and_not_a_score():
    table = a_table()
    table[:] = math.nan
    broken = Classifier("test", SMALL, table, np.zeros(2), a_promise())

    with pytest.raises(ValueError, match="from 0 to 1"):
        broken.score([TEXTS])


@pytest.mark.parametrize(
    "content",
    ["a" * 65_536, "e\u0323\u0302" * 21_000, "z" + "\u0301\u0316" * 32_000, "\u200b" * 65_536,
     "http://x.vn/a " * 10_000, "1" * 65_536, "\U0001f600" * 16_000, "a@" * 30_000, "\x00" * 65_536,
     "[" * 65_536, "<a " * 20_000, "((((" * 16_000, "s l o t . " * 6_000],
    ids=lambda content: content[:4].encode("unicode_escape").decode(),
)  # fmt: skip
def test_the_longest_contents_are_read_scored_and_explained(content):
    facts = gather(Submission(content, Author(name=content[:300])))

    _, spans = CLASSIFIER.explain([facts.texts])[0]

    assert all(span.end <= len(content) for span in spans)


@given(st.lists(st.builds(Texts, any_text, any_text, any_text), max_size=5))
def test_what_is_explained_with_rows_is_the_same_and_each_row_is_its_own(texts):
    with_rows = CLASSIFIER.explained(texts, rows=True)

    assert [(one.scores, one.spans) for one in with_rows] == CLASSIFIER.explain(texts)
    assert all(one.row is None for one in CLASSIFIER.explained(texts))
    for one, own in zip(with_rows, texts, strict=True):
        assert one.row is not None
        for part, expected in zip(one.row, row(own, SMALL), strict=True):
            np.testing.assert_array_equal(part, expected)
