"""A scripted year of one site, with and without the loop that learns.

    python -m benchmarks.year --data DIR [--short] [--champion REGISTRY] [--out FILE.svg]

DIR holds labelled files. The comments are real; when they come is made up: seasons of languages and
of spam, two campaigns of spam that the champion has not seen the like of, a shift of what readers
talk about, a moderator who for some weeks says the opposite of many comments, and so many minutes a
day for people to work the queue by risk, in which a share of what needs nobody is drawn as well.

Three arms see the same comments: `no learning` has the champion alone; `layer` has the site's layer
and memory over it; `loop` has both, and versions moved by what people decided, each compared,
shadowed and promoted by rule, in simulated time. Nobody knows anything before its day. The same
seed gives the same year. `--short` is eight weeks of it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.goals import Row, table
from benchmarks.labelled import examples_in
from benchmarks.year_champion import UNSEEN, begun_with, is_taught
from benchmarks.year_figures import (
    Panel,
    Week,
    columns,
    difference,
    drawn,
    share_of,
    smoothed,
    weeks_of,
)
from benchmarks.year_loop import Loop, Move, Rules, Step
from benchmarks.year_site import Site
from benchmarks.year_stream import Campaign, Careless, Script, Sent, sent_in
from model.classifier import Classifier
from model.decision import LabelledExample
from model.policy import Policy
from model.site_layer import Anchors
from training.own_fit import OWN, OwnRecipe, Rehearsed, read_texts
from training.rehearsal import own_texts, supporting

CASINO, ADVERTS, USUAL_SPAM = "casino", "adverts", "usual spam"

_EVENLY = {"vi": 0.38, "en": 0.38, "id": 0.18, "tr": 0.06}
_HOLIDAYS = {"vi": 0.5, "en": 0.3, "id": 0.15, "tr": 0.05}
_SUMMER = {"vi": 0.28, "en": 0.44, "id": 0.2, "tr": 0.08}

YEAR = Script(
    days=364,
    genuine_a_day=28.0,
    spam_a_day=5.0,
    months=(
        (0.9, 1.3, _HOLIDAYS),
        (0.8, 1.0, _HOLIDAYS),
        (1.0, 0.8, _EVENLY),
        (1.0, 0.8, _EVENLY),
        (1.1, 0.9, _EVENLY),
        (1.0, 0.7, _SUMMER),
        (0.8, 0.7, _SUMMER),
        (0.9, 0.8, _SUMMER),
        (1.2, 1.0, _EVENLY),
        (1.2, 1.1, _EVENLY),
        (1.1, 1.4, _EVENLY),
        (1.0, 1.5, _HOLIDAYS),
    ),
    topics={
        "vi": ("vi before", "vi after"),
        "en": ("en before", "en after"),
        "id": ("id", "id"),
        "tr": ("tr", "tr"),
    },
    shifts=182,
    shifting=14,
    background=USUAL_SPAM,
    campaigns=(
        Campaign(CASINO, begins=70, days=56, a_day=14.0, after_a_day=1.5),
        Campaign(
            ADVERTS, begins=238, days=56, a_day=14.0, after_a_day=1.5, disguises=("look_alikes", "")
        ),
    ),
    careless=Careless("chi", begins=147, days=42, share=0.5),
    moderators={"an": 0.5, "binh": 0.3, "chi": 0.2},
    mistakes=0.01,
    minutes_a_day=8.0,
)
SHORT = replace(
    YEAR,
    days=56,
    campaigns=(Campaign(CASINO, begins=14, days=42, a_day=14.0, after_a_day=1.5),),
    careless=Careless("chi", begins=35, days=14, share=0.5),
    shifts=35,
)

_BEFORE = frozenset({"SucKhoe", "GiaoDuc", "KhoaHoc", "GiaiTri", "ThoiSu"})
"""Topics of Vietnamese news until the shift; the others after it."""

POLICY = Policy(audit_rate=0.25)
RULES = Rules()


def pools_of(data: Path) -> dict[str, list[LabelledExample]]:
    """The comments of each pool of `YEAR`."""
    spam, ham = {}, {}
    for name in (*sorted(UNSEEN), "wp_midonet", "haacked_ham"):
        rows = examples_in(data, only=[name])
        spam[name] = [e for e in rows if e.label.positive]
        ham[name] = [e for e in rows if not e.label.positive]
    news = [e for e in examples_in(data, only=["victsd"]) if not e.label.positive]
    english = [e for e in examples_in(data, only=["c3_news"]) if not e.label.positive]
    return {
        "vi before": [e for e in news if e.extra.get("topic") in _BEFORE],
        "vi after": [e for e in news if e.extra.get("topic") not in _BEFORE],
        "en before": [e for e in ham["haacked_ham"] if not is_taught(e)],
        "en after": english,
        "id": [*ham["judol_id"], *ham["instagram_id_spam"]],
        "tr": ham["turkish_sms"],
        USUAL_SPAM: [
            e
            for name in ("youtube_spam_uci", "instagram_id_spam", "telegram_tgspam", "wp_midonet")
            for e in spam[name]
        ],
        CASINO: spam["judol_id"],
        ADVERTS: spam["turkish_sms"],
    }


# ------------------------------------------------------------------ the arms

NOTHING, LAYER, LOOP = "no learning", "layer and memory", "the whole loop"


@dataclass(frozen=True, slots=True)
class Arm:
    """What became of the year in one arm. `spans` of days are those that something happened in."""

    name: str
    site: Site
    weeks: list[Week]
    moves: tuple[Move, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a year is run: all that the arms share."""

    script: Script
    champion: Classifier
    rehearsed: Rehearsed
    recipe: OwnRecipe = OWN
    policy: Policy = POLICY
    rules: Rules = RULES
    backing: Sequence[LabelledExample] = ()
    seed: int = 7


def run(
    plan: Plan,
    sent: Sequence[Sent],
    name: str,
    *,
    noted: Callable[[Move], None] = lambda _: None,
) -> Arm:
    """One arm through the year; `noted` is told of each version when it is ruled on."""
    begun = time.process_time()
    anchors = Anchors.of(plan.champion.spec)
    site = Site(name, plan.script, plan.policy, plan.champion, anchors, name != NOTHING, plan.seed)
    loop = (
        Loop(site, plan.recipe, plan.rehearsed, plan.rules, plan.backing, noted=noted)
        if name == LOOP
        else None
    )
    by_day: list[list[Sent]] = [[] for _ in range(plan.script.days)]
    for one in sent:
        by_day[one.day].append(one)
    waiting, versions = [], []
    for day, comments in enumerate(by_day):
        today = site.judged(comments)
        site.moderated(day)
        versions.append(site.classifier.version)
        if loop is not None:
            loop.after_day(day, today)
        waiting.append(len(site.waiting))
    weeks = weeks_of(site, waiting, versions)
    moves = tuple(loop.moves) if loop is not None else ()
    return Arm(name, site, weeks, moves, time.process_time() - begun)


# ------------------------------------------------------------------ what is told


def told(arms: Mapping[str, Arm], plan: Plan) -> Iterator[str]:
    """The year as Markdown."""
    yield table(rows_of(arms, plan))
    yield ""
    titles = ("arm", "spam rejected", "spam stopped", "genuine rejected", "genuine held")
    yield f"| {' | '.join([*titles, 'minutes a week'])} |"
    yield "| --- |" + " --- |" * len(titles)
    for arm in arms.values():
        cells = [
            str(share_of(arm.weeks, parts, whole, seed=plan.seed))
            for parts, whole in (
                (("rejected",), "spam"),
                (("rejected", "held"), "spam"),
                (("genuine_rejected",), "genuine"),
                (("genuine_held",), "genuine"),
            )
        ]
        minutes = sum(week.minutes for week in arm.weeks) / len(arm.weeks)
        yield f"| {' | '.join([arm.name, *cells, f'{minutes:.0f}'])} |"
    yield ""
    yield from _parts(arms)
    yield ""
    yield "| day | version | labels | what | why |"
    yield "| --- | --- | ---: | --- | --- |"
    for move in arms[LOOP].moves:
        cells = [str(move.day), move.version, str(move.labels), move.step.value]
        yield f"| {' | '.join([*cells, '; '.join(move.why)])} |"


def _parts(arms: Mapping[str, Arm]) -> Iterator[str]:
    yield "| spam | sent | " + " | ".join(f"{name}: rejected, stopped" for name in arms) + " |"
    yield "| --- | ---: |" + " --- |" * len(arms)
    first = next(iter(arms.values()))
    for part in dict.fromkeys(one.sent.part for one in first.site.came if one.sent.positive):
        cells = []
        for arm in arms.values():
            found = [one.outcome for one in arm.site.came if one.sent.part == part]
            rejected, stopped = (
                100 * sum(outcome >= least for outcome in found) / len(found) for least in (2, 1)
            )
            cells.append(f"{rejected:.1f} %, {stopped:.1f} %")
        yield f"| {part} | {len(found):,} | {' | '.join(cells)} |"


def rows_of(arms: Mapping[str, Arm], plan: Plan) -> list[Row]:
    """Goals and results."""
    loop, found = arms[LOOP], []
    for other in (NOTHING, LAYER):
        for parts, what in ((("rejected", "held"), "stopped"), (("rejected",), "rejected")):
            more = difference(loop.weeks, arms[other].weeks, parts, "spam", seed=plan.seed)
            name = f"spam {what} by the loop, more than with {other}"
            found.append(Row(name, "> 0 % beyond its interval", str(more), more.low > 0))
    policy = plan.policy
    for arm in arms.values():
        for parts, risk, what in (
            (("genuine_rejected",), policy.reject_risk, "rejected"),
            (("genuine_rejected", "genuine_held"), policy.queue_risk, "rejected or held"),
        ):
            share = share_of(arm.weeks, parts, "genuine", seed=plan.seed)
            name = f"genuine comments {what}, {arm.name}"
            found.append(Row(name, f"≤ {100 * risk:g} %", str(share), share.value <= risk))
    minutes = {name: sum(week.minutes for week in arm.weeks) for name, arm in arms.items()}
    said = f"{minutes[LOOP]:.0f}, {minutes[LAYER]:.0f} with {LAYER}"
    found.append(Row("minutes of moderators in all", "no more", said, None))
    moved = sum(move.step in (Step.PROMOTED, Step.OVERRIDDEN) for move in loop.moves)
    found.append(Row("versions promoted", "≥ 1", str(moved), moved >= 1))
    return found


def picture(arms: Mapping[str, Arm], plan: Plan) -> str:
    """The curves by week, as SVG."""
    script, told = plan.script, {name: columns(arm.weeks) for name, arm in arms.items()}
    stopped = {n: smoothed(c["rejected"] + c["held"], c["spam"]) for n, c in told.items()}
    rejected = {n: smoothed(c["rejected"], c["spam"]) for n, c in told.items()}
    wrong = {n: smoothed(c["genuine_rejected"], c["genuine"]) for n, c in told.items()}
    held = {
        n: smoothed(c["genuine_rejected"] + c["genuine_held"], c["genuine"])
        for n, c in told.items()
    }
    minutes = {n: c["minutes"].tolist() for n, c in told.items()}
    spans = [(c.name, c.begins / 7, (c.begins + c.days) / 7) for c in script.campaigns]
    spans.append(("topics shift", script.shifts / 7, (script.shifts + script.shifting) / 7))
    if script.careless is not None:
        careless = script.careless
        begins, ends = careless.begins / 7, (careless.begins + careless.days) / 7
        spans.append(("careless moderator", begins, ends))
    policy = plan.policy
    return drawn(
        [
            Panel("Spam that was rejected or held, four weeks", " %", stopped),
            Panel("Spam that was rejected without a person, four weeks", " %", rejected),
            Panel("Genuine comments rejected, four weeks", " %", wrong, 100 * policy.reject_risk),
            Panel(
                "Genuine comments rejected or held, four weeks", " %", held, 100 * policy.queue_risk
            ),
            Panel("Minutes of moderators a week", "", minutes),
        ],
        spans,
    )


# ------------------------------------------------------------------ command


def main() -> None:
    options = _options()
    champion, _ = begun_with(options.data, options.champion)
    script = SHORT if options.short else YEAR
    recipe = replace(OWN, folds=options.folds)
    written = own_texts()
    texts = read_texts(written, champion.spec, jobs=1)
    plan = Plan(
        script,
        champion,
        texts,
        recipe,
        rules=replace(RULES, every=options.every, again=options.again),
        backing=supporting((), written),
        seed=options.seed,
    )
    sent = sent_in(script, pools_of(options.data), options.seed)
    spam = sum(one.positive for one in sent)
    print(f"champion {champion.version}; {len(sent):,} comments, {spam:,} of them spam", flush=True)
    arms = {name: run(plan, sent, name, noted=_shown) for name in (NOTHING, LAYER, LOOP)}
    for line in told(arms, plan):
        print(line)
    took = ", ".join(f"{arm.name} {arm.seconds:.0f}" for arm in arms.values())
    print(f"\nseconds of a processor: {took}")
    if options.out is not None:
        options.out.write_text(picture(arms, plan), encoding="utf-8")


def _shown(move: Move) -> None:
    print(f"day {move.day}: {move.version} {move.step.value}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.year", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--champion", type=Path, default=Path("var/year"), help="a registry")
    parser.add_argument("--short", action="store_true", help="eight weeks")
    parser.add_argument("--every", type=int, default=28, help="days between trainings")
    parser.add_argument("--folds", type=int, default=OWN.folds)
    parser.add_argument("--again", type=int, default=RULES.again, help="doubted labels looked at")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="where to draw the curves, an SVG")
    return parser.parse_args()


if __name__ == "__main__":
    main()
