"""What every command begins with: settings, keys, the store; and how it fails: in words.

Knows which errors are an operator's to mend. Each becomes a line on standard error.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from model.addresses import mask_addresses
from model.registry import RegistryError
from service.keyring import Keyring, KeyringError, UnreadableAddress
from service.settings import Settings, SettingsError, load_settings
from service.storage import Site, Store, StoreError, utc_now

WRONG_CALL = 2
LONGEST_NAME = 100

json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON, for a machine.")


@dataclass(frozen=True, slots=True)
class Installation:
    """What a command works on."""

    settings: Settings
    keyring: Keyring
    store: Store


@contextmanager
def said_plainly() -> Iterator[None]:
    """Turn what an operator can mend into click's errors, a line for each problem.

    The cause stays behind: its text may quote what was stored.
    """
    try:
        yield
    except SettingsError as wrong:
        for problem in wrong.problems:
            click.echo(f"duyet: {problem}", err=True)
        raise click.exceptions.Exit(WRONG_CALL) from None
    except (StoreError, KeyringError, RegistryError, UnreadableAddress) as problem:
        raise click.ClickException(str(problem)) from None


def environment() -> Settings:
    """The settings of the environment. Raises SettingsError."""
    return load_settings(os.environ)


@contextmanager
def installation() -> Iterator[Installation]:
    """The installation that the environment names, which must be there and up to date.

    Errors are said plainly, those of the block as well.
    """
    with said_plainly():
        settings = environment()
        if not settings.secrets_dir.is_dir():
            raise click.ClickException(
                f"there is no installation in {settings.data_dir} yet; "
                "`duyet serve` or `duyet migrate` makes one (DUYET_DATA_DIR says where)"
            )
        keyring = Keyring(settings.secrets_dir)
        with opened(settings, keyring) as store:
            if not store.schema_is_current():
                raise click.ClickException(
                    "the database is not at this program's schema; run `duyet migrate`"
                )
            store.migrate()  # has nothing to do but refuse a keyring that is not the database's
            yield Installation(settings, keyring, store)


@contextmanager
def opened(settings: Settings, keyring: Keyring) -> Iterator[Store]:
    """The store, closed at the end. Raises click's error for a URL it cannot use."""
    try:
        store = Store.open(
            settings.sqlalchemy_url,
            keyring,
            now=utc_now,
            replica_url=settings.sqlalchemy_replica_url,
        )
    except ValueError as wrong:
        raise click.ClickException(f"DUYET_DATABASE_URL: {wrong}") from None
    try:
        yield store
    finally:
        store.close()


def site_named(store: Store, name: str) -> Site:
    """The site of that name. Raises click's error, which says what names there are."""
    found = store.sites()
    for site in found:
        if site.name == name:
            return site
    known = ", ".join(shown(site.name) for site in found) or "none"
    raise click.ClickException(f"there is no site of that name; there are: {known}")


class Name(click.ParamType[str]):
    """The name of a site or a moderator: one line of 1 to 100 characters, no email address."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name without blanks around it."""
        name = value.strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            self.fail(f"must be one line of 1 to {LONGEST_NAME} characters", param, ctx)
        if mask_addresses(name) != name:
            self.fail("must not hold an email address: names are shown and logged", param, ctx)
        return name


NAME = Name()


def shown(text: str, *, width: int = 0) -> str:
    """A text as a terminal may show it: one line, nothing that steers it, addresses masked.

    Cut to `width` characters when that is not 0.
    """
    flat = " ".join(mask_addresses(text).split())
    plain = "".join(char if char.isprintable() else "�" for char in flat)
    return plain if not width or len(plain) <= width else plain[: width - 1] + "…"


def json_text(body: Any) -> str:
    """A body for a machine."""
    return json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)


def table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Rows under titles, in columns as wide as they need; the last is as long as it is."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (titles, *rows)
    )
