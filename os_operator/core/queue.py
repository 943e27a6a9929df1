"""Who begins next, of the nodes that could: by wave, order and zone (rollout.md, "A node's way").

Nothing is held for a node that can't come by itself. A node that is not Ready, or whose proxy is silent, is
passed over in its order and in its zone; only a wave that names nodes waits for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from os_operator.core.node_way import Move, Way
from os_operator.core.survey import Pair, Pass
from os_operator.core.waves import Progress
from os_operator.core.world import NodeView
from warmroot.api.reasons import NodePhase, WaitReason

Key = Callable[[NodeView], tuple[bool, int, bool, bool, str]]


@dataclass(frozen=True, slots=True)
class Queue:
    """`next` may begin now, in this order, while budget and wave have room. `held`: who waits for what."""

    next: list[Pair]
    held: list[tuple[Way, list[Pair]]]


def by_turn(state: Pass, wave: Progress | None, *, last: bool) -> Key:
    """Sorts nodes: those that the wave names, then by `rollout.order`; within it nodes that joined late, then
    those that are down already, then by name.

    Where others follow, a node that joined late comes late: without workloads it proves little to those.
    """
    order = state.rollout.order
    named = wave.step.members if wave is not None else None
    if not order and named is None:  # as most objects have it, and with thousands of nodes to sort
        return lambda node: (False, 0, node.closed is not last, not node.unschedulable, node.name)

    def key(node: NodeView) -> tuple[bool, int, bool, bool, str]:
        rank = next((at for at, one in enumerate(order) if one.matches(node.labels)), len(order))
        other = named is not None and node.name not in named
        return (other, rank, node.closed is not last, not node.unschedulable, node.name)

    return key


def line_up(state: Pass, wave: Progress, waiting: Sequence[Pair]) -> Queue:
    """Orders those that could begin, and holds back those whose turn it is not."""
    if not waiting:
        return Queue([], [])
    turn = by_turn(state, wave, last=wave.last)
    queue = Queue(sorted(waiting, key=lambda pair: turn(pair[0])), [])
    if wave.step.members is not None:
        _only_the_wave(queue, wave, wave.step.members)
    if state.rollout.order:
        _in_order(queue, turn, _coming(state, wave))
    if state.rollout.topology_key is not None:
        _zone_by_zone(queue, state, state.rollout.topology_key, _coming(state, wave))
    return queue


def _hold(queue: Queue, reason: WaitReason, message: str, held: Callable[[NodeView], bool]) -> None:
    back = [pair for pair in queue.next if held(pair[0])]
    if back:
        queue.next[:] = [pair for pair in queue.next if not held(pair[0])]
        queue.held.append((Way(Move.NOTHING, NodePhase.STAGED, reason, message), back))


def _only_the_wave(queue: Queue, wave: Progress, members: frozenset[str]) -> None:
    text = f"wave {wave.step.name} takes the nodes that its selector names"
    _hold(queue, WaitReason.WAVE, text, lambda node: node.name not in members)


def _coming(state: Pass, wave: Progress) -> list[NodeView]:
    """Nodes that will be able to begin without anybody's help: they download, or are about to."""
    tally, named = state.tally, wave.step.members
    begin = (node for node, _ in tally.to_stage)
    nodes = [*tally.downloading, *begin, *(node for node, _, _ in tally.absent)]
    return [node for node in nodes if node.ready and (named is None or node.name in named)]


def _in_order(queue: Queue, turn: Key, coming: Iterable[NodeView]) -> None:
    """A slower download does not lose its place to a node behind it."""
    first = min(coming, key=turn, default=None)
    if first is not None:
        rank = turn(first)[:2]
        text = f"{first.name} comes before it (rollout.order)"
        _hold(queue, WaitReason.ORDER, text, lambda node: turn(node)[:2] > rank)


def _zone_by_zone(queue: Queue, state: Pass, key: str, coming: Sequence[NodeView]) -> None:
    """One zone at a time: the one in which nodes move, then one that is begun, then the first in line."""

    def zone(node: NodeView) -> str:
        return node.labels.get(key, "")

    moving = {zone(node) for node, _, _ in state.tally.in_motion}
    places = {zone(pair[0]): place for place, pair in reversed(list(enumerate(queue.next)))}
    zones = moving or {*places, *map(zone, coming)}
    if not zones or not queue.next:
        return
    begun = moving or _begun(state, zone)
    last = len(queue.next)
    chosen = min(zones, key=lambda one: (one not in begun, places.get(one, last), one))
    text = f"zone {chosen or 'none'} comes before its own ({key}, rollout.topologyKey)"
    _hold(queue, WaitReason.TOPOLOGY, text, lambda node: zone(node) != chosen)


def _begun(state: Pass, zone: Callable[[NodeView], str]) -> set[str]:
    """Zones of which a node runs the target already."""
    instances = state.world.instances
    return {
        zone(node)
        for node in state.members
        if (one := instances.get(node.name)) is not None
        and one.confirmed
        and one.booted_digest == state.target
    }
