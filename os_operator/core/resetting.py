"""Settings that failed are taken back: each node that has them returns to those that it had before.

This is rule 10 of rollout.md, for settings that were changed without a release; those that came with one go
back with it (`returning`). What a node returns to it keeps itself, with its text, so an order names a
revision alone. The failures that the stored status has decide, as for a release: whoever forgives them, or
wants other settings, ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from os_operator.core.failures import Ledger, named, settings_failed
from os_operator.core.node_way import BARRED, WANTS_CONFIG, Move, Settings, Way, configured, in_orders
from os_operator.core.waves import Progress
from os_operator.core.world import InstanceView, NodeView
from warmroot.api.os import FailedPart, FailureAction, Rollout
from warmroot.api.osinstance import Goal
from warmroot.api.reasons import NodePhase, WaitReason

GOES_BACK = Way(Move.ADMIT, NodePhase.PENDING)
"""It has the settings that failed, and others to return to."""
NO_FORMER = Way(
    Move.NOTHING,
    NodePhase.FAILED,
    WaitReason.NO_WAY_BACK,
    "it keeps no settings from before that it could return to; it keeps those that failed",
)


@dataclass(frozen=True, slots=True)
class Undone:
    """Settings that failed on `nodes`. They are taken back there if `back`, and from all if `everywhere`."""

    settings: Settings
    nodes: frozenset[str]
    back: bool
    everywhere: bool

    @property
    def revision(self) -> str:
        """Which settings failed."""
        return self.settings.revision


def undone(ledger: Ledger, settings: Settings, rollout: Rollout, wave: Progress) -> Undone:
    """What follows from the failures of settings that are recorded."""
    nodes = frozenset(entry.node for entry in ledger.counted(FailedPart.SETTINGS))
    back = rollout.failure.action is FailureAction.ROLLBACK
    return Undone(settings, nodes, back, back and bool(settings_failed(ledger, rollout, wave)))


def resettled(
    undone: Undone,
    node: NodeView,
    instance: InstanceView | None,
    target: str | None,
    way: Way,
    ready_seconds: float,
    now: float,
) -> Way:
    """A node's place, where `way` is its place if no settings had failed."""
    if instance is None or not _stands(node, instance, target) or now >= instance.stale_at:
        return way
    here = node.name in undone.nodes
    if undone.back and (here or undone.everywhere):
        if instance.goal is Goal.CONFIGURE and instance.config != undone.revision:
            back = undone.settings._replace(revision=instance.config)
            return _on_the_way(configured(node, instance, back, ready_seconds, now), instance)
        if instance.in_force == undone.revision:
            return NO_FORMER if instance.former in (None, undone.revision) else GOES_BACK
    return BARRED if here and way is WANTS_CONFIG else way


def keeps_its_place(instance: InstanceView) -> bool:
    """Whether a node that goes back was still to prove itself with the settings that failed.

    It is among those that may be down at once already: it goes back at once, and until then nobody else may
    take that place.
    """
    return instance.goal is Goal.CONFIGURE


def _stands(node: NodeView, instance: InstanceView, target: str | None) -> bool:
    """Whether it runs the target and is not being moved."""
    if instance.node_uid != node.uid or node.note is not None or in_orders(instance):
        return False
    return instance.confirmed and target is not None and instance.booted_digest == target


def _on_the_way(way: Way, instance: InstanceView) -> Way:
    way = way._replace(failed=None)  # what failed is what it comes from
    if way.reason is WaitReason.CONFIGURING:
        way = way._replace(message=f"it returns to {named(instance.config)}")
    return way
