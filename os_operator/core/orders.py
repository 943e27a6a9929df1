"""Reboot orders. An order's identity is made from what it is about, so that a restart never orders twice."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from os_operator.core.actions import Orders
from os_operator.core.world import Config, InstanceView, NodeView, Order
from warmroot.api.os import ReleaseRef
from warmroot.api.osinstance import Goal

MOVING = frozenset({Goal.ACTIVATE, Goal.CONFIRM, Goal.ROLLBACK})
"""Goals of a node that has been, or is being, rebooted."""


def reboot_id(node_uid: str, digest: str, goal: Goal, boot_id: str) -> str:
    """Identity of the reboot that `goal` for `digest` asks of a node that runs boot `boot_id`."""
    text = "\0".join((node_uid, digest, goal.value, boot_id))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def ordered_in(instance: InstanceView, goal: Goal, boot_id: str) -> bool:
    """Whether the order that stands was given to a node that ran boot `boot_id`."""
    if instance.order is None or instance.digest is None:
        return False
    return instance.order.id == reboot_id(instance.node_uid, instance.digest, goal, boot_id)


def stage(
    os: str,
    release: ReleaseRef,
    digest: str,
    config: Config,
    bandwidth: int | None,
    barred: tuple[str, ...],
) -> Orders:
    """Download `digest` into the inactive slot, and its settings; `bandwidth` in bytes per second."""
    sources = (release.source, *release.mirrors)
    return Orders(os, Goal.STAGE, digest, release.version, sources, bandwidth, barred, config=config)


def stage_back(instance: InstanceView, os: str, release: ReleaseRef, bandwidth: int | None) -> Orders:
    """Make what the inactive slot holds ready to run again, with the settings that it has there."""
    sources = (release.source, *release.mirrors)
    settings = Config(instance.kept_config)
    about = (instance.verified_digest, instance.kept_version, sources, bandwidth, instance.barred)
    return Orders(os, Goal.STAGE, *about, config=settings)


def configure(os: str, release: ReleaseRef, digest: str, config: Config, barred: tuple[str, ...]) -> Orders:
    """Put these settings in force on a node that runs `digest`."""
    sources = (release.source, *release.mirrors)
    return Orders(os, Goal.CONFIGURE, digest, release.version, sources, None, barred, config=config)


def reset(os: str, release: ReleaseRef, digest: str, instance: InstanceView) -> Orders:
    """Return to the settings that a node keeps, which runs `digest`."""
    former = instance.former
    assert former is not None
    return configure(os, release, digest, Config(former), instance.barred)


def activate(node: NodeView, instance: InstanceView, deadline: float) -> Orders:
    """Boot what is staged, once, before `deadline`."""
    return _reboot(node, instance, Goal.ACTIVATE, deadline)


def rollback(node: NodeView, instance: InstanceView, deadline: float) -> Orders:
    """Leave the trial for the good slot, once, before `deadline`."""
    return _reboot(node, instance, Goal.ROLLBACK, deadline)


def _reboot(node: NodeView, instance: InstanceView, goal: Goal, deadline: float) -> Orders:
    assert instance.digest is not None
    boot_id = instance.boot_id or node.boot_id
    order = Order(reboot_id(instance.node_uid, instance.digest, goal, boot_id), float(int(deadline)))
    return _same_release(instance, goal, instance.barred, order)


def confirm(instance: InstanceView, now: float) -> Orders:
    """Make the trial slot good. The order that brought it there stays on record, and has not run out."""
    order = instance.order
    if order is not None and order.deadline < now:
        order = replace(order, deadline=float(int(now)))
    return _same_release(instance, Goal.CONFIRM, instance.barred, order)


def rest(instance: InstanceView, barred: tuple[str, ...]) -> Orders:
    """Nothing is wanted of this node now."""
    return Orders(instance.os, Goal.NONE, barred=barred)


def _same_release(instance: InstanceView, goal: Goal, barred: tuple[str, ...], order: Order | None) -> Orders:
    return Orders(
        instance.os,
        goal,
        instance.digest,
        instance.release_version,
        instance.sources,
        instance.bandwidth,
        barred,
        order,
        Config(instance.config, None),
    )
