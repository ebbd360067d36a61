import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from model.classifier import HEADS
from model.decision import Label, LabelledExample
from model.facts import gather
from model.features import FEATURES_VERSION, Spec, row
from model.outcome import Head
from model.promise import ANY
from model.registry import Registry
from training.examples import read_rows, submission_of
from training.fit import (
    Fitted,
    NotEnough,
    Taught,
    _linear,
    _sheet,
    calibrated,
    content_key,
    estimator,
    fit,
    fold_of,
    manifest_of,
    rarity,
    scaled,
    usable,
)
from training.lending import lent_urls
from training.recipes import RECIPES, RESEARCH_ONLY, TIERS, Recipe

TEXTS = Path(__file__).parent.parent / "training" / "texts"
SMALL = Recipe(
    name="small",
    spec=Spec(bits=12),
    lent_share=0.0,
    folds=3,
)

SUBJECTS = ("phim này", "bài viết", "quán phở", "đội nhà", "the article", "my phone")
SPAM = ("nạp tiền nổ hũ nhận thưởng", "vay nhanh lãi thấp ib zalo", "buy cheap pills online")
HAM = ("rất hay, cảm ơn tác giả", "mình thấy hơi dài", "helped me a lot, thanks")
TOXIC = ("ngu như bò, câm đi", "you stupid idiot, shut up", "đồ khốn nạn vô học")
CLEAN = ("mình đồng ý với bạn", "I see it differently", "chúc cả nhà vui vẻ")


def an_example(text: str, word: str, **more: object) -> LabelledExample:
    label = {
        "spam": Label(Head.SPAM, True),
        "ham": Label(Head.SPAM, False),
        "toxic": Label(Head.TOXICITY, True),
        "clean": Label(Head.TOXICITY, False),
    }[word]
    fields = {"id": text, "source": "made_up"} | more
    return LabelledExample(text=text, label=label, **fields)  # type: ignore[arg-type]


def examples() -> list[LabelledExample]:
    said = {"spam": SPAM, "ham": HAM, "toxic": TOXIC, "clean": CLEAN}
    return [
        an_example(
            f"{subject} {phrase} {chr(97 + n)}{chr(105 + n)}",
            word,
            group=f"{subject}/{n}",
            author="Lan Anh" if n % 3 == 0 else "",
            author_url="https://lan.example" if n % 5 == 0 else "",
        )
        for word, phrases in said.items()
        for n in range(4)
        for subject in SUBJECTS
        for phrase in phrases
    ]


@pytest.fixture(scope="module")
def fitted():
    return fit(examples(), SMALL, jobs=1)


# --- the same data give the same weights -----------------------------------------------------


def test_fitting_twice_and_in_parallel_gives_the_same_bytes(fitted):
    again = fit(examples(), SMALL, jobs=2)

    assert again.final.table.tobytes() == fitted.final.table.tobytes()
    assert again.final.bias.tobytes() == fitted.final.bias.tobytes()
    assert again.final.promise == fitted.final.promise
    assert [c.table.tobytes() for c in again.classifiers] == [
        c.table.tobytes() for c in fitted.classifiers
    ]


def test_another_seed_gives_other_folds_and_weights(fitted):
    other = fit(examples(), replace(SMALL, seed=8), jobs=1)

    assert other.fold_of != fitted.fold_of
    assert other.final.table.tobytes() != fitted.final.table.tobytes()


def test_a_fit_learns_what_it_was_shown(fitted):
    spam, ham, toxic, clean = (
        fitted.final.score([gather(submission_of(an_example(text, "ham"))).texts])[0]
        for text in (f"{SUBJECTS[0]} {SPAM[0]}", f"{SUBJECTS[0]} {HAM[0]}", TOXIC[0], CLEAN[0])
    )

    assert spam.spam > 0.8
    assert ham.spam < 0.3
    assert toxic.toxicity > 0.7
    assert clean.toxicity < 0.4


def test_a_fit_is_scored_on_groups_that_it_has_not_seen(fitted):
    held_out = {
        fold: {e.group for e, f in zip(examples(), fitted.fold_of, strict=True) if f == fold}
        for fold in range(SMALL.folds)
    }

    assert len(fitted.classifiers) == SMALL.folds
    assert all(held_out.values())
    assert held_out[0].isdisjoint(held_out[1] | held_out[2])
    assert held_out[1].isdisjoint(held_out[2])


def test_rows_of_a_fold_do_not_touch_the_weights_that_judge_it(fitted):
    blank = [
        replace(e, text="khác hẳn " + e.text[::-1]) if fold == 0 else e
        for e, fold in zip(examples(), fitted.fold_of, strict=True)
    ]

    again = fit(blank, SMALL, jobs=1)

    slopes = [
        np.divide(a.table[:, 0], b.table[:, 0], where=b.table[:, 0] != 0, out=np.zeros(4096))
        for a, b in zip(again.classifiers, fitted.classifiers, strict=True)
    ]
    used = fitted.classifiers[0].table[:, 0] != 0
    assert np.ptp(slopes[0][used]) < 1e-5  # the same weights but for calibration's slope
    assert np.ptp(slopes[1][used]) > 0.1


# --- equal to scikit-learn -------------------------------------------------------------------


def corpus() -> list[LabelledExample]:
    own = [e for e in examples() if e.label.head is Head.SPAM]
    files = sorted(TEXTS.glob("*.jsonl"))
    texts = [row for path in files for row in list(read_rows(path))[::6]]
    return own + [
        an_example(r.text, "ham", author=r.author, author_url=r.author_url) for r in texts if r.text
    ]


def matrix_of(batch: Sequence[LabelledExample], spec: Spec) -> sparse.csr_matrix:
    found = [row(gather(submission_of(example)).texts, spec) for example in batch]
    matrix = sparse.lil_matrix((len(found), 2**spec.bits), dtype=np.float64)
    for at, (places, values) in enumerate(found):
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            matrix[at, place] += value
    return matrix.tocsr()


def platt(log_odds: np.ndarray, slope: float, shift: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(slope * log_odds + shift)))


def test_the_flat_model_scores_as_scikit_learn_does(fitted):
    shown = corpus()[::2]
    matrix = matrix_of(shown, SMALL.spec)

    whole = replace(fitted.final, spec=replace(fitted.final.spec, worst_part=0.0))
    flat = whole.score([gather(submission_of(e)).texts for e in shown])

    assert len(shown) > 150
    for head, (linear, calibration) in zip(HEADS, fitted.heads, strict=True):
        expected = platt(
            matrix @ linear.weights + linear.bias, calibration.slope, calibration.shift
        )
        got = [scores.of(head) for scores in flat]
        assert np.allclose(got, expected, rtol=0, atol=1e-6)


def test_the_kept_weights_are_those_of_the_real_estimator():
    chosen = [e for e in examples() if e.label.head is Head.SPAM]
    sheet = sheet_of(Head.SPAM, chosen)
    weight = sheet.weight.copy()
    for side in (sheet.positive, ~sheet.positive):
        weight[side] *= weight.size / 2 / weight[side].sum()

    matrix = scaled(sheet.matrix, rarity(sheet.matrix) ** SMALL.rarity_power)
    real = estimator(Head.SPAM, SMALL).fit(matrix, sheet.positive, sample_weight=weight)
    kept = _linear(sheet, Head.SPAM, None, SMALL)

    assert np.allclose(
        platt(kept(sheet.matrix), 1.0, 0.0), real.predict_proba(matrix)[:, 1], atol=1e-6
    )


def test_calibration_makes_shares_of_positives_of_scores():
    rng = np.random.default_rng(5)
    truth = rng.uniform(size=4_000)
    positive = rng.uniform(size=4_000) < truth
    overconfident = 3 * np.log(truth / (1 - truth)) + 1

    calibration = calibrated(overconfident, positive, np.ones(4_000))

    assert calibration.slope == pytest.approx(1 / 3, rel=0.1)
    real = LogisticRegression(C=1e6).fit(overconfident[:, None], positive)
    assert calibration.slope == pytest.approx(float(real.coef_[0, 0]), rel=0.05)


def test_rows_calibrate_that_are_labelled_for_the_head_and_as_they_were_sent():
    recipe = replace(SMALL, published=frozenset({"news"}), source_weights={"made_up": 3.0})
    rows = [
        an_example("tin hay", "ham", source="news"),
        an_example("bài hay", "clean", author="Lan", weight=0.5),
        an_example("đồ ngu", "toxic"),
    ]

    sheet = sheet_of(Head.TOXICITY, rows, recipe)

    assert sheet.example.tolist() == [0, 1, 2, 1]
    assert sheet.calibrating.tolist() == [0.0, 0.5, 1.0, 0.0]


def test_scores_that_rank_the_wrong_way_round_are_not_turned_round():
    odds = np.array([2.0, 1.5, 1.0, -1.0, -1.5, -2.0])

    calibration = calibrated(odds, odds < 0, np.ones(6))

    assert 0 < calibration.slope < 0.01


# --- folds and rows --------------------------------------------------------------------------


def test_a_group_is_in_one_fold_and_its_source_is_part_of_its_name():
    many = [an_example(f"{n}", "ham", group="a thread") for n in range(20)]

    folds = {fold_of(e, content_key(e.text), SMALL) for e in many}
    elsewhere = {fold_of(replace(many[0], source=f"s{n}"), "", SMALL) for n in range(40)}

    assert len(folds) == 1
    assert elsewhere == {0, 1, 2}


def test_texts_that_read_the_same_are_in_one_fold_when_they_have_no_group():
    same = ["Đánh bạc 12!", "danh   bac 99", "ĐÁNH\u200bBẠC 34", "𝐝anh bac 00"]

    assert len({fold_of(an_example(t, "spam"), content_key(t), SMALL) for t in same}) == 1


def test_texts_without_a_letter_are_not_all_the_same():
    assert content_key("👍") != content_key("😂😂")
    assert content_key("👍") == content_key("👍\u200b")


def test_a_fold_depends_on_no_other_example_and_no_order(fitted):
    backwards = list(reversed(examples()))

    folds = [fold_of(e, content_key(e.text), SMALL) for e in backwards]

    assert tuple(reversed(folds)) == fitted.fold_of


def sheet_of(head: Head, chosen: Sequence[LabelledExample], recipe: Recipe = SMALL):
    return _sheet(head, Taught.of(chosen, recipe, jobs=1), recipe)


def test_an_example_with_a_name_also_teaches_without_it():
    named = an_example("hay", "ham", author="Lan", author_url="http://lan.vn")
    plain = an_example("vay", "spam")

    sheet = sheet_of(Head.SPAM, [named, plain])

    assert sheet.example.tolist() == [0, 1, 0]
    assert sheet.whole.tolist() == [True, True, False]
    assert sheet.weight.tolist() == [0.5, 1.0, 0.5]
    assert sheet.positive.tolist() == [False, True, False]
    assert sheet.matrix[2].nnz < sheet.matrix[0].nnz
    assert (sheet.matrix[2] != sheet_of(Head.SPAM, [an_example("hay", "ham")]).matrix[0]).nnz == 0


def test_near_duplicates_of_a_source_share_their_weight():
    copies = [an_example(f"Nạp tiền {n}{n}", "spam", id=str(n)) for n in range(1, 5)]

    others = [an_example("hay", "ham"), an_example("Nạp tiền 33", "spam", source="elsewhere")]

    sheet = sheet_of(Head.SPAM, [*copies, *others])

    assert sheet.weight.tolist() == [0.5] * 4 + [1.0, 1.0]


def test_the_influence_of_a_source_grows_with_the_root_of_its_size():
    recipe = replace(SMALL, full_weight_rows=4, source_weights={"made_up": 3.0})
    many = [an_example("ham " + chr(97 + n) * 3, "ham") for n in range(16)]

    sheet = sheet_of(Head.SPAM, many, recipe)

    assert sheet.weight.tolist() == pytest.approx([1.5] * 16)


def test_published_ham_teaches_toxicity_what_is_clean():
    recipe = replace(SMALL, published=frozenset({"news"}), published_weight=0.25)
    rows = [
        an_example("tin hay", "ham", source="news"),
        an_example("vay tiền", "spam", source="news"),
        an_example("bài hay", "ham"),
        an_example("đồ ngu", "toxic"),
    ]

    sheet = sheet_of(Head.TOXICITY, rows, recipe)

    assert sheet.example.tolist() == [0, 3]
    assert sheet.positive.tolist() == [False, True]
    assert sheet.weight.tolist() == [0.25, 1.0]


def test_rows_that_a_recipe_gives_no_weight_are_left_out():
    recipe = replace(SMALL, source_weights={"off": 0.0}, label_weights={("shop", "spam"): 0.0})
    rows = [
        an_example("a", "ham", source="off"),
        an_example("b", "spam", source="shop"),
        an_example("c", "ham", source="shop"),
        an_example("d", "ham", weight=0.0),
    ]

    assert [e.text for e in usable(rows, recipe)] == ["c"]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([], "no labelled examples"),
        (["spam", "toxic", "clean"], "spam: the negative"),
        (["ham", "toxic", "clean"], "spam: the positive"),
        (["spam", "ham"], "toxicity: the positive"),
        (["spam", "ham", "toxic"], "toxicity: the negative"),
    ],
)
def test_what_is_missing_is_named(kept, message):
    with pytest.raises(NotEnough, match=message):
        fit([e for e in examples() if e.label.word in kept], SMALL, jobs=1)


def test_a_single_group_of_a_label_is_not_enough():
    one_group = [replace(e, group="g") if e.label.word == "spam" else e for e in examples()]

    with pytest.raises(NotEnough, match="spam: the positive examples are in 1 of the folds"):
        fit(one_group, SMALL, jobs=1)


# --- the promise -----------------------------------------------------------------------------


def test_the_promise_is_made_on_held_out_ham_by_language(fitted):
    ham = [e for e in examples() if e.label.word == "ham"]

    rows = fitted.final.promise.languages

    assert rows[ANY].comments == len(ham)
    assert sum(row.comments for tag, row in rows.items() if tag != ANY) == len(ham)
    assert rows[ANY].groups == len({e.group for e in ham})
    assert fitted.final.promise.missing(ANY, 0.05) == 0
    assert [c.promise.languages[ANY].comments for c in fitted.classifiers] == [
        len(ham) - fitted_in(fitted, fold, "ham") for fold in range(SMALL.folds)
    ]


def fitted_in(fitted: Fitted, fold: int, word: str) -> int:
    return sum(
        e.label.word == word and f == fold for e, f in zip(examples(), fitted.fold_of, strict=True)
    )


def three_sources() -> list[LabelledExample]:
    """Of the ham a tenth is of a source that is unlike the others, and looks like spam."""
    made = []
    for e in examples():
        made += [e, replace(e, source="second", text=e.text + " nhé", id=e.id + "2")]
    odd = [
        an_example(
            f"{SPAM[n % 3]} lừa đảo {chr(97 + n % 26)}{n}", "ham", source="odd", group=f"{n}"
        )
        for n in range(70)
    ]
    return [*made, *odd]


def test_a_source_left_out_whole_makes_the_promise_more_careful():
    recipe = replace(SMALL, full_weight_rows=10_000)

    by_group = fit(three_sources(), recipe, jobs=1).final
    by_source = fit(three_sources(), replace(recipe, promise_unit="source"), jobs=1).final

    assert (by_group.promise.unit, by_source.promise.unit) == ("group", "source")
    assert by_source.table.tobytes() == by_group.table.tobytes()
    assert (
        by_source.promise.languages[ANY].spam_reject_at[-1]
        > (by_group.promise.languages[ANY].spam_reject_at[-1])
    )


def test_a_source_that_is_most_of_all_ham_is_not_left_out(fitted):
    one_source = replace(SMALL, promise_unit="source")

    by_source = fit(examples(), one_source, jobs=1).final.promise

    assert by_source.languages == fitted.final.promise.languages


# --- into the registry -----------------------------------------------------------------------


def test_a_fit_is_kept_and_scores_its_probes(fitted, tmp_path):
    manifest = manifest_of(
        fitted, SMALL, data=[{"name": "a.jsonl"}], evaluation={}, probes=["đánh bạc", "hay", ""]
    )
    registry = Registry(tmp_path)

    version = registry.add(manifest, fitted.final.table)

    assert registry.load(version).version == version
    assert len(registry.manifest(version).probes) == 3
    assert registry.manifest(version).features_version == FEATURES_VERSION
    assert registry.add(manifest, fitted.final.table) == version


# --- recipes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_weighs_only_sources_whose_licence_is_known(recipe):
    named = {*recipe.source_weights, *recipe.published, *recipe.genuine}
    named |= {source for source, _ in recipe.label_weights}

    assert named <= TIERS.keys()
    assert named.isdisjoint(RESEARCH_ONLY)
    assert RECIPES[recipe.name] is recipe


def test_rarer_places_are_fitted_more_freely_and_scored_as_fitted():
    matrix = sparse.csr_matrix(np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]], np.float32))

    scale = rarity(matrix)

    assert scale[3] == pytest.approx(1.0)
    assert scale[0] < scale[1] == scale[2] < scale[3]
    assert scale[0] == pytest.approx(1 / (np.log(4) + 1))


# --- lent URLs --------------------------------------------------------------------------------


def blog() -> list[LabelledExample]:
    return [
        an_example("xem http://tin.made-up.vn/a và www.made-up.org/b, không phải x.example", "ham"),
        an_example("hay", "ham", author_url="https://lan.made-up.net"),
        an_example("vay nhanh http://vay.made-up.biz", "spam", author_url="http://made-up.biz"),
        an_example("đồ ngu http://rude.made-up.com", "toxic"),
        an_example("vay nhanh", "spam"),
        *(an_example(f"bình luận số {chr(97 + n)}", "ham") for n in range(26)),
    ]


def test_spam_and_ham_are_lent_the_hosts_that_ham_links_to():
    lent = lent_urls(blog(), 1.0, seed=7)

    assert [at for at, _ in lent] == [0, *range(4, 31)]
    hosts = {re.sub(r"^https?://|/.*$", "", url).removeprefix("www.") for _, url in lent}
    assert hosts == {"tin.made-up.vn", "made-up.org"}


def test_about_the_share_that_is_asked_for_is_lent_one_and_always_to_the_same():
    some = {blog()[at].text: url for at, url in lent_urls(blog(), 0.5, seed=7)}
    backwards = [*reversed(blog())]

    assert 6 < len(some) < 21
    assert {backwards[at].text: url for at, url in lent_urls(backwards, 0.5, seed=7)} == some
    assert lent_urls(blog(), 0.0, seed=7) == []


def test_nothing_is_lent_where_no_ham_has_a_link():
    assert lent_urls([an_example("hay", "ham"), an_example("vay", "spam")], 1.0, seed=7) == []


def test_clean_comments_of_wanted_sources_teach_the_spam_head_what_is_ham():
    recipe = replace(SMALL, wanted=frozenset({"tweets"}), wanted_weight=0.25)
    rows = [
        an_example("vay", "spam"),
        an_example("đẹp", "clean", source="tweets"),
        an_example("ngu", "toxic", source="tweets"),
        an_example("hay", "clean"),
    ]

    sheet = sheet_of(Head.SPAM, rows, recipe)

    assert sheet.example.tolist() == [0, 1]
    assert sheet.positive.tolist() == [True, False]
    assert sheet.weight.tolist() == [1.0, 0.25]
    assert sheet.calibrating.tolist() == [1.0, 0.0]


def test_an_example_that_is_lent_a_url_also_teaches_with_it():
    rows = [
        an_example("hay quá", "ham"),
        an_example("xem http://made-up.org", "ham", author_url="http://lan.example"),
    ]

    sheet = sheet_of(Head.SPAM, rows, replace(SMALL, lent_share=1.0, lent_weight=0.25))

    assert sheet.example.tolist() == [0, 1, 1, 0]
    assert sheet.weight.tolist() == [1.0, 0.5, 0.5, 0.25]
    assert sheet.calibrating.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert not sheet.positive.any()
    assert sheet.matrix[3].nnz > sheet.matrix[0].nnz
