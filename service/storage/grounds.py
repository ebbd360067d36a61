"""What the advice to train anew goes by, and that advice for an installation as it is now."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

import sqlalchemy as sa

from model.judging import NO_MODEL
from service.advice import BOUNDS, Advice, Bounds, Grounds, advised
from service.alerts import Kind
from service.storage.figures import turned_around
from service.storage.jobs import Jobs
from service.storage.partitions import first_id
from service.storage.standing_alerts import StandingAlerts
from service.storage.store import Store
from service.storage.tables import (
    arrival_days,
    campaign_members,
    comments,
    decisions,
    jobs,
    reports,
    verdicts,
)

MISSED_DAYS = 28
"""What was published and turned out unwanted is looked for so far back, or to the last training."""

_FALLS = (Kind.PROMISE_BROKEN, Kind.PRECISION_FELL, Kind.RECALL_FELL)
_DRIFTS = (Kind.SCORES_DRIFT, Kind.SHAPES_SHIFT)


def advice(store: Store, bounds: Bounds = BOUNDS) -> list[Advice]:
    """What speaks for training anew now, with why; [] where nothing does. Raises as the store does.

    Of all sites, hence for who administers all of them. Counts labels, and reads the reports and
    decisions of four weeks at most.
    """
    return advised(grounds(store), bounds)


def grounds(store: Store) -> Grounds:
    """What is known of an installation now."""
    asked = Jobs(store)
    new_labels, wanted = asked.new_labels(), asked.nightly().new_labels
    alerts = [one.alert for one in StandingAlerts(store).standing(None)]
    now = store.now()
    with store.reads() as connection:
        last = sa.select(sa.func.max(jobs.c.started_at), sa.func.max(jobs.c.ended_at))
        started, ended = connection.execute(last.where(jobs.c.state == "done")).one()
        is_training = connection.execute(sa.select(jobs.c.id).where(jobs.c.open == 1)).first()
        labels = sum(
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (decisions, reports)
        )
        champion_days = _champion_days(connection, now.date())
    missed = store.read_aside(lambda connection: _missed(connection, now, started))
    return Grounds(
        labels=labels,
        new_labels=new_labels,
        wanted=wanted,
        missed=max(missed.values(), default=0),
        campaigns=sum(number >= BOUNDS.missed for number in missed.values()),
        fell=len({alert.site_id for alert in alerts if alert.kind in _FALLS}),
        drifting=len({alert.site_id for alert in alerts if alert.kind in _DRIFTS}),
        champion_days=champion_days,
        trained_days=None if ended is None else (now - ended).days,
        is_training=is_training is not None,
    )


def _champion_days(connection: sa.Connection, today: date) -> int | None:
    """Days since the model that judged last was first used, wherever."""
    c = arrival_days.c
    last = sa.select(c.model).where(c.model != NO_MODEL, c.day >= _back(today, 30))
    newest = last.group_by(c.model).order_by(sa.func.max(c.day).desc(), sa.func.sum(c.times).desc())
    model = connection.execute(newest.limit(1)).scalar_one_or_none()
    if model is None:
        return None
    first = sa.select(sa.func.min(c.day)).where(c.model == model)
    return (today - date.fromisoformat(connection.execute(first).scalar_one())).days


def _back(today: date, days: int) -> str:
    return (today - timedelta(days=days)).isoformat()


def _missed(
    connection: sa.Connection, now: datetime, started: datetime | None
) -> Mapping[str, int]:
    """Of comments published by the machine that turned out unwanted: how many of each campaign.

    A campaign is one that the desk found, else the same normal text on one site.
    """
    earliest = datetime.combine(now.date() - timedelta(days=MISSED_DAYS), time(), UTC)
    first = first_id(max(earliest, started) if started is not None else earliest)
    against = turned_around(first, "accept")
    text = comments.c.site_id + " " + comments.c.text_key
    campaign = sa.func.coalesce(campaign_members.c.campaign_id, text)
    statement = (
        sa.select(campaign, sa.func.count())
        .select_from(against)
        .join(verdicts, verdicts.c.comment_id == against.c.comment_id)
        .join(comments, comments.c.id == against.c.comment_id)
        .outerjoin(campaign_members, campaign_members.c.comment_id == against.c.comment_id)
        .where(
            sa.or_(verdicts.c.outcome == "accept", verdicts.c.unaudited == "accept"),
            campaign.is_not(None),
        )
        .group_by(campaign)
        .having(sa.func.count() > 1)
    )
    return {str(key): int(number) for key, number in connection.execute(statement)}
