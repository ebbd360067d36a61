from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from model.comparison import FIGURES, Comparison
from model.decision import Label, LabelledExample, Provenance, WordOf
from model.outcome import Head
from model.submission import History
from tests.judging_cases import a_classifier, a_manifest
from training.comparing import compare
from training.contenders import (
    Contender,
    Labelled,
    Options,
    history_of,
    judged_by_both,
    labelled_of,
    weights_of,
)

AT = datetime(2026, 11, 26, tzinfo=UTC)
QUICK = Options(attacked=0)
WORDS = ("cảm ơn", "bài viết", "hay quá", "casino", "bonus", "money", "vay tiền", "nhanh", "đọc")
OLD = Contender("aaaaaaaaaaaa", (a_classifier(3),))
NEW = Contender("bbbbbbbbbbbb", (a_classifier(4),), judged="unseen")


def examples(count: int = 240) -> tuple[LabelledExample, ...]:
    draw = Random(2)
    labels = [Label(head, positive) for head in Head for positive in (False, True)]
    return tuple(
        LabelledExample(
            id=str(at),
            text=" ".join(draw.choices(WORDS, k=4 + at % 40)),
            label=labels[at % 4],
            lang="vi",
            source="duyet:báo" if at % 3 else "forum",
            group=f"g{at % 30}",
            extra={"history": {"author_seen": at % 2}, "comment_id": f"c{at}"} if at % 3 else {},
            provenance=Provenance(WordOf.DECISION, who="ann" if at % 5 else "bob"),
        )
        for at in range(count)
    )


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(OLD, NEW, Labelled(examples()), at=AT, options=Options(seed=1, attacked=5))


def test_every_label_is_counted_once(comparison):
    assert comparison.rows == 240
    assert (comparison.genuine, comparison.spam) == (60, 60)
    assert (comparison.clean, comparison.toxic) == (60, 60)
    assert comparison.groups == 30


def test_every_figure_is_told_of_the_comments_with_its_label(comparison):
    assert {figure.name for figure in comparison.figures} == set(FIGURES)
    rows = {figure.name: figure.rows for figure in comparison.figures}
    assert rows["genuine_rejected"] == 60
    assert rows["spam_ranking"] == 120


def test_json_and_back_is_the_same_comparison(comparison):
    assert Comparison.from_json(comparison.to_json()) == comparison


def test_the_same_comments_give_the_same_bytes(comparison):
    again = compare(OLD, NEW, Labelled(examples()), at=AT, options=Options(seed=1, attacked=5))

    assert again.to_json() == comparison.to_json()


def test_a_version_does_not_differ_from_itself():
    found = compare(OLD, replace(OLD, judged="unseen"), Labelled(examples()), at=AT, options=QUICK)

    assert found.flips == ()
    assert {figure.difference.value for figure in found.figures} == {0}
    assert not any(figure.is_better or figure.is_worse for figure in found.figures)


def test_flips_are_what_the_outcomes_say(comparison):
    both = judged_by_both(OLD, NEW, Labelled(examples()), QUICK)
    changed = (both.pair.champion.outcome != both.pair.challenger.outcome).sum()

    assert sum(flip.count for flip in comparison.flips) == changed
    harms = [flip.is_harm for flip in comparison.flips]
    assert harms == sorted(harms, reverse=True)
    assert comparison.flips[0].kind.startswith("genuine accept>")


def test_parts_are_by_language_site_source_length_and_author(comparison):
    parts = {(part.kind, part.name): part.rows for part in comparison.slices}

    assert parts["site", "báo"] == 160
    assert {kind for kind, _ in parts} == {"site", "language", "length", "new_author"}
    assert parts["new_author", "new"] + parts["new_author", "known"] == 160


def test_an_example_is_judged_by_the_fit_that_has_not_seen_it():
    found = examples()
    odd = tuple(at % 2 for at in range(len(found)))
    folds = Contender("c", (a_classifier(4), a_classifier(3)), odd, "held_out")

    both = judged_by_both(OLD, folds, Labelled(found), QUICK)

    same = both.pair.champion.score == both.pair.challenger.score
    assert same[1::2].all()
    assert not same[::2].any()


def test_a_fold_for_every_example_or_none():
    with pytest.raises(ValueError, match="each example needs a fold"):
        judged_by_both(OLD, replace(NEW, fold_of=(0,)), Labelled(examples()), QUICK)


def test_the_few_that_were_drawn_stand_for_the_many():
    drawn, queued, asked = (
        replace(e, provenance=Provenance(WordOf.DECISION, chance=chance))
        for e, chance in zip(examples(3), (0.01, 1.0, None), strict=True)
    )

    assert weights_of(Labelled((drawn, queued, asked))).tolist() == [100, 1, 1]


def test_labels_are_held_against_each_other_and_old_ones_count_in_full():
    one, other = (
        replace(e, text=text, provenance=Provenance(WordOf.DECISION, who, at, chance))
        for e, text, who, at, chance in (
            (examples(1)[0], "Một bình luận.", "ann", "2016-01-01T00:00:00+00:00", 0.01),
            (examples(2)[1], "Another one.", "bob", "2026-01-01T00:00:00+00:00", 1.0),
        )
    )
    contradicted = replace(
        one,
        label=Label(Head.SPAM, True),
        provenance=replace(one.provenance, at="2015-01-01T00:00Z"),
    )

    found = labelled_of([contradicted, one, other])

    assert found.examples == (one, other)
    assert found.weights == (100, 1)
    assert found.conflicts == 1


@pytest.mark.parametrize(
    "told",
    [None, "much", {"author_seen": "3"}, {"author_seen": -1}, {"author_seen": [1]}, {"x": 1}],
)
def test_history_that_we_would_not_have_stored_is_none(told):
    example = replace(examples(1)[0], extra={"history": told})

    assert history_of(example) == History()


def test_synthetic_comments_stand_by_their_source_alone():
    written = tuple(
        replace(e, source="synthetic_vi", extra={"synthetic": True}) for e in examples(60)
    )

    found = compare(OLD, NEW, Labelled(examples() + written), at=AT, options=QUICK)

    assert found.rows == 240
    assert ("source", "synthetic_vi", 60) in {(p.kind, p.name, p.rows) for p in found.slices}


def test_names_that_hold_an_address_are_masked():
    found = tuple(
        replace(e, source="duyet:nam.nguyen@gmail.com") if at % 2 else e
        for at, e in enumerate(examples(60))
    )

    told = compare(OLD, NEW, Labelled(found), at=AT, options=QUICK).to_json()

    assert "n•••@gmail.com" in told
    assert "nam.nguyen" not in told


def test_what_the_reader_must_know_is_noted():
    few = Labelled(tuple(replace(e, group="one") for e in examples(24)))
    learned = a_manifest(data=({"name": "forum", "sha256": ""},))

    found = compare(
        OLD, replace(NEW, judged="unknown"), few, at=AT, options=QUICK, manifest=learned
    )

    codes = [note.code for note in found.notes]
    assert codes == ["may_have_seen", "champion_may_have_seen", "few_genuine", "few_groups"]


def test_no_comments_are_refused():
    with pytest.raises(ValueError, match="no labelled comments"):
        compare(OLD, NEW, Labelled(()), at=AT)


def test_one_comment_gives_figures_without_intervals():
    found = compare(OLD, NEW, Labelled(examples(1)), at=AT, options=QUICK)

    assert {figure.name for figure in found.figures} == {
        "genuine_rejected", "genuine_queued", "genuine_held",
    }  # fmt: skip
    assert all(figure.difference.low is None for figure in found.figures)


def test_disguises_are_told_of_the_comments_that_they_change(comparison):
    by_name = {attacked.name: attacked for attacked in comparison.attacks}

    assert by_name["leet"].spam_caught.rows > 0
    assert by_name["leet"].spam_caught.rows <= 5


def test_drift_is_between_then_and_now():
    histogram = {"bins": 20, "heads": {"spam": {"ham": [60] + [0] * 19, "spam": "broken"}}}

    found = compare(
        OLD, NEW, Labelled(examples()), at=AT, options=QUICK,
        manifest=a_manifest(histogram=histogram),
    )  # fmt: skip

    [drift] = found.drift
    assert (drift.head, drift.label, sum(drift.now)) == ("spam", "ham", 60)
    assert drift.stability > 0.25


def test_the_data_card_says_who_gave_the_labels(comparison):
    shares = {share.name: share.rows for share in comparison.data.accounts}

    assert shares == {"ann": 192, "bob": 48}
    assert sum(share.weight for share in comparison.data.accounts) == pytest.approx(1)
