"""Writes `docs/commands.md`: every command of ours, its arguments and options, from the programs themselves.

python -m scripts.commands            write
python -m scripts.commands --check    exit 1 if what is there differs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

import jboost_server.cli
import jboost_server.plugin.cli
import os_operator.main
import os_operator.plugin.cli
import os_proxy.main
from warmroot.cli import build

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
HEAD = """# Commands
Written by `python -m scripts.commands` from the programs; never edited by hand. `--help` says the same.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage; `jboost run` ends as the application does. An error is
a line with the command and the error's reason, and then `next:` with what to do. With `--output json` what a
command found is one JSON document on standard output; progress and errors go to standard error. `NO_COLOR=1`
keeps colours out.
"""
_OF_MACHINE = frozenset({"--arch"})
"""Options whose default follows from the machine that asks."""
Row = tuple[str, str]


def render() -> str:
    """The page."""
    parts = [HEAD]
    typers = (
        (build(), "warmroot"),
        (os_operator.plugin.cli.app, os_operator.plugin.cli.NAME),
        (jboost_server.plugin.cli.app, jboost_server.plugin.cli.NAME),
        (jboost_server.cli.app, "jboost"),
    )
    for app, name in typers:
        parts += _typer(typer.main.get_command(app), name)
    for one in (os_operator.main.parser(), os_proxy.main.parser()):
        parts.append(_section(one.prog, one.description or "", list(_argparse(one))))
    return "\n".join(parts)


def _typer(command: Any, name: str) -> Iterator[str]:
    """A command and those below it. The Java half is there twice, under `warmroot java`: it is told once."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield _section(name, command.help or "", [_row(one) for one in command.params if not _common(one)])
        return
    for word, one in inner.items():
        if (name, word) != ("warmroot", "java"):
            yield from _typer(one, f"{name} {word}")


def _common(param: Any) -> bool:
    return bool(param.hidden) or "--help" in param.opts or "--version" in param.opts


def _row(param: Any) -> Row:
    if not param.opts[0].startswith("-"):
        word = param.metavar or str(param.opts[0]).upper()
        return f"`{word if param.required else f'[{word}]'}`", param.help or ""
    value = "" if param.is_flag else f" {param.metavar or _kind(param)}"
    names = ", ".join(
        f"`{name}{value if name.startswith('--') else ''}`" for name in sorted(param.opts)[::-1]
    )
    return names, _about(param.help or "", param.required, param.default)


def _kind(param: Any) -> str:
    return str(param.name).upper() if param.default is None else type(param.default).__name__.upper()


def _about(text: str, required: bool, default: Any) -> str:
    if required:
        return f"{text} Must be given."
    if default in (None, False, "", ()) or "efault" in text:
        return text
    return f"{text} Default: `{default.value if isinstance(default, Enum) else default}`."


def _argparse(parser: argparse.ArgumentParser) -> Iterator[Row]:
    for one in parser._actions:
        if "--help" in one.option_strings:
            continue
        value = "" if one.nargs == 0 else f" {str(one.dest).upper()}"
        if one.choices:
            value = f" {'|'.join(map(str, one.choices))}"
        default = None if _OF_MACHINE & set(one.option_strings) else one.default
        text = (one.help or "How lines of the log look.").strip()
        text = f"{text[0].upper()}{text[1:]}"
        yield f"`{one.option_strings[-1]}{value}`", _about(_ended(text), one.required, default)


def _ended(text: str) -> str:
    return text if text.endswith((".", ")")) else f"{text}."


def _section(name: str, about: str, rows: list[Row]) -> str:
    lines = [f"## `{name}`", " ".join(about.split()), ""]
    if rows:
        lines += ["| | |", "| --- | --- |"]
        lines += [f"| {_cell(left)} | {_cell(right)} |" for left, right in rows]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Entry point."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--check", action="store_true")
    if not options.parse_args().check:
        PAGE.write_text(render())
        return 0
    if PAGE.exists() and PAGE.read_text() == render():
        return 0
    sys.stderr.write(f"{PAGE} differs from what the programs say: run python -m scripts.commands\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
