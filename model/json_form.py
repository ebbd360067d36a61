"""Frozen data classes as JSON and back, with the type of every field checked.

For what a program of ours wrote and another will act on: whatever is not exactly what the
class declares is refused. Fields may be text, whole numbers, numbers, booleans, None, other
data classes, tuples of one type and mappings from text. Knows no class.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

Made = TypeVar("Made")


class JsonFormError(ValueError):
    """JSON that is not what a class declares. Names the place, never what stands there."""


def json_of(value: object) -> str:
    """A data class as JSON with sorted keys, ended by a new line: equal values are equal bytes.

    Raises ValueError for a number that is not finite.
    """
    body = plain(value)
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(kind: type[Made], text: str) -> Made:
    """The data class that `json_of` wrote. Raises JsonFormError for anything else."""
    try:
        body = json.loads(text, parse_constant=_refuse_constant)
        made = _read(kind, body, kind.__name__.lower())
    except JsonFormError:
        raise
    except (ValueError, OverflowError, RecursionError):
        raise JsonFormError("it is not JSON") from None
    if not isinstance(made, kind):
        raise JsonFormError(f"it is no {kind.__name__}")
    return made


def plain(value: object) -> Any:
    """A value as JSON knows it: dictionaries, lists, text, numbers, None."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise JsonFormError("a number is not finite")


def _read(kind: Any, value: object, place: str) -> object:
    if is_dataclass(kind):
        return _read_fields(kind, value, place)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(parts[0], item, f"{place}[]") for item in value)
    if origin is Mapping and isinstance(value, dict):
        return {key: _read(parts[1], item, f"{place}.…") for key, item in value.items()}
    allowed = parts if isinstance(kind, UnionType) else (kind,)
    if type(value) is int and float in allowed and int not in allowed:
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):  # as 1e999 is read
        raise JsonFormError(f"{place} is not finite")
    # By type, not isinstance: True is an int to Python, and no number to us.
    if type(value) in {NoneType if part is None else part for part in allowed}:
        return value
    raise JsonFormError(f"{place} is of the wrong kind")


def _read_fields(kind: Any, value: object, place: str) -> object:
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind)]
    if not isinstance(value, dict) or set(value) != set(names):
        raise JsonFormError(f"{place} must have exactly: {', '.join(names)}")
    told = {name: _read(hints[name], value[name], f"{place}.{name}") for name in names}
    try:
        return kind(**told)
    except ValueError as problem:
        raise JsonFormError(f"{place}: {problem}") from None
