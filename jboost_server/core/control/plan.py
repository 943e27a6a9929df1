"""One pass: who is accused, who is let go, builders to make, and the statuses that say something new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from jboost_server.core.control import queue, render
from jboost_server.core.control.world import Accuse, Deliver, Name, Release, Start, World, WriteStatus
from warmroot.api.javacache import CacheMode, JavaCacheStatus

DELIVERED_AGAIN = 60.0
"""Seconds after which the agent is put into a namespace anew: somebody may have deleted it, and pods wait."""


@dataclass(frozen=True)
class Decision:
    """What to do, and every status as it should be."""

    starts: tuple[Start, ...]
    writes: tuple[WriteStatus, ...]
    statuses: dict[Name, JavaCacheStatus]
    deaths: tuple[Accuse | Release, ...] = ()
    deliveries: tuple[Deliver, ...] = ()


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
    return Decision(starts, writes, statuses, tuple(_deaths(world)), tuple(_deliveries(world, now)))


def _deliveries(world: World, now: float) -> Iterator[Deliver]:
    """One for each namespace with a JavaCache that is not off."""
    if not world.agent:
        return
    on = {
        name[0]: cache
        for name, cache in sorted(world.caches.items())
        if cache.spec is not None and cache.spec.mode is not CacheMode.OFF
    }
    for namespace, cache in on.items():
        last = world.deliveries.get(namespace)
        if last is None or not last.at <= now < last.at + DELIVERED_AGAIN:
            yield Deliver(cache)


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
