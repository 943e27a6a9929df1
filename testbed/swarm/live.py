"""The machines' objects on a real API server: one watch a kind, each write at once.

Proxies and kubelets have a user each, so that the audit log tells them apart. Both may do anything: what a
real proxy's credential can't do is `tests/e2e/test_rights.py`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from testbed.kubelet.watch import ObjectWatch
from testbed.swarm.ports import Time
from warmroot.errors import ClusterError, Conflict, NetworkError, NotFound
from warmroot.kube.cluster import NODE, OSINSTANCE, Kind, Object, RestCluster
from warmroot.kube.transport import RequestsTransport

AGAIN = 1.0
"""Seconds until a write that failed is tried again, if nothing newer was said meanwhile."""
Key = tuple[Kind, str]


class LiveRecords:
    """`Records` on an API server; but for its start and its end it belongs to the thread of `time`."""

    def __init__(self, time: Time, proxies: Path, kubelets: Path) -> None:
        self.failed = 0
        """Writes that were tried again."""
        self._time = time
        self._heard: Callable[[Object], None] = lambda _: None
        self._known: dict[Key, Object] = {}
        self._said: dict[Key, Object] = {}
        self._transports = [RequestsTransport(str(path)) for path in (proxies, kubelets)]
        writers = [RestCluster(transport) for transport in self._transports]
        self._writers = dict(zip((OSINSTANCE, NODE), writers, strict=True))
        self._watches = [
            ObjectWatch(path, kind, self._noter(kind))
            for path, kind in ((proxies, OSINSTANCE), (kubelets, NODE))
        ]

    def start(self, heard: Callable[[Object], None]) -> None:
        """Watches from now on; `heard` is told of every OSInstance that changes."""
        self._heard = heard
        for watch in self._watches:
            watch.begin()

    def end(self) -> None:
        """Neither watches nor writes."""
        for watch in self._watches:
            watch.end()
        for transport in self._transports:
            transport.close()

    def instance(self, name: str) -> Object | None:
        """As the port says."""
        return self._known.get((OSINSTANCE, name))

    def node(self, name: str) -> Object | None:
        """As the port says."""
        return self._known.get((NODE, name))

    def register(self, node: Object) -> Object:
        """A kubelet makes its Node; gives what the API server stored.

        Raises:
            ClusterError: the API server refused it.
            NetworkError: the API server did not answer.
        """
        made = self._writers[NODE].create(NODE, node)
        self._put(NODE, made)
        return made

    def report(self, instance: Object, status: Object) -> None:
        """As the port says."""
        self._write(OSINSTANCE, instance, status)

    def tell(self, node: Object, status: Object) -> None:
        """As the port says."""
        if not _says(node["status"], status):
            self._write(NODE, node, status)

    def _write(self, kind: Kind, item: Object, status: Object) -> None:
        name, uid = item["metadata"]["name"], item["metadata"]["uid"]
        self._said[kind, name] = status
        body = {"metadata": {"uid": uid}, "status": status}
        try:
            self._put(kind, self._writers[kind].patch(kind, name, body, subresource="status"))
        except (NotFound, Conflict):
            return  # it is gone, or its successor has the name; the watch brings it
        except (ClusterError, NetworkError):
            self.failed += 1
            self._time.after(AGAIN, lambda: self._repeat(kind, item, status))

    def _repeat(self, kind: Kind, item: Object, status: Object) -> None:
        if self._said.get((kind, item["metadata"]["name"])) is status:
            self._write(kind, item, status)

    def _noter(self, kind: Kind) -> Callable[[bool, Object], None]:
        def note(gone: bool, item: Object) -> None:
            self._time.after(0, lambda: self._see(kind, gone, item))

        return note

    def _see(self, kind: Kind, gone: bool, item: Object) -> None:
        name = item["metadata"]["name"]
        if gone:
            self._known.pop((kind, name), None)
            return
        self._put(kind, item)
        if kind is OSINSTANCE:
            # The answer to a report may have brought new orders before the watch does: they are told here.
            self._heard(self._known[kind, name])

    def _put(self, kind: Kind, item: Object) -> None:
        """Keeps the newer one."""
        key = kind, item["metadata"]["name"]
        if key not in self._known or _version(self._known[key]) < _version(item):
            self._known[key] = item


def _version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])


def _says(standing: Any, wanted: Any) -> bool:
    """Whether a status says already what would be merged into it."""
    if isinstance(wanted, Mapping):
        return isinstance(standing, Mapping) and all(
            _says(standing.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        same = isinstance(standing, list) and len(standing) == len(wanted)
        return same and all(map(_says, standing, wanted))
    return bool(standing == wanted)
