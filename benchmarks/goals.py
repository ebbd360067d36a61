"""What a benchmark gives: rows of goal and result, and the table they are printed as.

Every benchmark of the service has `rows(data, …) -> list[Row]` and prints `table` of it when it
is run by itself; `python -m benchmarks` runs them all. Measures nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One case: what was asked for and what came out, both as text with their units.

    `met` is None for a case without a goal, or one that could not be measured here; `note` then
    says why. Notes also hold the raw figures behind a ratio.
    """

    name: str
    goal: str
    measured: str
    met: bool | None
    note: str = ""


def at_most(
    name: str, measured: float, goal: float, unit: str = "", *, note: str = "", digits: int = 2
) -> Row:
    """A row for what should be small. `unit` follows both figures, as in " ms"."""
    said = f"{measured:,.{digits}f}{unit}"
    return Row(name, f"≤ {goal:,g}{unit}", said, measured <= goal, note)


def at_least(
    name: str, measured: float, goal: float, unit: str = "", *, note: str = "", digits: int = 2
) -> Row:
    """A row for what should be large. `unit` follows both figures, as in " a second"."""
    said = f"{measured:,.{digits}f}{unit}"
    return Row(name, f"≥ {goal:,g}{unit}", said, measured >= goal, note)


def unmeasured(name: str, goal: str, why: str) -> Row:
    """A row for what cannot be measured on this machine, with the reason."""
    return Row(name, goal, "–", None, why)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, in order. A `|` in a cell is escaped."""
    lines = ["| case | goal | measured | met | note |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        cells = (row.name, row.goal, row.measured, met, row.note)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
