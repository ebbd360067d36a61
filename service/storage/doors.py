"""What is kept for sites that Coral asks, or clients of Perspective: secrets and choices."""

from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from service.keyring import Keyring
from service.storage.events import Actor, tell
from service.storage.records import Site
from service.storage.sites import site
from service.storage.tables import comments, coral_sites, perspective_sites


class AcceptSpoken(StrEnum):
    """What Coral is told of a comment that is accepted.

    `abstain` says nothing, so that what Coral does by itself goes on; `none` and `approved` end
    that with the status of the same name, past its own pre-moderation.
    """

    ABSTAIN = "abstain"
    NONE = "none"
    APPROVED = "approved"


class WithheldSpoken(StrEnum):
    """In which of Coral's queues a comment waits for a person: reported or pending ones."""

    SYSTEM_WITHHELD = "system_withheld"
    PREMOD = "premod"


@dataclass(frozen=True, slots=True)
class CoralChoices:
    """How a site wants to be spoken to by Coral's protocol."""

    accept: AcceptSpoken = AcceptSpoken.ABSTAIN
    queue: WithheldSpoken = WithheldSpoken.SYSTEM_WITHHELD


@dataclass(frozen=True, slots=True)
class CoralSite:
    """A site that Coral asks, with the secret that signs what it asks."""

    site: Site
    choices: CoralChoices
    secret: str = field(repr=False)


def set_coral_secret(
    connection: sa.Connection, keyring: Keyring, site_id: str, secret: str, *, actor: Actor
) -> None:
    """Keep the secret of a site sealed, in the place of an earlier one. Raises UnknownSite."""
    site(connection, site_id)
    row = {"secret_cipher": keyring.seal(secret, site_id=site_id)}
    change = coral_sites.update().where(coral_sites.c.site_id == site_id)
    if not connection.execute(change.values(row)).rowcount:
        chosen = _as_row(CoralChoices())
        connection.execute(coral_sites.insert(), {"site_id": site_id} | row | chosen)
    tell(connection, "coral_secret_set", actor, site_id=site_id, body={})


def choose_coral(
    connection: sa.Connection, site_id: str, choices: CoralChoices, *, actor: Actor
) -> None:
    """Put a site's choices in force; it has to have a secret. Raises UnknownSite."""
    site(connection, site_id)
    change = coral_sites.update().where(coral_sites.c.site_id == site_id)
    connection.execute(change.values(_as_row(choices)))
    tell(connection, "coral_set", actor, site_id=site_id, body=_as_row(choices))


def coral_site(connection: sa.Connection, keyring: Keyring, site_id: str) -> CoralSite | None:
    """A site with its secret; None for one without, and for an unknown one.

    Raises service.keyring.UnreadableAddress when the key that sealed the secret is gone.
    """
    statement = sa.select(coral_sites).where(coral_sites.c.site_id == site_id)
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    choices = CoralChoices(AcceptSpoken(row.accept), WithheldSpoken(row.queue))
    secret = keyring.unseal(row.secret_cipher, site_id=site_id)
    return CoralSite(site(connection, site_id), choices, secret)


def _as_row(choices: CoralChoices) -> dict[str, object]:
    return {"accept": choices.accept.value, "queue": choices.queue.value}


def perspective_stores(connection: sa.Connection, site_id: str) -> bool:
    """Whether comments that Perspective's clients ask about are kept for a site."""
    statement = sa.select(perspective_sites.c.stores)
    found = connection.execute(statement.where(perspective_sites.c.site_id == site_id))
    return bool(found.scalar_one_or_none())


def choose_perspective(
    connection: sa.Connection, site_id: str, *, stores: bool, actor: Actor
) -> None:
    """Say whether such comments are kept from now on. Raises UnknownSite."""
    site(connection, site_id)
    change = perspective_sites.update().where(perspective_sites.c.site_id == site_id)
    if not connection.execute(change.values(stores=stores)).rowcount:
        connection.execute(perspective_sites.insert(), {"site_id": site_id, "stores": stores})
    tell(connection, "perspective_set", actor, site_id=site_id, body={"stores": stores})


def comment_of_text(
    connection: sa.Connection, keyring: Keyring, site_id: str, normal_text: str
) -> str | None:
    """The id of a site's newest comment with this text in its normal form."""
    key = keyring.text_key(site_id, normal_text)
    if not key:
        return None
    statement = sa.select(comments.c.id).where(
        comments.c.text_key == key, comments.c.site_id == site_id
    )
    return connection.execute(statement.order_by(comments.c.id.desc()).limit(1)).scalar()
