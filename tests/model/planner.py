"""The real `plan()` on a model world: the world as views, and what the pass wants as changes of the world.

A world is an OS object and its nodes in their order; the first is called n0. The clock stands still at NOW
and everything else moves, so that worlds that differ only in the hour are one.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import os_operator.core.plan as planning
from os_operator.core import actions as do
from os_operator.core import instants
from os_operator.core.orders import reboot_id
from os_operator.core.plan import Decision, plan
from os_operator.core.survey import Pass
from os_operator.core.world import (
    CordonNote,
    EvictionAnswer,
    EvictionResult,
    Failure,
    InstanceView,
    NodeView,
    Order,
    OSView,
    PodView,
    World,
)
from tests.model.machine import (
    ENDING,
    GONE,
    LONG,
    NOTHING,
    OVERDUE,
    OWN,
    PREDECESSORS,
    RETRIES,
    RUNNING,
    Node,
    bit,
    collected,
    normal,
)
from warmroot.api.os import FailedNode, OSSpec, OSStatus, WaveStatus
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import WaitReason

TICK = 100.0
NOW = 1_800_000_000.0
RELEASES = range(3)
DIGESTS = tuple("sha256:" + str(number) * 64 for number in RELEASES)
BOOTS = 6
"""More boots than any node speaks of at once."""
NO_WINDOW = {"cron": "0 20 * * *", "duration": "1h"}
"""NOW is eight in the morning."""


class Os(NamedTuple):
    """The OS object. `wave`: index, since, ticks of soak left; `full_since`: ticks since as many nodes as the
    first wave takes were moved, NOTHING before; `faults` and `persons`: what may still happen.
    """

    faults: int
    persons: int
    exists: bool = True
    deleting: bool = False
    finalizer: bool = True
    target: int = 1
    paused: bool = False
    closed: bool = False
    approved: int = 0
    cleared: int = NOTHING
    stored: int = NOTHING
    wave: tuple[int, int, int | None] | None = None
    full_since: int = NOTHING


class Rules(NamedTuple):
    """What a person wrote into `spec.rollout`: the limits of one world. Durations are ticks."""

    max_unavailable: int = 1
    max_failed: int = 0
    waves: bool = False
    approval: bool = False
    soak: int = 0
    first_fails: int = 0
    ready: int = 1
    health: int = 2
    drain: int = 2
    on_timeout: str = "Wait"


FIRST_WAVE = 1
"""Nodes in the first wave, where there are waves."""


@lru_cache(None)
def spec_of(rules: Rules, target: int, paused: bool, closed: bool) -> OSSpec:
    canary = {
        "name": "canary",
        "nodes": FIRST_WAVE,
        "soak": _span(rules.soak),
        "maxFailed": rules.first_fails,
    }
    rest = {"name": "rest", "approval": "Required" if rules.approval else "None", "maxFailed": 9}
    rollout = {
        "maxUnavailable": rules.max_unavailable,
        "maxStaging": 2,
        "paused": paused,
        "windows": [NO_WINDOW] if closed else [],
        "waves": [canary, rest] if rules.waves else [],
        "drain": {"timeout": _span(rules.drain), "onTimeout": rules.on_timeout},
        "health": {"readySeconds": int(rules.ready * TICK), "timeout": _span(rules.health)},
        "failure": {"maxFailed": rules.max_failed},
    }
    return OSSpec.model_validate(
        {
            "nodeSelector": {"matchLabels": {"pool": "workers"}},
            "release": {
                "version": str(target),
                "source": "https://releases.example",
                "digest": DIGESTS[target],
            },
            "rollout": rollout,
        }
    )


def _span(ticks: int) -> str:
    return f"{int(ticks * TICK)}s"


def ago(ticks: int) -> float:
    return NOW - ticks * TICK


@lru_cache(None)
def text(moment: float) -> str:
    return instants.text(moment)


def _boot(boot: int) -> str:
    return f"boot-{boot}"


IDS = {
    reboot_id(uid, DIGESTS[release], goal, _boot(boot)): (goal.value, release, boot)
    for uid in ("own", "old")
    for release in RELEASES
    for goal in (Goal.ACTIVATE, Goal.ROLLBACK)
    for boot in range(BOOTS)
}
NAMES = {asked: name for name, asked in list(IDS.items())[: len(IDS) // 2]}


@lru_cache(None)
def node_view(node: Node, name: str) -> NodeView:
    note = node.note and CordonNote("workers", DIGESTS[node.note[0]], ago(node.note[1]), node.note[2])
    pool = "workers" if node.chosen else "other"
    since = ago(node.ready_age)
    boot = _boot(node.node_boot)
    foreign = node.foreign and node.note is not None and node.cordoned
    return NodeView(
        name, "own", "1", {"pool": pool}, node.ready, since, node.cordoned, boot, note, foreign_cordon=foreign
    )


@lru_cache(None)
def instance_view(node: Node, name: str) -> InstanceView:
    order = node.order and Order(NAMES[node.order[:3]], ago(-node.order[3]))
    problem = Failure("NetworkError", "it failed", NOW + 30 if node.told_problem == RETRIES else None)
    aged = node.up_age if node.told_boot == node.boot else LONG
    wants = node.release != NOTHING
    return InstanceView(
        name=name,
        uid="instance",
        version="1",
        node_uid="own" if node.instance == OWN else "old",
        os="workers",
        goal=Goal(node.goal),
        digest=DIGESTS[node.release] if wants else None,
        release_version=str(node.release) if wants else "",
        sources=("https://releases.example",) if wants else (),
        order=order,
        barred=tuple(DIGESTS[release] for release in RELEASES if node.barred & bit(release)),
        phase=InstancePhase(node.told_phase) if node.told_phase else None,
        since=ago(aged),
        observed=node.observed,
        boot_id=_boot(node.told_boot) if node.told_phase else "",
        booted_digest=DIGESTS[node.told_run] if node.told_run != NOTHING else None,
        booted_at=ago(aged),
        confirmed=node.told_good,
        verified_digest=DIGESTS[node.told_other] if node.told_other != NOTHING else None,
        reboot_id=NAMES[node.told_carried] if node.told_carried is not None else None,
        failure=problem if node.told_problem else None,
        stale_at=NOW + 150 if node.fresh else NOW - 1,
    )


@lru_cache(None)
def pods_of(node: Node, name: str) -> tuple[PodView, ...]:
    ends = {RUNNING: None, ENDING: NOW + 30, OVERDUE: NOW - TICK}
    if node.pods == GONE:
        return ()
    return (PodView("shop", name, name, controller="ReplicaSet", deleted_at=ends[node.pods]),)


@lru_cache(None)
def failed_node(name: str, release: int, reason: str, age: int) -> FailedNode:
    at = text(ago(age))
    return FailedNode(node=name, digest=DIGESTS[release], reason=WaitReason(reason), message="seen", at=at)


@lru_cache(None)
def status_of(stored: int, wave: Any, failed: tuple[FailedNode, ...]) -> OSStatus:
    if stored == NOTHING:
        return OSStatus()
    shown = None
    if wave is not None:
        index, since, soak = wave
        until = text(ago(-soak)) if soak is not None else None
        name = "canary" if index == 0 else "rest"
        shown = WaveStatus(name=name, index=index, since=text(ago(since)), soak_until=until)
    started = text(NOW - 1000 * TICK)
    return OSStatus(
        target_digest=DIGESTS[stored], observed_generation=1, started=started, wave=shown, failed=failed
    )


def views(rules: Rules, os: Os, nodes: tuple[Node, ...], status: OSStatus | None = None) -> World:
    """The world as a pass sees it; `status` in place of the one that the model has kept of it."""
    named = [(node, f"n{number}") for number, node in enumerate(nodes)]
    there = [pair for pair in named if pair[0].exists]
    oses = {}
    if os.exists:
        failed = tuple(
            failed_node(name, os.stored, *node.failed) for node, name in named if node.failed is not None
        )
        approved = frozenset(f"rest@{DIGESTS[release]}" for release in RELEASES if os.approved & bit(release))
        # A person who forgives does so a moment before now: what fails from now on is not forgiven.
        clears = (("*", ago(os.cleared) - 1),) if os.cleared != NOTHING else ()
        spec = spec_of(rules, os.target, os.paused, os.closed)
        seen = status or status_of(os.stored, os.wave, failed)
        oses["workers"] = OSView(
            "workers", "os", "1", 1, spec, seen, approvals=approved, clears=clears, finalizer=os.finalizer,
            deleting=os.deleting,
        )  # fmt: skip
    return World(
        oses,
        {name: node_view(node, name) for node, name in there},
        {name: instance_view(node, name) for node, name in there if node.instance},
        {name: pods_of(node, name) for node, name in there if node.note is not None and node.cordoned},
        {name: _answer(node) for node, name in there if node.refused},
        attachments={name: () for _, name in there},
    )


def _answer(node: Node) -> EvictionResult:
    at = NOW if node.refused == 1 else NOW - TICK
    return EvictionResult(EvictionAnswer.BLOCKED, at, 1, "PodDisruptionBudget shop/web")


class Change(NamedTuple):
    """One action of a pass: about the node at `at` (NOTHING: the OS object), in the model's words."""

    kind: str
    at: int
    what: Any


class Kept(NamedTuple):
    """What of a status a later pass may decide on."""

    stored: int
    wave: tuple[int, int, int | None] | None
    failed: tuple[tuple[int, tuple[str, int]], ...]

    @property
    def phase(self) -> None:
        """Nothing is decided on it."""


def ask(rules: Rules, os: Os, nodes: tuple[Node, ...], whole: bool = True) -> tuple[Change, ...]:
    """What a pass over this world wants done, in its order.

    More than half of a pass over so few nodes is the text of its status, which no pass decides on: without
    `whole` it is left out.
    """
    seen, honest = views(rules, os, nodes), planning.render
    if whole:
        return changes(plan(seen, NOW))
    try:
        planning.render = _slim
        return changes(plan(seen, NOW))
    finally:
        planning.render = honest


def _slim(done: Pass) -> tuple[Kept, tuple[()], bool]:
    wave = None
    if done.wave is not None and done.tally.total:
        standing = done.wave.standing
        soak = None if standing.soak_until is None else int((standing.soak_until - NOW) / TICK)
        wave = (standing.index, int((NOW - standing.since) / TICK), soak)
    return Kept(DIGESTS.index(done.target or ""), wave, _failed(done.ledger.wire())), (), True


def changes(decision: Decision) -> tuple[Change, ...]:
    found = [_change(action) for action in decision.actions]
    return tuple(change for change in found if change is not None)


def _change(action: do.Action) -> Change | None:
    match action:
        case do.Cordon():
            note = action.note
            age = int((NOW - note.since) / TICK)
            return Change("cordon", _at(action.node), (DIGESTS.index(note.digest), age, note.ours))
        case do.Uncordon():
            return Change("uncordon", _at(action.node), action.lift)
        case do.EnsureInstance():
            return Change("create", _at(action.node), None)
        case do.DeleteInstance():
            return Change("delete", _at(action.name), None)
        case do.SetOrders():
            return Change("order", _at(action.name), _orders(action.orders))
        case do.Evict() | do.DeletePod():
            return Change("evict" if isinstance(action, do.Evict) else "force", _at(action.node), None)
        case do.SetFinalizer():
            return Change("finalizer", NOTHING, action.present)
        case do.WriteStatus():
            return Change("status", NOTHING, _kept(action.status))
        case do.SetTaints():
            return None  # they say where pods go, and no pass decides on them
    raise AssertionError(action)


def _at(name: str) -> int:
    return int(name[1:])


def _orders(orders: do.Orders) -> tuple[str, int, Any, int]:
    order = None
    if orders.order is not None:
        order = (*IDS[orders.order.id], int((orders.order.deadline - NOW) / TICK))
    release = DIGESTS.index(orders.digest) if orders.digest is not None else NOTHING
    return orders.goal.value, release, order, sum(bit(DIGESTS.index(digest)) for digest in orders.barred)


@lru_cache(None)
def _age(moment: str) -> int:
    return int((NOW - (instants.parse(moment) or 0.0)) / TICK)


def _kept(status: OSStatus | Kept) -> Kept:
    if isinstance(status, Kept):
        return status
    wave = None
    if status.wave is not None:
        soak = -_age(status.wave.soak_until) if status.wave.soak_until else None
        wave = (status.wave.index, _age(status.wave.since), soak)
    stored = DIGESTS.index(status.target_digest) if status.target_digest else NOTHING
    return Kept(stored, wave, _failed(status.failed))


def _failed(entries: tuple[FailedNode, ...]) -> tuple[tuple[int, tuple[str, int]], ...]:
    return tuple((_at(one.node), (one.reason.value, min(LONG, _age(one.at)))) for one in entries)


def carry_out(os: Os, nodes: list[Node], change: Change) -> Os:
    """Does one change: to `nodes` in place, to the OS object by its return."""
    kind, at, what = change
    if kind == "status":
        stored, wave, failed = what
        told = dict(failed)
        for number, node in enumerate(nodes):
            if node.failed != told.get(number):
                nodes[number] = node._replace(failed=told.get(number))
        return os._replace(stored=stored, wave=wave)
    if kind == "finalizer":
        return os._replace(finalizer=what, exists=os.exists and not (os.deleting and not what))
    nodes[at] = normal(_changed(nodes[at], kind, what))
    return os


def _changed(node: Node, kind: str, what: Any) -> Node:
    if kind == "cordon":
        foreign = node.foreign and node.cordoned
        return node._replace(cordoned=True, note=what, foreign=foreign)
    if kind == "uncordon":
        free = what or not node.cordoned
        return node._replace(
            note=None, cordoned=not free, foreign=False, pods=RUNNING if free else node.pods, refused=0
        )
    if kind == "create":
        return (
            node
            if node.instance
            else node._replace(instance=OWN, goal="None", release=NOTHING, observed=False)
        )
    if kind == "delete":
        return collected(node) if node.instance == PREDECESSORS else node
    if kind == "order":
        goal, release, order, barred = what
        return node._replace(goal=goal, release=release, order=order, barred=barred, observed=False)
    if kind == "evict":
        return node._replace(refused=1) if node.blocked else node._replace(pods=ENDING, refused=0)
    return node._replace(pods=ENDING, refused=0)
