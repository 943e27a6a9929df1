"""`testbed up`, `down` and `status`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from testbed.controlplane.plane import NODE_GRACE, ControlPlane, Status
from warmroot.cache import cache_dir
from warmroot.cli import Output, OutputOption, print_result

Name = Annotated[str, typer.Option(help="Which control plane, if there are several.")]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder that it lives in, instead of one in the cache.", file_okay=False),
]


def register(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def directory_of(name: str, directory: Path | None) -> Path:
    """The folder that a control plane lives in."""
    return directory or cache_dir() / "run" / name


def up(
    name: Name = "default",
    directory: Directory = None,
    output: OutputOption = Output.TEXT,
    node_grace: Annotated[
        float, typer.Option(min=2.0, help="Seconds without heartbeat until a node is NotReady.")
    ] = NODE_GRACE,
) -> None:
    """Start a control plane and leave it running. If it runs already, say so."""
    plane = ControlPlane(directory_of(name, directory), outlives_us=True, node_grace=node_grace)
    if plane.status().running:
        _note("it runs already")
    else:
        plane.start(_note)
    _show(plane.status(), output)


def down(name: Name = "default", directory: Directory = None, output: OutputOption = Output.TEXT) -> None:
    """End a control plane that `up` started, and remove its files."""
    plane = ControlPlane(directory_of(name, directory))
    ended = [program.name for program in plane.status().programs if program.pid is not None]
    plane.remove()
    told = {"directory": str(plane.paths.root), "ended": ended}
    print_result(told, output, lambda: f"ended: {', '.join(ended) or 'nothing was running'}")


def status(name: Name = "default", directory: Directory = None, output: OutputOption = Output.TEXT) -> None:
    """Show what runs. Exit code 1 if the API server is not ready."""
    now = ControlPlane(directory_of(name, directory)).status()
    _show(now, output)
    if not now.ready:
        raise typer.Exit(1)


def _note(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)  # noqa: T201


def _show(now: Status, output: Output) -> None:
    print_result(now.wire(), output, lambda: "\n".join(_lines(now)))


def _lines(now: Status) -> Iterator[str]:
    for program in now.programs:
        state = f"pid {program.pid}" if program.pid else "not running"
        yield f"{program.name:<25}{state:<14}{program.log if program.pid else ''}".rstrip()
    if now.ready:
        yield f"{'API server':<25}ready at {now.server}"
        yield f"export KUBECONFIG={now.kubeconfig}"
    else:
        yield f"{'API server':<25}not ready; `testbed up` starts a new one"
