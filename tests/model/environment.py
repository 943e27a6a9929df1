"""What may happen to one node: what is bound to come, what is a fault, what a person does. Each in words."""

from collections.abc import Iterator
from enum import Enum

from tests.model.machine import (
    FINAL,
    GONE,
    LONG,
    NOTHING,
    OWN,
    PREDECESSORS,
    RETRIES,
    RUNNING,
    Node,
    collected,
    normal,
    off,
    proxy,
    removed,
    replaced,
    up,
)


class Cost(Enum):
    """Whose doing it is: nature's own course is free; faults and persons are rationed."""

    FREE = "free"
    FAULT = "fault"
    PERSON = "person"


Step = tuple[Cost, str, Node]


def steps(node: Node) -> list[Step]:
    """Every step that this node may take by itself or suffer."""
    found = [*_course(node), *_faults(node), *_persons(node)]
    told = [(cost, text, normal(new)) for cost, text, new in found]
    return [step for step in told if step[2] != node]


BOOTS = {
    "trying": "it comes up in the trial",
    "returning": "it comes up on its good slot",
    "rebooting": "it comes up again",
}


def _course(node: Node) -> Iterator[Step]:
    free = Cost.FREE
    if not node.exists:
        return
    yield free, "its proxy acts and reports", proxy(node)
    if node.power in BOOTS:
        yield free, BOOTS[node.power], up(node)
    if node.power == "up":
        if not node.ready:
            yield free, "it gets Ready", node._replace(ready=True, ready_age=0)
        if node.silent:
            yield free, "its proxy is back", node._replace(silent=False)
        if node.phase == "Staging":
            yield free, "it has staged", staged(node)
        elif node.problem == RETRIES:
            yield free, "it tries to stage again", node._replace(phase="Idle", problem=0)
    yield from _around(node)


def _around(node: Node) -> Iterator[Step]:
    free = Cost.FREE
    if node.pods > RUNNING:
        yield free, "its pod is gone", node._replace(pods=GONE, refused=0)
    if node.blocked:
        yield free, "the disruption budget allows again", node._replace(blocked=False)
    if node.instance == PREDECESSORS:
        yield free, "its predecessor's OSInstance is collected", collected(node)


def staged(node: Node) -> Node:
    return node._replace(phase="Staged", staging=NOTHING, other=node.staging)


def _faults(node: Node) -> Iterator[Step]:
    fault = Cost.FAULT
    if not node.exists:
        return
    if node.power == "trying":
        yield fault, "it falls back", up(node, falls=True)
        yield fault, "it comes up in the trial and is not Ready", up(node, ready=False)
        yield fault, "it never comes back", off(node, "dead")
    elif node.power == "dead":
        yield fault, "it comes back late, on its good slot", up(node._replace(power="trying"), falls=True)
    elif node.power == "up":
        yield fault, "it restarts without an order", off(node, "rebooting")
        if node.ready:
            yield fault, "it goes NotReady", node._replace(ready=False, ready_age=0)
        if not node.silent:
            yield fault, "its proxy falls silent", node._replace(silent=True)
        if node.phase == "Staging":
            failed = node._replace(phase="Failed", staging=node.staging)
            yield fault, "staging fails and is tried again", failed._replace(problem=RETRIES)
            yield fault, "staging fails for good", failed._replace(problem=FINAL)
    if not node.blocked and node.pods == RUNNING:
        yield fault, "a disruption budget blocks its pod", node._replace(blocked=True)
    yield fault, "it is replaced by another machine of its name", replaced(node)


def _persons(node: Node) -> Iterator[Step]:
    person = Cost.PERSON
    if not node.exists:
        yield person, "it joins", Node(failed=node.failed)
        return
    held = node._replace(cordoned=True, admin=True, foreign=node.note is not None)
    free = node._replace(cordoned=False, admin=False, foreign=False, pods=RUNNING)
    if not node.cordoned:
        yield person, "a person cordons it", held
    else:
        yield person, "a person uncordons it", free
        if not node.admin:
            yield person, "a person uncordons it and cordons it again", held
    yield person, "a person removes it", removed(node)
    yield person, "a person relabels it", node._replace(chosen=not node.chosen)


def calm(node: Node) -> Node:
    """Faults are over, as far as they end by themselves, and the machine goes its way one step.

    A machine that is dead stays dead; a pod that is blocked for good stays.
    """
    if not node.exists:
        return node
    node = collected(node) if node.instance == PREDECESSORS else node
    node = node._replace(silent=False)
    if node.power in ("trying", "returning", "rebooting"):
        node = up(node)
    if node.power == "up" and not node.ready:
        node = node._replace(ready=True, ready_age=0)
    if node.phase == "Staging" and node.power == "up":
        node = staged(node)
    elif node.problem == RETRIES:
        node = node._replace(phase="Idle", problem=0)
    if node.pods > RUNNING:
        node = node._replace(pods=GONE, refused=0)
    return normal(proxy(node))


READY_MADE = Node(
    instance=OWN, goal="Stage", release=1, observed=True, other=1, phase="Staged", told_phase="Staged",
    told_run=0, told_good=True, told_other=1, fresh=True, ready_age=LONG,
)  # fmt: skip
"""A node that runs release 0 and has staged release 1."""
BARE = Node()
"""A node that nobody has seen yet."""

__all__ = ["BARE", "READY_MADE", "Cost", "Step", "calm", "steps"]
