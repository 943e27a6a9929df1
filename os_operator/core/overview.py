"""All rollouts and Java caches at one look: what a page and a terminal show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from os_operator.core import instants
from os_operator.core.explain import next_step
from os_operator.core.forecast import WaveAhead, expected, wave_ahead
from os_operator.core.node_way import Way
from os_operator.core.places import Places
from os_operator.core.rollout import run
from os_operator.core.selection import Selection, select
from os_operator.core.survey import Pass
from os_operator.core.world import NodeView, OSView, World
from warmroot.api.reasons import NodePhase, WaitReason

Pair = tuple[NodeView, Way]
SHOWN = 100
"""Groups of nodes that a rollout shows at most: those that want an eye first."""
NAMED = 20
"""Nodes that a group names."""
_FIRST = (
    NodePhase.FAILED,
    NodePhase.TRIAL,
    NodePhase.CONFIRMING,
    NodePhase.REBOOTING,
    NodePhase.DRAINING,
    NodePhase.CORDONED,
    NodePhase.CONFIGURING,
    NodePhase.STAGING,
    NodePhase.STAGED,
    NodePhase.PENDING,
    NodePhase.CURRENT,
)
"""Phases by how much a person wants to see a node in them."""
_BAR = (
    NodePhase.CURRENT,
    NodePhase.CONFIRMING,
    NodePhase.TRIAL,
    NodePhase.REBOOTING,
    NodePhase.DRAINING,
    NodePhase.CORDONED,
    NodePhase.CONFIGURING,
    NodePhase.STAGED,
    NodePhase.STAGING,
    NodePhase.PENDING,
    NodePhase.FAILED,
)
"""Phases by how far a node is in them, the furthest first."""


@dataclass(frozen=True)
class Seen:
    """Nodes that are not where they should be, for the same reason.

    `nodes` are the first of `count`. `since` is the first one's time, RFC 3339 in UTC; `fetched` bytes of all
    their downloads; `next` what a person can do for the first one.
    """

    nodes: tuple[str, ...]
    count: int
    phase: NodePhase
    reason: str
    message: str
    since: str | None
    deadline: str | None
    fetched: int
    next: str


@dataclass(frozen=True)
class Past:
    """A rollout of the history."""

    version: str
    result: str
    started: str
    finished: str | None


@dataclass(frozen=True)
class RolloutSeen:
    """One OS object. `phases`: how many nodes are in each; `more`: nodes that are in none of `groups`.

    `wave` is the one that runs, by its place in `waves`; None where nothing is rolled out. `eta` in seconds.
    """

    os: str
    release: str
    phase: str
    problem: str
    halted: str
    paused: bool
    total: int
    updated: int
    phases: tuple[tuple[NodePhase, int], ...]
    waves: tuple[WaveAhead, ...]
    wave: int | None
    soak_until: str | None
    approve: str
    eta: float | None
    groups: tuple[Seen, ...]
    more: int
    conflicts: tuple[str, ...]
    history: tuple[Past, ...]


@dataclass(frozen=True)
class CacheSeen:
    """One JavaCache. Seconds of a start, of its best key; None before there is an archive."""

    namespace: str
    name: str
    state: str
    reason: str
    serving: str
    coverage: int | None
    without: float | None
    with_: float | None


@dataclass(frozen=True)
class Overview:
    """What is, `at` a time."""

    at: str
    rollouts: tuple[RolloutSeen, ...]
    caches: tuple[CacheSeen, ...]


def overview(world: World, caches: Iterable[dict[str, Any]], now: float) -> Overview:
    """From the planner's own pass over each OS object, and JavaCaches as they are in the API."""
    selection = select(world)
    rollouts = tuple(_rollout(os, world, selection, now) for _, os in sorted(world.oses.items()))
    return Overview(instants.text(now), rollouts, tuple(sorted(map(_cache, caches), key=_place)))


def wire(seen: Overview, unread: str) -> dict[str, Any]:
    """As JSON, with names as its users expect them; `unread` is why there are no caches in it."""
    return {**_wire(asdict(seen)), "unread": unread}


def _wire(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel(name): _wire(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_wire(one) for one in value]
    return value


def _camel(name: str) -> str:
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(one.title() for one in rest)


def _rollout(os: OSView, world: World, selection: Selection, now: float) -> RolloutSeen:
    members, strays = selection.members[os.name], selection.strays.get(os.name, [])
    done = run(os, world, members, strays, selection.conflicts, now)
    places = Places(done)
    ways = [(node, places.of(node, world.instances.get(node.name))) for node in (*members, *strays)]
    counts = Counter(way.phase for _, way in ways)
    groups = _grouped(pair for pair in ways if _wants_an_eye(pair[1]))
    rollout, status = os.spec.rollout if os.spec else None, os.status
    wave = done.wave.step.name if done.wave is not None and not done.takes_back else ""
    waves = tuple(wave_ahead(step, done.tally.moved) for step in done.steps)
    waits = status.wave is not None and not status.wave.approved
    return RolloutSeen(
        os=os.name,
        release=os.spec.release.version if os.spec else "",
        phase=status.phase.value,
        problem=os.problem,
        halted=done.halted,
        paused=rollout.paused if rollout else False,
        total=done.tally.total,
        updated=done.tally.updated,
        phases=tuple((phase, counts[phase]) for phase in _BAR if counts[phase]),
        waves=waves,
        wave=next((index for index, one in enumerate(waves) if one.name == wave), None),
        soak_until=status.wave.soak_until if status.wave else None,
        approve=f"kubectl warmroot approve {os.name} {status.wave.name}" if status.wave and waits else "",
        eta=expected(done)[1],
        groups=tuple(_seen(group, done) for group in groups[:SHOWN]),
        more=sum(map(len, groups[SHOWN:])),
        conflicts=tuple(sorted(n for n, names in selection.conflicts.items() if os.name in names)),
        history=tuple(Past(one.version, one.result, one.started, one.finished) for one in status.history),
    )


def _wants_an_eye(way: Way) -> bool:
    return way.phase is not NodePhase.CURRENT or way.reason is not None


def _eye(pair: Pair) -> tuple[int, str]:
    node, way = pair
    return _FIRST.index(way.phase), node.name


def _grouped(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """Those that are in one place for one reason, by name; the groups that want an eye first."""
    found: dict[tuple[NodePhase, WaitReason | None, str, float | None], list[Pair]] = {}
    for node, way in sorted(pairs, key=_eye):
        found.setdefault((way.phase, way.reason, way.message, way.deadline), []).append((node, way))
    return list(found.values())


def _seen(group: list[Pair], done: Pass) -> Seen:
    instances = [done.world.instances.get(node.name) for node, _ in group]
    node, way = group[0]
    return Seen(
        tuple(one.name for one, _ in group[:NAMED]),
        len(group),
        way.phase,
        way.reason.value if way.reason else "",
        way.message,
        instants.optional(min((one.since for _, one in group if one.since is not None), default=None)),
        instants.optional(way.deadline),
        sum(one.fetched for one in instances if one is not None) if way.phase is NodePhase.STAGING else 0,
        next_step(way, node, instances[0], done),
    )


def _cache(item: dict[str, Any]) -> CacheSeen:
    """What is missing or of another version than ours is left out, not guessed."""
    meta, status = item["metadata"], item.get("status") or {}
    keys = [one for one in status.get("keys") or () if isinstance(one, dict)]
    timed = [one["startSeconds"] for one in keys if one.get("startSeconds")]
    best = min(timed, key=lambda one: one["with"] / one["without"] if one["without"] else 1.0, default=None)
    return CacheSeen(
        namespace=meta["namespace"],
        name=meta["name"],
        state=status.get("state") or "",
        reason=str(keys[0].get("reason") or "") if keys else "",
        serving=status.get("serving") or "",
        coverage=status.get("coverage"),
        without=best["without"] if best else None,
        with_=best["with"] if best else None,
    )


def _place(one: CacheSeen) -> tuple[str, str]:
    return one.namespace, one.name
