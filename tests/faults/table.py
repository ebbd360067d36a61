"""The table of drills: what was broken, what must hold, and the figures that came out."""

import os
import textwrap
from dataclasses import dataclass, field

COMPLETE = os.environ.get("DRILL", "") == "complete"
"""Whether the long form runs (`make drill`); the short one is part of every test run."""

_WIDTHS = (30, 38, 72)


@dataclass
class Table:
    """Rows in the order in which the drills ended."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def row(self, drill: str, goal: str, result: str) -> None:
        """Add a drill that held its goal, with its figures."""
        self.rows.append((drill, goal, result))

    def text(self) -> str:
        """The rows under their titles, cells wrapped."""
        lines = []
        for row in [("drill", "goal", "result"), *self.rows]:
            cells = [textwrap.wrap(c, w) or [""] for c, w in zip(row, _WIDTHS, strict=True)]
            for at in range(max(map(len, cells))):
                parts = [cell[at] if at < len(cell) else "" for cell in cells]
                padded = (p.ljust(w) for p, w in zip(parts, _WIDTHS, strict=True))
                lines.append("  ".join(padded).rstrip())
        return "\n".join(lines)


TABLE = Table()
