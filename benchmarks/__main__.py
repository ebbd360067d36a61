"""All benchmarks of the service with a goal, one table: `python -m benchmarks --data DIR`.

Each is run as it runs by itself, one after another, but with a million stored comments, not ten,
and for five minutes' load, not an hour's.
Ends with 1 when a goal was missed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

from benchmarks.goals import Row, table

PARTS = ("http", "peers", "stored", "overload", "connections", "soak", "footprint", "desk")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled files")
    parser.add_argument("--only", action="append", choices=PARTS, help="this one; may be repeated")
    options = parser.parse_args()
    parts = {name: _rows_of(name) for name in options.only or PARTS}
    found = list(measured(parts, options.data))
    print(table(found))
    return 1 if any(row.met is False for row in found) else 0


def measured(parts: Mapping[str, Callable[[Path], list[Row]]], data: Path) -> Iterator[Row]:
    """The rows of each part in order. One that fails is a row of its own, and the next runs."""
    for name, rows in parts.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            yield from rows(data)
        except (Exception, SystemExit) as problem:  # noqa: BLE001 # what it says stands in the table
            yield Row(name, "", "failed", False, f"{type(problem).__name__}: {problem}")


def _rows_of(name: str) -> Callable[[Path], list[Row]]:
    # Imported when it is run, so that --only needs nothing that other parts do.
    rows: Callable[[Path], list[Row]] = import_module(f"benchmarks.{name}").rows
    return rows


if __name__ == "__main__":
    sys.exit(main())
