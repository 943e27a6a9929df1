"""Which wave runs, and how far it may go (rollout.md, rules 3 and 11).

| nodes | 7 workers | 40 workers |
| --- | --- | --- |
| `1` | 1 | 1 |
| `10%` | 1 | 4 |
| `50%` | 4 | 20 |
| none (the rest) | 7 | 40 |

A figure is cumulative: it says how many nodes were moved when the wave ends; one below an earlier wave's adds
none. A wave by selector ends when each node that it selects was moved, and figures after it count them.
A wave only ever goes forward while the target stays the same; another target starts again at the first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from os_operator.core.world import NodeView
from warmroot.api.base import seconds, share
from warmroot.api.waves import Approval, Wave

ALL = "all"
REST = "rest"
EVERY = "100%"


class Gate(Enum):
    """What holds the wave."""

    OPEN = "Open"
    APPROVAL = "Approval"
    SOAK = "Soak"


@dataclass(frozen=True, slots=True)
class Step:
    """One wave of a fleet of known size. `max_failed` is None for the nodes that no wave names.

    `members`: the nodes of a wave by selector, None for a wave by number, which ends at `target` nodes.
    """

    name: str
    target: int
    soak: float = 0.0
    max_failed: int | None = None
    approval: bool = False
    members: frozenset[str] | None = None

    def progress(self, moved: Collection[str]) -> str:
        """`N of M`."""
        if self.members is None:
            return f"{len(moved)} of {self.target}"
        return f"{len(self.members.intersection(moved))} of its {len(self.members)}"

    def ended(self, moved: Collection[str]) -> bool:
        """Whether all of it was moved."""
        if self.members is None:
            return len(moved) >= self.target
        return self.members.issubset(moved)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rollout is. This survives restarts in `status.wave`."""

    index: int
    since: float
    soak_until: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The wave that runs now."""

    step: Step
    standing: Standing
    gate: Gate
    last: bool

    def room(self, begun: int) -> int:
        """How many more nodes may begin, after `begun` of them."""
        if self.gate is not Gate.OPEN:
            return 0
        members = self.step.members
        return len(members) if members is not None else max(0, self.step.target - begun)


def steps(waves: Sequence[Wave], nodes: Sequence[NodeView]) -> tuple[Step, ...]:
    """The waves of this fleet, with a last one for what they leave over."""
    named: list[Step] = []
    total, reached = len(nodes), 0
    for wave in waves:
        members = None
        if wave.selector is not None:
            chosen = wave.selector.chooser()
            members = frozenset(node.name for node in nodes if chosen(node.labels))
        else:
            reached = max(reached, min(total, share(wave.nodes or EVERY, total, round_up=True)))
        approval = wave.approval is Approval.REQUIRED
        named.append(Step(wave.name, reached, seconds(wave.soak), wave.max_failed, approval, members))
    if not named:
        return (Step(ALL, total),)
    if reached < total or named[-1].members is not None:
        taken = {step.name for step in named}
        named.append(Step(REST if REST not in taken else "remainder", total))
    return tuple(named)


def advance(
    plan: Sequence[Step], standing: Standing, moved: Collection[str], approved: frozenset[str], now: float
) -> Progress:
    """Where the rollout stands at `now`, having moved the nodes of these names.

    `approved` are the names of the waves that a person approved for this target.
    """
    index = min(standing.index, len(plan) - 1)
    since, soak_until = standing.since, standing.soak_until
    total = plan[-1].target
    while True:
        step, last = plan[index], index == len(plan) - 1
        if step.approval and step.name not in approved and len(moved) < total:
            return Progress(step, Standing(index, since), Gate.APPROVAL, last)
        if last or not step.ended(moved):
            return Progress(step, Standing(index, since), Gate.OPEN, last)
        until = soak_until if soak_until is not None else float(math.ceil(now + step.soak))
        if step.soak and now < until:
            return Progress(step, Standing(index, since, until), Gate.SOAK, last)
        index, since, soak_until = index + 1, float(int(now)), None
