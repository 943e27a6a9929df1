"""What must hold whatever happens (architecture.md R1 to R6, rollout.md), said of machines and not of plans.

Nothing of the operator is used here. A breach is a sentence that begins with the promise's name.
"""

from collections.abc import Sequence

from tests.model.machine import GONE, NOTHING, OVERDUE, OWN, Node, bit
from tests.model.planner import FIRST_WAVE, Change, Os, Rules


def down(node: Node) -> bool:
    """Whether the cluster knows that no pods can run here, for whatever reason."""
    return node.cordoned or not node.ready


def moved(node: Node, release: int) -> bool:
    """Whether a release has come to an end here: it is good, or it was tried and failed."""
    return (node.run == release and not node.trial) or bool(node.fell & bit(release))


def begun(node: Node, release: int) -> bool:
    """Whether it is known that a release was begun here, or runs."""
    noted = node.note is not None and node.note[0] == release
    told = node.instance == OWN and (node.told_run == release or bool(node.barred & bit(release)))
    return noted or told


def members(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.exists and node.chosen]


def breach(rules: Rules, os: Os, nodes: Sequence[Node], change: Change) -> str:
    """What this change breaks in the world in which it is carried out; empty where nothing."""
    kind, at, what = change
    if at == NOTHING:
        return ""
    node = nodes[at]
    if kind == "cordon":
        return _budget(rules, nodes, at) or ("" if node.note is not None else _begin(rules, os, nodes, at))
    if kind == "uncordon" and what and node.admin:
        return "R2: a cordon that a person set is lifted"
    if kind == "order":
        return _order(rules, os, nodes, at, what)
    if kind == "force" and (rules.on_timeout != "Force" or _drained_for(node) < rules.drain):
        return "drain: a pod is deleted past its disruption budget before the drain is out of time"
    if kind == "create" and node.instance == OWN:
        return "R6: an OSInstance is created that is there"
    return ""


def _drained_for(node: Node) -> int:
    return node.note[1] if node.note is not None else 0


def _budget(rules: Rules, nodes: Sequence[Node], at: int) -> str:
    if down(nodes[at]):
        return ""
    others = sum(
        1 for number, node in enumerate(nodes) if number != at and node.exists and node.chosen and down(node)
    )
    if others + 1 > rules.max_unavailable:
        return f"R1: it would be node {others + 1} that is down, {rules.max_unavailable} may"
    return ""


def _begin(rules: Rules, os: Os, nodes: Sequence[Node], at: int) -> str:
    """R4, and what stops a rollout: a node is only begun where everything allows it."""
    against = {
        "R4: a node is begun for an OS object that is deleted": not os.exists or os.deleting,
        "R4: a node is begun that nobody selects": not nodes[at].chosen,
        "R4: a node is begun while the rollout is paused": os.paused,
        "R4: a node is begun outside its window": os.closed,
        "R3: a node is begun for a release that fell back there": nodes[at].fell & bit(os.target),
    }
    for words, true in against.items():
        if true:
            return words
    if stop := _halted(rules, os, nodes):
        return f"halt: a node is begun though {stop}"
    return _second_wave(rules, os, nodes, at) if rules.waves else ""


def _second_wave(rules: Rules, os: Os, nodes: Sequence[Node], at: int) -> str:
    others = members([*nodes[:at], *nodes[at + 1 :]])
    if sum(begun(node, os.target) for node in others) < FIRST_WAVE:
        return ""
    if rules.approval and not os.approved & bit(os.target):
        return "R4: a node of the second wave is begun that no person approved"
    over = (
        os.wave is not None and os.stored == os.target and os.wave[0] > 0
    )  # that was judged when it happened
    if not over and (os.full_since == NOTHING or os.full_since < rules.soak):
        return "R4: a node of the second wave is begun before the first has soaked"
    return ""


def _halted(rules: Rules, os: Os, nodes: Sequence[Node]) -> str:
    """Fallbacks that the proxies have told and no person forgave, counted."""
    known = sum(
        1
        for node in members(nodes)
        if node.fell & bit(os.target) and node.instance == OWN and node.barred & bit(os.target)
    )
    if known > rules.max_failed:
        return f"{known} fell back and {rules.max_failed} may"
    first = os.wave is None or os.stored != os.target or os.wave[0] == 0
    if rules.waves and first and known > rules.first_fails:
        return f"{known} fell back in the first wave and {rules.first_fails} may"
    return ""


def _order(rules: Rules, os: Os, nodes: Sequence[Node], at: int, what: tuple[str, int, object, int]) -> str:
    node, (goal, release, order, _) = nodes[at], what
    if goal in ("Stage", "Activate") and node.instance != OWN:
        return "R5: the OSInstance of an earlier machine is given an order"
    if goal == "Stage":
        return _stage(rules, os, nodes, at, release)
    if goal == "Activate":
        return _activate(rules, node, release, order)
    if goal == "Confirm":
        return _confirm(rules, node, release)
    if goal == "None" and node.goal == "Activate" and node.told_carried == (node.order or ())[:3]:
        returned = node.told_boot != node.told_carried[2] and not node.trial
        return "" if returned else "R5: an order is taken back whose reboot is under way"
    return ""


def _stage(rules: Rules, os: Os, nodes: Sequence[Node], at: int, release: int) -> str:
    node = nodes[at]
    if not os.exists or os.deleting or not node.chosen:
        return "R4: a download is begun that no OS object wants"
    if os.paused:
        return "R4: a download is begun while the rollout is paused"
    if node.fell & bit(release):
        return "R3: a release is written again where it fell back"
    if node.trial and node.told_phase == "Trial":
        return "I2: the good slot would be written during a trial"
    if release == os.target and (stop := _halted(rules, os, nodes)):
        return f"halt: a download is begun though {stop}"
    return ""


def _activate(rules: Rules, node: Node, release: int, order: object) -> str:
    if node.fell & bit(release):
        return "R3: a release is activated again where it fell back"
    if not node.cordoned or node.note is None:
        return "drain: a node that is not cordoned is ordered to reboot"
    forced = rules.on_timeout == "Force" and _drained_for(node) >= rules.drain and node.pods == OVERDUE
    if node.pods != GONE and not forced:
        return "drain: a node is ordered to reboot that still has its pod"
    if isinstance(order, tuple) and order[:3] in node.spent:
        return "once: a reboot is ordered again that was carried out"
    if node.goal == "Activate" and node.order is not None and node.release == release:
        return "once: a second order for the same reboot"
    return ""


def _confirm(rules: Rules, node: Node, release: int) -> str:
    if node.told_run != release or node.told_good:
        return "health: a release is confirmed that is not on trial"
    healthy = node.ready and node.node_boot == node.told_boot
    if not healthy or node.ready_age < rules.ready or node.up_age < rules.ready:
        return "health: a node is confirmed that was not Ready for long enough"
    return ""


def suffered(node: Node) -> str:
    """What a node should never live to see."""
    if node.twice:
        return "once: a node reboots again for an order that it had carried out"
    return ""


PERSON = frozenset(
    {
        "StagingFailed", "Budget", "Approval", "Paused", "Halted", "Barred", "DrainBlocked",
        "DrainFailed", "ActivationFailed", "NeverCameBack", "NotReady", "FellBack", "Unhealthy",
        "ProxySilent", "Window",
    }
)  # fmt: skip
"""Reasons that a person, and nobody else, must do something about. The rest pass by themselves."""


def ends_well(rules: Rules, os: Os, nodes: Sequence[Node], rows: dict[int, str]) -> str:
    """What is wrong with a world in which nothing happens any more. `rows`: node and reason of
    `status.waiting`.
    """
    for at, node in enumerate(nodes):
        reason = rows.get(at, "")
        if not node.exists:
            continue
        if wrong := _cordon_at_rest(node, reason):
            return f"R2: n{at} {wrong}"
        wanted = os.exists and not os.deleting and node.chosen
        held_up = any(one in PERSON for one in rows.values())
        if (
            wanted
            and not (reason == "Wave" and held_up)
            and (wrong := _waits_well(rules, os, nodes, at, reason))
        ):
            return f"live: n{at} {wrong}"
    if os.exists and os.deleting and not any(node.power == "dead" for node in nodes):
        return "live: the deleted OS object never goes"
    return ""


def _cordon_at_rest(node: Node, reason: str) -> str:
    if node.note is not None and not reason and node.power != "dead":
        return "keeps our note, and nothing says why"
    if node.cordoned and node.note is None and not node.admin:
        return "stays cordoned by us"
    return "lost the cordon of a person" if node.admin and not node.cordoned else ""


def _waits_well(rules: Rules, os: Os, nodes: Sequence[Node], at: int, reason: str) -> str:
    node = nodes[at]
    if reason and reason not in PERSON:
        return f"waits for ever for {reason}, which passes by itself"
    if not reason and (node.run != os.target or node.trial):
        return "does not run the release, and nothing says why"
    if reason == "Budget" and sum(map(down, members(nodes))) < rules.max_unavailable:
        return "waits for a budget that is free"
    if reason == "DrainBlocked" and rules.on_timeout != "Wait":
        return f"drains for ever though drain.onTimeout is {rules.on_timeout}"
    return ""
