"""Objects as a watch brings them. Our own writes are seen at once, whatever it lags."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from warmroot.kube.cluster import Listing, Object

T = TypeVar("T")
Place = tuple[str, str]


class Watched(Generic[T]):
    """Objects of one kind, each as `read` makes it (None: it counts as none). A `Sink` of an informer."""

    def __init__(self, read: Callable[[Object], T | None]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._seen: dict[Place, tuple[int, T, Object]] = {}
        self._gone: dict[Place, int] = {}

    def all(self) -> dict[Place, T]:
        """What is there, by namespace and name."""
        with self._lock:
            return {place: value for place, (_, value, _) in self._seen.items()}

    def whole(self, place: Place) -> Object | None:
        """The object itself, for writing over it."""
        with self._lock:
            found = self._seen.get(place)
        return found[2] if found else None

    def put(self, item: Object) -> bool:
        """Takes an object in, unless a newer version of it is here. Returns whether it did."""
        place, version = _place(item), _version(item)
        value = self._read(item)
        with self._lock:
            known = self._seen.get(place)
            if version <= max(known[0] if known else -1, self._gone.get(place, -1)):
                return False
            if value is None:
                self._seen.pop(place, None)
            else:
                self._seen[place] = version, value, item
        return True

    def remove(self, item: Object) -> None:
        """Forgets an object that was deleted."""
        with self._lock:
            self._seen.pop(_place(item), None)
            self._gone[_place(item)] = _version(item)

    def relist(self, pages: Iterable[Listing]) -> str:
        """Takes a whole list in: what is not in it any more is forgotten. Its version.

        Raises:
            ClusterError, NetworkError: a page can't be had; then nothing is forgotten.
        """
        present, version = set(), ""
        for page in pages:
            version = page.resource_version
            for item in page.items:
                present.add(_place(item))
                self.put(item)
        with self._lock:
            for place in [place for place in self._seen if place not in present]:
                if self._seen[place][0] <= int(version):
                    del self._seen[place]
            self._gone.clear()
        return version


def _place(item: Object) -> Place:
    return str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"])


def _version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])
