"""Keeps somebody in the picture about one kind: it lists once, then watches, and lists again where the server
has forgotten its version.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from warmroot.errors import ClusterError, Gone, NetworkError, TooManyRequests
from warmroot.kube.cluster import Cluster, Kind, Listing, Object

log = logging.getLogger(__name__)
RETRY = 1.0
LAST_RETRY = 5.0
"""Seconds. An API server that comes back after minutes is watched again within seconds."""


class Sink(Protocol):
    """Keeps what is seen; safe to use from several threads."""

    def relist(self, pages: Iterable[Listing]) -> str:
        """Takes a whole list in, page by page: what is not in it any more is forgotten. Its version.

        Raises:
            ClusterError, NetworkError: a page can't be had; then nothing is forgotten.
        """

    def put(self, item: Object) -> bool:
        """Takes an object in. Returns whether a decision could depend on what changed."""

    def remove(self, item: Object) -> None:
        """Forgets an object that was deleted; it is as it was then."""


class Informer:
    """Tells `sink`, and calls `changed` when a decision could depend on what came."""

    def __init__(
        self, cluster: Cluster, kind: Kind, sink: Sink, changed: Callable[[], None], *, labels: str = ""
    ) -> None:
        self._cluster, self._kind, self._sink, self._changed = cluster, kind, sink, changed
        self._labels = labels
        self._stop = threading.Event()
        self._version = ""
        self.synced = threading.Event()

    @property
    def kind(self) -> Kind:
        """What it watches."""
        return self._kind

    def stop(self) -> None:
        """Ends after the current event; a thread that waits for one is left to the end of the process."""
        self._stop.set()

    def run(self) -> None:
        """Watches until it is stopped. An object that the sink can't read ends it with the sink's error."""
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
                log.warning("watching %s: %s", self._kind.plural, error)
                if isinstance(error, ClusterError):
                    self._version = ""
                asked = error.retry_after if isinstance(error, TooManyRequests) else 0.0
                self._stop.wait(max(pause, asked))
                pause = min(LAST_RETRY, pause * 2)

    def _list(self) -> str:
        version = self._sink.relist(self._cluster.pages(self._kind, labels=self._labels))
        self.synced.set()
        self._changed()
        return version

    def _watch(self) -> None:
        for event in self._cluster.watch(self._kind, self._version, labels=self._labels):
            if self._stop.is_set():
                break
            # Noted at once: a watch that breaks goes on from here.
            self._version = str(event.object["metadata"]["resourceVersion"])
            if event.type == "BOOKMARK":
                continue
            if event.type == "DELETED":
                self._sink.remove(event.object)
                self._changed()
            elif self._sink.put(event.object):
                self._changed()
