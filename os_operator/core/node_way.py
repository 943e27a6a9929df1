"""Where one node is on its way, and what it needs next (rollout.md, "A node's way").

`examine` is the only place that reads a node's state off its Node, its orders and its proxy's word. It
decides nothing about other nodes: budget, wave and halt are `plan`'s. A node that has been ordered to reboot
is always brought to an end, whatever happens to its OS object meanwhile.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from os_operator.core.health import ALL_HOLD, NO_CHECKS, Trials, Verdict, since_when
from os_operator.core.orders import ordered_in
from os_operator.core.world import InstanceView, NodeView
from warmroot.api.health import CheckReason
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import NodePhase, WaitReason
from warmroot.nodeconfig import NONE

CONFIRM_GRACE = 120.0
"""Seconds past the health deadline in which an ordered confirm may still arrive."""
_STAGE, _NONE, _CONFIGURE, _FAILED = Goal.STAGE, Goal.NONE, Goal.CONFIGURE, InstancePhase.FAILED
"""Members by a name of their own: a look-up on an enum's class is dear beside the little else that is done
for a node that stands still, and `bench plan` has thousands of those."""
MAX_BARRED = 32
"""An OSInstance bars at most this many releases; then nothing new is written to the node."""


class Move(Enum):
    """What a node needs next."""

    NOTHING = "Nothing"
    ENSURE = "Ensure"
    REPLACE = "Replace"
    STAGE = "Stage"
    STAGING = "Staging"
    ADMIT = "Admit"
    SETTLE = "Settle"
    DRAIN = "Drain"
    CONFIRM = "Confirm"
    ROLLBACK = "Rollback"
    BAR = "Bar"
    WITHDRAW = "Withdraw"
    RELEASE = "Release"
    HOLD = "Hold"


class Settings(NamedTuple):
    """The settings that a node shall have, and for how long it may be unwell with them (seconds)."""

    revision: str
    patience: float


class Way(NamedTuple):
    """One node's place. `failed`: what is to be recorded against the release. Times in Unix seconds.

    `check`: the health check that it waits for, and why that does not hold, if it was answered.
    """

    move: Move
    phase: NodePhase
    reason: WaitReason | None = None
    message: str = ""
    since: float | None = None
    deadline: float | None = None
    failed: WaitReason | None = None
    check: tuple[str, CheckReason | None] | None = None


CURRENT = Way(Move.NOTHING, NodePhase.CURRENT)
CURRENT_SILENT = Way(
    Move.NOTHING,
    NodePhase.CURRENT,
    WaitReason.PROXY_SILENT,
    "it ran the target when its proxy last spoke; check the proxy's pod on this node",
)
UNRESOLVED = Way(Move.NOTHING, NodePhase.PENDING, WaitReason.RELEASE_UNRESOLVED)
NEW = Way(Move.ENSURE, NodePhase.PENDING, WaitReason.PROXY_SILENT, "its OSInstance is being created")
REPLACED = Way(
    Move.REPLACE, NodePhase.PENDING, WaitReason.PROXY_SILENT, "the OSInstance of its predecessor is removed"
)
SILENT = Way(
    Move.NOTHING,
    NodePhase.PENDING,
    WaitReason.PROXY_SILENT,
    "no word of its proxy; check the proxy's pod on this node",
)
BARRED = Way(Move.NOTHING, NodePhase.FAILED, WaitReason.BARRED)
TOO_MANY_BARS = Way(
    Move.NOTHING,
    NodePhase.FAILED,
    WaitReason.BARRED,
    f"{MAX_BARRED} releases fell back here; look at the machine, then clear its bars",
)
WANTS_STAGE = Way(Move.STAGE, NodePhase.PENDING, WaitReason.STAGING_PACED)
STAGING = Way(Move.STAGING, NodePhase.STAGING, WaitReason.STAGING)
FORGIVEN_IN_VAIN = Way(
    Move.NOTHING,
    NodePhase.PENDING,
    WaitReason.FELL_BACK,
    "its proxy remembers that this release fell back here; publish it under a new version",
)
ADMISSIBLE = Way(Move.ADMIT, NodePhase.STAGED)
STAGED_SILENT = SILENT._replace(phase=NodePhase.STAGED)
STAGED_NOT_READY = Way(
    Move.NOTHING, NodePhase.STAGED, WaitReason.NOT_READY, "it is not Ready; it is left alone until it is"
)
WANTS_CONFIG = Way(Move.ADMIT, NodePhase.PENDING)
CONFIGURED = Way(Move.SETTLE, NodePhase.CONFIGURING)
CORDONED = Way(Move.DRAIN, NodePhase.CORDONED, WaitReason.DRAINING)
UPDATED = Way(Move.RELEASE, NodePhase.CONFIRMING, WaitReason.CONFIRMING)
BACK_OUT = Way(Move.RELEASE, NodePhase.PENDING)


def in_orders(instance: InstanceView | None) -> bool:
    """Whether the node was ordered to reboot and has not yet come to the end of it."""
    if instance is None:
        return False
    goal = instance.goal
    if goal is _STAGE or goal is _NONE or goal is _CONFIGURE:
        return False
    return not (instance.confirmed and instance.booted_digest == instance.digest)


def drained(nodes: Mapping[str, NodeView], instances: Mapping[str, InstanceView]) -> list[str]:
    """The nodes that are emptied now: a pass needs to know their pods, and those of no others."""
    return [
        name
        for name, node in nodes.items()
        if node.note is not None and node.unschedulable and not in_orders(instances.get(name))
    ]


def late(nodes: Mapping[str, NodeView], instances: Mapping[str, InstanceView]) -> list[str]:
    """The nodes that joined on another release, closed to workloads, and hold another one: a pass needs to
    know whether pods run on them.
    """
    return [
        name
        for name, node in nodes.items()
        if node.closed
        and node.note is None
        and (instance := instances.get(name)) is not None
        and instance.phase is InstancePhase.STAGED
        and instance.digest != instance.booted_digest
    ]


def examine(
    node: NodeView,
    instance: InstanceView | None,
    target: str | None,
    failed: Container[str],
    ready_seconds: float,
    now: float,
    config: Settings | None = None,
    trials: Trials = NO_CHECKS,
) -> Way:
    """The node's place on its way to `target`; `failed` are the nodes on which the target failed, `config`
    the settings that belong to it, None where they are nobody's business any more. `trials` judges a node on
    trial.
    """
    if instance is None:
        return BACK_OUT if node.note is not None else NEW
    if instance.node_uid != node.uid:
        return BACK_OUT if node.note is not None else REPLACED
    goal = instance.goal
    if goal is not _STAGE and goal is not _NONE and in_orders(instance):
        return _ordered(node, instance, ready_seconds, now, trials)
    if node.note is not None:
        return _cordoned(node, instance, target, failed)
    return _standing(node, instance, target, failed, ready_seconds, now, config)


def _standing(
    node: NodeView,
    instance: InstanceView,
    target: str | None,
    failed: Container[str],
    ready_seconds: float,
    now: float,
    config: Settings | None,
) -> Way:
    """A node that is not being moved."""
    fresh = now < instance.stale_at
    if target is None:
        return UNRESOLVED
    if instance.booted_digest == target and instance.confirmed:
        if config is not None and (instance.in_force != config.revision or instance.goal is _CONFIGURE):
            return configured(node, instance, config, ready_seconds, now)
        return CURRENT if fresh else CURRENT_SILENT
    if target in instance.barred or node.name in failed:
        return BARRED
    if len(instance.barred) >= MAX_BARRED:
        return TOO_MANY_BARS
    wanted = NONE if config is None else config.revision
    return _staged(node, instance, target, wanted) if fresh else SILENT


def _staged(node: NodeView, instance: InstanceView, target: str, config: str) -> Way:
    """How far the target is on its way into the node's other slot."""
    if instance.goal is not _STAGE or instance.digest != target or instance.config != config:
        return WANTS_STAGE
    phase = instance.phase
    if phase is _FAILED and instance.observed:
        return _staging_failed(instance)
    if phase is InstancePhase.FELL_BACK and instance.observed:
        return FORGIVEN_IN_VAIN
    if instance.verified_digest != target or not instance.observed or phase is InstancePhase.STAGING:
        return STAGING
    return ADMISSIBLE if node.ready else STAGED_NOT_READY


def configured(
    node: NodeView, instance: InstanceView, config: Settings, ready_seconds: float, now: float
) -> Way:
    """A node that runs the target and has other settings, or has only just got them."""
    if now >= instance.stale_at:
        return SILENT
    if instance.goal is not _CONFIGURE or instance.config != config.revision:
        return WANTS_CONFIG
    if instance.observed and instance.phase is _FAILED:
        failure = instance.failure
        text = f"{failure.reason}: {failure.message}" if failure else "the proxy gave no reason"
        return Way(Move.NOTHING, NodePhase.FAILED, WaitReason.CONFIG_REFUSED, text, instance.since)
    since = max(node.as_it_is_since, instance.as_it_is_since or now)
    if not instance.observed or instance.in_force != config.revision:
        return Way(Move.HOLD, NodePhase.CONFIGURING, WaitReason.CONFIGURING, "", instance.since)
    deadline, healthy_at = (instance.as_it_is_since or now) + config.patience, since + ready_seconds
    if node.ready and now >= healthy_at:
        return CONFIGURED
    if now > deadline and not (node.ready and healthy_at <= deadline):
        text = f"its Node was not Ready for {ready_seconds:g} s with its settings in time"
        reason = WaitReason.UNHEALTHY
        return Way(Move.HOLD, NodePhase.CONFIGURING, reason, text, deadline, None, failed=reason)
    if not node.ready:
        text = "its Node is not Ready since its settings changed; correct spec.config, or look at the node"
        return Way(Move.HOLD, NodePhase.CONFIGURING, WaitReason.NOT_READY, text, instance.since, deadline)
    text = f"it has to stay Ready for {ready_seconds:g} s"
    return Way(Move.HOLD, NodePhase.CONFIGURING, WaitReason.SETTLING, text, since, healthy_at)


def _staging_failed(instance: InstanceView) -> Way:
    """The proxy could not stage. While it tries again by itself, it keeps its place among the downloads."""
    failure = instance.failure
    text = f"{failure.reason}: {failure.message}" if failure else "the proxy gave no reason"
    retry_at = failure.retry_at if failure else None
    move = Move.STAGING if retry_at is not None else Move.NOTHING
    return Way(move, NodePhase.PENDING, WaitReason.STAGING_FAILED, text, instance.since, retry_at)


def _cordoned(node: NodeView, instance: InstanceView, target: str | None, failed: Container[str]) -> Way:
    """A node that carries our note and has no reboot order that is under way."""
    note = node.note
    assert note is not None
    if instance.confirmed and instance.booted_digest == note.digest:
        return UPDATED
    if note.digest in instance.barred or (note.digest == target and node.name in failed):
        return BACK_OUT._replace(phase=NodePhase.FAILED)
    if target is not None and note.digest != target:
        return BACK_OUT
    if instance.goal is not Goal.STAGE or instance.verified_digest != note.digest:
        return BACK_OUT
    return CORDONED._replace(since=note.since)


def _ordered(node: NodeView, instance: InstanceView, ready_seconds: float, now: float, trials: Trials) -> Way:
    """A node with a reboot order that has not come to its end."""
    goal, order = instance.goal, instance.order
    asked = Goal.ROLLBACK if goal is Goal.ROLLBACK else Goal.ACTIVATE
    deadline = order.deadline if order else now
    carried = order is not None and instance.reboot_id == order.id
    if instance.booted_digest is not None and instance.booted_digest == instance.digest:
        return _trial(node, instance, ready_seconds, deadline, now, trials)
    # Not carried out, a new boot id says nothing: the node may have restarted before it saw the order.
    returned = goal is not Goal.ACTIVATE or (carried and not ordered_in(instance, asked, instance.boot_id))
    if returned and instance.phase not in (InstancePhase.ACTIVATING, InstancePhase.TRIAL, None):
        return _fell_back(instance, WaitReason.UNHEALTHY if asked is Goal.ROLLBACK else WaitReason.FELL_BACK)
    return _away(node, instance, asked, carried, deadline, now)


def _fell_back(instance: InstanceView, reason: WaitReason) -> Way:
    seen = f"; {instance.failure.reason}: {instance.failure.message}" if instance.failure else ""
    text = f"it came up on its good slot again and keeps that release{seen}"
    return Way(Move.BAR, NodePhase.FAILED, reason, text, instance.since, None, failed=reason)


def to_be_judged(node: NodeView, instance: InstanceView | None) -> bool:
    """Whether the node is on trial and so far up that its health checks are to be asked."""
    if instance is None or instance.goal is not Goal.ACTIVATE or instance.booted_digest is None:
        return False
    on_trial = instance.booted_digest == instance.digest and not instance.confirmed
    return on_trial and node.ready and node.boot_id == instance.boot_id


def _trial(
    node: NodeView,
    instance: InstanceView,
    ready_seconds: float,
    deadline: float,
    now: float,
    trials: Trials,
) -> Way:
    """The ordered release runs and is not confirmed."""
    if instance.goal is Goal.ROLLBACK:
        move = Move.ROLLBACK if now > deadline and now < instance.stale_at else Move.HOLD
        text = "it did not get healthy in time and is told to return to its good slot"
        reason = WaitReason.ROLLING_BACK
        return Way(move, NodePhase.TRIAL, reason, text, None, deadline, failed=WaitReason.UNHEALTHY)
    if instance.goal is Goal.CONFIRM:
        last = deadline + CONFIRM_GRACE
        if now > last and now < instance.stale_at:
            return _unhealthy("its proxy did not confirm the slot in time", deadline)
        return Way(Move.HOLD, NodePhase.CONFIRMING, WaitReason.CONFIRMING, "", None, last)
    if not (node.ready and node.boot_id == instance.boot_id):
        if now > deadline:
            return _unhealthy("its Node was not Ready with the new boot id in time", deadline)
        text = "it runs the new release; its Node is not Ready with the new boot id yet"
        return Way(Move.HOLD, NodePhase.TRIAL, WaitReason.NOT_READY, text, instance.booted_at, deadline)
    if _up(node, instance) + ready_seconds > deadline and now > deadline:
        return _unhealthy(f"its Node was not Ready for {ready_seconds:g} s in time", deadline)
    return _judged(node, instance, ready_seconds, deadline, now, trials)


def _judged(
    node: NodeView,
    instance: InstanceView,
    ready_seconds: float,
    deadline: float,
    now: float,
    trials: Trials,
) -> Way:
    """A node on trial that is Ready: do its checks hold, and have both lasted?"""
    up = _up(node, instance)
    verdict = trials.verdict(node.name, instance.boot_id, now)
    # An operator that began to ask late, after a restart, gives the node the time that it took itself.
    last = max(deadline, verdict.asked + ready_seconds + verdict.slack)
    if up + ready_seconds > deadline:
        last = deadline
    if not verdict.holds:
        if now > (deadline if verdict.reason is not None else last):
            return _unhealthy(since_when(verdict), deadline)
        if verdict.reason is not None:
            return _checks(WaitReason.CHECK_FAILED, verdict, deadline)
        return _checks(WaitReason.CHECKING, verdict, last)._replace(since=None)
    since = max(up, verdict.since)
    healthy_at = since + ready_seconds
    if healthy_at > last and now > deadline:
        text = f"check {verdict.check} did not hold for {ready_seconds:g} s in time"
        return _unhealthy(since_when(replace(verdict, text=text)), deadline)
    seen_at = max(healthy_at, node.as_it_is_since + ready_seconds)
    if now >= seen_at and healthy_at <= last:
        return Way(Move.CONFIRM, NodePhase.CONFIRMING, WaitReason.CONFIRMING, "", since, deadline)
    both = "" if verdict is ALL_HOLD else " and its checks have to hold,"
    text = f"it has to stay Ready{both} for {ready_seconds:g} s"
    again = seen_at if healthy_at <= last else last
    return Way(Move.HOLD, NodePhase.TRIAL, WaitReason.SETTLING, text, since, again)


def _up(node: NodeView, instance: InstanceView) -> float:
    """From when on it has been Ready in this boot, at the earliest: after it was cut off an operator sees
    late what was in time, and no node is taken back for that.
    """
    return max(min(node.ready_since, node.as_it_is_since), instance.booted_at)


def _checks(reason: WaitReason, verdict: Verdict, deadline: float) -> Way:
    check = (verdict.check, verdict.reason) if verdict.check else None
    return Way(Move.HOLD, NodePhase.TRIAL, reason, verdict.text, verdict.since, deadline, check=check)


def _unhealthy(text: str, deadline: float) -> Way:
    reason = WaitReason.UNHEALTHY
    return Way(Move.ROLLBACK, NodePhase.TRIAL, reason, text, deadline, None, failed=reason)


def _away(
    node: NodeView, instance: InstanceView, asked: Goal, carried: bool, deadline: float, now: float
) -> Way:
    """The reboot was ordered, and nothing was heard of the new system."""
    failure = instance.failure
    fresh = now < instance.stale_at
    refused = instance.observed and instance.phase is InstancePhase.FAILED and not carried
    if refused and (failure is None or failure.retry_at is None):
        text = f"{failure.reason}: {failure.message}" if failure else "the proxy refused the order"
        return _withdraw(text, instance.since)
    if now <= deadline:
        text = "" if not refused or failure is None else f"{failure.reason}: {failure.message}"
        return Way(Move.HOLD, NodePhase.REBOOTING, WaitReason.REBOOTING, text, None, deadline)
    if not carried and (fresh or (node.ready and ordered_in(instance, asked, node.boot_id))):
        return _withdraw("it did not begin its reboot in time; check the proxy's pod on this node", deadline)
    text = "it was ordered to reboot and did not come back in time; look at its console"
    reason = WaitReason.NEVER_CAME_BACK
    return Way(Move.HOLD, NodePhase.REBOOTING, reason, text, deadline, None, failed=reason)


def _withdraw(text: str, since: float | None) -> Way:
    reason = WaitReason.ACTIVATION_FAILED
    return Way(Move.WITHDRAW, NodePhase.FAILED, reason, text, since, None, failed=reason)
