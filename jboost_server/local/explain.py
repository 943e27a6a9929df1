"""`jboost explain`: why a start hit or missed, for a person."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import typer

from jboost_server.core.options import FIRST_AOT
from jboost_server.core.outcome import Outcome
from jboost_server.local import extraction
from jboost_server.local.agent import Report
from jboost_server.local.command import feature, is_fat_jar, parse
from jboost_server.local.run import Settings, fat_jar_words, open_agent, steps_words
from jboost_server.local.service import quick
from jboost_server.local.words import MEANINGS
from warmroot.errors import UserError


def last(settings: Settings) -> None:
    """Prints why the last start of an application, or of the named one, went as it did.

    Raises:
        UserError: there was none, or its report can't be read.
    """
    path = _latest(settings)
    try:
        report = Report.decode(path.read_bytes())
        age = time.time() - path.stat().st_mtime
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}", hint="start the application once more") from error
    typer.echo(f"{path.parent.name}, {_ago(age)}: {report.outcome}")
    typer.echo(f"  {MEANINGS[report.outcome].what}")
    for why in report.why:
        typer.echo(f"  why: {why}")
    if report.archive:
        typer.echo(f"  archive: {report.archive}")
    if report.steps:
        typer.echo(f"  took {steps_words(report)}")
    typer.echo(f"  next: {MEANINGS[report.outcome].next}")


def command(settings: Settings, words: Sequence[str], environment: Mapping[str, str]) -> None:
    """Prints what the agent finds out about a command.

    Raises:
        WarmrootError: it can't be looked at.
    """
    chosen = parse(words).absolute()
    version = feature(chosen.java)
    jar = chosen.jar
    fat = jar is not None and is_fat_jar(jar)
    if jar is not None and fat and not settings.extract and version < FIRST_AOT:
        typer.echo(f"{Outcome.OFF}: {'; '.join(fat_jar_words(jar, version))}")
        return
    agent = open_agent(settings, chosen, environment)
    if fat and settings.extract:
        chosen = extraction.extracted(settings.home, agent, chosen)
    with quick(settings.home, settings.server, settings.keys, settings.token) as (service, budgets):
        done = agent.doctor(service, chosen, budgets)
    typer.echo(_for_a_person(done.stdout.rstrip()) if done.stdout.strip() else done.stderr.rstrip())


def _for_a_person(told: str) -> str:
    """The agent tells what to do with pods; here it is this machine's next step."""
    lines = told.splitlines()
    if len(lines) > 1 and lines[-1].startswith("next: "):
        with suppress(ValueError):
            lines[-1] = f"next: {MEANINGS[Outcome(lines[-2].partition(':')[0])].next}"
    return "\n".join(lines)


def _latest(settings: Settings) -> Path:
    folder = settings.home.root / "apps"
    found = [path for path in folder.glob(f"{settings.name or '*'}/report.json") if path.is_file()]
    if not found:
        of = f" of {settings.name}" if settings.name else ""
        raise UserError(
            f"no start{of} is remembered in {settings.home.root}",
            hint="start it with `jboost run -- java …`, or name a command: `jboost explain -- java …`",
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def _ago(seconds: float) -> str:
    for count, unit in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= count:
            number = int(seconds // count)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"
