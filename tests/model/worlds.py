"""Where the searches begin: small fleets, their rules, and how much may go wrong in each."""

from tests.model.environment import BARE, READY_MADE
from tests.model.machine import Node
from tests.model.planner import Os, Rules
from tests.model.space import Space, Start

TRYING = ("the operator", "the operator", "n0: its pod is gone", "the operator", "n0: its proxy acts")
"""The way of the first node from staged to the reboot that it was ordered."""
TRIAL = (*TRYING, "n0: it comes up in the trial", "n0: its proxy acts", "time passes")
UPDATED = (*TRIAL, "the operator", "n0: its proxy acts", "the operator")


DEEP = 99
"""Deeper than any search gets before it has seen as many worlds as it may."""
MOST = 70_000


def fleet(
    name: str,
    rules: Rules,
    size: int,
    depth: int,
    *,
    faults: int = 0,
    persons: int = 0,
    after: tuple[str, ...] = (),
    node: Node = READY_MADE,
) -> Start:
    """A fleet of equal nodes on which `after` has happened already."""
    os = Os(faults, persons)
    nodes = (node,) * size
    if after:
        space = Space(Start(name, rules, Os(0, 0), nodes, 0))
        world = space.intern(Os(0, 0), nodes)
        for words in after:
            world = next(new for told, new in space.onward(world) if told.startswith(words))
        told, nodes = space.open(world)
        os = told._replace(faults=faults, persons=persons)
    return Start(name, rules, os, nodes, depth, MOST)


WAVES = Rules(waves=True, approval=True, soak=2, max_failed=1)

WORLDS = (
    fleet("three nodes, nothing staged", Rules(), 3, DEEP, faults=2, node=BARE),
    fleet("three staged nodes", Rules(), 3, DEEP, faults=1),
    fleet("three, two may be down", Rules(max_unavailable=2, max_failed=1), 3, DEEP, faults=2),
    fleet("four, two may be down", Rules(max_unavailable=2), 4, DEEP, faults=1),
    fleet("two, three faults", Rules(max_failed=1), 2, DEEP, faults=3),
    fleet("two, what persons do", Rules(), 2, DEEP, persons=3),
    fleet("two, faults and persons", Rules(), 2, DEEP, faults=2, persons=2),
    fleet("two waves", WAVES, 3, DEEP, persons=2, faults=1),
    fleet("two waves after the first", WAVES, 3, DEEP, persons=1, faults=2, after=UPDATED),
    fleet("a trial that may fail", Rules(max_failed=1), 3, DEEP, faults=2, after=TRYING),
    fleet("a trial that persons meddle with", Rules(), 2, DEEP, faults=1, persons=2, after=TRIAL),
    fleet("drains that are skipped", Rules(on_timeout="Skip"), 2, DEEP, faults=3),
    fleet("drains that are forced", Rules(on_timeout="Force"), 2, DEEP, faults=2, persons=1),
    fleet("drains that abort", Rules(on_timeout="Abort"), 2, DEEP, faults=2, persons=1),
    fleet("one node, much of everything", Rules(max_failed=1), 1, DEEP, faults=4, persons=4),
)

WALKS = (
    fleet("a walk of six", Rules(max_unavailable=2, max_failed=2), 6, 120, faults=12, persons=6),
    fleet(
        "a walk of six in waves", WAVES._replace(max_failed=3, first_fails=1), 6, 120, faults=12, persons=8
    ),
    fleet("a walk of five that skip", Rules(on_timeout="Skip", max_failed=2), 5, 120, faults=12, persons=6),
)
"""As deep as a walk is long."""
