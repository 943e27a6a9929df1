"""One pass: builders to make, and the statuses that say something new."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from jboost_server.core.control import queue, render
from jboost_server.core.control.world import Name, Start, World, WriteStatus
from warmroot.api.javacache import JavaCacheStatus


@dataclass(frozen=True)
class Decision:
    """What to do, and every status as it should be."""

    starts: tuple[Start, ...]
    writes: tuple[WriteStatus, ...]
    statuses: dict[Name, JavaCacheStatus]


def plan(world: World, now: float, builders: int) -> Decision:
    """What to do at `now` (Unix seconds), with at most `builders` at one time in the whole cluster."""
    starts = tuple(queue.starts(world, now, builders))
    running = queue.active(world.builds) + Counter(one.cache.name[0] for one in starts)
    full = running.total() >= builders
    statuses = {
        name: render.status(cache, world, now, full or running[name[0]] >= queue.IN_NAMESPACE)
        for name, cache in sorted(world.caches.items())
    }
    writes = tuple(
        WriteStatus(world.caches[name], status, tuple(render.events(world.caches[name], status)))
        for name, status in statuses.items()
        if status != world.caches[name].status
    )
    return Decision(starts, writes, statuses)
