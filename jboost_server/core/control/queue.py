"""Which build is next: for each key one builder at a time, and not again at once what just came to nothing.

What was tried is read from the Jobs themselves, which stay for a day: nothing is forgotten when the
controller starts anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from jboost_server.core.control.shape import Shape
from jboost_server.core.control.world import Build, Cache, Key, Name, Phase, Start, Told, World
from jboost_server.core.progress import Stage
from warmroot.api.javacache import CacheMode

FIRST_PAUSE, LONGEST_PAUSE = 300.0, 6 * 3600.0
"""Seconds before what failed is tried again; each failure doubles them."""
STALE = 5.0
"""Seconds by which clocks may differ: what the service said before a Job ended does not count after it."""
IN_NAMESPACE = 2
"""Builders of one namespace that run at one time."""
REFUSED = 60.0
"""Seconds for which a namespace is left alone after the API server took no builder there."""


@dataclass(frozen=True)
class Turn:
    """Where a key is: its active builder, or when the next one may begin (Unix seconds), and which it is."""

    active: Build | None = None
    last: Build | None = None
    due: float = 0.0
    attempt: int = 1


def turn(name: Name, key: Key, builds: Collection[Build]) -> Turn:
    """The turn of a key, by its Jobs."""
    ours = sorted((one for one in builds if (one.cache, one.key) == (name, key.digest)), key=_attempt)
    if not ours:
        return Turn()
    active = next((one for one in ours if one.phase is Phase.ACTIVE), None)
    last = ours[-1]
    failed = sum(one.phase is Phase.FAILED for one in ours)
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failed - 1)) if last.phase is Phase.FAILED else 0.0
    return Turn(active, last, last.ended + pause, last.attempt + 1)


def waiting(world: World, now: float) -> frozenset[Name]:
    """Caches for which a builder may begin now: their pods have to be looked at."""
    return frozenset(cache.name for cache, told, key in _wanted(world) if _may(world, cache, told, key, now))


def starts(world: World, now: float, most: int) -> Iterator[Start]:
    """Builders to make now, so that no more than `most` run, and of one namespace no more than IN_NAMESPACE.

    The namespace that had none for longest is first. Of one that shows more Jobs than it may have, those
    beyond count for nothing: whoever makes Jobs with our labels keeps nobody else waiting.
    """
    running = active(world.builds)
    room = most - sum(min(count, IN_NAMESPACE) for count in running.values())
    last: Counter[str] = Counter()
    for one in world.builds:
        last[one.cache[0]] = max(last[one.cache[0]], int(one.ended))
    for cache, told, key in sorted(_wanted(world), key=lambda each: last[each[0].name[0]]):
        namespace = cache.name[0]
        if room <= 0:
            return
        if running[namespace] >= IN_NAMESPACE or not _may(world, cache, told, key, now):
            continue
        found = turn(cache.name, key, world.builds)
        shape = choose(world.shapes.get(cache.name, ()), cache.name, key, world.builds, now)
        if shape is not None:
            room -= 1
            running[namespace] += 1
            yield Start(cache, key, found.attempt, shape)


def active(builds: Collection[Build]) -> Counter[str]:
    """How many builders run in each namespace."""
    return Counter(one.cache[0] for one in builds if one.phase is Phase.ACTIVE)


def choose(
    shapes: Sequence[Shape], name: Name, key: Key, builds: Collection[Build], now: float
) -> Shape | None:
    """What to make the next builder of.

    The pod that recorded is known by its uid, and its shape is the key's. If it is gone, each shape is tried:
    a builder whose key is another one finds nothing to build, and ends. Once all were tried, there is a pause
    that doubles.
    """
    ours = [one for one in builds if (one.cache, one.key) == (name, key.digest)]
    candidates = [shape for shape in shapes if shape.pods.intersection(key.recorded_by)] or list(shapes)
    tried = [sum(one.shape == shape.digest for one in ours) for shape in candidates]
    if not candidates:
        return None
    fewest = min(tried)
    idle = sum(one.phase is Phase.COMPLETE for one in ours)
    if fewest and idle:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** max(0, idle - len(candidates)))
        if now < max(one.ended for one in ours) + pause:
            return None
    return candidates[tried.index(fewest)]


def _wanted(world: World) -> Iterator[tuple[Cache, Told, Key]]:
    for name in sorted(world.caches):
        cache, told = world.caches[name], world.told.get(name)
        if told is None or cache.spec is None or cache.spec.mode is CacheMode.OFF:
            continue
        for key in told.keys:
            if key.wanted and key.stage is not Stage.BUILDING:
                yield cache, told, key


def _may(world: World, cache: Cache, told: Told, key: Key, now: float) -> bool:
    refusal = world.refusals.get(cache.name)
    if refusal is not None and now < refusal.at + REFUSED:
        return False
    found = turn(cache.name, key, world.builds)
    if found.active is not None or now < found.due:
        return False
    return found.last is None or told.at > found.last.ended + STALE


def _attempt(build: Build) -> int:
    return build.attempt
