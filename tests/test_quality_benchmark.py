"""The quality benchmark: splits keep near-duplicates together, figures are what they say."""

import gzip
import json
import math
import subprocess
import sys
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef, roc_auc_score

from benchmarks.quality.figures import (
    Figure,
    Table,
    auc,
    interval,
    macro_f1,
    matthews,
    mean_over,
    recall_at,
)
from benchmarks.quality.published import group_clean, youtube_later, youtube_unseen
from benchmarks.quality.sites import thinned
from benchmarks.quality.splits import Likeness, folds_of, folds_without, in_order
from model.decision import Label, LabelledExample
from model.outcome import Head
from training.literature import (
    LiteratureRecipe,
    Member,
    Reading,
    asking_signs,
    fit_literature,
    folded,
    form_signs,
    squeezed,
    typed,
    writing_signs,
)

SPAM, HAM = Label(Head.SPAM, True), Label(Head.SPAM, False)


def an_example(text, *, spam=False, **said):
    return LabelledExample(id=said.pop("id", text), text=text, label=SPAM if spam else HAM, **said)


def comments(count, *, seed=3, **said):
    """Spam that offers and ham that chats, each in words of its own, labels in turn."""
    random = Random(seed)
    offers = ["buy cheap pills", "visit my channel", "earn money at home", "free gift cards"]
    chat = ["lovely voice", "saw it live", "the drums are great", "my mother sings it"]
    rows = []
    for at in range(count):
        words = " ".join(random.choices("abcdefgh", k=6))
        text = f"{random.choice(offers if at % 2 else chat)} {words} {at}"
        rows.append(an_example(text, spam=bool(at % 2), id=str(at), **said))
    return rows


TINY = LiteratureRecipe("tiny", (Member("svm", (Reading(folded, "word", (1, 2)),), (form_signs,)),))


# ------------------------------------------------------------------ figures


@settings(max_examples=50, deadline=None)
@given(data=st.data(), size=st.integers(4, 60))
def test_metrics_are_those_of_scikit_learn(data, size):
    truth = np.array([0, 1, *data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))])
    score = np.array(data.draw(st.lists(st.floats(0, 1), min_size=truth.size, max_size=truth.size)))
    told = (score > 0.5).astype(int)

    assert macro_f1(truth, told) == pytest.approx(f1_score(truth, told, average="macro"))
    assert matthews(truth, told) == pytest.approx(matthews_corrcoef(truth, told))
    assert auc(truth == 1, score) == pytest.approx(roc_auc_score(truth, score))


@settings(max_examples=100, deadline=None)
@given(
    spam=st.lists(st.integers(0, 20), min_size=1, max_size=30),
    ham=st.lists(st.integers(0, 20), min_size=1, max_size=150),
)
def test_recall_is_the_best_of_all_thresholds_that_flag_so_little_ham(spam, ham):
    score = np.array(spam + ham, float)
    positive = np.arange(score.size) < len(spam)

    flags = [score > at for at in (*score, -1)]
    best = max(f[positive].mean() for f in flags if f[~positive].mean() <= 0.01)

    assert recall_at(positive, score, 0.01) == pytest.approx(best)


def test_what_one_class_cannot_tell_is_not_a_number():
    alone = np.ones(5, bool)

    assert math.isnan(auc(alone, np.arange(5.0)))
    assert math.isnan(recall_at(alone, np.arange(5.0), 0.01))
    assert math.isnan(macro_f1(alone.astype(int), alone.astype(int)))


def test_interval_widens_when_rows_come_in_groups():
    hit = np.repeat([0.0, 1.0], 100)
    alone, grouped = np.arange(200), np.repeat(np.arange(10), 20)

    def share(rows):
        return float(hit[rows].mean())

    narrow, wide = interval(share, alone, seed=1), interval(share, grouped, seed=1)

    assert narrow[0] < 0.5 < narrow[1]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    assert interval(share, grouped, seed=1) == wide


def test_one_group_has_no_interval():
    assert all(map(math.isnan, interval(lambda rows: 1.0, np.zeros(9, int), seed=1)))


def test_mean_over_parts_gives_each_part_the_same_say():
    hit = np.array([1.0] * 9 + [0.0])
    parts = [np.arange(10) < 9, np.arange(10) == 9]

    measure = mean_over(parts, lambda rows: float(hit[rows].mean()))

    assert measure(np.arange(10)) == 0.5


@pytest.mark.parametrize(
    ("value", "goal", "at_most", "met"),
    [(0.97, 0.968, False, True), (0.96, 0.968, False, False), (0.02, 0.01, True, False)],
)
def test_table_says_whether_a_goal_is_met(value, goal, at_most, met):
    figure = Figure("F1", value, 0.9, 0.99, ".945", goal, at_most)

    line = next(line for line in Table("row", "how", (figure,)).lines() if line.startswith("| F1"))

    assert figure.met is met
    assert line.endswith("| yes |" if met else "| no |")
    assert ".945" in line


def test_json_has_null_for_what_is_not_a_number():
    nothing = float("nan")
    body = Table("row", "how", (Figure("F1", 0.5, nothing, nothing),)).json_body()

    assert json.loads(json.dumps(body, allow_nan=False))["figures"][0]["low"] is None


# ------------------------------------------------------------------ splits


def test_texts_that_read_the_same_are_near_duplicates():
    rows = [
        an_example("Check out my new channel, guys!"),
        an_example("<b>CHECK</b> out my new channel guys 1"),
        an_example("c h e c k out my new channel guys"),
        an_example("What a lovely evening that was"),
    ]

    near = Likeness(rows).near(np.array([1, 2, 3]), np.array([0]))

    assert near.tolist() == [True, True, False]


def test_units_join_what_is_near_in_turn_and_part_the_rest():
    rows = [an_example(text) for text in ("abcdefghij" * 3, "abcdefghij" * 4, "other words", "")]

    units = Likeness(rows).units()

    assert units[0] == units[1]
    assert len(set(units.tolist())) == 3


def test_development_split_shares_no_near_duplicate_with_what_trains():
    train = [an_example(f"{e.text}", id=e.id, split="train") for e in comments(40)]
    copy = an_example(train[5].text.upper() + "!!", id="copy", split="dev")
    rows = [*train, copy, *[an_example(f"new {i} words", split="dev") for i in range(3)]]

    shown, hidden, left_out = group_clean(rows)

    assert left_out >= 1
    assert 5 not in shown
    assert not Likeness(rows).near(shown, hidden).any()
    assert hidden.tolist() == [40, 41, 42, 43]


def test_first_share_is_taken_of_each_group_in_order():
    group = np.array([0, 1, 0, 1, 0, 0])

    assert in_order(group, 0.5).tolist() == [True, True, True, False, False, False]


def test_folds_keep_units_whole_and_hold_every_row_out_once():
    unit = np.repeat(np.arange(12), 3)

    folds = folds_of(unit, count=4, seed=7)

    assert sorted(np.concatenate([out for _, out in folds])) == list(range(36))
    assert all(not set(unit[fit]) & set(unit[out]) for fit, out in folds)


def test_folds_without_a_group_never_fit_to_it():
    group = np.array([3, 3, 5, 5, 9])

    assert [set(group[fit]) & set(group[out]) for fit, out in folds_without(group)] == [set()] * 3


def test_thinning_keeps_order_and_at_most_so_many_of_a_kind_whatever_else_is_there():
    rows = comments(60, source="one")

    few = thinned(rows, {Head.SPAM: 10})

    assert sum(e.label.positive for e in few) == 10
    assert len(few) == 20
    assert [int(e.id) for e in few] == sorted(int(e.id) for e in few)
    more = thinned([*rows, an_example("x", source="two")], {Head.SPAM: 10})
    assert more[:-1] == few


# ------------------------------------------------------------------ recipes


def test_a_recipe_tells_apart_what_it_has_not_seen():
    rows = comments(120)
    truth = np.array([int(e.label.positive) for e in rows])
    shown, hidden = np.arange(80), np.arange(80, 120)

    folds = folds_of(np.arange(80), count=3, seed=1)
    fitted = fit_literature(TINY, [rows[i] for i in shown], truth[shown], folds)
    told = fitted.scores([rows[i] for i in hidden]).argmax(axis=1)

    assert macro_f1(truth[hidden], told) > 0.95


def test_a_second_stage_is_fitted_to_held_out_scores_and_three_classes_work():
    rows = [*comments(90), *[an_example(f"third kind {i} of thing") for i in range(45)]]
    truth = np.array([int(e.label.positive) for e in rows[:90]] + [2] * 45)
    words = Reading(folded, "word", (1, 1))
    members = (Member("svm", (words,)), Member("trees", (words,), (form_signs,), components=5))
    recipe = LiteratureRecipe("stack", members, stacked=True, balance=0.5, shared=True)

    fitted = fit_literature(recipe, rows, truth, folds_of(np.arange(135), count=3, seed=1))

    assert fitted.scores(rows).shape == (135, 3)
    assert macro_f1(truth, fitted.scores(rows).argmax(axis=1)) > 0.95


def test_hidden_labels_change_nothing_that_a_protocol_measures_with(tmp_path):
    """What is said of a hidden video may depend on no label of it."""
    first = youtube_file(tmp_path / "a", flip="")
    second = youtube_file(tmp_path / "b", flip="video/2")

    one, other = (youtube_unseen(folder, 7, 1) for folder in (first, second))

    def of_video_two(table):
        return next(n for n in table.notes if n.startswith("03"))

    # Every truth of that video turned round: scores that stayed the same rank the other way.
    measured, turned = (float(of_video_two(t).rpartition(" ")[2]) for t in (one, other))
    assert measured == pytest.approx(1 - turned, abs=0.002)


def test_rows_held_out_twice_are_refused():
    rows = comments(10)
    fold = (np.arange(5), np.arange(5, 10))

    with pytest.raises(ValueError, match="one fold alone"):
        fit_literature(TINY, rows, np.arange(10) % 2, [fold, fold])


def test_the_same_rows_give_the_same_figures(tmp_path):
    folder = youtube_file(tmp_path / "a", flip="")

    assert youtube_later(folder, 7, 1) == youtube_later(folder, 7, 1)


def youtube_file(folder, *, flip):
    folder.mkdir()
    with gzip.open(folder / "youtube_spam_uci.jsonl.gz", "wt") as file:
        for video in range(3):
            for at, e in enumerate(comments(40, seed=video)):
                spam = e.label.positive != (flip == f"video/{video}")
                body = {
                    "id": f"{video}-{at}",
                    "text": e.text,
                    "label": "spam" if spam else "ham",
                    "source": "youtube_spam_uci",
                    "group": f"video/{video}",
                    "extra": {"video": f"0{video + 1}", "order": at},
                }
                file.write(json.dumps(body) + "\n")
    return folder


# ------------------------------------------------------------------ forms and signs


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200))
def test_no_text_breaks_a_form_or_a_sign(text):
    example = an_example(text)

    numbers = [*form_signs(example), *writing_signs(example), *asking_signs(example)]

    assert all(isinstance(form(example), str) for form in (typed, folded, squeezed))
    assert np.isfinite(np.array(numbers, float)).all()


def test_a_link_to_the_page_itself_is_no_link():
    text = '<a href="http://www.youtube.com/watch?v=aB3&amp;t=2m19s">2:19</a> best part'

    here = an_example(text, group="youtube/aB3", source="youtube_spam_uci")
    elsewhere = an_example(text, group="youtube/zZ9", source="youtube_spam_uci")

    assert folded(here) == "xxowntime best part"
    assert "youtube.com" in folded(elsewhere)


def test_spaced_letters_read_as_the_word():
    assert squeezed(an_example("C h e c k -- ôut!!!")) == "checkout"


# ------------------------------------------------------------------ command


def test_command_tells_what_data_is_missing_and_measures_the_rest(tmp_path):
    folder = youtube_file(tmp_path / "a", flip="")
    out = tmp_path / "tables.json"
    command = [sys.executable, "-m", "benchmarks.quality", "--data", str(folder)]

    done = subprocess.run(
        [*command, "--rows", "sms", "youtube-later", "--json", str(out)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "not measured: --data holds no sms_spam_uci" in done.stdout
    assert [table["row"] for table in json.loads(out.read_text())] == ["youtube-later"]
    assert "goals met" in done.stdout
