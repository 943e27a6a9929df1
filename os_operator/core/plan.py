"""`plan(world, now)`: what was seen in, what to do and when to look again out. Pure and linear.

Everything that it knows it reads from the world: an operator that starts anew decides what the one before it
would have decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from os_operator.core import maintenance
from os_operator.core.actions import Action, SetFinalizer, WriteStatus
from os_operator.core.forecast import expected
from os_operator.core.health import Question
from os_operator.core.render import render
from os_operator.core.rollout import run, run_orphans, withdraw_all
from os_operator.core.selection import select
from os_operator.core.silences import Silence, silences
from os_operator.core.taints import Wanted, settle
from os_operator.core.world import OSView, World
from warmroot.api.os import OSStatus
from warmroot.api.reasons import NodePhase, OSPhase

UNDER_WAY = frozenset(NodePhase) - {
    NodePhase.CURRENT,
    NodePhase.PENDING,
    NodePhase.STAGED,
    NodePhase.FAILED,
}
"""Phases in which something is done with a node."""
PACE = 10.0
"""Seconds between two status writes that only report progress; what must survive a restart never waits."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions in the order to do them; `next_deadline` (Unix seconds) is when to look again at the latest.

    `statuses` is what each object's status says now, written or not yet; `phases` where nodes are that are
    under way, by object and node; `etas` the seconds that objects are expected to need, where that is known.
    `questions` are the health checks that are to be asked from now on, again and again, and no others;
    `silences` the nodes whose alerts are to be silent.
    """

    actions: tuple[Action, ...]
    statuses: dict[str, OSStatus]
    next_deadline: float | None
    phases: dict[str, dict[str, NodePhase]] = field(default_factory=dict)
    etas: dict[str, float] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    silences: tuple[Silence, ...] = ()


def plan(world: World, now: float) -> Decision:
    """What to do now.

    Raises:
        ValueError: an OS object's window can't be read (`parse` sets `problem` for those, so none gets here).
    """
    selection = select(world)
    actions: list[Action] = []
    statuses: dict[str, OSStatus] = {}
    deadlines: list[float] = []
    phases: dict[str, dict[str, NodePhase]] = {}
    etas: dict[str, float] = {}
    wanted = Wanted()
    questions: list[Question] = []
    silent: list[Silence] = []
    for name, os in sorted(world.oses.items()):
        strays = selection.strays.get(name, [])
        done = run(os, world, selection.members[name], strays, selection.conflicts, now)
        status, happenings, urgent = render(done)
        statuses[name] = status
        phases[name] = {node: way.phase for node, way in done.tally.rows if way.phase in UNDER_WAY}
        if status.phase is not OSPhase.COMPLETE and (eta := expected(done)[1]) is not None:
            etas[name] = eta
        actions += done.actions
        deadlines += done.deadlines
        wanted.take_in(done)
        questions += done.questions
        silent += silences(done)
        if status != os.status and not any(isinstance(action, SetFinalizer) for action in done.actions):
            if urgent or now >= os.status_at + PACE:
                actions.append(WriteStatus(name, os.version, status, happenings))
            else:
                deadlines.append(os.status_at + PACE)
    for mover, nodes in sorted(selection.strays.items()):
        if mover not in world.oses:
            gone = OSView(mover, "", "", 0, None, OSStatus())
            done = run_orphans(world, nodes, gone, now)
            actions += done.actions
            deadlines += done.deadlines
    adrift = [world.instances[node.name] for node in selection.adrift]
    actions += withdraw_all(instance for instance in adrift if _nobody_withdraws(world, instance.os))
    actions += settle(world, wanted, actions)
    actions += list(maintenance.settle(world, actions))
    next_deadline = min(deadlines, default=None)
    return Decision(tuple(actions), statuses, next_deadline, phases, etas, tuple(questions), tuple(silent))


def _nobody_withdraws(world: World, os: str) -> bool:
    """An object that is being deleted takes its own orders back."""
    return os not in world.oses or not world.oses[os].deleting
