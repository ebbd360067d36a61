"""The scripted year: what is sent when, what is known when, and what the loop does with it."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from benchmarks.year import LAYER, LOOP, NOTHING, Plan, picture, rows_of, run, told
from benchmarks.year_figures import difference
from benchmarks.year_loop import Loop, Rules, Step
from benchmarks.year_site import BEGIN, Site
from benchmarks.year_stream import Campaign, Careless, Script, sent_in
from model.decision import Label, LabelledExample
from model.features import Spec
from model.outcome import OFF, Head, Outcome
from model.policy import Policy
from model.promise import ANY, RISKS, Kept, Promise
from model.promotion import Bounds
from model.site_layer import Anchors
from training.fit import fit_once
from training.own_fit import OWN, read_texts
from training.recipes import RECIPES

SMALL = replace(RECIPES["general"], spec=Spec(bits=14), folds=3)
WORDS = {
    (Head.SPAM, False): "cảm ơn bài viết hay quá mình đã đọc xong thanks post learned gardens",
    (Head.SPAM, True): "casino bonus win money vay tiền nhanh click here nổ hũ khuyến mãi",
    (Head.TOXICITY, False): "hôm nay trời đẹp we walked home early and cooked rice with fish",
    (Head.TOXICITY, True): "idiot stupid ngu im đi trash hate điên fool shut up cút loser",
}
HERE = "ga tàu chuyến muộn vé đường ray station platform late ticket bus bridge river"
NEW = "seo backlink guest agency rank từ khóa dịch vụ giá rẻ zalo promo followers"
SCRIPT = Script(
    days=28,
    genuine_a_day=7.0,
    spam_a_day=2.0,
    months=((1.0, 1.0, {"en": 1.0}), (1.2, 0.8, {"en": 1.0})),
    topics={"en": ("before", "after")},
    shifts=14,
    shifting=7,
    background="usual",
    campaigns=(Campaign("new", begins=7, days=21, a_day=8.0, after_a_day=1.0),),
    careless=Careless("chi", begins=21, days=5, share=1.0),
    moderators={"an": 0.7, "chi": 0.3},
    mistakes=0.0,
    minutes_a_day=4.0,
)
RULES = Rules(every=7, bounds=Bounds(shadow_comments=40, newly_rejected=1.0, newly_held=1.0))


def made(words: str, label: tuple[Head, bool], count: int, seed: int) -> list[LabelledExample]:
    draw = random.Random(f"{seed}{words}")
    return [
        LabelledExample(
            id=f"{seed}-{at}",
            text=" ".join(draw.choices(words.split(), k=10)),
            label=Label(*label),
            source=f"set {seed}",
            group=f"g{at % 10}",
        )
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def pools():
    ham, spam = (Head.SPAM, False), (Head.SPAM, True)
    return {
        "before": made(WORDS[ham] + " " + HERE, ham, 400, 1),
        "after": made(HERE, ham, 400, 2),
        "usual": made(WORDS[spam] + " " + NEW, spam, 200, 3),
        "new": made(NEW, spam, 400, 4),
    }


@pytest.fixture(scope="module")
def plan():
    taught = [e for label, words in WORDS.items() for e in made(words, label, 80, 5)]
    rehearsed = [e for label, words in WORDS.items() for e in made(words, label, 60, 6)]
    thresholds = ((OFF,) * 7 + (0.8,) * (len(RISKS) - 7),) * 3
    kept = Kept(3_000, 60, *thresholds)
    promise = Promise({ANY: kept, "en": kept, "vi": kept, "und": kept})
    champion = replace(fit_once(taught, SMALL, jobs=1), version="base", promise=promise)
    recipe = replace(OWN, folds=2)
    texts = read_texts(rehearsed, SMALL.spec, jobs=1)
    return Plan(SCRIPT, champion, texts, recipe, Policy(audit_rate=0.3), RULES)


@pytest.fixture(scope="module")
def sent(pools):
    return sent_in(SCRIPT, pools, 7)


@pytest.fixture(scope="module")
def arms(plan, sent):
    return {name: run(plan, sent, name) for name in (NOTHING, LAYER, LOOP)}


def test_the_same_seed_sends_the_same_year_and_no_comment_twice(pools, sent):
    assert sent_in(SCRIPT, pools, 7) == sent
    assert sent_in(SCRIPT, pools, 8) != sent
    assert len({one.example.text for one in sent}) == len({id(one.example) for one in sent})
    assert min(one.day for one in sent if one.part == "new") >= 7


def test_every_arm_is_sent_the_same_and_the_same_year_comes_out_twice(plan, sent, arms):
    again = run(plan, sent, LOOP)

    assert again.weeks == arms[LOOP].weeks
    assert again.moves == arms[LOOP].moves
    assert {sum(week.spam for week in arm.weeks) for arm in arms.values()} == {
        sum(one.positive for one in sent)
    }


def test_nothing_is_learnt_before_its_day(plan, sent):
    site = Site("s", SCRIPT, plan.policy, plan.champion, Anchors.of(SMALL.spec), True, 7)
    seen: list[tuple[int, datetime]] = []

    class Watched(Loop):
        def _train(self, day: int) -> None:
            seen.extend((day, datetime.fromisoformat(e.date)) for e in self.site.labels)

    loop = Watched(site, plan.recipe, plan.rehearsed, RULES)
    for day in range(14):
        today = site.judged([one for one in sent if one.day == day])
        site.moderated(day)
        loop.after_day(day, today)

    assert seen
    assert all(at < BEGIN + timedelta(days=day + 1) for day, at in seen)


def test_the_careless_account_says_the_opposite_in_its_weeks_alone(arms):
    wrong = {
        (one.decision.moderator, 21 <= (one.decision.at - BEGIN).days < 26)
        for one in arms[LAYER].site.came
        if one.decision and (one.decision.outcome is Outcome.REJECT) != one.sent.positive
    }

    assert wrong == {("chi", True)}


def test_people_stop_when_their_minutes_are_up(plan, sent):
    tired = replace(plan, script=replace(SCRIPT, minutes_a_day=0.3), policy=Policy(audit_rate=1.0))

    arm = run(tired, sent, LAYER)

    assert max(arm.site.seconds.values()) <= 0.3 * 60
    assert arm.weeks[-1].waiting > 0


def test_a_version_that_breaks_the_promise_is_rolled_back(plan, sent):
    site = Site("s", SCRIPT, plan.policy, plan.champion, Anchors.of(SMALL.spec), False, 7)
    loop = Loop(site, plan.recipe, plan.rehearsed, replace(RULES, fresh=10**6))
    wild = replace(plan.champion, version="wild", bias=np.array([30.0, -30.0]))
    loop._past.append((site.classifier, frozenset()))
    site.serve(wild)
    for day in range(7):
        today = site.judged([one for one in sent if one.day == day])
        site.moderated(day)
        loop.after_day(day, today)

    assert [move.step for move in loop.moves] == [Step.ROLLED_BACK]
    assert site.classifier is plan.champion


def test_what_is_told_names_goals_versions_and_curves(arms, plan):
    text = "\n".join(told(arms, plan))
    assert all(row.name in text for row in rows_of(arms, plan))
    assert any(move.version in text for move in arms[LOOP].moves)
    assert picture(arms, plan).count("<polyline") == 5 * len(arms)


def test_an_arm_is_no_better_than_itself(arms):
    weeks = arms[LOOP].weeks
    share = difference(weeks, weeks, ("rejected",), "spam", seed=1)
    assert (share.low, share.value, share.high) == (0.0, 0.0, 0.0)
