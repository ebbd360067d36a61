"""Which registry of models a command works on, and whose signatures count in it.

Knows the environment's names; the command line alone may read those. Imports nothing heavy.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from model.guard import KEY, Guard
from model.key_files import KeyFileError
from model.refusals import RegistryError
from model.registry import RELEASED, SHIPPED, Registry, registry_at
from model.shared import Shared

_REGISTRY = "DUYET_MODELS"
_DATA = "DUYET_DATA_DIR"
_TRUSTED = "DUYET_TRUSTED_MODEL_KEYS"
_URL = "DUYET_MODELS_URL"
_USUAL_DATA = "var"


@contextmanager
def registry_said_plainly() -> Iterator[None]:
    """Turn what is wrong with a registry into click's error."""
    try:
        yield
    except RegistryError as problem:
        raise click.ClickException(str(problem)) from None


def own_models() -> Path:
    """Where the service of this environment keeps its models; perhaps not there yet."""
    named = os.environ.get(_REGISTRY)
    return Path(named) if named else _data() / "models"


def own_secrets() -> Path:
    """Where the service of this environment keeps its keys; perhaps not there yet."""
    return _data() / "secrets"


def own_guard(*, is_made: bool = False) -> Guard | None:
    """The guard of this environment's installation; None where it has no key, unless made.

    Raises click's error for a key that cannot be used.
    """
    if not is_made and not (own_secrets() / KEY).is_file():
        return None
    trusted = [key.strip() for key in os.environ.get(_TRUSTED, "").split(",") if key.strip()]
    try:
        return Guard.open(own_secrets(), trusted, released=RELEASED)
    except KeyFileError as problem:
        raise click.ClickException(str(problem)) from None
    except ValueError:
        raise click.ClickException(f"{_TRUSTED} must be public keys, separated by commas") from None


def registry_to_read(models: Path | None) -> Registry:
    """The registry in `models`; for None the service's, or the shipped one if it has none.

    The service's own is read as the service does: believed as far as its keys reach.
    """
    own = _own()
    if models is not None:
        return own if _is_same(models, own.root) else Registry(models)
    try:
        return own if own.names() else Registry(SHIPPED)
    except RegistryError:
        return own  # whoever reads it is told why not


def registry_to_write(models: Path) -> Registry:
    """The registry in a directory, which signs what is written where that is signed at all.

    That is in the service's own, once it has a key, and in any whose names are signed. Raises
    click's error where that cannot be told.
    """
    own = _own()
    if _is_same(models, own.root):
        return own
    try:
        is_signed = Registry(models).is_signed()
    except RegistryError as problem:
        raise click.ClickException(f"{models}: {problem}") from None
    return Registry(models, _elsewhere(own.guard) if is_signed else None)


def registry_to_move(models: Path | None) -> Registry:
    """A registry whose names may move: the shipped one stays as it is, and is copied first.

    Raises RegistryError.
    """
    registry = registry_to_write(models or own_models())
    return (
        registry
        if registry.versions()
        else registry_at(registry.root, registry.guard, registry.shared)
    )


def place(registry: Registry) -> str:
    """Where a registry is, for a person."""
    return "the registry that comes with duyet" if registry.root == SHIPPED else str(registry.root)


def models_option(command: Any) -> Any:
    """The option `--models`."""
    return click.option(
        "--models",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The registry's directory.  [default: DUYET_MODELS, else models in DUYET_DATA_DIR, "
        "else the model that comes with duyet]",
    )(command)


def _elsewhere(guard: Guard | None) -> Guard | None:
    """The guard of another registry than the service's: what was seen last is of that alone."""
    return guard and replace(guard, last_seen=None)


def _own() -> Registry:
    return Registry(own_models(), own_guard(), own_bucket())


def own_bucket() -> Shared | None:
    """The bucket that this environment's service shares its registry by; None for none.

    Raises click's error.
    """
    url = os.environ.get(_URL)
    if not url:
        return None
    try:
        from model.bucket import Bucket  # noqa: PLC0415  an extra that few install
    except ImportError:
        raise click.ClickException(
            f"{_URL} needs a package more: `pip install duyet[s3]`"
        ) from None
    try:
        return Bucket(url, own_models())
    except ValueError as problem:
        raise click.ClickException(f"{_URL}: {problem}") from None


def _data() -> Path:
    return Path(os.environ.get(_DATA) or _USUAL_DATA)


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
