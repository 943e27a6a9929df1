"""One pass: who is accused, who is let go, builders to make, and the statuses that say something new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from jboost_server.core.control import queue, render
from jboost_server.core.control.world import Accuse, Name, Release, Start, World, WriteStatus
from warmroot.api.javacache import JavaCacheStatus


@dataclass(frozen=True)
class Decision:
    """What to do, and every status as it should be."""

    starts: tuple[Start, ...]
    writes: tuple[WriteStatus, ...]
    statuses: dict[Name, JavaCacheStatus]
    deaths: tuple[Accuse | Release, ...] = ()


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
    return Decision(starts, writes, statuses, tuple(_deaths(world)))


def _deaths(world: World) -> Iterator[Accuse | Release]:
    """An archive that serves is accused, once for each death. Of one that is withdrawn the pods are let go
    that lie there: their options name it as long as they live.
    """
    for name, found in sorted(world.fallen.items()):
        cache, told = world.caches.get(name), world.told.get(name)
        if cache is None or told is None:
            continue
        serving = {(key.digest, key.archive.digest) for key in told.keys if key.archive is not None}
        known = {key.digest for key in told.keys}
        for one in found:
            if (one.key, one.archive) in serving:
                if one.witness not in world.reported:
                    yield Accuse(cache, one)
            elif one.key in known and one.down and one.owned:
                yield Release(cache, one)
