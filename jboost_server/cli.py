"""`jboost`: Java applications that start warm, on one machine, and the cache service itself.

Every verb imports what it needs when it is called: the application waits for `run`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jboost_server import cli_cluster
from warmroot.cli import Output, OutputOption, add_version
from warmroot.cli import run as run_command
from warmroot.errors import UserError

if TYPE_CHECKING:
    from jboost_server.local.agent import Ready
    from jboost_server.local.home import Home
    from jboost_server.local.run import Settings

LEAST_SAMPLES = 7
"""What this machine's own service needs for a verdict; no other needs more by default."""
_COMMAND = {"allow_interspersed_args": False}

app = typer.Typer(
    name="jboost",
    help="Java applications that start warm: what one start learned, the next ones use.",
    epilog="Begin with: jboost run -- java -jar app.jar",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_version(app)


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
    typer.Argument(metavar="COMMAND", help="What you type to start the application: -- java -jar app.jar"),
]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Folder of all that is learned and built (default: ~/.local/share/warmroot/jboost).",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="The application's name: starts of one name learn from one another (default: its jar's).",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Cache service of another machine or of a cluster (default: this machine's folder).",
    ),
]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys", metavar="FILE", help="Archives of --server are believed if signed with one of these keys."
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option("--token", metavar="FILE", help="--server answers to whoever has this token."),
]
ReadyUrl = Annotated[
    str | None,
    typer.Option(
        "--ready-url",
        metavar="URL",
        help="The application is ready, and its start measured, when this answers 200"
        " (default: Spring Boot's own line in the log).",
    ),
]
ReadyLog = Annotated[
    str | None,
    typer.Option("--ready-log", metavar="REGEX", help="… or when a line of its output matches this."),
]
UntilExit = Annotated[
    bool, typer.Option("--until-exit", help="… or when it has ended: a program that does its work and ends.")
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=LEAST_SAMPLES,
        max=100,
        help="Measured starts with the archive, and as many without (default: what the service needs)."
        " More of them tell more surely on a busy machine.",
    ),
]
ExtractOption = Annotated[
    bool,
    typer.Option(
        "--extract",
        help="Extract a Spring Boot fat jar once and run it from there: starts earlier, on JDK 17 to 23"
        " the only way to gain.",
    ),
]


@app.command(context_settings=_COMMAND)
def run(
    command: Words,
    name: NameOption = None,
    ready_url: ReadyUrl = None,
    ready_log: ReadyLog = None,
    until_exit: UntilExit = False,
    extract: ExtractOption = False,
    build: Annotated[
        Build,
        typer.Option(
            help="Build the archive when the recorded start has ended, which starts the application some"
            " times to measure it; never: `jboost build` does it later."
        ),
    ] = Build.AUTO,
    settle: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="End the recording so long after ready, and not with the application (default), which on JDK"
            " 24 and later stands still for some seconds then.",
        ),
    ] = None,
    samples: SamplesOption = None,
    report: Annotated[
        bool, typer.Option("--report", help="Print what looking for an archive took, step by step.")
    ] = False,
    home: HomeOption = None,
    server: ServerOption = None,
    keys: KeysOption = None,
    token: TokenOption = None,
) -> None:
    """Run a Java application: warm if there is an archive for it; else plainly, and learn for the next time.

    Input, output, signals and exit status are the application's own. Whatever of ours fails, it starts.
    Lines of ours go to stderr and begin with `jboost:`.
    """
    from jboost_server.local import run as running
    from jboost_server.local.agent import Ready

    settings = _settings(home, name, server, keys, token, Ready(ready_url, ready_log, until_exit), extract)
    chosen = replace(settings, settle=settle, samples=samples, build=build is Build.AUTO, report=report)
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
        bool,
        typer.Option(
            "--again",
            help="Build and measure once more what was not faster or failed, in this machine's folder.",
        ),
    ] = False,
    home: HomeOption = None,
    server: ServerOption = None,
    keys: KeysOption = None,
    token: TokenOption = None,
) -> None:
    """Build an archive of what `jboost run` recorded; the next starts use it if they are faster with it.

    It starts the application some times, with the archive and without, and ends it each time.
    """
    from jboost_server.local import run as running
    from jboost_server.local.agent import Ready

    settings = _settings(home, name, server, keys, token, Ready(ready_url, ready_log, until_exit), extract)
    chosen = replace(settings, samples=samples)
    raise typer.Exit(0 if running.build(chosen, command, os.environ, again=again) else 1)


@app.command()
def status(
    name: NameOption = None,
    home: HomeOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what is known of each application: recordings, its archive, what that gains, hits and misses."""
    from jboost_server.local import status as shown

    shown.show(_home(home), server, token, name, output)


@app.command(context_settings=_COMMAND)
def explain(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="A command to look at: -- java -jar app.jar"),
    ] = None,
    name: NameOption = None,
    extract: ExtractOption = False,
    home: HomeOption = None,
    server: ServerOption = None,
    keys: KeysOption = None,
    token: TokenOption = None,
) -> None:
    """Say in words why the last start hit or missed; or with a command, why its start would.

    With a command all of it is looked at anew, and the application is not started.
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
        str, typer.Option(metavar="HOST:PORT", help="Address to answer at; port 0 takes a free one.")
    ] = "127.0.0.1:8780",
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Another place for archives: a folder or s3://bucket/prefix (default: in --home)."
            " `jboost run` does not find such a service by itself.",
        ),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Sign archives in --store with this Ed25519 key (PEM); twice while keys rotate.",
        ),
    ] = None,
    tenancy: Annotated[
        Tenancy,
        typer.Option(help="Who may ask: whoever has the token in --home, or the pods of this cluster."),
    ] = Tenancy.LOCAL,
    s3_endpoint: Annotated[str, typer.Option(metavar="URL", help="The S3 server, if it is not AWS.")] = "",
    redirect: Annotated[
        bool,
        typer.Option("--redirect", help="Let readers fetch archives from S3 itself, by presigned addresses."),
    ] = False,
    recorders: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Starts of one application that record (default: 1; in a cluster 3)."
        ),
    ] = None,
    min_gain: Annotated[
        int, typer.Option(metavar="PERCENT", help="Serve an archive that makes starts faster by so much.")
    ] = 10,
    min_saved: Annotated[
        int | None,
        typer.Option(
            metavar="MS",
            min=0,
            help="And by so many milliseconds (default: 0; in a cluster 2000: about what a pod's start loses"
            " to an init container).",
        ),
    ] = None,
    controller: Annotated[
        str,
        typer.Option(
            metavar="NAMESPACE:ACCOUNT", help="With --tenancy kubernetes: who sees how far all tenants are."
        ),
    ] = "",
) -> None:
    """Run the cache service until Ctrl-C: for many starts of this machine, for other machines, for a cluster.

    `jboost run` finds the one on its own folder.
    """
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
        min_saved=min_saved,
        controller=controller,
    )


app.command()(cli_cluster.inject)
app.command()(cli_cluster.webhook)
app.command()(cli_cluster.controller)


@app.command(name="public-key")
def public_key(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A private key in PEM (default: the folder's own).")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Print the public half of a signing key: the line for a pod's ConfigMap, or for the file of --keys."""
    from jboost_server.local import service

    for line in service.public_lines(_home(home), file):
        typer.echo(line)


@app.command()
def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Delete nothing; say what would be deleted.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Delete what no start will use any more; say what, why, and how much room that makes."""
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
    run_command(app, "jboost")
