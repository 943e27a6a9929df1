"""Nodes in motion: each pass takes every one of them a step on, back, or says what it waits for.

A node that was cordoned may still go back, and does when its rollout stops. A node that was ordered to reboot
is brought to its end: confirmed, or back on its good slot and the release barred.
"""

from __future__ import annotations

from dataclasses import replace

from os_operator.core import orders as make
from os_operator.core.actions import Cordon, DeletePod, Evict, SetOrders, Uncordon
from os_operator.core.drain import DrainOutcome, DrainState, assess
from os_operator.core.node_way import UPDATED, Move, Way, in_orders
from os_operator.core.survey import Pass
from os_operator.core.world import InstanceView, NodeView
from warmroot.api.base import seconds
from warmroot.api.os import OnTimeout
from warmroot.api.reasons import NodePhase, WaitReason

SOON = 1.0
"""Seconds after which a pass comes back for what it has just asked for."""
GIVES_UP = (OnTimeout.SKIP, OnTimeout.ABORT)
"""Not while a release is taken back: a node that still runs it has to be emptied, however long it takes."""
BRISK, CALM, PATIENCE = 0.5, 10.0, 10.0
"""A draining node's pods are looked at after a tenth of the time that its drain took so far, in bounds."""
DRAIN_WAITS = {
    DrainState.BLOCKED: WaitReason.DRAIN_BLOCKED,
    DrainState.COMPLETING: WaitReason.PODS_RUNNING,
    DrainState.DETACHING: WaitReason.VOLUMES_ATTACHED,
    DrainState.EMPTIED: WaitReason.VOLUMES_ATTACHED,
}
"""What a drain waits for; in its other states: Draining."""


def finish(state: Pass, node: NodeView, instance: InstanceView | None, way: Way) -> None:
    """The next step of a node in motion; it always has one, or a reason to wait."""
    shown = way
    match way.move:
        case Move.DRAIN:
            assert instance is not None
            shown = _drain(state, node, instance, way)
        case Move.RELEASE:
            release(state, node, way)
        case Move.SETTLE if instance is not None:
            wanted = make.rest(instance, instance.barred)
            state.actions.append(SetOrders(instance.name, instance.version, wanted))
        case Move.CONFIRM if instance is not None:
            state.actions.append(
                SetOrders(instance.name, instance.version, make.confirm(instance, state.now))
            )
        case Move.ROLLBACK if instance is not None:
            deadline = state.now + seconds(state.rollout.health.timeout)
            wanted = make.rollback(node, instance, deadline)
            state.actions.append(SetOrders(instance.name, instance.version, wanted))
        case Move.BAR if instance is not None:
            _bar(state, instance)
        case Move.WITHDRAW if instance is not None:
            _withdraw(state, node, instance)
    state.wake(shown.deadline)
    if instance is not None and shown.reason is not None:
        state.wake(instance.stale_at)
    if shown.reason is not None:
        state.tally.rows.append((node.name, shown))


def _bar(state: Pass, instance: InstanceView) -> None:
    """The release fell back on this node: never again, until a person forgives it (R3)."""
    barred = instance.barred
    if instance.digest is not None and instance.digest not in barred:
        barred = (*barred, instance.digest)
    state.actions.append(SetOrders(instance.name, instance.version, make.rest(instance, barred)))


def _withdraw(state: Pass, node: NodeView, instance: InstanceView) -> None:
    """Takes an order back that was not carried out. The record comes first: the order is its only trace."""
    recorded = node.name in state.ledger.persisted or instance.digest != state.target
    if not recorded:
        state.wake(state.now + SOON)
        return
    state.actions.append(SetOrders(instance.name, instance.version, make.rest(instance, instance.barred)))


def release(state: Pass, node: NodeView, way: Way) -> None:
    """Takes our note off, and our cordon with it; an administrator's cordon stays (R2)."""
    digest = node.note.digest if node.note is not None else ""
    if node.note is None:
        return
    if way is UPDATED:
        happening = state.happening("Updated", f"runs {digest}", node, digest, node.boot_id)
    else:
        happening = state.happening(
            "Released", "is back in service without the change", node, digest, str(node.note.since)
        )
    state.actions.append(Uncordon(node.name, node.version, node.cordon_is_ours, happening))


def _drain(state: Pass, node: NodeView, instance: InstanceView, way: Way) -> Way:
    """A cordoned node before its reboot: it may still go back, and does when the rollout stops."""
    note = node.note
    assert note is not None
    away = state.os.deleting or state.os.spec is None or node.name in state.stray_names
    if (state.halted and note.digest == state.target) or away:
        release(state, node, way)
        return way._replace(reason=None)
    if state.target is None:
        return way._replace(reason=WaitReason.RELEASE_UNRESOLVED)
    if not node.unschedulable:
        if node.ready and not _may_go_again(state, node):
            return way._replace(
                reason=WaitReason.BUDGET, message="it was uncordoned, and others are down now"
            )
        state.actions.append(Cordon(node.name, node.version, replace(note, ours=True)))
        return way
    pods = state.world.pods.get(node.name)
    if pods is None:
        state.wake(state.now + SOON)
        return way
    rules, attached = state.rollout.drain, state.world.attachments.get(node.name)
    if state.returning and rules.on_timeout in GIVES_UP:
        rules = rules.model_copy(update={"on_timeout": OnTimeout.WAIT})
    outcome = assess(pods, attached, state.world.evictions, rules, note.since, state.now)
    state.wake(outcome.look_again)
    state.wake(state.now + min(CALM, max(BRISK, (state.now - note.since) / PATIENCE)))
    if outcome.state is DrainState.DRAINED:
        return _activate(state, node, instance, way)
    if outcome.state is DrainState.TIMED_OUT:
        text = f"the drain timed out: {outcome.text()}"
        state.ledger.record(node.name, WaitReason.DRAIN_FAILED, text, state.now)
        state.wake(state.now + SOON)
        return way._replace(phase=NodePhase.DRAINING, reason=WaitReason.DRAIN_FAILED, message=text)
    state.actions += [Evict(node.name, pod) for pod in outcome.evict]
    state.actions += [DeletePod(node.name, pod) for pod in outcome.delete]
    way = _draining(way, outcome, note.since + seconds(rules.timeout), rules.on_timeout, state.now)
    if not node.ready and outcome.state is not DrainState.BLOCKED:
        text = "its Node is not Ready, so no pod ends there and no volume is given back"
        return way._replace(reason=WaitReason.NOT_READY, message=f"{text}; {way.message}")
    return way


def _may_go_again(state: Pass, node: NodeView) -> bool:
    """Whether the budget has room for a node that a person uncordoned: it serves, and yet counts as taken."""
    serving = [
        one.name
        for one, _, way in state.tally.in_motion
        if way.move is Move.DRAIN and one.ready and not one.unschedulable
    ]
    down = state.budget.unavailable - len(serving)
    return down + serving.index(node.name) < state.budget.allowed


def _draining(way: Way, outcome: DrainOutcome, deadline: float, then: OnTimeout, now: float) -> Way:
    late = f"past drain.timeout, and drain.onTimeout is {then.value}; " if now >= deadline else ""
    return way._replace(
        phase=NodePhase.DRAINING,
        reason=DRAIN_WAITS.get(outcome.state, WaitReason.DRAINING),
        message=late + outcome.text(),
        deadline=deadline,
    )


def _activate(state: Pass, node: NodeView, instance: InstanceView, way: Way) -> Way:
    """Orders the reboot of a node that is empty, Ready and in touch."""
    if not node.ready:
        return way._replace(reason=WaitReason.NOT_READY, message="it is empty, but its Node is not Ready")
    if state.now >= instance.stale_at or not instance.observed:
        return way._replace(reason=WaitReason.PROXY_SILENT, message="it is empty, but its proxy is silent")
    deadline = state.now + seconds(state.rollout.health.timeout)
    wanted = replace(make.activate(node, instance, deadline), os=state.os.name)
    state.actions.append(SetOrders(instance.name, instance.version, wanted))
    return Way(Move.HOLD, NodePhase.REBOOTING, WaitReason.REBOOTING, "", None, float(int(deadline)))


def unbar(state: Pass, instance: InstanceView) -> None:
    """A person forgave: the release may be tried here again."""
    if in_orders(instance):
        return
    barred = tuple(digest for digest in instance.barred if digest != state.target)
    state.actions.append(SetOrders(instance.name, instance.version, make.rest(instance, barred)))
