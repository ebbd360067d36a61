"""Campaigns of several sites that are seen as one, where each site allows it.

Going back needs nothing: the earlier program knows neither column. A campaign that is none by
itself it would show as one of few comments.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def _flag(name: str, usual: sa.ColumnElement[bool]) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=usual)


def upgrade() -> None:
    known = sa.inspect(op.get_bind())
    if "shares_campaigns" not in {c["name"] for c in known.get_columns("sites")}:
        op.add_column("sites", _flag("shares_campaigns", sa.false()))
    of_campaigns = {c["name"] for c in known.get_columns("campaigns")}
    if "kin" not in of_campaigns:
        op.add_column("campaigns", sa.Column("kin", sa.Text(), nullable=True))
    if "own" not in of_campaigns:
        op.add_column("campaigns", _flag("own", sa.true()))
    op.create_index("ix_campaigns_kin", "campaigns", ["kin"], if_not_exists=True)


def downgrade() -> None:
    """Leave the columns where they are."""
