import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.spans import LONGEST_PIECE, ROUNDING, Run, runs


@st.composite
def weighed_texts(draw):
    some_text = st.text(st.sampled_from("ab ế　\n"), min_size=1, max_size=40)
    texts = draw(st.lists(some_text, max_size=4))
    size = sum(map(len, texts))
    weights = draw(st.lists(st.floats(-5, 5, width=32), min_size=size, max_size=size))
    return texts, np.array(weights, np.float64)


def runs_of(texts: list[str], weights: np.ndarray) -> list[Run]:
    return runs(texts, weights[np.newaxis])


@given(weighed=weighed_texts())
def test_runs_are_apart_inside_their_text_and_weigh_something(weighed):
    texts, weights = weighed
    begins = np.cumsum([0, *map(len, texts)])

    found = runs_of(texts, weights)

    taken = [(run.text, at) for run in found for at in range(run.start, run.end)]
    assert len(taken) == len(set(taken))
    assert all(0 <= run.start < run.end <= len(texts[run.text]) for run in found)
    assert all(run.weight > ROUNDING for run in found)
    assert all(
        run.weight <= weights[begins[run.text] :][: len(texts[run.text])].clip(0).sum() + 1e-6
        for run in found
    )


@given(weighed=weighed_texts(), times=st.integers(-2, 2))
def test_rows_of_weights_have_the_runs_of_each_alone(weighed, times):
    texts, weights = weighed
    rows = np.stack([weights, weights * times, -weights])

    together = runs(texts, rows)

    alone = [run._replace(row=row) for row, one in enumerate(rows) for run in runs_of(texts, one)]
    assert together == alone


def test_a_heavy_word_is_a_run_of_its_own_without_the_blank_after_it():
    text = "nothing here but casino and the rest"
    weights = np.full(len(text), 0.01)
    weights[text.index("casino") : text.index(" and")] = 1.0

    (run,) = runs_of([text], weights)

    assert text[run.start : run.end] == "casino"
    assert run.weight == pytest.approx(6.01)


def test_an_evenly_dense_text_is_one_run():
    text = "one two three four"

    (run,) = runs_of([text], np.full(len(text), 0.1))

    assert (run.start, run.end, run.weight) == (0, len(text), pytest.approx(1.8))


def test_neighbouring_dense_words_are_one_run():
    text = "xin chào vay tiền nhanh nhé"
    weights = np.full(len(text), -0.1)
    at = text.index("vay")
    weights[at : at + len("vay tiền nhanh")] = 1.0

    (run,) = runs_of([text], weights)

    assert text[run.start : run.end] == "vay tiền nhanh"


def test_runs_do_not_reach_from_one_text_into_the_next():
    found = runs_of(["ab", "cd"], np.ones(4))

    assert [(run.text, run.start, run.end) for run in found] == [(0, 0, 2), (1, 0, 2)]


def test_a_text_without_blanks_is_cut_into_pieces():
    weights = np.zeros(5 * LONGEST_PIECE)
    weights[2 * LONGEST_PIECE : 3 * LONGEST_PIECE] = 1.0

    (run,) = runs_of(["x" * weights.size], weights)

    assert (run.start, run.end) == (2 * LONGEST_PIECE, 3 * LONGEST_PIECE)


def test_what_rounding_leaves_is_no_run():
    assert runs_of(["a b"], np.array([1e-17, 3e-16, -0.5])) == []


@pytest.mark.parametrize("texts", [[], [" "], ["\n\n"], [" ", "\n"]])
def test_texts_without_words_have_no_runs_of_negative_weight(texts):
    assert runs_of(texts, np.full(sum(map(len, texts)), -1.0)) == []


@pytest.mark.parametrize("weights", [np.ones((1, 3)), np.ones((1, 5)), np.ones(4)])
def test_weights_that_are_not_those_of_the_texts_are_refused(weights):
    with pytest.raises(ValueError, match="for each character"):
        runs(["ab", "cd"], weights)
