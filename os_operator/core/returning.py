"""A release that failed is taken back: each node that runs it returns to what it came from.

This is rule 9 of rollout.md. What it came from is what its other slot holds, with the settings that it has
there, so nothing is downloaded; on its way back a node is drained, tried and confirmed as on its way there. A
node that never ran the release stays as it is. Whether a release is taken back is read from the failures that
the stored status has: whoever forgives them, or wants another release, ends it.
"""

from __future__ import annotations

from os_operator.core.failures import release_failed
from os_operator.core.node_way import (
    CURRENT,
    CURRENT_SILENT,
    WANTS_STAGE,
    Move,
    Way,
    examine,
)
from os_operator.core.survey import (
    MOTION,
    Pass,
    look_at_strays,
    look_closer,
    missed_by_nobody,
    running_wave,
)
from os_operator.core.waves import Gate, Progress, Step
from os_operator.core.world import InstanceView, NodeView
from warmroot.api.os import FailureAction
from warmroot.api.reasons import NodePhase, WaitReason

NO_WAY_BACK = Way(
    Move.NOTHING,
    NodePhase.FAILED,
    WaitReason.NO_WAY_BACK,
    "its other slot holds no release that it could return to; it keeps the one that failed elsewhere",
)


def taken_back(state: Pass) -> bool:
    """Whether the target failed so often that its nodes have to return."""
    if state.target is None or state.rollout.failure.action is not FailureAction.ROLLBACK:
        return False
    return bool(release_failed(state.ledger, state.rollout, running_wave(state)))


def home(instance: InstanceView | None, failed: str) -> str | None:
    """What a node shall run while `failed` is taken back; None where there is nothing to return to.

    A node in trial of it is first confirmed, or falls back: its slots say what it came from only then.
    """
    if instance is None or instance.booted_digest is None:
        return None
    if instance.booted_digest != failed or not instance.confirmed:
        return instance.booted_digest
    former = instance.verified_digest
    return former if former is not None and former != failed and former not in instance.barred else None


def way_back(state: Pass, node: NodeView, instance: InstanceView | None) -> Way:
    """The node's place on its way to what it came from."""
    assert state.target is not None
    goal = home(instance, state.target)
    leaves = instance is not None and instance.confirmed and instance.booted_digest == state.target
    kept = instance.kept_config if instance is not None and leaves else None
    config = None if kept is None else state.settings._replace(revision=kept)
    ready = float(state.rollout.health.ready_seconds)
    way = examine(node, instance, goal, (), ready, state.now, config, state.trials)
    if leaves and goal is None and way.move is Move.NOTHING:
        return NO_WAY_BACK
    if not leaves and way.move in (Move.STAGE, Move.STAGING, Move.ADMIT):
        return CURRENT  # it was never asked to leave what it runs
    return way


def look_back(state: Pass) -> None:
    """Examines every node once, for its way back."""
    tally, instances = state.tally, state.world.instances
    tally.total = len(state.members)
    for node in state.members:
        instance = instances.get(node.name)
        way = way_back(state, node, instance)
        runs = instance is not None and instance.confirmed and instance.booted_digest == state.target
        tally.updated += runs
        tally.to_return += runs and way is not NO_WAY_BACK
        down = node.unschedulable or not node.ready
        if node.name in state.conflicts or way.move in MOTION:
            down = (look_closer(state, node, instance, way) or down) and not missed_by_nobody(node)
        elif instance is not None and way.move is Move.ADMIT:
            tally.to_admit.append((node, instance))
        elif instance is not None and way.move is Move.STAGE:
            tally.to_stage.append((node, instance))
        elif way.move in (Move.ENSURE, Move.REPLACE):
            tally.absent.append((node, instance, way))
        elif way.move is Move.STAGING:
            tally.staging += 1
            tally.downloading.append(node)
        elif instance is not None and (way is CURRENT or way is CURRENT_SILENT):
            tally.staying.append((node, instance))
        tally.staged += way.phase is NodePhase.STAGED
        tally.unavailable += down
        if way.reason is not None and way.move not in MOTION and way not in (WANTS_STAGE, CURRENT_SILENT):
            tally.rows.append((node.name, way))
    look_at_strays(state)


def any_turn(state: Pass, wave: Progress) -> Progress:
    """In place of the rollout's wave: nodes return in no waves."""
    return Progress(Step("rollback", state.tally.total), wave.standing, Gate.OPEN, last=True)
