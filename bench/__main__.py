"""Runs benchmarks: `python -m bench [NAME …] [--format table|json]`.

Never fails on a figure. One that can't run here is told, the others run, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.report import Row
from warmroot.errors import WarmrootError

NOT_BENCHMARKS = {"__init__", "__main__", "report"}


def names() -> list[str]:
    """All benchmarks: the modules of this folder that have a `run`."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_BENCHMARKS)


def _table(rows: list[Row]) -> Table:
    table = Table(title=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for column in ("bench", "figure", "value", "unit", "goal", "met", "against"):
        table.add_column(column, justify="right" if column in ("value", "goal") else "left")
    for row in rows:
        sign = "≤" if row.better == "lower" else "≥"
        goal = "" if row.goal is None else f"{sign} {row.goal:g}"
        met = {True: "yes", False: "no", None: ""}[row.met]
        table.add_row(row.bench, row.figure, f"{row.value:.4g}", row.unit, goal, met, row.told)
    return table


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("name", nargs="*", metavar="NAME", help="one of: " + ", ".join(names()))
    parser.add_argument("--format", choices=("table", "json"), default="table")
    chosen = parser.parse_args()
    unknown = set(chosen.name) - set(names())
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    rows: list[Row] = []
    failed: list[str] = []
    for name in chosen.name or names():
        began = time.monotonic()
        print(f"bench {name} …", file=sys.stderr, flush=True)
        try:
            rows += importlib.import_module(f"bench.{name}").run()
        except WarmrootError as error:
            failed.append(name)
            print(f"bench {name} NOT RUN: {error}", file=sys.stderr, flush=True)
        print(f"bench {name} took {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    if chosen.format == "json":
        print(json.dumps([row.wire() for row in rows], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(_table(rows))
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
