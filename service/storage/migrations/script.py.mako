"""${message}.

Forward only: to go back, restore a backup.
"""

import sqlalchemy as sa
from alembic import op

from service.storage.tables import UtcTime

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}

