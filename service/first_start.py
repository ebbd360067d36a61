"""The first start: secrets, database, models, one site, one admin; told once and never again.

Every step may have been done already, by an earlier start or by another process at this very
moment; what is there is left as it is.
"""

import logging
import shlex
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from model.policy import Policy
from model.refusals import RegistryError
from model.registry import registry_at
from service.keyring import Keyring
from service.serving import registry_of
from service.settings import Settings
from service.storage import Moderator, NameTaken, Role, Store, utc_now
from service.storage.accounts_people import People

log = logging.getLogger(__name__)

SITE = "default"
ADMIN = "admin"
LINK_LIFETIME = timedelta(hours=24)
STARTER = "duyet serve"
ADOPTED = "signed as it was found, at the first start with a key"

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}

# No apostrophe, so that a shell's single quotes hold it; an address that is nobody's.
_COMMENT = (
    '{"content": "Cảm ơn bài viết, rất hữu ích!", '
    '"author": {"name": "Lan", "email": "lan@mail.example"}, '
    '"permalink": "https://blog.example/first-post"}'
)


class CannotPrepare(Exception):
    """The data directory cannot be used. The message names it and what would be right."""


def prepare(settings: Settings, now: Callable[[], datetime]) -> str | None:
    """Make whatever is missing, and give what is to be told once; None when there is a site.

    The text holds a key and a sign-in link: print it, never log it. Of processes that start
    at once one makes the site and gets the text. Raises CannotPrepare,
    service.keyring.KeyringError, and StoreError (KeyringMismatch when keys and database do
    not belong together).
    """
    lay_out(settings)
    keyring = Keyring.open(settings.secrets_dir)
    store = Store.open(settings.sqlalchemy_url, keyring, now=now)
    try:
        store.migrate()
        return None if store.sites() else _first_site(store, settings)
    finally:
        store.close()


def lay_out(settings: Settings) -> None:
    """Make the data directory, for its owner alone, and a registry with the shipped model.

    A registry that cannot be read stops nothing: comments are queued until it can. One that
    was never signed is signed as it lies, once: when this installation has seen none yet.
    Raises CannotPrepare, service.keyring.KeyringError.
    """
    _make_writable(settings.data_dir, "DUYET_DATA_DIR")
    try:
        registry = registry_of(settings)
        if registry.adopt(who=STARTER, why=ADOPTED, at=utc_now()):
            log.warning("the registry of models was not signed; its versions are now signed")
        registry_at(registry.root, registry.guard, registry.shared)
    except RegistryError as problem:
        log.error("there is no model to serve, every comment will be queued: %s", problem)
    except OSError as problem:
        raise CannotPrepare(_unusable(settings.models_dir, problem, "DUYET_MODELS")) from None


def sign_in_url(settings: Settings, token: str) -> str:
    """The link with a one-time token."""
    return f"{reachable_url(settings)}/sign-in?token={token}"


def reachable_url(settings: Settings) -> str:
    """Where a person on this machine, or by the public address, reaches the service.

    What listens on every address is reached on the loopback one.
    """
    host = _ANY_ADDRESS.get(settings.host)
    if settings.public_url or host is None:
        return settings.own_url
    return f"http://{host}:{settings.port}"


def admin_of(store: Store) -> Moderator:
    """The first admin by name who is not disabled, made if there is none."""
    disabled = {one.id for one in People(store).all(None) if one.is_disabled}
    for moderator in store.moderators():
        if moderator.role is Role.ADMIN and moderator.id not in disabled:
            return moderator
    try:
        return store.add_moderator(ADMIN, Role.ADMIN)
    except NameTaken:  # by another process just now, or by a moderator of that name
        return next(m for m in store.moderators() if m.name == ADMIN)


def _first_site(store: Store, settings: Settings) -> str | None:
    # The site comes last: a start that was killed half way leaves none, and the next begins
    # again. The link's token alone is made after it, and `duyet sign-in` makes another.
    admin = admin_of(store)
    try:
        _, key = store.add_site(SITE, Policy())
    except NameTaken:  # another process was first, and tells
        return None
    token = store.new_sign_in_link(admin.id, LINK_LIFETIME)
    return _told_once(settings, key, token)


def _told_once(settings: Settings, key: str, token: str) -> str:
    # A backslash at each end of line, and indented lines: it can be copied as a block.
    return f"""\
This is the first start. What follows is shown once.

Send a comment. The key is that of the site "{SITE}"; keep it secret:

  curl -sS -w '\\n' {shlex.quote(f"{reachable_url(settings)}/v1/comments")} \\
    -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{_COMMENT}'

Open the queue. The link works once, within 24 hours:

  {sign_in_url(settings, token)}

`duyet sign-in` makes a new link, `duyet sites rotate-key {SITE}` a new key.
{_left_behind(settings)}"""


def _left_behind(settings: Settings) -> str:
    file = settings.sqlite_file
    if settings.sqlalchemy_url.startswith("sqlite:") or not file.exists():
        return ""
    return f"""
There is an installation in {file} already, of which nothing is here. To go on with that one, make
the other database empty again and copy it there: `duyet move-database URL`, with DUYET_DATABASE_URL
unset.
"""


def _make_writable(directory: Path, setting: str) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as problem:
        raise CannotPrepare(_unusable(directory, problem, setting)) from None


def _unusable(directory: Path, problem: OSError, setting: str) -> str:
    return (
        f"{directory} cannot be written ({problem.strerror}); "
        f"{setting} must name a directory that this user may write to"
    )
