"""`testbed up`, `down` and `status`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from testbed.controlplane.plane import NODE_GRACE, ControlPlane, Status
from warmroot.cache import cache_dir
from warmroot.cli import Output

Name = Annotated[str, typer.Option(help="Which control plane, if there are several.")]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder that it lives in, instead of one in the cache.", file_okay=False),
]
Format = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]


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
    output: Format = Output.TEXT,
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


def down(name: Name = "default", directory: Directory = None, output: Format = Output.TEXT) -> None:
    """End a control plane that `up` started, and remove its files."""
    plane = ControlPlane(directory_of(name, directory))
    ended = [program.name for program in plane.status().programs if program.pid is not None]
    plane.remove()
    if output is Output.JSON:
        print(json.dumps({"directory": str(plane.paths.root), "ended": ended}))  # noqa: T201
    else:
        print(f"ended: {', '.join(ended) or 'nothing was running'}")  # noqa: T201


def status(name: Name = "default", directory: Directory = None, output: Format = Output.TEXT) -> None:
    """Show what runs. Exit code 1 if the API server is not ready."""
    now = ControlPlane(directory_of(name, directory)).status()
    _show(now, output)
    if not now.ready:
        raise typer.Exit(1)


def _note(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)  # noqa: T201


def _show(now: Status, output: Output) -> None:
    if output is Output.JSON:
        print(json.dumps(now.wire(), indent=2))  # noqa: T201
        return
    for program in now.programs:
        state = f"pid {program.pid}" if program.pid else "not running"
        print(f"{program.name:<25}{state:<14}{program.log if program.pid else ''}".rstrip())  # noqa: T201
    if now.ready:
        print(f"{'API server':<25}ready at {now.server}")  # noqa: T201
        print(f"export KUBECONFIG={now.kubeconfig}")  # noqa: T201
    else:
        print(f"{'API server':<25}not ready; `testbed up` starts a new one")  # noqa: T201
