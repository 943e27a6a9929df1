"""What is, for one pass: JavaCaches and Jobs from watches, keys from the cache service, pods where needed.

The service is asked about each cache once in a while, sooner where something goes on. Pods are listed for a
cache alone for which a builder may begin, or of which pods just started from an archive: a watch over all
pods would be most of a large cluster's traffic.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from jboost_server.controller.service import Service
from jboost_server.core.control import queue
from jboost_server.core.control.fallen import Fallen, fallen, starting
from jboost_server.core.control.parse import words
from jboost_server.core.control.shape import Shape, shapes_of
from jboost_server.core.control.world import Build, Cache, Delivery, Key, Name, Phase, Refusal, Told, World
from jboost_server.core.injection.choose import Cache as Chosen
from jboost_server.core.injection.inject import INJECTED
from jboost_server.core.progress import Stage
from warmroot.api.javacache import CacheMode, CacheReason
from warmroot.errors import Forbidden, NetworkError
from warmroot.kube.cluster import POD, Cluster, Object
from warmroot.kube.watched import Watched

SLOWER = 4.0
"""A cache at which nothing goes on is asked about so many times less often."""
log = logging.getLogger(__name__)


class Gather:
    """`poll`: seconds after which the service is asked again about a cache at which something goes on.
    `agent`: the ConfigMap that namespaces shall have, empty if none.
    """

    def __init__(
        self,
        cluster: Cluster,
        service: Service,
        caches: Watched[Cache],
        builds: Watched[Build],
        poll: float,
        agent: str = "",
    ) -> None:
        self._agent = agent
        self._deliveries: dict[str, Delivery] = {}
        self._cluster, self._service, self._caches, self._builds = cluster, service, caches, builds
        self._poll = poll
        self._told: dict[Name, Told] = {}
        self._asked: dict[Name, float] = {}
        self._refusals: dict[Name, Refusal] = {}
        self._shown: dict[Name, tuple[float, tuple[Shape, ...]]] = {}
        self._starts = Starts(cluster, poll)

    def world(self, now: float) -> World:
        """What is, at `now` (Unix seconds).

        Raises:
            ClusterError: the API server refuses to list pods, for another reason than a missing right.
            NetworkError: it can't be reached.
        """
        caches, builds = self._caches.all(), tuple(self._builds.all().values())
        self._told = {name: one for name, one in self._told.items() if name in caches}
        self._asked = {name: one for name, one in self._asked.items() if name in caches}
        self._refusals = {name: one for name, one in self._refusals.items() if now < one.at + queue.REFUSED}
        self._ask(caches, builds, now)
        spaces = {namespace for namespace, _ in caches}
        self._deliveries = {space: one for space, one in self._deliveries.items() if space in spaces}
        world = World(
            caches,
            dict(self._told),
            builds,
            refusals=dict(self._refusals),
            agent=self._agent,
            deliveries=dict(self._deliveries),
        )
        self._look(caches, queue.waiting(world, now), now)
        shapes = {name: shapes for name, (_, shapes) in self._shown.items()}
        seen = self._starts.seen({name: one for name, one in self._told.items() if _on(caches[name])}, now)
        heard = self._starts.heard
        return replace(world, shapes=shapes, refusals=dict(self._refusals), fallen=seen, reported=heard)

    def refused(self, name: Name, refusal: Refusal) -> None:
        """Notes that a builder was not taken."""
        self._refusals[name] = refusal

    def delivered(self, namespace: str, delivery: Delivery) -> None:
        """Notes whether the agent lies there."""
        self._deliveries[namespace] = delivery

    def heard(self, name: Name, one: Fallen) -> None:
        """Notes that the service heard of a death; what becomes of the archive is asked at once."""
        self._starts.heard |= {one.witness}
        self._asked.pop(name, None)

    def _ask(self, caches: dict[Name, Cache], builds: tuple[Build, ...], now: float) -> None:
        """Once the service does not answer, the other caches are not asked about in this pass."""
        active = {one.cache for one in builds if one.phase is Phase.ACTIVE}
        ended = {one.cache: one.ended for one in sorted(builds, key=lambda one: one.ended)}
        due = [name for name in caches if now >= self._due(name, name in active, ended.get(name, 0.0), now)]
        silent = ""
        for name in sorted(due, key=lambda name: self._asked.get(name, 0.0)):
            if not _on(caches[name]) and name in self._told:
                continue
            self._asked[name] = now
            known = self._told.get(name, Told(0.0))
            if not silent:
                try:
                    self._told[name] = Told(now, self._service.keys(name))
                    continue
                except NetworkError as error:
                    silent = error.message
                    log.warning("the cache service is silent", extra={"why": silent})
            self._told[name] = replace(known, silent=silent)

    def _due(self, name: Name, active: bool, ended: float, now: float) -> float:
        asked, told = self._asked.get(name), self._told.get(name)
        if asked is None or told is None or now < asked:
            return now
        if told.at <= ended + queue.STALE < now:
            return now  # what the builder that just ended came to
        busy = active or told.silent or any(_busy(key) for key in told.keys)
        return asked + (self._poll if busy else self._poll * SLOWER)

    def _look(self, caches: dict[Name, Cache], names: frozenset[Name], now: float) -> None:
        """At the pods of these caches, unless that was a moment ago."""
        self._shown = {name: one for name, one in self._shown.items() if name in names}
        for name in sorted(names):
            if name in self._shown and 0 <= now - self._shown[name][0] < self._poll:
                continue
            try:
                self._shown[name] = now, self._shapes(caches[name])
            except Forbidden as error:
                self._shown.pop(name, None)
                self.refused(name, Refusal(CacheReason.NOT_GRANTED, not_granted(name, error), now))

    def _shapes(self, cache: Cache) -> tuple[Shape, ...]:
        """All pods of the namespace are listed: some name their cache by an annotation alone."""
        assert cache.spec is not None
        namespace, name = cache.name
        pods = (pod for page in self._cluster.pages(POD, namespace=namespace) for pod in page.items)
        return shapes_of(pods, Chosen(name, namespace, cache.spec))


def not_granted(name: Name, error: Forbidden) -> str:
    """What a person has to do about a missing right."""
    return words(
        f"bind the ClusterRole warmroot-jboost-builders in namespace {name[0]}"
        f" (docs/java-controller.md): {error.message}"
    )


class Starts:
    """Looks at the pods of caches of which some just started from an archive, until none of them is young."""

    def __init__(self, cluster: Cluster, poll: float) -> None:
        self._cluster, self._poll = cluster, poll
        self._looked: dict[Name, _Look] = {}
        self.heard: frozenset[str] = frozenset()
        """Deaths that the service has heard of."""

    def seen(self, told: dict[Name, Told], now: float) -> dict[Name, tuple[Fallen, ...]]:
        """Who died, by cache.

        Raises:
            ClusterError: the API server refuses to list pods, for another reason than a missing right.
            NetworkError: it can't be reached.
        """
        self._looked = {name: look for name, look in self._looked.items() if name in told}
        for name, one in sorted(told.items()):
            hits = sum(key.hits for key in one.keys)
            last = self._looked.get(name)
            if last is None and not hits:
                continue
            if last is None or (now >= last.at + self._poll and (last.again or hits != last.hits)):
                self._looked[name] = self._look(name, hits, now)
        found = {name: look.fallen for name, look in self._looked.items() if look.fallen}
        there = {one.witness for every in found.values() for one in every}
        self.heard &= there
        return found

    def _look(self, name: Name, hits: int, now: float) -> _Look:
        try:
            pods = [
                pod
                for page in self._cluster.pages(POD, namespace=name[0])
                for pod in page.items
                if _ours(pod)
            ]
        except Forbidden as error:  # the status says so where a builder is wanted
            log.warning("pods can't be looked at", extra={"cache": "/".join(name), "why": error.message})
            return _Look(now, hits, (), again=False)
        died = fallen(pods, name[1])
        # One that fell once and runs again has said all that it has to say.
        again = any(one.down for one in died) or starting(pods, name[1], now)
        return _Look(now, hits, died, again)


@dataclass(frozen=True)
class _Look:
    """One look at a cache's pods, at `at` (Unix seconds), when the service knew of so many `hits`."""

    at: float
    hits: int
    fallen: tuple[Fallen, ...]
    again: bool


def _ours(pod: Object) -> bool:
    return INJECTED in (pod["metadata"].get("annotations") or {})


def _on(cache: Cache) -> bool:
    return cache.spec is None or cache.spec.mode is not CacheMode.OFF


def _busy(key: Key) -> bool:
    return key.wanted or key.stage in (Stage.LEARNING, Stage.BUILDING)
