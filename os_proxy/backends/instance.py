"""The node's own OSInstance: watched by a thread, written by patches of its status alone.

One list and one watch by field selector, so that RBAC and the server's cache see one object. The watch only
marks that something is new; what is true is the last object that came. Not finding it is normal: the operator
makes it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from os_proxy.core import orders
from os_proxy.core.orders import Orders
from os_proxy.core.status import Json, patch
from warmroot.errors import ClusterError, Gone, NetworkError, NotFound
from warmroot.kube.cluster import OSINSTANCE, Cluster, Object

WATCH_SECONDS = 300.0
FIRST_DELAY, MAX_DELAY = 1.0, 60.0
"""Seconds between two attempts to reach the API server."""
log = logging.getLogger(__name__)


class ClusterInstance:
    """`Instance` over a cluster. `cluster` writes; the watch has a connection of its own."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        self._cluster, self._node = cluster, node
        self._object: Object | None = None
        self._lock = threading.Lock()
        self._news = threading.Event()

    def orders(self) -> Orders | None:
        """See `Instance.orders`."""
        with self._lock:
            return None if self._object is None else orders.parse(self._object)

    def status(self) -> Json:
        """See `Instance.status`."""
        with self._lock:
            return dict((self._object or {}).get("status") or {})

    def publish(self, status: Json) -> None:
        """See `Instance.publish`. Writes nothing as long as the operator has not made the object."""
        with self._lock:
            if self._object is None:
                return
            changes = patch(self._object.get("status") or {}, status)
        if not changes:
            return
        try:
            answer = self._cluster.patch(OSINSTANCE, self._node, {"status": changes}, subresource="status")
        except NotFound:
            self._take(None)
            return
        self._take(answer)

    def wait(self, timeout: float) -> None:
        """See `Instance.wait`."""
        self._news.wait(max(0.0, timeout))
        self._news.clear()

    def wake(self) -> None:
        """Ends a `wait`."""
        self._news.set()

    def refresh(self) -> None:
        """Reads the object once.

        Raises:
            ClusterError, NetworkError: it could not be read; what was known stays.
        """
        try:
            self._take(self._cluster.get(OSINSTANCE, self._node))
        except NotFound:
            self._take(None)

    def follow(self, cluster: Cluster, ended: Callable[[], bool]) -> None:
        """Keeps the object up to date until `ended()`. Runs in a thread of its own."""
        delay = FIRST_DELAY
        while not ended():
            try:
                self._follow_once(cluster, ended)
                delay = FIRST_DELAY
            except Gone:
                continue
            except (ClusterError, NetworkError) as error:
                log.warning("watching the orders failed", extra={"reason": error.reason, "error": str(error)})
                threading.Event().wait(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads a fleet
                delay = min(MAX_DELAY, delay * 2)

    def _follow_once(self, cluster: Cluster, ended: Callable[[], bool]) -> None:
        fields = f"metadata.name={self._node}"
        listing = cluster.list(OSINSTANCE, fields=fields)
        self._take(listing.items[0] if listing.items else None)
        version = listing.resource_version
        while not ended():
            for event in cluster.watch(OSINSTANCE, version, fields=fields, timeout=WATCH_SECONDS):
                if ended():
                    return
                version = event.object["metadata"]["resourceVersion"]
                if event.type in ("ADDED", "MODIFIED"):
                    self._take(event.object)
                elif event.type == "DELETED":
                    self._take(None)

    def _take(self, found: Object | None) -> None:
        """Keeps the newer object; wakes the agent if its orders changed."""
        with self._lock:
            before, self._object = self._object, _newer(self._object, found)
            changed = (before or {}).get("spec") != (self._object or {}).get("spec") or (before is None) != (
                self._object is None
            )
        if changed:
            self._news.set()


def _newer(known: Object | None, found: Object | None) -> Object | None:
    """The answer to a patch and the watch race; the resource version says which is newer (KEP-5504)."""
    if known is None or found is None or known["metadata"]["uid"] != found["metadata"]["uid"]:
        return found
    before, after = known["metadata"]["resourceVersion"], found["metadata"]["resourceVersion"]
    if before.isdigit() and after.isdigit() and int(after) < int(before):
        return known
    return found
