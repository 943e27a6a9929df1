"""Which nodes carry `warmroot.io/not-current`, and with which effect (ADR 27).

`PreferNoSchedule` is ours: while the last wave takes nodes, those that are still to be moved carry it, so
that an evicted pod goes where it can stay. `NoSchedule` is the administrator's: a kubelet registers with it,
and we take it off a node that is current. No other taint is ever touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from os_operator.core.actions import Action, Cordon, SetTaints, Uncordon
from os_operator.core.survey import Pass
from os_operator.core.world import AVOIDED, CLOSED, NodeView, World

AT_ONCE = 50
"""Nodes whose taints one pass writes: when a thousand nodes begin to need one, no drain is kept waiting."""


@dataclass(slots=True)
class Wanted:
    """What the passes of all OS objects want: the names of nodes to avoid, and of those to open."""

    avoided: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)

    def take_in(self, done: Pass) -> None:
        """Adds one object's. One that is deleted, or that nothing may begin for, wants no node avoided."""
        os, tally = done.os, done.tally
        if os.deleting or not os.finalizer:
            return
        self.opened.update(node.name for node in tally.arrived if node.name not in done.conflicts)
        if done.moves_on:
            ahead = [*tally.behind, *(node for node, _ in (*tally.to_stage, *tally.to_admit))]
            # Begun now, or begun before and only just now no node is in motion.
            if tally.in_progress or any(node.avoided for node in ahead):
                self.avoided.update(node.name for node in ahead)


def settle(world: World, wanted: Wanted, actions: Iterable[Action]) -> Iterator[SetTaints]:
    """The writes that bring taints to what is wanted, as many as one pass may do."""
    taken = {action.node for action in actions if isinstance(action, Cordon | Uncordon)}
    left = AT_ONCE
    avoided, opened = wanted.avoided, wanted.opened
    for node in world.nodes.values():
        avoid = node.name in avoided
        if avoid == node.avoided and not (node.closed and node.name in opened):
            continue
        if node.name not in taken:
            yield _changed(node, avoid)
            left -= 1
            if left == 0:
                return


def _changed(node: NodeView, avoid: bool) -> SetTaints:
    if avoid == node.avoided:
        return SetTaints(node.name, node.version, node.without_taint(CLOSED))
    taints = node.with_taint(AVOIDED) if avoid else node.without_taint(AVOIDED)
    return SetTaints(node.name, node.version, taints)
