"""Read a policy that a person wrote, and name everything that is wrong with it at once.

Knows the fields of a policy by the values they have, so that a new field needs nothing here
but its least value, if that is not 0.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, NoReturn

from model.outcome import Head, Outcome, Thresholds
from model.policy import FormRules, Policy
from model.rules import RULES

_LEAST: Mapping[str, int] = {name: 1 for name in FormRules.__dataclass_fields__ if "max_" in name}
_MOST = 1_000_000_000
_OUTCOMES = tuple(outcome.word for outcome in Outcome)


class PolicyProblems(Exception):
    """A policy that cannot be put in force. `problems` has a line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def changed(before: Policy, text: str) -> Policy:
    """The policy with what a JSON text says; what that leaves out stays as it was.

    `form` is changed field by field, `effects` and `thresholds` as a whole. Raises
    PolicyProblems, which never repeats what the text holds but for the names of fields.
    """
    body = _object(text)
    old = json.loads(before.to_json())
    problems = [*_field_problems(body, old, Policy, ""), *_form_problems(body, old)]
    problems += [*_effect_problems(body), *_threshold_problems(body)]
    if problems:
        raise PolicyProblems(problems)
    new = old | body | {"form": old["form"] | body.get("form", {})}
    try:
        return Policy.from_json(json.dumps(new))
    except ValueError as wrong:  # a number out of range: the policy's own words
        raise PolicyProblems([str(wrong)]) from None


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as wrong:
        where = f"line {wrong.lineno}, column {wrong.colno}"
        raise PolicyProblems([f"the policy is not JSON ({where})"]) from None
    except (ValueError, RecursionError):
        raise PolicyProblems(["the policy holds a number or a depth that is not JSON"]) from None
    if not isinstance(body, dict):
        raise PolicyProblems(["the policy must be a JSON object"])
    return body


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _field_problems(
    body: Mapping[str, Any], old: Mapping[str, Any], kind: type[Any], prefix: str
) -> Iterator[str]:
    """Unknown names, and plain fields of another type than they had."""
    known = [field.name for field in fields(kind)]
    for name, value in body.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            shown = f"{prefix}{name}" if name.isidentifier() and len(name) < 40 else "a field"
            yield f"{shown} is not known" + (
                f"; did you mean {prefix}{near[0]}?" if near else f"; there are: {', '.join(known)}"
            )
        elif (problem := _value_problem(value, old[name], _LEAST.get(name, 0))) is not None:
            yield f"{prefix}{name} must be {problem}"


def _value_problem(value: Any, was: Any, least: int) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(was, bool):
        return None if isinstance(value, bool) else "true or false"
    in_range = number and least <= value <= _MOST
    if isinstance(was, int):
        whole = in_range and isinstance(value, int)
        return None if whole else f"a whole number from {least} to {_MOST:,}"
    if isinstance(was, float):  # the policy itself knows its range
        return None if number and abs(value) <= _MOST else "a number"
    return None


def _form_problems(body: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    form = body.get("form", {})
    if isinstance(form, dict):
        yield from _field_problems(form, old["form"], FormRules, "form.")
    else:
        yield "form must be an object"


def _effect_problems(body: Mapping[str, Any]) -> Iterator[str]:
    effects = body.get("effects", {})
    if not isinstance(effects, dict):
        yield "effects must be an object of rule and outcome"
        return
    known = [rule.name for rule in RULES]
    for rule, outcome in effects.items():
        if rule not in known:
            near = difflib.get_close_matches(rule, known, n=1)
            yield "effects names a rule that there is not" + (
                f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"
            )
        elif outcome not in _OUTCOMES:
            yield f"effects.{rule} must be one of {', '.join(_OUTCOMES)}"


def _threshold_problems(body: Mapping[str, Any]) -> Iterator[str]:
    thresholds = body.get("thresholds")
    if thresholds is None:
        return
    heads = {head.value for head in Head}
    if not isinstance(thresholds, dict) or thresholds.keys() != heads:
        yield (
            f"thresholds must be null, or an object with {' and '.join(sorted(heads))},"
            " each with queue_at and reject_at"
        )
        return
    for head, at in thresholds.items():
        if not _rise(at):
            yield (
                f"thresholds.{head} must have queue_at and reject_at, two numbers "
                "with 0 <= queue_at <= reject_at (above 1 switches one off)"
            )


def _rise(at: Any) -> bool:
    if not isinstance(at, dict) or at.keys() != set(Thresholds.__dataclass_fields__):
        return False
    queue_at, reject_at = at["queue_at"], at["reject_at"]
    numbers = [isinstance(x, int | float) and not isinstance(x, bool) for x in at.values()]
    return all(numbers) and 0 <= queue_at <= reject_at
