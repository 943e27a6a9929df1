"""What may begin: OSInstances, downloads, and nodes, as far as nothing speaks against it.

One slot a node, in one pass, by one writer: others overran their budget because several slots were filled
from one stale look.
"""

from __future__ import annotations

from dataclasses import dataclass

from os_operator.core import orders as make
from os_operator.core.actions import Cordon, DeleteInstance, EnsureInstance, Orders, SetOrders
from os_operator.core.failures import halt, named
from os_operator.core.finish import SOON
from os_operator.core.node_way import WANTS_STAGE, Move, Way
from os_operator.core.queue import Queue, by_turn, line_up
from os_operator.core.resetting import keeps_its_place
from os_operator.core.returning import any_turn
from os_operator.core.survey import Pair, Pass, stage_orders
from os_operator.core.waves import Gate, Progress
from os_operator.core.world import AVOIDED, CordonNote, InstanceView, NodeView
from warmroot.api.osinstance import Goal
from warmroot.api.reasons import NodePhase, WaitReason


@dataclass(frozen=True, slots=True)
class Shut:
    """Why nothing new begins, for every node alike."""

    reason: WaitReason
    message: str


def begin(state: Pass) -> None:
    """New OSInstances, new downloads, new nodes: as far as nothing speaks against it."""
    for node, instance, way in state.tally.absent:
        if way.move is Move.REPLACE and instance is not None:
            state.actions.append(DeleteInstance(instance.name, instance.uid))
        else:
            state.actions.append(EnsureInstance(node.name, node.uid, Orders(state.os.name, Goal.NONE)))
    # A drain that has just failed may be the one too many: it stops this very pass.
    state.halted = state.halted or halt(state.ledger, state.rollout, state.wave, state.tally.refused)
    if state.returning:
        text = f"it stays on what it runs; {state.halted}"
        stays = Way(Move.NOTHING, NodePhase.PENDING, WaitReason.HALTED, text)
        state.tally.crowds.append((stays, state.tally.staying))
    shut = _shut(state)
    free = _reset(state, state.budget.free)
    _begin_staging(state, shut)
    _admit(state, shut, free)


def _shut(state: Pass) -> Shut | None:
    if state.halted and not state.returning:
        return Shut(WaitReason.HALTED, state.halted)
    if state.rollout.paused:
        return Shut(WaitReason.PAUSED, "spec.rollout.paused is true")
    return None


def _reset(state: Pass, free: int) -> int:
    """Settings that failed are taken back, in no waves. Returns how many places of `free` are left."""
    tally = state.tally
    if not tally.to_reset:
        return free
    waits = _holds_a_return(state)
    left: list[Pair] = []
    turn = by_turn(state, None, last=True)
    for pair in sorted(tally.to_reset, key=lambda one: turn(one[0])):
        node, instance = pair
        serves = node.ready and not node.unschedulable and not keeps_its_place(instance)
        if waits is not None or (serves and free <= 0):
            left.append(pair)
            continue
        free -= serves
        tally.in_progress += 1
        tally.unavailable += serves
        assert state.target is not None
        assert state.os.spec is not None
        wanted = make.reset(state.os.name, state.os.spec.release, state.target, instance)
        state.actions.append(SetOrders(instance.name, instance.version, wanted))
        text = f"it returns to {named(wanted.config.revision)}"
        tally.rows.append((node.name, Way(Move.HOLD, NodePhase.CONFIGURING, WaitReason.CONFIGURING, text)))
    text = f"at most {state.budget.allowed} may be down at once (rollout.maxUnavailable)"
    shut = waits or Shut(WaitReason.BUDGET, text)
    again = state.window.look_again if shut.reason is WaitReason.WINDOW else None
    tally.crowds.append((Way(Move.NOTHING, NodePhase.PENDING, shut.reason, shut.message, None, again), left))
    return free


def _holds_a_return(state: Pass) -> Shut | None:
    if state.rollout.paused:
        return Shut(WaitReason.PAUSED, "spec.rollout.paused is true")
    if not state.window.open and not state.rollout.failure.ignore_windows:
        return Shut(WaitReason.WINDOW, "no window of rollout.windows is open")
    return None


def _begin_staging(state: Pass, shut: Shut | None) -> None:
    tally = state.tally
    if shut is None and state.rollout.stage_in_window and not state.window.open:
        shut = Shut(WaitReason.WINDOW, "stageInWindow: it downloads when a window opens")
    free = max(0, state.rollout.max_staging - tally.staging) if shut is None else 0
    turn = by_turn(state, None if state.returning else state.wave, last=True)
    waiting = sorted(tally.to_stage, key=lambda pair: turn(pair[0])) if free else tally.to_stage
    for _, instance in waiting[:free]:
        wanted = stage_orders(state, instance)
        assert wanted is not None
        if not wanted.stand(instance):
            state.actions.append(SetOrders(instance.name, instance.version, wanted))
    begun = WANTS_STAGE._replace(phase=NodePhase.STAGING, reason=WaitReason.STAGING)
    if state.returning:
        begun = begun._replace(message="it returns to what its other slot holds")
    tally.rows += [(node.name, begun) for node, _ in waiting[:free]]
    tally.staging += len(waiting[:free])
    text = f"{state.rollout.max_staging} download at once (rollout.maxStaging)"
    paced = WANTS_STAGE._replace(
        reason=shut.reason if shut else WaitReason.STAGING_PACED, message=shut.message if shut else text
    )
    tally.crowds.append((paced, waiting[free:]))


def _admit(state: Pass, shut: Shut | None, free: int) -> None:
    """Grants slots. A node that is already down costs none, but keeps its turn like any other."""
    tally, wave = state.tally, state.wave
    if wave is None or state.target is None:
        return
    if state.returning:
        wave = any_turn(state, wave)
    waiting = [*tally.to_configure, *tally.to_admit]
    shut = shut or _gate(state, wave)
    state.moves_on = shut is None and wave.last and not state.returning
    if shut is not None:
        _crowd(state, _shut_out(state, shut, wave), waiting)
        return
    room = wave.room(len(tally.moved) + tally.touched)
    left: list[Pair] = []
    queue = line_up(state, wave, waiting) if room > 0 else Queue(waiting, [])
    for pair in queue.next:
        empty = pair[0].name in state.world.empty
        free_ride = empty or pair[0].unschedulable or (_configures(state, pair) and not pair[0].ready)
        if room <= 0 or not (free_ride or free > 0):
            left.append(pair)
            continue
        room -= 1
        free -= not free_ride
        tally.in_progress += 1
        tally.unavailable += not free_ride
        if _configures(state, pair):
            _configure(state, *pair)
        else:
            _cordon(state, *pair, empty=empty)
    _crowd(state, _no_room(state, wave, room), left)
    for way, pairs in queue.held:
        _crowd(state, way, pairs)


def _crowd(state: Pass, way: Way, pairs: list[Pair]) -> None:
    """Many that wait for the same: those with a download, and those that only want other settings."""
    state.tally.crowds.append((way, [pair for pair in pairs if not _configures(state, pair)]))
    way = way._replace(phase=NodePhase.PENDING)
    state.tally.crowds.append((way, [pair for pair in pairs if _configures(state, pair)]))


def _configures(state: Pass, pair: Pair) -> bool:
    """Whether a node runs the target and only has other settings: no pod has to leave for those."""
    return not state.returning and pair[1].confirmed and pair[1].booted_digest == state.target


def _configure(state: Pass, node: NodeView, instance: InstanceView) -> None:
    assert state.target is not None
    assert state.os.spec is not None
    about = (state.os.name, state.os.spec.release, state.target, state.os.config)
    wanted = make.configure(*about, instance.barred)
    state.actions.append(SetOrders(instance.name, instance.version, wanted))
    way = Way(Move.HOLD, NodePhase.CONFIGURING, WaitReason.CONFIGURING)
    state.tally.rows.append((node.name, way))


def _cordon(state: Pass, node: NodeView, instance: InstanceView, *, empty: bool) -> None:
    assert instance.digest is not None
    since = float(int(state.now))
    note = CordonNote(state.os.name, instance.digest, since, ours=not node.unschedulable, empty=empty)
    happening = state.happening("Begun", "is cordoned and drained", node, instance.digest, node.boot_id)
    taints = node.without_taint(AVOIDED) if node.avoided else None  # one write for both
    state.actions.append(Cordon(node.name, node.version, note, happening, taints))
    way = Way(Move.DRAIN, NodePhase.CORDONED, WaitReason.DRAINING, "", note.since)
    state.tally.rows.append((node.name, way))
    state.wake(state.now + SOON)


def _gate(state: Pass, wave: Progress) -> Shut | None:
    if wave.gate is Gate.APPROVAL:
        text = f"wave {wave.step.name} needs: kubectl annotate --overwrite os {state.os.name}"
        return Shut(WaitReason.APPROVAL, f"{text} warmroot.io/approve={wave.step.name}@{state.target}")
    if wave.gate is Gate.SOAK:
        return Shut(WaitReason.SOAK, f"wave {wave.step.name} soaks")
    waived = state.returning and state.rollout.failure.ignore_windows
    if not state.window.open and not waived:
        return Shut(WaitReason.WINDOW, "no window of rollout.windows is open")
    return None


def _shut_out(state: Pass, shut: Shut, wave: Progress) -> Way:
    """Nothing begins: one reason for all."""
    again = wave.standing.soak_until if shut.reason is WaitReason.SOAK else None
    if shut.reason is WaitReason.WINDOW:
        again = state.window.look_again
    return Way(Move.NOTHING, NodePhase.STAGED, shut.reason, shut.message, None, again)


def _no_room(state: Pass, wave: Progress, room: int) -> Way:
    """Why those wait whose turn it would be."""
    if room > 0:
        text = f"at most {state.budget.allowed} may be down at once (rollout.maxUnavailable)"
        return Way(Move.NOTHING, NodePhase.STAGED, WaitReason.BUDGET, text)
    text = f"wave {wave.step.name} takes nodes up to number {wave.step.target}"
    return Way(Move.NOTHING, NodePhase.STAGED, WaitReason.WAVE, text)
