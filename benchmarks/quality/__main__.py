"""Measure quality by held-out group, beside the best peer and the goal.

    python -m benchmarks.quality --data DIR [--rows NAME …] [--json FILE] [--jobs N]

DIR holds labelled files, `*.jsonl.gz` or `*.jsonl`. Every row is fitted anew to what its
protocol allows; a row whose data or model is not there is told and left out.
"""

import argparse
import json
from pathlib import Path

from benchmarks.quality.figures import Table
from benchmarks.quality.published import PUBLISHED
from benchmarks.quality.sites import SHIPPED
from model.registry import RegistryError


def main() -> None:
    """Print a table for each row."""
    options = _options()
    tables: list[Table] = []
    for name in options.rows:
        try:
            table = ROWS[name](options.data, options.seed, options.jobs)
        except (FileNotFoundError, RegistryError) as missing:
            print(f"## {name}\n\nnot measured: {missing}\n", flush=True)
            continue
        tables.append(table)
        print("\n".join(table.lines()), end="\n\n", flush=True)
    told = [f.met for table in tables for f in table.figures if f.met is not None]
    print(f"{sum(told)} of {len(told)} goals met")
    if options.json:
        body = [table.json_body() for table in tables]
        options.json.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")


ROWS = {**PUBLISHED, **SHIPPED}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables there too")
    parser.add_argument("--jobs", type=int, default=2, help="cores for the fits of sites")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error("--data is no folder")
    return options


if __name__ == "__main__":
    main()
