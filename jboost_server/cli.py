"""`jboost`: Java applications that start warm, on one machine, and the cache service itself.

Every verb imports what it needs when it is called: the application waits for `run`.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warmroot.errors import UserError

if TYPE_CHECKING:
    from jboost_server.local.agent import Ready
    from jboost_server.local.home import Home
    from jboost_server.local.run import Settings

_COMMAND = {"allow_interspersed_args": False}

app = typer.Typer(
    name="jboost",
    help="Java applications that start warm: what one start learned, the next ones use.",
    epilog="Begin with: jboost run -- java -jar app.jar",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


class Tenancy(StrEnum):
    """How the service knows who asks."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


class Build(StrEnum):
    """Whether `run` builds an archive after the application has ended."""

    AUTO = "auto"
    NEVER = "never"


Words = Annotated[
    list[str],
    typer.Argument(metavar="COMMAND", help="The application's own, after `--`: -- java -jar app.jar"),
]
HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Folder for everything (default: below the XDG data folder)."),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", metavar="GROUP", help="The application's name (default: its jar's)."),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", help="A cache service elsewhere (default: one of our own, here)."
    ),
]
KeysOption = Annotated[
    Path | None, typer.Option("--keys", metavar="FILE", help="Public keys of --server, one a line in base64.")
]
TokenOption = Annotated[
    Path | None, typer.Option("--token", metavar="FILE", help="What to show --server as our token.")
]
ReadyUrl = Annotated[
    str | None,
    typer.Option(
        "--ready-url",
        metavar="URL",
        help="The application is ready when this answers with 200. Spring Boot's own log is known.",
    ),
]
ReadyLog = Annotated[
    str | None,
    typer.Option("--ready-log", metavar="REGEX", help="… or when a line of its output matches."),
]
UntilExit = Annotated[
    bool, typer.Option("--until-exit", help="… or it is a program that does its work and ends by itself.")
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=5, max=100, help="Starts a side that are measured; more of them on a busy machine."
    ),
]
ExtractOption = Annotated[
    bool,
    typer.Option("--extract", help="Run a Spring Boot fat jar from its extracted layout, which is kept."),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]


@app.command(context_settings=_COMMAND)
def run(
    command: Words,
    name: NameOption = None,
    ready_url: ReadyUrl = None,
    ready_log: ReadyLog = None,
    until_exit: UntilExit = False,
    extract: ExtractOption = False,
    build: Annotated[
        Build, typer.Option(help="Build an archive after a recording: it starts the application some times.")
    ] = Build.AUTO,
    settle: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="End a recording so long after ready, while the application runs: it stands still meanwhile."
            " Default: when the application ends.",
        ),
    ] = None,
    samples: SamplesOption = None,
    report: Annotated[bool, typer.Option("--report", help="Print the milliseconds of each step.")] = False,
    home: HomeOption = None,
    server: ServerOption = None,
    keys: KeysOption = None,
    token: TokenOption = None,
) -> None:
    """Run a Java application, warm if an archive fits it; else plainly, and learn for the next time.

    Input, output, signals and exit status are the application's own. Whatever of ours fails, it starts.
    """
    from jboost_server.local import run as running
    from jboost_server.local.agent import Ready

    settings = _settings(home, name, server, keys, token, Ready(ready_url, ready_log, until_exit), extract)
    chosen = running.with_run(
        settings, settle=settle, samples=samples, build=build is Build.AUTO, report=report
    )
    raise typer.Exit(running.run(chosen, command, os.environ))


@app.command(context_settings=_COMMAND)
def build(
    command: Words,
    name: NameOption = None,
    ready_url: ReadyUrl = None,
    ready_log: ReadyLog = None,
    until_exit: UntilExit = False,
    extract: ExtractOption = False,
    samples: SamplesOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure what was refused before once more, in the folder here.")
    ] = False,
    home: HomeOption = None,
    server: ServerOption = None,
    keys: KeysOption = None,
    token: TokenOption = None,
) -> None:
    """Build an archive from what was recorded, and serve it if the application starts faster with it.

    It starts the application some times, with the archive and without, and ends it each time.
    """
    from jboost_server.local import run as running
    from jboost_server.local.agent import Ready

    settings = _settings(home, name, server, keys, token, Ready(ready_url, ready_log, until_exit), extract)
    chosen = running.with_run(settings, settle=None, samples=samples, build=True, report=False)
    raise typer.Exit(0 if running.build(chosen, command, os.environ, again=again) else 1)


@app.command()
def status(
    name: NameOption = None,
    home: HomeOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what is known of each application: recordings, archives, what they gain, hits and misses."""
    from jboost_server.local import status as shown

    shown.show(_home(home), server, token, name, as_json=output is Output.JSON)


@app.command(context_settings=_COMMAND)
def explain(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND]", help="A command to look at, after `--`: -- java -jar app.jar"),
    ] = None,
    name: NameOption = None,
    extract: ExtractOption = False,
    home: HomeOption = None,
    server: ServerOption = None,
    keys: KeysOption = None,
    token: TokenOption = None,
) -> None:
    """Say in words why the last start hit or missed; or with a command, why its start would.

    With a command everything is looked at anew, and nothing is changed.
    """
    from jboost_server.local import explain as explaining
    from jboost_server.local.agent import Ready

    settings = _settings(home, name, server, keys, token, Ready(), extract)
    if command:
        explaining.command(settings, command, os.environ)
    else:
        explaining.last(settings)


@app.command()
def serve(
    home: HomeOption = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where. Others than this machine need a token.")
    ] = "127.0.0.1:8780",
    store: Annotated[
        str | None,
        typer.Option(metavar="STORE", help="A folder, or s3://bucket/prefix (default: in --home)."),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Private Ed25519 key (PEM), twice while keys rotate."),
    ] = None,
    tenancy: Annotated[
        Tenancy, typer.Option(help="Who may ask: whoever has the token, or pods of this cluster.")
    ] = Tenancy.LOCAL,
    s3_endpoint: Annotated[str, typer.Option(metavar="URL", help="An S3 server that is not AWS.")] = "",
    redirect: Annotated[
        bool, typer.Option("--redirect", help="Send readers to the S3 store itself.")
    ] = False,
    recorders: Annotated[
        int | None, typer.Option(min=0, help="Recordings of one application (default: 1; in a cluster 3).")
    ] = None,
    min_gain: Annotated[int, typer.Option(help="Percent by which an archive has to be faster.")] = 10,
) -> None:
    """Run the cache service until Ctrl-C. `jboost run` finds the one on its own folder."""
    from jboost_server.local import serving

    serving.serve(
        _home(home),
        listen,
        store,
        tuple(key or ()),
        kubernetes=tenancy is Tenancy.KUBERNETES,
        s3_endpoint=s3_endpoint,
        redirect=redirect,
        recorders=recorders,
        min_gain=min_gain,
    )


@app.command(name="public-key")
def public_key(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A private key (default: the folder's own).")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Print the public half of a signing key, one line, as agents want it."""
    from jboost_server.local import service

    for line in service.public_lines(_home(home), file):
        typer.echo(line)


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and keep it.")] = False,
    home: HomeOption = None,
) -> None:
    """Delete what no start will use any more, and say what, why, and how many bytes that is."""
    from jboost_server.local import collect

    collect.show(_home(home), dry_run=dry_run)


def _home(chosen: Path | None) -> Home:
    from jboost_server.local.home import Home, default_home

    return Home((chosen or default_home(os.environ)).absolute())


def _settings(
    home: Path | None,
    name: str | None,
    server: str | None,
    keys: Path | None,
    token: Path | None,
    ready: Ready,
    extract: bool,
) -> Settings:
    from jboost_server.local.run import Settings

    if name is not None:
        _check_name(name)
    if sum(map(bool, (ready.url, ready.log, ready.ends))) > 1:
        raise UserError("--ready-url, --ready-log and --until-exit exclude one another", hint="give one")
    return Settings(
        home=_home(home),
        name=name,
        server=server,
        keys=keys,
        token=token,
        ready=ready,
        extract=extract,
    )


def _check_name(name: str) -> None:
    from jboost_server.core.layout import check_scope
    from jboost_server.core.lookup import Scope

    try:
        check_scope(Scope("local", name))
    except ValueError as error:
        raise UserError(f"--name {name} can't be: {error}", hint="such as orders, or orders.v2") from error


def main() -> None:
    """Entry point."""
    from warmroot.cli import run as run_command

    run_command(app, "jboost")
