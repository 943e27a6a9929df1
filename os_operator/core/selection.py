"""Which OS object a node belongs to, and who finishes a node that is being moved.

Two objects that select one node both get `Conflicting`, and neither takes the node. An object that is being
deleted claims nothing. A node in motion belongs to the object that moved it until it is done, even if labels
or objects change meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from os_operator.core.node_way import in_orders
from os_operator.core.world import InstanceView, NodeView, OSView, World
from warmroot.api.osinstance import Goal

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass(slots=True)
class Selection:
    """`members` of each OS by its selector; `conflicts`: node to the OS objects that want it.

    `strays`: nodes in motion whose mover does not (or not alone) select them, by the mover's name.
    `adrift`: nodes that no object wants and whose OSInstance still has an order to stage.
    """

    members: dict[str, list[NodeView]]
    conflicts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    strays: dict[str, list[NodeView]] = field(default_factory=dict)
    adrift: list[NodeView] = field(default_factory=list)


def select(world: World) -> Selection:
    """Who selects what, in one look at each node and OS object."""
    members = {
        name: [node for node in world.nodes.values() if chosen(node.labels)]
        for name, os in sorted(world.oses.items())
        for chosen in (_chooser(os),)
    }
    claims = {name: nodes for name, nodes in members.items() if not world.oses[name].deleting}
    result = Selection(members, _conflicts(claims))
    claimed = {node.name: name for name, nodes in claims.items() for node in nodes}
    instances = world.instances
    for node in world.nodes.values():
        instance = instances.get(node.name)
        moving = node.note is not None or in_orders(instance)
        if not moving and node.name in claimed:
            continue
        claimer = claimed.get(node.name, "")
        if moving:
            mover = mover_of(node, instance)
            if mover != claimer or node.name in result.conflicts:
                result.strays.setdefault(mover, []).append(node)
        elif not claimer and instance is not None and instance.goal is Goal.STAGE:
            result.adrift.append(node)
    return result


def mover_of(node: NodeView, instance: InstanceView | None) -> str:
    """The OS object on whose behalf a node is in motion."""
    if node.note is not None:
        return node.note.os
    return instance.os if instance is not None else ""


def _conflicts(claims: Mapping[str, list[NodeView]]) -> dict[str, tuple[str, ...]]:
    if len(claims) < 2:
        return {}
    by_node: dict[str, list[str]] = {}
    for name, nodes in claims.items():
        for node in nodes:
            by_node.setdefault(node.name, []).append(name)
    return {node: tuple(names) for node, names in by_node.items() if len(names) > 1}


def _chooser(os: OSView) -> Callable[[Mapping[str, str]], bool]:
    if os.spec is None:
        return lambda _: False
    selector = os.spec.node_selector
    return selector.chooser() if selector is not None else lambda labels: CONTROL_PLANE not in labels
