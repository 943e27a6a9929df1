"""Rollouts and caches as they change, for whoever looks at them longer than once. Nothing is written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from os_operator.core.overview import Overview, overview
from os_operator.core.world import OSView, Resolution
from os_operator.shell.cache import Cache
from os_operator.shell.gather import KINDS, Gather
from warmroot.errors import ClusterError, NetworkError
from warmroot.kube.cluster import JAVA_CACHE, Cluster, Object
from warmroot.kube.informer import Informer
from warmroot.kube.watched import Watched

SYNCED_WITHIN = 30.0
"""Seconds until all that there is has to be here."""
PACE = 0.5
"""Seconds between two looks: many changes that come together are one."""
EVERY = 5.0
"""Seconds after which it is looked again, since time alone changes what is waited for."""


class Watching:
    """A context manager: watches within its block. `latest` and `after` may be called from any thread."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.time) -> None:
        self._cluster, self._clock = cluster, clock
        self._cache, self._caches = Cache(), Watched[Object](lambda item: item)
        self._gather = Gather(cluster, self._cache, _as_the_status_says)
        self._changed, self._look = threading.Condition(), threading.Lock()
        self._version, self._made, self._at = 1, 0, float("-inf")
        self._last: Overview | None = None
        self._informers: list[Informer] = []
        self.unread = ""
        """Why JavaCaches can't be shown; empty if they are."""

    def __enter__(self) -> Self:
        """Returns when all is here.

        Raises:
            ClusterError: we may not read it, or the API server does not know our kinds.
            NetworkError: it can't be reached, or did not send it in time.
        """
        for kind in KINDS:
            next(
                iter(self._cluster.pages(kind))
            )  # a watch tries again for ever, and says nothing to a person
        wanted = [Informer(self._cluster, kind, self._cache.of(kind), self._wake) for kind in KINDS]
        try:
            next(iter(self._cluster.pages(JAVA_CACHE)))
            wanted.append(Informer(self._cluster, JAVA_CACHE, self._caches, self._wake))
        except ClusterError as error:
            self.unread = str(error)
        self._informers = wanted
        for informer in wanted:
            threading.Thread(target=informer.run, daemon=True).start()
        end = time.monotonic() + SYNCED_WITHIN
        for informer in wanted:
            if not informer.synced.wait(max(0.0, end - time.monotonic())):
                self.__exit__()
                raise NetworkError(f"{informer.kind.plural} did not come within {SYNCED_WITHIN:.0f} s")
        return self

    def __exit__(self, *_: object) -> None:
        for informer in self._informers:
            informer.stop()

    def latest(self) -> tuple[int, Overview]:
        """What is, and its number: the same number means that nothing was looked at anew.

        Raises:
            ClusterError, NetworkError: pods of a node that is drained can't be listed.
        """
        with self._look:
            now = time.monotonic()
            if self._last is None or now - self._at >= (PACE if self._made != self._version else EVERY):
                self._made, self._at = self._version, now
                world = self._gather.world(self._clock())
                self._last = overview(world, self._caches.all().values(), self._clock())
            return self._made, self._last

    def after(self, number: int, seconds: float) -> None:
        """Returns when something has changed since `latest` gave this number, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != number, seconds)

    def _wake(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()


def _as_the_status_says(os: OSView) -> Resolution:
    """The index is the operator's to ask; what it found stands in the status."""
    del os
    return Resolution()
