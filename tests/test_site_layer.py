import json
from dataclasses import replace
from importlib.resources import files
from math import inf
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.addresses import addresses_in
from model.features import Spec, Texts, features, row
from model.language import language_of
from model.outcome import Head, Thresholds
from model.site_layer import (
    CAMPAIGNS_KNOWN,
    LIMIT,
    LOWERED,
    MODERATOR_LIMIT,
    Anchors,
    Heard,
    Lesson,
    SiteLayer,
    margin_of,
)

SPEC = Spec(bits=14)
ANCHORS = Anchors.of(SPEC)

SPAM_WORDS = ("zorvex", "plunati", "krindal", "goshmet", "vailup", "drotten", "winspan", "lukrum")
HAM_WORDS = ("ocarina", "tuning", "reed", "embouchure", "fipple", "recorder", "consort", "madrigal")
PLAIN_WORDS = (
    "the",
    "was",
    "with",
    "this",
    "that",
    "from",
    "have",
    "about",
    "some",
    "there",
    "other",
    "which",
)
CLEAR_SPAM, CLEAR_HAM, DOUBT = 6.0, -6.0, 0.5


def a_layer(head=Head.SPAM):
    return SiteLayer.fresh("champion-1", ANCHORS, head=head)


def a_row(text):
    return row(Texts(text), SPEC)


def a_text(positive, random):
    words = SPAM_WORDS if positive else HAM_WORDS
    return " ".join(random.sample(words, 4) + random.sample(PLAIN_WORDS, 5))


def lessons(count, *, seed=1, moderator="ann", flipped=False, campaign="", margin=DOUBT):
    """Spam and ham by turns that a champion is in doubt of, decided rightly or all wrongly."""
    random = Random(seed)
    return [
        Lesson(
            id=f"{seed}-{n}",
            row=a_row(a_text(n % 2 == 0, random)),
            margin=margin,
            positive=(n % 2 == 0) != flipped,
            moderator=moderator,
            campaign=campaign,
        )
        for n in range(count)
    ]


def unseen(positive, seed=99, count=20):
    random = Random(seed)
    return [a_row(a_text(positive, random)) for _ in range(count)]


def mean_added(layer, rows):
    return float(np.mean([layer.added(one) for one in rows]))


# ------------------------------------------------------------------ learning


def test_a_fresh_layer_adds_nothing():
    layer = a_layer()

    assert layer.version == ""
    assert layer.trust == 0
    assert layer.added(a_row("zorvex plunati")) == 0


def test_fifty_decisions_part_the_sites_spam_from_its_ham():
    layer = a_layer().after(lessons(50))

    assert mean_added(layer, unseen(True)) > 1
    assert mean_added(layer, unseen(False)) < -1


def test_what_anybody_writes_is_not_raised():
    layer = a_layer().after(lessons(50))

    anybodys = [
        "Thanks, this fixed it for me.",
        "Does anyone know whether the bus still stops there on Sundays?",
        "I disagree with the second point, but it is well argued.",
        "Cảm ơn bài viết, mình đã làm được rồi.",
        "Cho hỏi đường này mấy giờ thì hết kẹt xe vậy mọi người?",
        "Đọc xong thấy nhớ quê quá.",
    ]
    assert mean_added(layer, map(a_row, anybodys)) < 0.2
    assert mean_added(layer, unseen(True)) > 1


def test_a_site_sent_nothing_but_spam_does_not_raise_what_anybody_writes():
    random = Random(3)
    spam = [Lesson(str(n), a_row(a_text(True, random)), DOUBT, True, "ann") for n in range(100)]

    layer = a_layer().after(spam)

    plain = [a_row(" ".join(random.sample(PLAIN_WORDS, 9))) for _ in range(20)]
    assert max(layer.added(one) for one in plain) <= 0.1


def test_a_layer_that_foretells_no_better_adds_nothing():
    random = Random(5)
    noise = [
        Lesson(str(n), a_row(a_text(random.random() < 0.5, random)), DOUBT, n % 2 == 0, "ann")
        for n in range(120)
    ]

    layer = a_layer().after(noise)

    assert layer.trust < 0.5


def test_a_layer_unlearns_what_is_no_longer_so():
    before = a_layer().after(lessons(60))

    after = before.after(lessons(120, seed=2, flipped=True))

    assert mean_added(before, unseen(True)) > 1
    assert mean_added(after, unseen(True)) <= 0


def test_what_the_champion_knows_already_teaches_little():
    sure = [
        Lesson(one.id, one.row, CLEAR_SPAM if one.positive else CLEAR_HAM, one.positive, "ann")
        for one in lessons(60)
    ]

    layer = a_layer().after(sure)

    assert layer.trust < 0.25


# ------------------------------------------------------------------ laws


@given(
    decided=st.lists(st.tuples(st.text(max_size=40), st.booleans(), st.booleans()), max_size=25),
    new=st.text(max_size=60),
    margin=st.floats(-30, 30),
)
def test_no_decisions_add_more_than_the_limit(decided, new, margin):
    told = [
        Lesson(str(n), a_row(text), margin, positive, "ann" if first else "bob")
        for n, (text, positive, first) in enumerate(decided)
    ]

    added = a_layer().after(told).added(a_row(new))

    assert -LOWERED <= added <= LIMIT


def test_the_limit_holds_after_a_thousand_decisions_of_one_kind():
    random = Random(8)
    told = [Lesson(str(n), a_row(f"zorvex {n}"), -30.0, True, "ann") for n in range(500)]
    told += [Lesson(f"h{n}", a_row(a_text(False, random)), 30.0, False, "ann") for n in range(500)]

    layer = a_layer().after(told)

    assert layer.added(a_row("zorvex 7")) <= MODERATOR_LIMIT
    assert layer.added(a_row(a_text(False, random))) >= -LOWERED


@given(cut=st.integers(0, 30))
def test_it_does_not_matter_how_decisions_are_batched(cut):
    told = lessons(30)

    at_once, in_two = a_layer().after(told), a_layer().after(told[:cut]).after(told[cut:])

    assert at_once.version == in_two.version
    assert np.array_equal(at_once.weights, in_two.weights)
    assert np.array_equal(at_once.squares, in_two.squares)
    assert (at_once.gain, at_once.held, at_once.heard) == (in_two.gain, in_two.held, in_two.heard)


def test_another_order_is_another_layer_by_name():
    told = lessons(6)

    assert a_layer().after(told).version != a_layer().after(told[::-1]).version


@pytest.mark.parametrize(
    "change",
    [
        {"id": "another"},
        {"positive": False},
        {"margin": 1.0},
        {"moderator": "bob"},
        {"campaign": "c"},
    ],
)
def test_the_name_tells_every_lesson(change):
    told = {
        "id": "1",
        "row": a_row("zorvex"),
        "margin": DOUBT,
        "positive": True,
        "moderator": "ann",
    }

    one, other = Lesson(**told), Lesson(**{**told, **change})

    assert a_layer().after([one]).version != a_layer().after([other]).version


def test_the_lineage_names_champion_head_count_and_last_decision():
    told = lessons(5)

    layer = a_layer(Head.TOXICITY).after(told)

    lineage = layer.lineage
    assert (lineage.champion, lineage.head) == ("champion-1", Head.TOXICITY)
    assert (lineage.lessons, lineage.last) == (5, told[-1].id)


def test_learning_changes_no_layer_that_is_in_use():
    layer = a_layer().after(lessons(30))
    weights, added = layer.weights.copy(), mean_added(layer, unseen(True))

    layer.after(lessons(30, seed=4))

    assert np.array_equal(layer.weights, weights)
    assert mean_added(layer, unseen(True)) == added


def test_nothing_learnt_is_the_same_layer():
    layer = a_layer().after(lessons(3))

    same = layer.after([])

    assert same.version == layer.version
    assert np.array_equal(same.weights, layer.weights)


@pytest.mark.parametrize("odds", [float("nan"), float("inf"), float("-inf")])
def test_a_margin_that_is_no_number_is_refused(odds):
    with pytest.raises(ValueError, match="finite"):
        Lesson("1", a_row("zorvex"), odds, True, "ann")


def test_an_empty_comment_can_be_learnt_and_adds_nothing():
    indptr, places, values = features([Texts("")], SPEC).rows()
    empty = (places, values)

    layer = a_layer().after([Lesson("1", empty, DOUBT, True, "ann"), *lessons(30)])

    assert indptr.tolist() == [0, 0]
    assert layer.added(empty) == 0


def test_a_layer_keeps_no_text_and_no_names():
    layer = a_layer().after(lessons(10, moderator="ann@example.org"))

    assert "ann" not in repr(layer)
    assert "ann@example.org" not in "".join(layer.moderators)


@pytest.mark.parametrize(
    ("queue_at", "reject_at", "positive", "threshold"),
    [
        (0.5, 0.9, True, 0.9),
        (0.5, 0.9, False, 0.5),
        (0.5, 2.0, True, 0.5),
        (0.5, 1.0, True, 0.5),
        (2.0, 2.0, True, 0.5),
        (2.0, 2.0, False, 0.5),
    ],
)
def test_a_margin_is_from_the_threshold_that_settles_a_comment(
    queue_at, reject_at, positive, threshold
):
    margin = margin_of(1.5, Thresholds(queue_at, reject_at), positive=positive)

    assert margin == pytest.approx(1.5 - np.log(threshold / (1 - threshold)))


def test_a_threshold_of_zero_gives_a_margin_all_the_same():
    assert np.isfinite(margin_of(1.5, Thresholds(0.0, 0.0), positive=False))


# ------------------------------------------------------------------ poison


def test_one_moderator_who_flips_everything_cannot_overturn_clear_verdicts():
    layer = a_layer().after(lessons(300, flipped=True))

    assert all(CLEAR_SPAM + layer.added(one) > CLEAR_SPAM - MODERATOR_LIMIT for one in unseen(True))
    assert all(CLEAR_HAM + layer.added(one) <= CLEAR_HAM + MODERATOR_LIMIT for one in unseen(False))


def test_an_honest_moderator_holds_out_against_a_loud_one():
    honest, loud = lessons(60), lessons(300, seed=6, moderator="bob", flipped=True)
    mixed = [*honest[:30], *loud[:150]]
    for n, one in enumerate(honest[30:]):
        mixed += [one, *loud[150 + 5 * n : 155 + 5 * n]]

    layer = a_layer().after(mixed)

    alone = a_layer().after(loud)
    assert mean_added(layer, unseen(False)) < mean_added(alone, unseen(False)) - 1
    assert mean_added(layer, unseen(False)) <= 0.5


def test_a_loud_moderator_cannot_decide_anothers_lessons_away():
    before = a_layer().after(lessons(60))

    after = before.after(lessons(400, seed=7, moderator="bob", margin=DOUBT, flipped=True))

    assert np.array_equal(before.weights[0], after.weights[0])


def test_a_thousand_copies_weigh_less_than_two_lessons():
    one = lessons(1, campaign="c")[0]
    copies = [Lesson(f"copy {n}", one.row, DOUBT, True, "ann", campaign="c") for n in range(1000)]
    start = a_layer().after(lessons(40))

    flooded, twice = (
        start.after(copies),
        start.after([Lesson(f"apart {n}", one.row, DOUBT, True, "ann") for n in range(2)]),
    )

    others = [*unseen(True), *unseen(False)]
    moved = [abs(flooded.added(row) - start.added(row)) for row in others]
    moved_by_two = [abs(twice.added(row) - start.added(row)) for row in others]
    assert float(np.mean(moved)) <= float(np.mean(moved_by_two)) + 0.1
    assert flooded.heard[1] - start.heard[1] < 1.65


def test_a_thousand_copies_do_not_make_the_layer_forget():
    before = a_layer().after(lessons(60))
    text = a_row("brand new watches at half the price")
    copies = [Lesson(f"copy {n}", text, DOUBT, True, "ann", campaign="c") for n in range(1000)]

    after = before.after(copies)

    assert mean_added(after, unseen(True)) > 0.8 * mean_added(before, unseen(True))
    assert mean_added(after, unseen(False)) < 0.8 * mean_added(before, unseen(False))


def test_good_words_in_spam_do_not_condemn_good_words():
    random = Random(11)
    padding = " ".join(HAM_WORDS[:4])
    padded = [
        Lesson(f"p{n}", a_row(f"{a_text(True, random)} {padding}"), DOUBT, True, "ann")
        for n in range(40)
    ]

    layer = a_layer().after([*lessons(60), *padded])

    assert mean_added(layer, unseen(False)) <= 0


def test_so_many_campaigns_are_counted_and_no_more():
    told = [
        Lesson(str(n), a_row("zorvex"), DOUBT, True, "ann", campaign=f"c{n}")
        for n in range(CAMPAIGNS_KNOWN + 20)
    ]

    layer = a_layer().after(told)

    assert len(layer.campaigns) == CAMPAIGNS_KNOWN
    assert "c0" not in layer.campaigns
    assert f"c{CAMPAIGNS_KNOWN + 19}" in layer.campaigns


def test_our_own_comments_hold_no_address_and_both_labels_in_two_languages():
    lines = files("model").joinpath("anchors.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines]

    assert not any(addresses_in(text) for _, *texts in told for text in texts)
    assert {"ham", "spam"} == {label for label, *_ in told}
    for label in ("ham", "spam"):
        of_label = [text for word, text, *_ in told if word == label]
        assert {"vi", "en"} <= {language_of(text) for text in of_label}
        assert len(of_label) >= 150


# ------------------------------------------------------------------ the site's own promise


def held_while_learning(risk, *, chance=1.0, count=400):
    """The share of genuine comments that a layer holds of the later half, as it learns.

    Four of ten genuine comments are worded as the spam is, and the champion would publish all.
    """
    random, layer, held = Random(5), SiteLayer.fresh("champion-1", ANCHORS, risk=risk), []
    for n in range(count):
        positive = n % 2 == 0
        alike = positive or random.random() < 0.4
        told = Lesson(
            str(n),
            a_row(a_text(alike, random)),
            1.0 if positive else -1.0,
            positive,
            "ann",
            chance=1.0 if positive else chance,
        )
        if not positive and n > count / 2:
            held.append(told.margin + layer.added(told.row) > 0)
        layer = layer.after([told])
    return sum(held) / len(held)


def test_of_a_sites_own_genuine_comments_no_more_are_held_than_it_allows():
    assert held_while_learning(1.0) > 0.1
    assert held_while_learning(0.02) <= 0.02
    assert held_while_learning(0.02, chance=0.1) <= 0.02


def test_one_that_waits_raises_nothing_before_the_site_s_comments_leave_it_room():
    fresh = SiteLayer.fresh("champion-1", ANCHORS, risk=0.02, waits=True)
    taught = lessons(80, margin=-1.0)
    few, enough = ([*taught, *as_genuine(count - 40)] for count in (48, 50))
    spam = next(one.row for one in taught if one.positive)

    assert fresh.after(few).held[1] == inf
    assert fresh.after(few).added(spam) <= 0
    assert fresh.after(enough).held[1] < inf


def test_the_next_genuine_comment_counts_among_the_held():
    fresh = SiteLayer.fresh("champion-1", ANCHORS, risk=0.02)
    heard = [Heard(-1.0, reach, 1.0) for reach in (3.0, 2.0, *[-1.0] * 97)]
    few, enough = (replace(fresh, genuine=tuple(heard[:count])) for count in (98, 99))

    assert few._allowed_by_own() == 3.0  # one of them held, and the next: 2 of 99
    assert enough._allowed_by_own() == 2.0  # 2 of 100
    assert replace(enough, risk=1.0)._allowed_by_own() == 0.0


def as_genuine(count: int) -> list[Lesson]:
    return [
        Lesson(f"g{n}", a_row(a_text(False, Random(n))), -1.0, False, "ann") for n in range(count)
    ]


def test_what_few_were_drawn_of_stands_for_many():
    layer = SiteLayer.fresh("champion-1", ANCHORS, risk=0.02)
    told = [
        Lesson(str(n), a_row(a_text(False, Random(n))), -1.0, False, "ann", chance=chance)
        for n, chance in enumerate([0.1] * 9 + [1.0])
    ]

    heard = layer.after(told).genuine

    assert [one.weight for one in heard] == [10.0] * 9 + [1.0]
    assert {one.margin for one in heard} == {-1.0}
    assert a_layer().after(lessons(10)).genuine  # kept for whoever changes the risk later


@pytest.mark.parametrize("chance", [0.0, -0.5, 1.5, float("nan")])
def test_a_chance_of_review_is_above_nothing_and_at_most_one(chance):
    with pytest.raises(ValueError, match="chance"):
        Lesson("1", a_row("zorvex"), DOUBT, True, "ann", chance=chance)
