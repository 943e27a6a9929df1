"""What an OS object would do from here: its waves, what begins at once, what waits for what, and how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from os_operator.core import instants
from os_operator.core.actions import Action, Cordon, DeleteInstance, EnsureInstance, SetOrders
from os_operator.core.rollout import run
from os_operator.core.selection import select
from os_operator.core.survey import Pass
from os_operator.core.waves import Step
from os_operator.core.world import OSView, World
from warmroot.api.osinstance import Goal
from warmroot.api.reasons import OSPhase, WaitReason

_BEGINS = {Goal.STAGE: "downloads", Goal.CONFIGURE: "gets its settings", Goal.ACTIVATE: "reboots"}


@dataclass(frozen=True)
class WaveAhead:
    """One wave. `nodes`: how many are moved when it ends, those of the waves before included; for a wave by
    `selector` how many it selects. `ended`: all of them were moved.
    """

    name: str
    nodes: int
    approval: bool
    soak: float
    selector: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Waits:
    """Nodes that wait for the same."""

    reason: WaitReason
    message: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What one OS object would do. `begins`: node and what happens to it now.

    `seconds_per_node` is what a node took in the last rollout that was completed, waiting and soaking
    included; `eta` so many for all that are left, soaks to come added. None where nothing is measured.
    """

    os: str
    target: str | None
    total: int
    updated: int
    waves: tuple[WaveAhead, ...]
    begins: tuple[tuple[str, str], ...]
    waits: tuple[Waits, ...]
    conflicts: tuple[str, ...]
    halted: str
    seconds_per_node: float | None
    eta: float | None


def forecast(os: OSView, world: World, now: float) -> Forecast:
    """From the planner's own pass over the world; nothing is written."""
    selection = select(world)
    members, strays = selection.members[os.name], selection.strays.get(os.name, [])
    done = run(os, world, members, strays, selection.conflicts, now)
    tally = done.tally
    waves = tuple(wave_ahead(step, tally.moved) for step in done.steps)
    each, eta = expected(done)
    return Forecast(
        os=os.name,
        target=done.target,
        total=tally.total,
        updated=tally.updated,
        waves=waves,
        begins=tuple(sorted(_begins(done.actions))),
        waits=_waits(done),
        conflicts=tuple(sorted(n for n, names in selection.conflicts.items() if os.name in names)),
        halted=done.halted,
        seconds_per_node=each,
        eta=eta,
    )


def wave_ahead(step: Step, moved: list[str]) -> WaveAhead:
    """One wave of a pass that has moved these nodes."""
    named = step.members is not None
    nodes = len(step.members) if step.members is not None else step.target
    return WaveAhead(step.name, nodes, step.approval, step.soak, named, step.ended(moved))


def _begins(actions: Iterable[Action]) -> Iterator[tuple[str, str]]:
    for action in actions:
        match action:
            case Cordon():
                yield action.node, "is cordoned and drained"
            case SetOrders() if action.orders.goal in _BEGINS:
                yield action.name, _BEGINS[action.orders.goal]
            case EnsureInstance():
                yield action.node, "gets an OSInstance"
            case DeleteInstance():
                yield action.name, "loses the OSInstance of its predecessor"


def _waits(done: Pass) -> tuple[Waits, ...]:
    found: dict[tuple[WaitReason, str], list[str]] = {}
    for name, way in done.tally.rows:
        if way.reason is not None:
            found.setdefault((way.reason, way.message), []).append(name)
    for way, pairs in done.tally.crowds:
        if way.reason is not None and pairs:
            found.setdefault((way.reason, way.message), []).extend(node.name for node, _ in pairs)
    rows = (Waits(reason, message, tuple(sorted(names))) for (reason, message), names in found.items())
    return tuple(sorted(rows, key=lambda row: (-len(row.nodes), row.reason)))


def expected(done: Pass) -> tuple[float | None, float | None]:
    """Seconds a node and for the rest, from the newest rollout that came to its end; None where none did."""
    if done.tally.total == 0:
        return None, None
    for entry in done.os.status.history:
        begun, ended = instants.parse(entry.started), instants.parse(entry.finished)
        if entry.result == OSPhase.COMPLETE and begun is not None and ended is not None and ended > begun:
            each = (ended - begun) / done.tally.total
            left = done.tally.total - done.tally.updated
            soaks = sum(step.soak for step in done.steps if not step.ended(done.tally.moved))
            return each, each * left + (soaks if left else 0.0)
    return None, None
