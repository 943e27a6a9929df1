"""What is, for one pass: JavaCaches and Jobs from watches, keys from the cache service, pods where needed.

The service is asked about each cache once in a while, sooner where something goes on. Pods are listed for a
cache alone for which a builder may begin: a watch over all pods would be most of a large cluster's traffic.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from jboost_server.controller.service import Service
from jboost_server.core.control import queue
from jboost_server.core.control.parse import words
from jboost_server.core.control.shape import Shape, shapes_of
from jboost_server.core.control.world import Build, Cache, Key, Name, Phase, Refusal, Told, World
from jboost_server.core.injection.choose import Cache as Chosen
from jboost_server.core.progress import Stage
from warmroot.api.javacache import CacheMode, CacheReason
from warmroot.errors import Forbidden, NetworkError
from warmroot.kube.cluster import POD, Cluster
from warmroot.kube.watched import Watched

SLOWER = 4.0
"""A cache at which nothing goes on is asked about so many times less often."""
log = logging.getLogger(__name__)


class Gather:
    """`poll`: seconds after which the service is asked again about a cache at which something goes on."""

    def __init__(
        self,
        cluster: Cluster,
        service: Service,
        caches: Watched[Cache],
        builds: Watched[Build],
        poll: float,
    ) -> None:
        self._cluster, self._service, self._caches, self._builds = cluster, service, caches, builds
        self._poll = poll
        self._told: dict[Name, Told] = {}
        self._asked: dict[Name, float] = {}
        self._refusals: dict[Name, Refusal] = {}
        self._shown: dict[Name, tuple[float, tuple[Shape, ...]]] = {}

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
        world = World(caches, dict(self._told), builds, refusals=dict(self._refusals))
        self._look(caches, queue.waiting(world, now), now)
        shapes = {name: shapes for name, (_, shapes) in self._shown.items()}
        return replace(world, shapes=shapes, refusals=dict(self._refusals))

    def refused(self, name: Name, refusal: Refusal) -> None:
        """Notes that a builder was not taken."""
        self._refusals[name] = refusal

    def _ask(self, caches: dict[Name, Cache], builds: tuple[Build, ...], now: float) -> None:
        """Once the service does not answer, the other caches are not asked about in this pass."""
        active = {one.cache for one in builds if one.phase is Phase.ACTIVE}
        ended = {one.cache: one.ended for one in sorted(builds, key=lambda one: one.ended)}
        due = [name for name in caches if now >= self._due(name, name in active, ended.get(name, 0.0), now)]
        silent = ""
        for name in sorted(due, key=lambda name: self._asked.get(name, 0.0)):
            spec = caches[name].spec
            if spec is not None and spec.mode is CacheMode.OFF and name in self._told:
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


def _busy(key: Key) -> bool:
    return key.wanted or key.stage in (Stage.LEARNING, Stage.BUILDING)
