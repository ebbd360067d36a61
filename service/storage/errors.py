"""What can go wrong in the store. No message holds a stored value, an address or a token."""

from model.decision import Decision


class StoreError(Exception):
    """The store could not do what was asked; nothing was written."""


class StoreUnavailable(StoreError):
    """The database is away, locked, full, read-only or not migrated. Trying again may help."""


class TablesChanged(StoreUnavailable):
    """A partition was made while a row was on its way to another one: do it again."""


class WrongEncoding(StoreUnavailable):
    """The PostgreSQL database keeps bytes of no known encoding."""

    def __init__(self) -> None:
        super().__init__(
            "the PostgreSQL database has the encoding SQL_ASCII, which keeps no Unicode; "
            "make one with: createdb --encoding=UTF8 --template=template0 NAME"
        )


class Unstorable(StoreError):
    """An item of a batch holds what cannot be kept: NUL, a lone surrogate, a naive time.

    `index` is its place in the batch, of which nothing was written.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"item {index} of the batch holds NUL, a lone surrogate or a naive time")
        self.index = index


class IdempotencyRace(StoreError):
    """Another request with the same idempotency key was recorded meanwhile: gather again."""


class KeyringMismatch(StoreError):
    """The database was written with another keyring. `file` is the key that differs."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"{file} is not the one this database was written with; restore it from a backup"
        )
        self.file = file


class NewerSchema(StoreError):
    """The database was migrated by a later program than this one."""

    def __init__(self) -> None:
        super().__init__("the database's schema is newer than this program; install the newer one")


class NameTaken(StoreError):
    """A site or moderator has this name already."""


class UnknownSite(StoreError):
    """There is no such site."""


class UnknownModerator(StoreError):
    """There is no such moderator."""


class LastAdmin(StoreError):
    """The change would leave nobody who may administer every site."""


class KeptElsewhere(StoreError):
    """The account itself is looked after by the admins of every site."""


class UnknownComment(StoreError):
    """There is no such comment, or it belongs to a site that was not asked for."""


class NoAddress(StoreError):
    """The comment came without an address."""


class NothingToUndo(StoreError):
    """No person's decision stands on this comment."""


class AlreadyDecided(StoreError):
    """Someone decided first. `standing` is the decision that counts."""

    def __init__(self, standing: Decision) -> None:
        super().__init__("already decided")
        self.standing = standing


class BadCursor(StoreError):
    """The place to go on from was not given by an earlier page of the same order."""
