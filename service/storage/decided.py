"""Decided comments in the order of their decisions: what a site is learnt from.

Knows which decisions stood at a point. Judges nothing and learns nothing.
"""

import sqlalchemy as sa

from model.experience import Decided
from service.storage.records import Waiting
from service.storage.rows import COMMENT, DECISION, decision_of, submission_of
from service.storage.tables import comments, decisions, following, undos, verdicts

# What nobody drew, but somebody looked at all the same, stands for itself.
_CHANCE = sa.case((decisions.c.was_why == Waiting.AUDIT.value, verdicts.c.review_probability))


def decided_page(
    connection: sa.Connection,
    site_id: str,
    *,
    after: int,
    upto: int,
    undone_upto: int,
    limit: int,
) -> list[Decided]:
    """Up to `limit` decisions on a site, numbered above `after` and not above `upto`.

    In order. Left out is what had been taken back by the change numbered `undone_upto`, and what
    only followed a campaign's decision.
    """
    undone = sa.and_(undos.c.decision_id == decisions.c.id, undos.c.change <= undone_upto)
    taken_back = sa.exists().where(undone)
    followed = sa.exists().where(following.c.decision_id == decisions.c.id)
    statement = (
        sa.select(decisions.c.change, _CHANCE.label("chance"), *COMMENT, *DECISION)
        .join(comments, comments.c.id == decisions.c.comment_id)
        .outerjoin(verdicts, verdicts.c.comment_id == decisions.c.comment_id)
        .where(decisions.c.site_id == site_id, decisions.c.change > after)
        .where(decisions.c.change <= upto, ~taken_back, ~followed)
        .order_by(decisions.c.change)
        .limit(limit)
    )
    return [
        Decided(
            row["change"],
            row["id"],
            submission_of(row),
            decision_of(row),
            row["chance"] or 1.0,
        )
        for row in connection.execute(statement).mappings()
    ]
