"""Which registry of models a command reads when it is not told one.

Knows the environment's names; the command line alone may read those. Imports nothing heavy.
"""

import os
from pathlib import Path
from typing import Any

import click

from model.registry import SHIPPED, Registry

_REGISTRY = "DUYET_MODELS"
_DATA = "DUYET_DATA_DIR"
_USUAL_DATA = "var"


def own_models() -> Path:
    """Where the service of this environment keeps its models; perhaps not there yet."""
    named = os.environ.get(_REGISTRY)
    return Path(named) if named else Path(os.environ.get(_DATA) or _USUAL_DATA) / "models"


def registry_to_read(models: Path | None) -> Registry:
    """The registry in `models`; for None the service's, or the shipped one if it has none."""
    if models is not None:
        return Registry(models)
    own = Registry(own_models())
    return own if own.names() else Registry(SHIPPED)


def models_option(command: Any) -> Any:
    """The option `--models`."""
    return click.option(
        "--models",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The registry's directory.  [default: DUYET_MODELS, else models in DUYET_DATA_DIR, "
        "else the model that comes with duyet]",
    )(command)
