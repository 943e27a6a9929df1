"""When which node took which step. Pure: two views of a node in, steps out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def _enters(phase: str) -> Seen:
    return lambda before, after: after.phase != before.phase and after.phase == phase


def _ordered(goal: str) -> Seen:
    return lambda before, after: after.goal != before.goal and after.goal == goal


Seen = Callable[[NodeView, NodeView], bool]
"""Whether a step was taken between two views."""
_SIGNS: tuple[tuple[Step, Seen], ...] = (
    (Step.STAGING, _enters("Staging")),
    (Step.STAGED, _enters("Staged")),
    (Step.CORDONED, lambda before, after: after.cordoned and not before.cordoned),
    (Step.ACTIVATING, _ordered("Activate")),
    (Step.NEW_BOOT, lambda before, after: before.boot_id not in ("", after.boot_id)),
    (Step.READY, lambda before, after: after.ready and not before.ready),
    (Step.TRIAL, _enters("Trial")),
    (Step.CONFIRMING, _ordered("Confirm")),
    (Step.CONFIRMED, _enters("Confirmed")),
    (Step.FELL_BACK, _enters("FellBack")),
    (Step.FAILED, _enters("Failed")),
    (Step.UNCORDONED, lambda before, after: before.cordoned and not after.cordoned),
)
"""Every step's sign, in the order in which a node takes them."""


def steps(before: NodeView | None, after: NodeView) -> list[Step]:
    """What happened between two views of the same node, in the order in which it must have happened."""
    if before is None:
        return []
    return [step for step, taken in _SIGNS if taken(before, after)]


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
