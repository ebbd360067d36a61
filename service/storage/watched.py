"""What is watched of each site: read from the counts by day, and set beside what was there before.

Knows which days are compared. Judges nothing of it. The counts are small: a row for a day and what
it is counted by; only what was turned around is read off the reports and decisions of four weeks.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import sqlalchemy as sa

from model.judging import NO_MODEL
from model.outcome import Head, Outcome
from service import drift
from service.alerts import Seen, Shift, Turned
from service.estimates import Share, wilson
from service.outcomes import Estimates, Judged, estimates
from service.storage.audited import By, judged_in
from service.storage.figures import REVERSAL_DAYS, Scope, turned_by_site
from service.storage.partitions import first_id
from service.storage.records import Site
from service.storage.review import SiteIds
from service.storage.shapes import SHAPES
from service.storage.store import Store
from service.storage.tables import arrival_days, language_days, score_days, shape_days

RECENT_DAYS = 7
"""What comes now: these days up to today."""

BEFORE_DAYS = 28
"""What it is compared with, and what estimates are of."""

LANGUAGE = "language"

Histograms = Callable[[str], Mapping[str, object]]
"""By its version the histogram of a model's manifest, {} where there is none."""


def no_histogram(_: str) -> Mapping[str, object]:
    """Of no model anything is known."""
    return {}


@dataclass(frozen=True, slots=True)
class Days:
    """Days of a site, both among them; none where `last` is before `first`."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Span:
    """What is compared on a site: what comes now with what there was `before`.

    `model` is the one that judged most lately.
    """

    recent: Days
    before: Days
    model: str


def seen(store: Store, histograms: Histograms) -> list[Seen]:
    """What is watched of every site on which anything came lately."""
    sites = store.sites()
    return store.read_aside(lambda connection: _seen(connection, sites, store.now(), histograms))


def _seen(
    connection: sa.Connection, sites: list[Site], now: datetime, histograms: Histograms
) -> list[Seen]:
    today = now.date()
    spans = _spans(connection, today)
    earliest = min((span.before.first for span in spans.values()), default=today)
    came = _by_outcome(connection, earliest)
    shapes = _by_shape(connection, earliest)
    scores = _drifts(connection, spans, histograms)
    turned = _turned(connection, now)
    lately = Scope(None, today - timedelta(days=BEFORE_DAYS - 1), today)
    end = lately.first - timedelta(days=1)
    earlier = Scope(None, end - timedelta(days=BEFORE_DAYS - 1), end)
    now_right, right_before = (
        _estimated(judged_in(connection, scope, By.SITE)) for scope in (lately, earlier)
    )
    return [
        Seen(
            site_id=site.id,
            risk=site.policy.reject_risk if site.policy.thresholds is None else None,
            came=int(sum(_within(came[site.id], span.recent).values())),
            queued=_queued(_within(came[site.id], span.recent)),
            queued_before=_queued(_within(came[site.id], span.before)),
            drifts=scores[site.id],
            shifts=_shifts(shapes[site.id], span),
            turned=turned[site.id],
            right=now_right.get(site.id),
            right_before=right_before.get(site.id),
        )
        for site in sites
        if (span := spans.get(site.id)) is not None
    ]


def shifts(store: Store, site_ids: SiteIds) -> Mapping[str, Mapping[str, Shift]]:
    """By site, how far the shares of each shape's steps and of languages moved."""

    def found(connection: sa.Connection) -> Mapping[str, Mapping[str, Shift]]:
        spans = _spans(connection, store.now().date(), site_ids)
        earliest = min((span.before.first for span in spans.values()), default=None)
        if earliest is None:
            return {}
        shapes = _by_shape(connection, earliest, site_ids)
        return {site_id: _shifts(shapes[site_id], span) for site_id, span in spans.items()}

    return store.read_aside(found)


def _estimated(found: Mapping[str, Mapping[Outcome, Judged]]) -> dict[str, Estimates]:
    return {site_id: estimates(counts) for site_id, counts in found.items()}


# ------------------------------------------------------------------ which days


def _spans(connection: sa.Connection, today: date, site_ids: SiteIds = None) -> dict[str, Span]:
    recent = Days(today - timedelta(days=RECENT_DAYS - 1), today)
    c = arrival_days.c
    lately = (
        sa.select(c.site_id, c.model, sa.func.sum(c.times))
        .where(c.day >= recent.first.isoformat(), c.model != NO_MODEL, *_on(c.site_id, site_ids))
        .group_by(c.site_id, c.model)
    )
    models: dict[str, dict[str, int]] = defaultdict(dict)
    for site_id, model, times in connection.execute(lately):
        models[site_id][model] = int(times)
    firsts = sa.select(c.site_id, c.model, sa.func.min(c.day)).where(*_on(c.site_id, site_ids))
    first_days = {
        (site_id, model): date.fromisoformat(day)
        for site_id, model, day in connection.execute(firsts.group_by(c.site_id, c.model))
    }
    came_first: dict[str, date] = {}
    for (site_id, _), day in first_days.items():
        came_first[site_id] = min(day, came_first.get(site_id, day))
    found = {}
    for site_id, times in models.items():
        model = max(times, key=lambda name: (times[name], name))
        began = first_days[site_id, model]
        is_new_here = came_first[site_id] > began - timedelta(days=RECENT_DAYS)
        before = days_before(began, recent, is_new_here=is_new_here)
        found[site_id] = Span(recent, before, model)
    return found


def _on(column: sa.Column[str], site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (column.in_(list(site_ids)),)


def days_before(began: date, recent: Days, *, is_new_here: bool) -> Days:
    """What a site's comments are compared with.

    The four weeks before its model was first used, whose decisions it was fitted to; where hardly
    a week of the site was before that, the first four weeks with it, as far as they are over.
    """
    if not is_new_here:
        end = min(began, recent.first) - timedelta(days=1)
        return Days(end - timedelta(days=BEFORE_DAYS - 1), end)
    last = min(began + timedelta(days=BEFORE_DAYS), recent.first) - timedelta(days=1)
    return Days(began, last)


# ------------------------------------------------------------------ what came

_Counts = dict[date, dict[str, float]]


def _within(counts: Mapping[date, Mapping[str, float]], days: Days) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for day, by_name in counts.items():
        if day in days:
            for name, times in by_name.items():
                found[name] += times
    return found


def _by_outcome(connection: sa.Connection, first: date) -> dict[str, _Counts]:
    c = arrival_days.c
    statement = (
        sa.select(c.site_id, c.day, c.outcome, sa.func.sum(c.times))
        .where(c.day >= first.isoformat())
        .group_by(c.site_id, c.day, c.outcome)
    )
    found: dict[str, _Counts] = defaultdict(lambda: defaultdict(dict))
    for site_id, day, outcome, times in connection.execute(statement):
        found[site_id][date.fromisoformat(day)][outcome] = float(times)
    return found


def _queued(came: Mapping[str, float]) -> Share | None:
    return wilson(came.get(Outcome.QUEUE.word, 0.0), sum(came.values()))


def _turned(connection: sa.Connection, now: datetime) -> dict[str, dict[Outcome, Turned]]:
    first = now.date() - timedelta(days=REVERSAL_DAYS - 1)
    start = first_id(datetime.combine(first, time(), UTC))
    c = arrival_days.c
    came = sa.select(c.site_id, c.outcome, sa.func.sum(c.times)).where(c.day >= first.isoformat())
    found: dict[str, dict[Outcome, Turned]] = defaultdict(dict)
    turned = {
        outcome: turned_by_site(connection, None, start, outcome.word)
        for outcome in (Outcome.ACCEPT, Outcome.REJECT)
    }
    for site_id, word, times in connection.execute(came.group_by(c.site_id, c.outcome)):
        if (outcome := Outcome.of(word)) in turned:
            of = int(times)
            found[site_id][outcome] = Turned(min(of, turned[outcome].get(site_id, 0)), of)
    return found


# ------------------------------------------------------------------ shapes and languages


@dataclass(frozen=True, slots=True)
class _Shaped:
    read: Mapping[date, float]
    """How many texts were read."""
    steps: Mapping[str, _Counts]
    """By the name of a shape, or `LANGUAGE`."""


def _by_shape(
    connection: sa.Connection, first: date, site_ids: SiteIds = None
) -> dict[str, _Shaped]:
    read: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    steps: dict[str, dict[str, _Counts]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    )
    c = shape_days.c
    shapes = sa.select(c.site_id, c.day, c.shape, c.step, c.texts_read, c.times)
    for site_id, on, shape, step, texts, times in connection.execute(
        shapes.where(c.day >= first.isoformat(), *_on(c.site_id, site_ids))
    ):
        day = date.fromisoformat(on)
        steps[site_id][shape][day][step] += float(times)
        if shape == SHAPES[0]:
            read[site_id][day] += int(texts)
    d = language_days.c
    languages = (
        sa.select(d.site_id, d.day, d.language, sa.func.sum(d.times))
        .where(d.day >= first.isoformat(), *_on(d.site_id, site_ids))
        .group_by(d.site_id, d.day, d.language)
    )
    for site_id, on, language, times in connection.execute(languages):
        if (day := date.fromisoformat(on)) in read[site_id]:
            steps[site_id][LANGUAGE][day][language] += float(times)
    found: dict[str, _Shaped] = defaultdict(lambda: _Shaped({}, {}))
    found |= {site_id: _Shaped(read[site_id], by_name) for site_id, by_name in steps.items()}
    return found


def _shifts(shaped: _Shaped, span: Span) -> dict[str, Shift]:
    days = span.before
    if shaped.read and days.last < min(shaped.read):  # shapes were not counted yet
        days = days_before(min(shaped.read), span.recent, is_new_here=True)
    texts = [
        sum(number for day, number in shaped.read.items() if day in which)
        for which in (span.recent, days)
    ]
    found = {}
    for name, counts in shaped.steps.items():
        live, before = _within(counts, span.recent), _within(counts, days)
        if sum(live.values()) > 0 and sum(before.values()) > 0:
            index, step = drift.shift(live, before)
            found[name] = Shift(index, step, int(min(texts)))
    return found


# ------------------------------------------------------------------ scores


def _drifts(
    connection: sa.Connection, spans: Mapping[str, Span], histograms: Histograms
) -> dict[str, dict[Head, float]]:
    """The index of each head on each site, from `drift.LEAST` scores of its model on."""
    first = min((span.recent.first for span in spans.values()), default=None)
    found: dict[str, dict[Head, float]] = defaultdict(dict)
    if first is None:
        return found
    c = score_days.c
    statement = (
        sa.select(c.site_id, c.model, c.head, c.bin, sa.func.sum(c.times))
        .where(c.day >= first.isoformat())
        .group_by(c.site_id, c.model, c.head, c.bin)
    )
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * drift.BINS)
    for site_id, model, head, place, times in connection.execute(statement):
        if site_id in spans and model == spans[site_id].model:
            counts[site_id, head][place] += int(times)
    for (site_id, word), live in counts.items():
        expected = drift.expected_of(histograms(spans[site_id].model), word)
        if expected and sum(live) >= drift.LEAST:
            found[site_id][Head(word)] = drift.drift(live, expected).index
    return found
