"""JavaCaches and builder Jobs as a watch brings them. Our own writes are seen at once, whatever it lags."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from warmroot.errors import ClusterError, Gone, NetworkError, TooManyRequests
from warmroot.kube.cluster import Cluster, Kind, Object

log = logging.getLogger(__name__)
T = TypeVar("T")
RETRY, LAST_RETRY = 1.0, 5.0
"""Seconds until it is tried again: at first, and at the most."""
Place = tuple[str, str]


class Watched(Generic[T]):
    """Objects of one kind, each as `read` makes it (None: it is none of ours). `changed` is called when
    something came.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        read: Callable[[Object], T | None],
        changed: Callable[[], None],
        *,
        labels: str = "",
    ) -> None:
        self._cluster, self._kind, self._read, self._changed = cluster, kind, read, changed
        self._labels = labels
        self._lock = threading.Lock()
        self._seen: dict[Place, tuple[int, T, Object]] = {}
        self._gone: dict[Place, int] = {}
        self._stop = threading.Event()
        self._version = ""
        self.synced = threading.Event()

    def all(self) -> dict[Place, T]:
        """What is there, by namespace and name."""
        with self._lock:
            return {place: value for place, (_, value, _) in self._seen.items()}

    def whole(self, place: Place) -> Object | None:
        """The object itself, for writing over it."""
        with self._lock:
            found = self._seen.get(place)
        return found[2] if found else None

    def put(self, item: Object) -> None:
        """Takes an object in, unless a newer version of it is here."""
        place, version = _place(item), int(item["metadata"]["resourceVersion"])
        value = self._read(item)
        with self._lock:
            known = self._seen.get(place)
            if version <= max(known[0] if known else -1, self._gone.get(place, -1)):
                return
            if value is None:
                self._seen.pop(place, None)
            else:
                self._seen[place] = version, value, item

    def stop(self) -> None:
        """Ends after the current event; a thread that waits for one is left to the end of the process."""
        self._stop.set()

    def run(self) -> None:
        """Watches until it is stopped."""
        pause = RETRY
        while not self._stop.is_set():
            try:
                if not self._version:
                    self._version = self._list()
                self._watch()
                pause = RETRY
            except Gone:
                self._version = ""
            except (NetworkError, ClusterError) as error:
                log.warning("can't be watched", extra={"kind": self._kind.plural, "why": str(error)})
                if isinstance(error, ClusterError):
                    self._version = ""
                asked = error.retry_after if isinstance(error, TooManyRequests) else 0.0
                self._stop.wait(max(pause, asked))
                pause = min(LAST_RETRY, pause * 2)

    def _list(self) -> str:
        listing = self._cluster.list(self._kind, labels=self._labels)
        present = {_place(item) for item in listing.items}
        for item in listing.items:
            self.put(item)
        with self._lock:
            for place in [place for place in self._seen if place not in present]:
                if self._seen[place][0] <= int(listing.resource_version):
                    del self._seen[place]
            self._gone.clear()
        self.synced.set()
        self._changed()
        return listing.resource_version

    def _watch(self) -> None:
        for event in self._cluster.watch(self._kind, self._version, labels=self._labels):
            if self._stop.is_set():
                return
            self._version = str(event.object["metadata"]["resourceVersion"])
            if event.type == "BOOKMARK":
                continue
            if event.type == "DELETED":
                with self._lock:
                    self._seen.pop(_place(event.object), None)
                    self._gone[_place(event.object)] = int(self._version)
            else:
                self.put(event.object)
            self._changed()


def _place(item: Object) -> Place:
    return str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"])
