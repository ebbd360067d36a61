"""Seal stored addresses and sites' secrets again after a new address key was added.

Knows what an older key sealed. No address and no secret leaves a function here.
"""

import sqlalchemy as sa

from service.keyring import OF_MODERATORS, Keyring, key_id_of
from service.storage.sign_in import seal_code_key, unseal_code_key
from service.storage.tables import accounts, akismet_sites, comments, coral_sites, digests


def reencrypt(connection: sa.Connection, keyring: Keyring, *, limit: int) -> int:
    """Seal up to `limit` addresses again with the newest key; how many there were.

    Raises service.keyring.UnreadableAddress when an old key is gone.
    """
    newest = keyring.newest_address_key_id
    columns = (comments.c.id, comments.c.site_id, comments.c.email_cipher)
    statement = sa.select(*columns).where(comments.c.email_key_id < newest).limit(limit)
    found = connection.execute(statement.order_by(comments.c.id).with_for_update())
    changes = [_sealed_again(keyring, *row) for row in found]
    if changes:
        change = comments.update().where(comments.c.id == sa.bindparam("comment_id"))
        sealed = {"email_cipher": sa.bindparam("sealed"), "email_key_id": newest}
        connection.execute(change.values(sealed), changes)
    return len(changes)


def _sealed_again(
    keyring: Keyring, comment_id: str, site_id: str, sealed: bytes | None
) -> dict[str, object]:
    assert sealed is not None, "a comment with a key id has an address"
    address = keyring.decrypt_address(sealed, site_id=site_id, comment_id=comment_id)
    again = keyring.encrypt_address(address, site_id=site_id, comment_id=comment_id)
    return {"comment_id": comment_id, "sealed": again}


def reseal_secrets(connection: sa.Connection, keyring: Keyring) -> None:
    """Seal the secrets of sites and accounts again that an older key sealed; there are few.

    Raises service.keyring.UnreadableAddress when an old key is gone.
    """
    for sealed_in in _SEALED:
        table = sealed_in.table
        columns = (table.c.site_id, sealed_in)
        for site_id, sealed in connection.execute(sa.select(*columns).with_for_update()).all():
            if key_id_of(sealed) != keyring.newest_address_key_id:
                again = keyring.seal(keyring.unseal(sealed, site_id=site_id), site_id=site_id)
                change = table.update().where(table.c.site_id == site_id)
                connection.execute(change.values({sealed_in: again}))
    _reseal_code_keys(connection, keyring)
    _reseal_digests(connection, keyring)


def _reseal_code_keys(connection: sa.Connection, keyring: Keyring) -> None:
    columns = (accounts.c.moderator_id, accounts.c.totp_cipher)
    found = sa.select(*columns).where(accounts.c.totp_cipher.is_not(None)).with_for_update()
    for moderator_id, sealed in connection.execute(found).all():
        if key_id_of(sealed) != keyring.newest_address_key_id:
            again = seal_code_key(
                keyring, moderator_id, unseal_code_key(keyring, moderator_id, sealed)
            )
            change = accounts.update().where(accounts.c.moderator_id == moderator_id)
            connection.execute(change.values(totp_cipher=again))


def _reseal_digests(connection: sa.Connection, keyring: Keyring) -> None:
    """Seal moderators' own addresses again."""
    for row in connection.execute(_DIGESTS.with_for_update()).all():
        if key_id_of(row.address_cipher) != keyring.newest_address_key_id:
            where = {"site_id": OF_MODERATORS, "comment_id": row.moderator_id}
            address = keyring.decrypt_address(row.address_cipher, **where)
            change = digests.update().where(digests.c.moderator_id == row.moderator_id)
            again = keyring.encrypt_address(address, **where)
            connection.execute(change.values(address_cipher=again))


_DIGESTS = sa.select(digests.c.moderator_id, digests.c.address_cipher).where(
    digests.c.address_masked != ""
)
_SEALED: tuple[sa.Column[bytes], ...] = (akismet_sites.c.key_cipher, coral_sites.c.secret_cipher)


def keys_in_use(connection: sa.Connection) -> frozenset[int]:
    """The ids of the keys that some stored address or secret needs."""
    statement = sa.select(comments.c.email_key_id).distinct()
    found = connection.execute(statement.where(comments.c.email_key_id.is_not(None)))
    sealed_in = (*_SEALED, accounts.c.totp_cipher)
    statements = [sa.select(one).where(one.is_not(None)) for one in sealed_in]
    secrets = [s for one in statements for s in connection.execute(one).scalars()]
    secrets += [row.address_cipher for row in connection.execute(_DIGESTS)]
    return frozenset(found.scalars()) | frozenset(map(key_id_of, secrets))
