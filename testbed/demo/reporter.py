"""How the demo shows what it does: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table

from testbed.demo.scene import Scene
from testbed.demo.view import NodeView
from warmroot.errors import WarmrootError

PLAIN_WIDTH = 200
MIB = 1024 * 1024


@dataclass(frozen=True)
class PhaseTime:
    """One phase of the demo and how long it took, in seconds."""

    name: str
    seconds: float


class Reporter:
    """Writes to one console: lines for phases, and the nodes while a rollout runs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.phases: list[PhaseTime] = []
        self._began = time.monotonic()
        self._live: Live | None = None
        self._told = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """One line, with the seconds since the start."""
        self.console.print(f"[dim]{self.elapsed:6.1f} s[/dim]  {text}", highlight=False)

    def block(self, text: str) -> None:
        """Lines as they are, such as another program's output."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Tells that a phase begins, and how it ended."""
        self.say(f"{name} …")
        began = time.monotonic()
        try:
            yield
        except (WarmrootError, KeyboardInterrupt):
            self.say(f"[red]✗[/red] {name} (after {time.monotonic() - began:.1f} s)")
            raise
        took = time.monotonic() - began
        self.phases.append(PhaseTime(name, took))
        self.say(f"[green]✓[/green] {name} ({took:.1f} s)")

    def show_phases(self) -> None:
        """Where the time went: every phase so far, and the whole."""
        table = Table(title="Where the time went", title_justify="left")
        table.add_column("phase")
        table.add_column("seconds", justify="right")
        for phase in self.phases:
            table.add_row(phase.name, f"{phase.seconds:.1f}")
        table.add_row("all of it", f"{self.elapsed:.1f}")
        self.console.print()
        self.console.print(table)

    @contextmanager
    def watching(self, scene: Scene, os_name: str) -> Iterator[Watching]:
        """Shows the nodes of `scene` until the block ends; call `refresh` now and then."""
        self._told = len(scene.marks)
        watching = Watching(self, scene, os_name)
        if not self.console.is_terminal:
            yield watching
            watching.refresh()
            return
        with Live(console=self.console, auto_refresh=False) as self._live:
            yield watching
            watching.refresh()
        self._live = None

    def show(self, scene: Scene, os_name: str) -> None:
        """The nodes as they are now."""
        if self._live is not None:
            self._live.update(node_table(scene, os_name), refresh=True)
            return
        fresh, self._told = scene.marks[self._told :], len(scene.marks)
        for mark in fresh:
            self.say(f"    {mark.node}: {mark.step}")


@dataclass(frozen=True)
class Watching:
    """A rollout on show."""

    reporter: Reporter
    scene: Scene
    os_name: str

    def refresh(self) -> None:
        """Shows what is new."""
        self.reporter.show(self.scene, self.os_name)


def node_table(scene: Scene, os_name: str) -> Table:
    """The rollout at this moment."""
    system = scene.os(os_name)
    title = f"{system.name or os_name}: {system.phase or '…'} {system.ready} {system.waiting_on}".rstrip()
    table = Table(title=title, title_justify="left", expand=False)
    for column in ("node", "runs", "slot", "service", "phase", "goal", "staged"):
        table.add_column(column)
    for view in scene.nodes().values():
        table.add_row(
            view.name,
            view.system,
            f"{view.booted_slot}{'' if view.booted_slot == view.good else ' on trial'}",
            _service(view),
            view.phase,
            view.goal,
            _staged(view),
        )
    return table


def _service(view: NodeView) -> str:
    if not view.ready:
        return "[red]not ready[/red]"
    return "[yellow]cordoned[/yellow]" if view.cordoned else "[green]in service[/green]"


def _staged(view: NodeView) -> str:
    if not view.total_bytes:
        return ""
    return f"{view.staged_bytes / MIB:.0f}/{view.total_bytes / MIB:.0f} MiB"
