"""Limits of size that keep code readable: `python scripts/check_sizes.py [PATH …]`, default everything."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FUNCTION = 80
FUNCTION_P90 = 40
MODULE = 500


@dataclass(frozen=True)
class Function:
    """A function's place and its lines, from `def` to its last statement."""

    path: Path
    line: int
    name: str
    lines: int


def functions(path: Path, text: str) -> Iterator[Function]:
    """Every function and method of a module."""
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield Function(path, node.lineno, node.name, node.end_lineno - node.lineno + 1)


def judge(modules: dict[Path, str]) -> list[str]:
    """What is too long, one line each."""
    found = []
    lengths = []
    for path, text in modules.items():
        count = text.count("\n")
        if count > MODULE:
            found.append(f"{path}:1: {count} lines in a module, more than {MODULE}; split it")
        for function in functions(path, text):
            lengths.append(function.lines)
            if function.lines > FUNCTION:
                found.append(
                    f"{path}:{function.line}: {function.name} has {function.lines} lines,"
                    f" more than {FUNCTION}; split it"
                )
    if len(lengths) > 1:
        p90 = statistics.quantiles(lengths, n=10)[-1]
        if p90 > FUNCTION_P90:
            found.append(f"one function in ten has {p90:.0f} lines or more, more than {FUNCTION_P90}")
    return found


def ours() -> list[Path]:
    """Python files of this repository: tracked ones, and new ones that are not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in sorted(names.split("\0")) if name and Path(name).exists()]


def main(arguments: Sequence[str]) -> int:
    """Entry point. Exit code 1 if something is too long."""
    paths = [Path(name) for name in arguments] or ours()
    found = judge({path: path.read_text() for path in paths})
    print("\n".join(found) or f"{len(paths)} modules are within the limits")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
