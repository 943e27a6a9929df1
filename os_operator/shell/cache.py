"""What the operator has seen, as views. Our own writes are seen at once, whatever the watches lag behind.

That is what keeps the budget: a pass right after a cordon must know of that cordon. An object never goes back
to an older version than the one it has here.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from os_operator.core import clocks, parse
from os_operator.core.world import EvictionResult, InstanceView, NodeView, OSView
from warmroot.errors import NotFound
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, Cluster, Kind, Listing, Object
from warmroot.kube.informer import Sink

View = NodeView | InstanceView | OSView


class Cache:
    """Slim projections by kind and name; safe to use from several threads. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._views: dict[Kind, dict[str, Any]] = {NODE: {}, OSINSTANCE: {}, OS: {}}
        self._removed: dict[tuple[Kind, str], int] = {}
        self._oses: dict[str, Object] = {}
        self._doubted: set[tuple[Kind, str]] = set()
        self.evictions: dict[str, EvictionResult] = {}
        self._staged = {"fetched": 0, "reused": 0}

    def put(self, kind: Kind, item: Object) -> bool:
        """Takes an object in. Returns whether a decision could depend on what changed."""
        name, version = item["metadata"]["name"], int(item["metadata"]["resourceVersion"])
        view, at = _view(kind, item), self._clock()
        with self._lock:
            old = self._views[kind].get(name)
            if version <= self._removed.get((kind, name), -1):
                return False
            if old is not None and int(old.version) >= version:
                return False
            view = self._views[kind][name] = _by_our_clock(old, view, at)
            if kind == OS:
                self._oses[name] = item
            if isinstance(view, InstanceView) and old is not None:
                self._staged["fetched"] += _growth(old.fetched, view.fetched)
                self._staged["reused"] += _growth(old.reused, view.reused)
        return old is None or _differ(old, view)

    def of(self, kind: Kind) -> Sink:
        """Where an informer of this kind puts what it brings."""
        return _OfKind(self, kind)

    def remove(self, kind: Kind, name: str, version: int) -> None:
        """Forgets an object that was deleted at `version`."""
        with self._lock:
            old = self._views[kind].get(name)
            if old is not None and int(old.version) <= version:
                del self._views[kind][name]
                self._removed[kind, name] = version
                self._oses.pop(name, None) if kind == OS else None

    def relist(self, kind: Kind, pages: Iterable[Listing]) -> str:
        """Takes a whole list in, page by page: what is not in it any more is forgotten. Its version.

        Raises:
            ClusterError, NetworkError: a page can't be had; then nothing is forgotten.
        """
        present, version = set(), ""
        for page in pages:
            version = page.resource_version
            while page.items:  # each is dropped as soon as its view is there
                item = page.items.pop()
                present.add(item["metadata"]["name"])
                self.put(kind, item)
        with self._lock:
            gone = [name for name in self._views[kind] if name not in present]
        for name in gone:
            self.remove(kind, name, int(version))
        return version

    def views(self) -> tuple[dict[str, OSView], dict[str, NodeView], dict[str, InstanceView]]:
        """OS objects, nodes and instances as of now."""
        with self._lock:
            return dict(self._views[OS]), dict(self._views[NODE]), dict(self._views[OSINSTANCE])

    def doubt(self, kind: Kind, name: str) -> None:
        """Notes that a write was sent and its answer lost."""
        with self._lock:
            if kind in self._views:
                self._doubted.add((kind, name))

    def read_doubted(self, cluster: Cluster) -> None:
        """Reads what is doubted again, so that no slot is given away twice.

        Raises:
            ClusterError: the API server refuses to tell.
            NetworkError: it can't be reached; the doubt stays.
        """
        with self._lock:
            doubted = sorted(self._doubted, key=lambda pair: (pair[0].plural, pair[1]))
        for kind, name in doubted:
            with contextlib.suppress(NotFound):
                self.put(kind, cluster.get(kind, name))
            with self._lock:
                self._doubted.discard((kind, name))

    def staged_bytes(self) -> dict[str, int]:
        """Bytes that nodes were seen to stage since this process began, by where they came from."""
        with self._lock:
            return dict(self._staged)

    def os_object(self, name: str) -> Object | None:
        """The whole OS object, for writing its status or finalizers."""
        with self._lock:
            return self._oses.get(name)


@dataclass(frozen=True)
class _OfKind:
    cache: Cache
    kind: Kind

    def relist(self, pages: Iterable[Listing]) -> str:
        return self.cache.relist(self.kind, pages)

    def put(self, item: Object) -> bool:
        return self.cache.put(self.kind, item)

    def remove(self, item: Object) -> None:
        meta = item["metadata"]
        self.cache.remove(self.kind, meta["name"], int(meta["resourceVersion"]))


def _view(kind: Kind, item: Object) -> View:
    if kind == NODE:
        return parse.node_view(item)
    return parse.instance_view(item) if kind == OSINSTANCE else parse.os_view(item)


def _by_our_clock(old: View | None, view: View, at: float) -> View:
    if isinstance(view, NodeView):
        return clocks.node(old if isinstance(old, NodeView) else None, view, at)
    if isinstance(view, InstanceView):
        return clocks.instance(old if isinstance(old, InstanceView) else None, view, at)
    return view


def _growth(before: int, after: int) -> int:
    """A download that begins anew counts from nothing."""
    return after - before if after >= before else after


_ASIDE = ("version", "heartbeat", "stale_at", "since_seen", "ready_seen", "fetched", "reused")
_MATTER = {
    kind: tuple(one.name for one in fields(kind) if one.name not in _ASIDE)
    for kind in (NodeView, InstanceView, OSView)
}
"""What of a view a decision depends on; the rest changes with every heartbeat."""


def _differ(old: View, new: View) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in _MATTER[type(new)])
