"""The `warmroot` command: the verbs that each installed part brings, and errors as a person reads them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer

from warmroot import __version__
from warmroot.errors import WarmrootError


def _show_version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(f"{context.command_path} {__version__}")
        raise typer.Exit


class Output(StrEnum):
    """How results are printed: for a person, or as one document for a program."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]


def print_result(told: Any, output: Output, text: Callable[[], str]) -> None:
    """Prints a result on standard output: `told`, made of what JSON knows, as one document, or its `text`.

    Where that has nothing to say, nothing is printed.
    """
    said = text() if output is Output.TEXT else document(told, output)
    if said:
        typer.echo(said)


def document(told: Any, output: Output) -> str:
    """A result as one document."""
    if output is Output.YAML:
        import yaml

        return yaml.safe_dump(json.loads(json.dumps(told)), sort_keys=False, allow_unicode=True).rstrip()
    return json.dumps(told, indent=2)


_Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
]


def add_version(app: typer.Typer) -> None:
    """Gives a command `--version`."""

    @app.callback()
    def root(version: _Version = False) -> None:
        del version


def build() -> typer.Typer:
    """The command with the verbs of all installed parts."""
    app = typer.Typer(
        name="warmroot",
        help="The operating system of a Kubernetes worker as a declared object.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    add_version(app)
    for entry in sorted(entry_points(group="warmroot.commands"), key=lambda entry: entry.name):
        app.add_typer(entry.load(), name=entry.name)
    return app


def run(app: typer.Typer, name: str) -> None:
    """Runs a command, and prints our errors as a person reads them.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """
    try:
        app(prog_name=name)
    except WarmrootError as error:
        print(f"{name}: {error.reason}: {error.message}", file=sys.stderr)  # noqa: T201
        if error.hint:
            print(f"  next: {error.hint}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def main() -> None:
    """Entry point."""
    run(build(), "warmroot")
