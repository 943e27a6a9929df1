"""When which node took which step. Pure: two views of a node in, steps out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from testbed.demo.view import NodeView


class Step(StrEnum):
    """A step that a watcher can see."""

    STAGING = "staging"
    STAGED = "staged"
    CORDONED = "cordoned"
    ACTIVATING = "drained, activating"
    NEW_BOOT = "booted"
    READY = "ready"
    TRIAL = "on trial"
    CONFIRMING = "confirming"
    CONFIRMED = "confirmed"
    FELL_BACK = "fell back"
    FAILED = "failed"
    UNCORDONED = "back in service"


@dataclass(frozen=True)
class Mark:
    """A step of one node. `at` in seconds of a monotonic clock."""

    at: float
    node: str
    step: Step


_PHASES = {
    "Staging": Step.STAGING,
    "Staged": Step.STAGED,
    "Trial": Step.TRIAL,
    "Confirmed": Step.CONFIRMED,
    "FellBack": Step.FELL_BACK,
    "Failed": Step.FAILED,
}
_GOALS = {"Activate": Step.ACTIVATING, "Confirm": Step.CONFIRMING}


def steps(before: NodeView | None, after: NodeView) -> list[Step]:
    """What happened between two views of the same node, in the order in which it must have happened."""
    if before is None:
        return []
    found = []
    if after.phase != before.phase and after.phase in ("Staging", "Staged"):
        found.append(_PHASES[after.phase])
    if after.cordoned and not before.cordoned:
        found.append(Step.CORDONED)
    if after.goal != before.goal and after.goal == "Activate":
        found.append(_GOALS[after.goal])
    if before.boot_id and after.boot_id != before.boot_id:
        found.append(Step.NEW_BOOT)
    if after.ready and not before.ready:
        found.append(Step.READY)
    if after.phase != before.phase and after.phase == "Trial":
        found.append(_PHASES[after.phase])
    if after.goal != before.goal and after.goal == "Confirm":
        found.append(_GOALS[after.goal])
    if after.phase != before.phase and after.phase in ("Confirmed", "FellBack", "Failed"):
        found.append(_PHASES[after.phase])
    if before.cordoned and not after.cordoned:
        found.append(Step.UNCORDONED)
    return found


@dataclass(frozen=True)
class Passage:
    """A node's way through one rollout. All in seconds; None for what did not happen."""

    node: str
    staging: float | None
    draining: float | None
    restarting: float | None
    proving: float | None
    out_of_service: float | None


def passage(node: str, marks: Iterable[Mark]) -> Passage:
    """How long a node took for each part of its way, from the marks of one rollout.

    draining: cordon to activation; restarting: to the last boot; proving: to back in service.
    """
    first: dict[Step, float] = {}
    last: dict[Step, float] = {}
    for mark in marks:
        if mark.node == node:
            first.setdefault(mark.step, mark.at)
            last[mark.step] = mark.at
    boot, end = last.get(Step.NEW_BOOT), last.get(Step.UNCORDONED)
    cordon, activate = first.get(Step.CORDONED), first.get(Step.ACTIVATING)
    return Passage(
        node,
        staging=_between(first.get(Step.STAGING), first.get(Step.STAGED)),
        draining=_between(cordon, activate),
        restarting=_between(activate, boot),
        proving=_between(boot, end),
        out_of_service=_between(cordon, end),
    )


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None or end < begin else end - begin
