"""Kubernetes' conditions of maintenance on Nodes that are moved, where their OS object asks for it (ADR 27).

They follow from the cordon's note and the reboot order, which survive a restart. A node that nobody moves
carries none of ours. A condition that somebody else set is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from os_operator.core.actions import Action, Cordon, SetConditions, SetOrders, SetTaints, Uncordon
from os_operator.core.node_way import in_orders
from os_operator.core.world import MAINTENANCE, Conditions, NodeView, OSView, World
from warmroot.api.osinstance import Goal

AT_ONCE = 50
"""Nodes whose conditions one pass writes."""
_IS_DRAINED = frozenset({"MaintenancePlanned", "DrainInProgress"})
_RESTARTS = frozenset({"MaintenanceInProgress", "Drained"})


def settle(world: World, actions: Iterable[Action]) -> Iterator[SetConditions]:
    """The writes that bring conditions to what is true, as many as one pass may do.

    A node that this pass takes a step on is left to the next pass, which knows how that went.
    """
    steps = None
    left = AT_ONCE
    for node in world.nodes.values():
        if node.note is None and not node.conditions:
            continue
        wanted = _wanted(world, node)
        if wanted == node.conditions:
            continue
        steps = _steps(actions) if steps is None else steps
        if node.name in steps:
            continue
        yield SetConditions(node.name, node.version, wanted, _message(node) if wanted else "")
        left -= 1
        if left == 0:
            return


def _steps(actions: Iterable[Action]) -> frozenset[str]:
    taken = {one.node for one in actions if isinstance(one, Cordon | Uncordon | SetTaints)}
    orders = (one for one in actions if isinstance(one, SetOrders))
    return frozenset(taken | {one.name for one in orders if one.orders.goal is Goal.ACTIVATE})


def _wanted(world: World, node: NodeView) -> Conditions:
    if node.note is None or not _asked(world.oses, node.note.os):
        return ()
    true = _RESTARTS if in_orders(world.instances.get(node.name)) else _IS_DRAINED
    return tuple((kind, kind in true) for kind in MAINTENANCE if kind not in node.foreign_conditions)


def _asked(oses: Mapping[str, OSView], name: str) -> bool:
    os = oses.get(name)
    return os is not None and os.spec is not None and os.spec.rollout.node_conditions


def _message(node: NodeView) -> str:
    assert node.note is not None
    return f"OS {node.note.os} moves this node to {node.note.digest[:19]}"
