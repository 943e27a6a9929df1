"""A watch that never ends: list, watch on, list again when the server forgot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from warmroot.errors import Gone, WarmrootError
from warmroot.kube.cluster import Kind, Object, RestCluster
from warmroot.kube.transport import RequestsTransport

log = logging.getLogger(__name__)
WATCH_SECONDS = 60.0
"""How long one watch lives. A read can't be interrupted: an ended one lives on for that long."""
RETRY = 1.0


class ObjectWatch:
    """Tells every change of a kind's objects: `changed(gone, object)`, from a thread of its own."""

    def __init__(
        self,
        kubeconfig: Path,
        kind: Kind,
        changed: Callable[[bool, Object], None],
        *,
        fields: str = "",
        labels: str = "",
    ) -> None:
        self._kubeconfig = kubeconfig
        self._kind = kind
        self._fields = fields
        self._labels = labels
        self._changed = changed
        self._ended = threading.Event()
        self._known: dict[str, Object] = {}

    def begin(self) -> None:
        """Starts the watching thread."""
        threading.Thread(target=self._run, name=f"watch-{self._kind.plural}", daemon=True).start()

    def end(self) -> None:
        """From now on nothing is told; the thread ends with its last read."""
        self._ended.set()

    def _run(self) -> None:
        transport = RequestsTransport(str(self._kubeconfig))
        cluster = RestCluster(transport)
        version = ""
        try:
            while not self._ended.is_set():
                try:
                    version = self._list(cluster) if not version else self._follow(cluster, version)
                except Gone:
                    version = ""
                except (WarmrootError, OSError) as error:
                    log.info("watch on %s: again in %s s: %s", self._kind.plural, RETRY, error)
                    version = ""
                    self._ended.wait(RETRY)
        finally:
            transport.close()

    def _list(self, cluster: RestCluster) -> str:
        listing = cluster.list(self._kind, fields=self._fields, labels=self._labels)
        found = {item["metadata"]["uid"]: item for item in listing.items}
        for uid in set(self._known) - set(found):
            self._tell(True, self._known[uid])
        for item in found.values():
            self._tell(False, item)
        return listing.resource_version

    def _follow(self, cluster: RestCluster, version: str) -> str:
        events = cluster.watch(
            self._kind, version, fields=self._fields, labels=self._labels, timeout=WATCH_SECONDS
        )
        for event in events:
            if self._ended.is_set():
                break
            version = event.object["metadata"]["resourceVersion"]
            if event.type != "BOOKMARK":
                self._tell(event.type == "DELETED", event.object)
        return version

    def _tell(self, gone: bool, item: Object) -> None:
        if self._ended.is_set():
            return
        uid = item["metadata"]["uid"]
        if gone:
            self._known.pop(uid, None)
        else:
            self._known[uid] = item
        self._changed(gone, item)
