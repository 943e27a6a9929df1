"""Which wave runs, and how far it may go (rollout.md, rules 3 and 11).

| nodes | 7 workers | 40 workers |
| --- | --- | --- |
| `1` | 1 | 1 |
| `10%` | 1 | 4 |
| `50%` | 4 | 20 |
| none (the rest) | 7 | 40 |

A figure is cumulative: it says how many nodes were moved when the wave ends; one below an earlier wave's adds
none. A wave only ever goes forward while the target stays the same; another target starts again at the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from warmroot.api.base import seconds, share
from warmroot.api.os import Approval, Wave

ALL = "all"
REST = "rest"


class Gate(Enum):
    """What holds the wave."""

    OPEN = "Open"
    APPROVAL = "Approval"
    SOAK = "Soak"


@dataclass(frozen=True, slots=True)
class Step:
    """One wave of a fleet of known size. `max_failed` is None for the nodes that no wave names."""

    name: str
    target: int
    soak: float = 0.0
    max_failed: int | None = None
    approval: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rollout is. This survives restarts in `status.wave`."""

    index: int
    since: float
    soak_until: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The wave that runs now. `limit`: nodes that may have been touched, from the first wave on."""

    step: Step
    standing: Standing
    gate: Gate
    last: bool

    @property
    def limit(self) -> int:
        """How many nodes may have begun to move."""
        return self.step.target if self.gate is Gate.OPEN else 0


def steps(waves: Sequence[Wave], total: int) -> tuple[Step, ...]:
    """The waves of a fleet of `total` nodes, with a last one for what they leave over."""
    named: list[Step] = []
    reached = 0
    for wave in waves:
        reached = max(reached, min(total, share(wave.nodes, total, round_up=True)))
        approval = wave.approval is Approval.REQUIRED
        named.append(Step(wave.name, reached, seconds(wave.soak), wave.max_failed, approval))
    if not named:
        return (Step(ALL, total),)
    if reached < total:
        taken = {step.name for step in named}
        named.append(Step(REST if REST not in taken else "remainder", total))
    return tuple(named)


def advance(
    plan: Sequence[Step], standing: Standing, moved: int, approved: frozenset[str], now: float
) -> Progress:
    """Where the rollout stands at `now`, having moved `moved` nodes.

    `approved` are the names of the waves that a person approved for this target.
    """
    index = min(standing.index, len(plan) - 1)
    since, soak_until = standing.since, standing.soak_until
    total = plan[-1].target
    while True:
        step, last = plan[index], index == len(plan) - 1
        if step.approval and step.name not in approved and moved < total:
            return Progress(step, Standing(index, since), Gate.APPROVAL, last)
        if moved < step.target or last:
            return Progress(step, Standing(index, since), Gate.OPEN, last)
        until = soak_until if soak_until is not None else float(math.ceil(now + step.soak))
        if step.soak and now < until:
            return Progress(step, Standing(index, since, until), Gate.SOAK, last)
        index, since, soak_until = index + 1, float(int(now)), None
