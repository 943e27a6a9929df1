"""JavaCaches as a watch brings them: no pod waits for the API server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from jboost_server.core.injection.choose import Cache, cache_of
from warmroot.errors import ClusterError, Gone, NetworkError
from warmroot.kube.cluster import JAVA_CACHE, Cluster, Object, WatchEvent

PAUSE = 1.0
"""Seconds until it is tried again, after the API server was not reached or refused."""
log = logging.getLogger(__name__)


class Seen:
    """JavaCaches by namespace, as they were last seen; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caches: dict[tuple[str, str], Cache] = {}
        self.listed = False
        """Whether all of them were seen once."""

    def of(self, namespace: str) -> tuple[Cache, ...]:
        """Those of a namespace, by name."""
        with self._lock:
            found = [one for (where, _), one in self._caches.items() if where == namespace]
        return tuple(sorted(found, key=lambda one: one.name))

    def replace(self, items: list[Object]) -> None:
        """Takes a whole list in."""
        caches = {_place(item): cache for item in items if (cache := _parsed(item))}
        with self._lock:
            self._caches = caches
            self.listed = True

    def take(self, event: WatchEvent) -> None:
        """Takes one change in. One that we can't read counts as none: pods start as they are."""
        if event.type == "BOOKMARK":
            return
        cache = None if event.type == "DELETED" else _parsed(event.object)
        with self._lock:
            if cache is None:
                self._caches.pop(_place(event.object), None)
            else:
                self._caches[_place(event.object)] = cache


def watch(cluster: Cluster, seen: Seen, sleep: Callable[[float], None] = time.sleep) -> None:
    """Keeps `seen` as the API server has it, until that can't be learned; then it waits for a moment."""
    try:
        listing = cluster.list(JAVA_CACHE)
        seen.replace(listing.items)
        version = listing.resource_version
        while True:
            for event in cluster.watch(JAVA_CACHE, version):
                seen.take(event)
                version = event.object["metadata"]["resourceVersion"]
    except Gone:
        log.info("JavaCaches are listed again: the watch fell behind")
    except (ClusterError, NetworkError) as error:
        log.warning("JavaCaches can't be watched; those last seen count", extra={"why": str(error)})
        sleep(PAUSE)


def _place(item: Object) -> tuple[str, str]:
    return str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"])


def _parsed(item: Object) -> Cache | None:
    try:
        return cache_of(item)
    except ValueError as error:
        place = "/".join(_place(item))
        log.warning("a JavaCache can't be read", extra={"javacache": place, "why": str(error)})
        return None
