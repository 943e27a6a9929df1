"""The conditions of an OS object, as kstatus and people read them."""

from __future__ import annotations

from typing import Protocol

from os_operator.core import instants
from os_operator.core.survey import Pass
from warmroot.api.base import Condition, ConditionStatus
from warmroot.api.os import Waiting
from warmroot.api.reasons import OSPhase, OSReason


class Say(Protocol):
    """Makes one condition."""

    def __call__(self, kind: str, true: bool, reason: OSReason, message: str = "") -> Condition:
        """The condition of that kind; its time is that of the last change of `true`."""


MOVING = frozenset({OSPhase.STAGING, OSPhase.ROLLING_OUT, OSPhase.SOAKING, OSPhase.ROLLING_BACK})


def conditions(done: Pass, phase: OSPhase, waiting: tuple[Waiting, ...]) -> tuple[Condition, ...]:
    """Ready, Progressing, Degraded, Conflicting, ReleaseResolved; Reconciling and Stalled for kstatus."""
    before = {one.type: one for one in done.os.status.conditions}

    def say(kind: str, true: bool, reason: OSReason, message: str = "") -> Condition:
        status = ConditionStatus.TRUE if true else ConditionStatus.FALSE
        old = before.get(kind)
        same = old is not None and old.status is status
        return Condition(
            type=kind,
            status=status,
            reason=reason.value,
            message=message[:1024],
            last_transition_time=old.last_transition_time if same and old else instants.text(done.now),
            observed_generation=done.os.generation,
        )

    reason, text = _state(done, phase, waiting)
    moving = phase in MOVING
    failed = done.ledger.entries
    resolved, why = _resolved(done)
    stalled = phase is OSPhase.HALTED or reason is OSReason.INVALID_SPEC
    return (
        say("Ready", phase is OSPhase.COMPLETE, reason, text),
        say("Progressing", moving, reason, text),
        say(
            "Degraded",
            bool(failed) or stalled,
            OSReason.NODE_FAILED if failed else reason if stalled else OSReason.HEALTHY,
            _failed_text(done),
        ),
        _conflicting(done, say),
        say("ReleaseResolved", resolved, OSReason.RESOLVED if resolved else OSReason.RELEASE_UNRESOLVED, why),
        say("Reconciling", phase not in (OSPhase.COMPLETE, OSPhase.IDLE) and not stalled, reason, text),
        say("Stalled", stalled, reason, text if stalled else ""),
    )


def _state(done: Pass, phase: OSPhase, waiting: tuple[Waiting, ...]) -> tuple[OSReason, str]:
    """One word and one sentence for where the rollout is."""
    if done.os.spec is None:
        return OSReason.INVALID_SPEC, done.os.problem
    if phase is OSPhase.HALTED:
        return OSReason.HALTED, done.halted
    if phase is OSPhase.ROLLING_BACK:
        return OSReason.ROLLING_BACK, f"its nodes return to what they came from: {done.halted}"
    if phase is OSPhase.COMPLETE:
        return OSReason.COMPLETE, f"all {done.tally.total} nodes run the release"
    if done.tally.total == 0 and not done.tally.in_progress:
        return OSReason.NO_NODES, "spec.nodeSelector selects no node"
    if done.target is None:
        return OSReason.RELEASE_UNRESOLVED, done.os.resolution.message
    first = f"{waiting[0].node}: {waiting[0].reason.value}. {waiting[0].message}" if waiting else ""
    if phase in MOVING:
        return OSReason.PROGRESSING, ""
    if done.rollout.paused:
        return OSReason.PAUSED, "spec.rollout.paused is true"
    if any(done.os.name in names for names in done.conflicts.values()):
        return OSReason.CONFLICTING, first
    return OSReason.WAITING, first


def _resolved(done: Pass) -> tuple[bool, str]:
    if done.target is not None:
        return True, done.target
    return False, done.os.resolution.message or done.os.problem or "the repository was not asked yet"


def _failed_text(done: Pass) -> str:
    entries = [done.ledger.entries[node] for node in sorted(done.ledger.entries)]
    shown = "; ".join(f"{entry.node}: {entry.reason.value}, {entry.message}" for entry in entries[:3])
    return shown if len(entries) <= 3 else f"{shown}; and {len(entries) - 3} more"


def _conflicting(done: Pass, say: Say) -> Condition:
    mine = sorted(node for node, names in done.conflicts.items() if done.os.name in names)
    if not mine:
        return say("Conflicting", False, OSReason.NO_CONFLICT)
    others = sorted({name for node in mine for name in done.conflicts[node]} - {done.os.name})
    names = ", ".join(mine[:3]) + (f" and {len(mine) - 3} more" if len(mine) > 3 else "")
    text = f"OS {', '.join(others)} selects {names} too; no object moves them until a nodeSelector is changed"
    return say("Conflicting", True, OSReason.CONFLICTING, text)
