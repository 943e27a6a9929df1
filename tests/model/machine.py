"""One node as plain data: the machine, its Node, its OSInstance, its pods. Times are ticks before now.

An independent reading of docs/node-protocol.md: it shares no code with the operator or the proxy. Releases
are small numbers, sets of them are bit masks, boots are ranked: only which of them are equal matters.
"""

from typing import NamedTuple

NOTHING = -1
LONG = 3
"""Ages and overdue deadlines stop here: no duration of a model world is longer."""
ReleaseAt = tuple[int, int, bool]
Asked = tuple[str, int, int]
"""A reboot order's identity: goal, release, the boot that it was given in."""
Order = tuple[str, int, int, int]
"""The same with the ticks that are left."""


class Node(NamedTuple):
    """A node. `fell`: releases that fell back here and that no person forgave; `admin`: a person wants it
    cordoned; `kept`: what the proxy's note says fell back. `told_…` is the proxy's last report.
    """

    exists: bool = True
    chosen: bool = True
    run: int = 0
    other: int = NOTHING
    trial: bool = False
    power: str = "up"
    silent: bool = False
    boot: int = 0
    up_age: int = LONG
    phase: str = "Idle"
    problem: int = 0
    staging: int = NOTHING
    carried: Asked | None = None
    spent: tuple[Asked, ...] = ()
    twice: bool = False
    fell: int = 0
    kept: int = 0
    bar_seen: int = 0
    ready: bool = True
    ready_age: int = LONG
    node_boot: int = 0
    cordoned: bool = False
    note: ReleaseAt | None = None
    admin: bool = False
    foreign: bool = False
    pods: int = 1
    blocked: bool = False
    refused: int = 0
    instance: int = 0
    goal: str = "None"
    release: int = NOTHING
    order: Order | None = None
    barred: int = 0
    observed: bool = False
    told_phase: str = ""
    told_problem: int = 0
    told_boot: int = 0
    told_run: int = NOTHING
    told_good: bool = False
    told_other: int = NOTHING
    told_carried: Asked | None = None
    fresh: bool = False
    failed: tuple[str, int] | None = None


GONE, RUNNING, ENDING, OVERDUE = range(4)
"""What is on a node that has to be drained: nothing, a pod, one that ends, one that ends for too long."""
NONE, OWN, PREDECESSORS = range(3)
"""Whose OSInstance there is under the node's name."""
RETRIES, FINAL = 1, 2
"""A proxy's problem: it tries again, or a person is needed."""


def bit(release: int) -> int:
    return 1 << release if release >= 0 else 0


def normal(node: Node) -> Node:
    """The same node without what makes no difference: how boots are numbered, and ages that nobody asks for.

    Since when a node is Ready and up is asked from its reboot order on, and of one that fell back.
    """
    if node.goal in ("None", "Stage"):
        up_age = node.up_age if "FellBack" in (node.phase, node.told_phase) else LONG
        ready_age = LONG if node.ready else node.ready_age
        if (up_age, ready_age) != (node.up_age, node.ready_age):
            node = node._replace(up_age=up_age, ready_age=ready_age)
    return _ranked(node)


def _ranked(node: Node) -> Node:
    seen = {node.boot, node.node_boot, node.told_boot}
    seen |= {order[2] for order in (node.order, node.carried, node.told_carried) if order is not None}
    # An order's identity names a boot: of a boot that nobody speaks of any more no order can be made again.
    spent = tuple(one for one in node.spent if one[2] in (node.boot, node.node_boot, node.told_boot))
    if max(seen) == len(seen) - 1 and spent == node.spent:
        return node
    rank = {boot: number for number, boot in enumerate(sorted(seen))}
    order, carried, told = node.order, node.carried, node.told_carried
    return node._replace(
        boot=rank[node.boot],
        node_boot=rank[node.node_boot],
        told_boot=rank[node.told_boot],
        order=None if order is None else (order[0], order[1], rank[order[2]], order[3]),
        carried=None if carried is None else (carried[0], carried[1], rank[carried[2]]),
        told_carried=None if told is None else (told[0], told[1], rank[told[2]]),
        spent=tuple((goal, release, rank[boot]) for goal, release, boot in spent),
    )


def proxy(node: Node) -> Node:
    """The proxy looks at its orders, does what is missing, and reports."""
    if not (node.exists and node.power == "up" and not node.silent and node.instance == OWN):
        return node
    seen = (node.bar_seen | node.barred) & node.kept
    kept = node.kept & ~(seen & ~node.barred)
    node = _obey(node._replace(kept=kept, bar_seen=seen & kept))
    if node.power == "returning":
        return node
    return node._replace(
        observed=True,
        told_phase=node.phase,
        told_problem=node.problem,
        told_boot=node.boot,
        told_run=node.run,
        told_good=not node.trial,
        told_other=node.other,
        told_carried=node.carried,
        fresh=True,
    )


def _obey(node: Node) -> Node:
    if node.goal == "Stage" and not node.trial:
        return _stage(node)
    if node.goal in ("Confirm", "Rollback") and not node.trial:
        return _nothing_on_trial(node)
    if node.goal in ("Activate", "Rollback"):
        return _reboot(node)
    if node.goal == "Confirm" and node.trial and node.run == node.release:
        return node._replace(trial=False, phase="Confirmed", problem=0)
    if node.goal == "None" and not node.trial:
        return node._replace(phase="FellBack" if node.kept else "Idle", problem=0, staging=NOTHING)
    return node


def _stage(node: Node) -> Node:
    wanted = node.release
    if node.barred & bit(wanted):
        return node._replace(phase="Failed", problem=FINAL, staging=NOTHING)
    if node.kept & bit(wanted):
        return node._replace(phase="FellBack", problem=0, staging=NOTHING)
    if node.run == wanted:
        return node._replace(phase="Confirmed", problem=0, staging=NOTHING)
    if node.other == wanted:
        return node._replace(phase="Staged", problem=0, staging=NOTHING)
    if node.staging == wanted and (node.phase == "Staging" or node.problem == FINAL):
        return node
    return node._replace(phase="Staging", problem=0, staging=wanted, other=NOTHING)


def _nothing_on_trial(node: Node) -> Node:
    if node.run == node.release:
        return node._replace(phase="Confirmed", problem=0)
    if node.kept & bit(node.release):
        return node._replace(phase="FellBack", problem=0)
    return node._replace(phase="Failed", problem=FINAL)


def _reboot(node: Node) -> Node:
    goal, release, boot, left = node.order or ("", NOTHING, 0, 0)
    asked = (goal, release, boot)
    if asked == node.carried or node.trial != (node.goal == "Rollback"):
        return node
    if node.goal == "Activate" and node.kept & bit(release):
        return node._replace(phase="FellBack", problem=0)
    if left < 0 or (node.goal == "Activate" and (node.other != release or node.barred & bit(release))):
        return node._replace(phase="Failed", problem=FINAL)
    again = asked in node.spent
    node = node._replace(carried=asked, spent=(*node.spent, asked), twice=again)
    if node.goal == "Activate":
        return node._replace(phase="Activating", problem=0, power="trying")
    return node._replace(power="returning")


def up(node: Node, ready: bool = True, falls: bool = False) -> Node:
    """The machine is on again: in the trial, back on its good slot, or where it was."""
    trial = node.power == "trying" and not falls
    back = node.trial and node.power != "trying"
    fell = node.run if back else node.other if node.power == "trying" and falls else NOTHING
    run, other = (node.other, node.run) if trial or back else (node.run, node.other)
    kept = node.kept | bit(fell)
    phase = "Trial" if trial else "FellBack" if kept else "Idle"
    boot = max(node.boot, node.node_boot, node.told_boot) + 1
    changed = ready != node.ready
    return node._replace(
        run=run, other=other, trial=trial, power="up", silent=False, boot=boot, up_age=0, phase=phase,
        problem=0, staging=NOTHING, fell=node.fell | bit(fell), kept=kept, ready=ready,
        ready_age=0 if changed else node.ready_age, node_boot=boot,
    )  # fmt: skip


def off(node: Node, power: str) -> Node:
    return node._replace(power=power, staging=NOTHING)


def later(node: Node) -> Node:
    """A tick has passed. A proxy that is up and not silent has looked at its orders and sent a heartbeat."""
    node = proxy(node)
    away = node.power != "up"
    down = away and node.ready
    order, note, failed = node.order, node.note, node.failed
    return node._replace(
        ready=node.ready and not away,
        ready_age=0 if down else min(LONG, node.ready_age + 1),
        up_age=min(LONG, node.up_age + 1),
        order=None if order is None else (*order[:3], max(-LONG, order[3] - 1)),
        note=None if note is None else (note[0], min(LONG, note[1] + 1), note[2]),
        failed=None if failed is None else (failed[0], min(LONG, failed[1] + 1)),
        refused=2 if node.refused else 0,
        pods=OVERDUE if node.pods == ENDING else node.pods,
        fresh=node.fresh and not away and not node.silent,
    )


def replaced(node: Node) -> Node:
    """Another machine under the same name; what the old one's OSInstance says stands until it is removed."""
    whose = PREDECESSORS if node.instance else NONE
    old = ("goal", "release", "order", "barred", "observed", "failed", "fresh")
    told = [name for name in Node._fields if name.startswith("told_")]
    kept = {name: getattr(node, name) for name in (*old, *told)}
    boot = max(node.boot, node.node_boot, node.told_boot) + 1
    return Node(chosen=node.chosen, instance=whose, boot=boot, node_boot=boot, ready_age=0, up_age=0, **kept)


def collected(node: Node) -> Node:
    """The garbage collector removes an OSInstance whose owner is gone."""
    fresh = Node()
    gone = ("instance", "goal", "release", "order", "barred", "observed", "fresh")
    told = [name for name in Node._fields if name.startswith("told_")]
    return node._replace(**{name: getattr(fresh, name) for name in (*gone, *told)})


def removed(node: Node) -> Node:
    """Its Node is deleted, and the OSInstance that the Node owned with it."""
    return Node(exists=False, pods=GONE, failed=node.failed)
