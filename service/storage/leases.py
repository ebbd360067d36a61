"""Which process does what only one of all may do at a time."""

from datetime import timedelta

import sqlalchemy as sa

from service.storage.store import Store
from service.storage.tables import chore_leases


def take_lease(store: Store, name: str, holder: str, lasts: timedelta) -> bool:
    """Whether this process is the one that does a chore until then; another one is not.

    `holder` is a name that the process gave itself. Raises as the store does.
    """
    now = store.now()
    with store.writes() as connection:
        row = connection.execute(
            sa.select(chore_leases).where(chore_leases.c.name == name).with_for_update()
        ).one_or_none()
        values = {"holder": holder, "until": now + lasts}
        if row is None:
            connection.execute(chore_leases.insert(), values | {"name": name})
            return True
        if row.holder != holder and now < row.until <= now + lasts:
            return False
        mine = chore_leases.update().where(chore_leases.c.name == name)
        connection.execute(mine.values(values))
        return True
