"""An API server in memory behind the Cluster port: versions, fences, status subresources, evictions, owners.

Stored objects are never changed in place, so they can be handed out without copying.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from testbed.swarm.ports import stamp
from warmroot import errors
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, PDB, POD, Kind, Listing, Object, WatchEvent

Listener = Callable[[str, Kind, Object], None]


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386 into a new object."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class Store:
    """The truth. `listeners` hear each commit."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.objects: dict[Kind, dict[tuple[str, str], Object]] = {}
        self.version = 100
        self.uids = 0
        self.listeners: list[Listener] = []
        self.terminate: Callable[[Object], None] = lambda pod: None
        self.disruptions: Callable[[Object], bool] = lambda pod: True

    def of(self, kind: Kind) -> dict[tuple[str, str], Object]:
        return self.objects.setdefault(kind, {})

    def find(self, kind: Kind, name: str, namespace: str = "") -> Object:
        try:
            return self.of(kind)[namespace, name]
        except KeyError:
            raise errors.NotFound(f"{kind.plural} {name} not found", status=404) from None

    def commit(self, kind: Kind, item: Object, event: str = "MODIFIED") -> Object:
        self.version += 1
        meta = item["metadata"] | {"resourceVersion": str(self.version)}
        item = item | {"metadata": meta}
        key = meta.get("namespace", ""), meta["name"]
        if event == "MODIFIED" and "deletionTimestamp" in meta and not meta.get("finalizers") and kind != POD:
            event = "DELETED"
        if event == "DELETED":
            del self.of(kind)[key]
        else:
            self.of(kind)[key] = item
        for listener in self.listeners:
            listener(event, kind, item)
        if event == "DELETED" and kind == NODE:
            self._collect(meta["uid"])
        return item

    def _collect(self, owner: str) -> None:
        for instance in list(self.of(OSINSTANCE).values()):
            if any(one["uid"] == owner for one in instance["metadata"].get("ownerReferences", ())):
                self.commit(OSINSTANCE, instance, "DELETED")


@dataclass
class MemoryCluster:
    """One client's hand on the store."""

    store: Store
    user: str = "admin"

    def list(
        self, kind: Kind, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Listing:
        items = list(self.store.of(kind).values())
        if namespace:
            items = [item for item in items if item["metadata"].get("namespace") == namespace]
        if fields:
            node = fields.removeprefix("spec.nodeName=")
            items = [item for item in items if item["spec"].get("nodeName") == node]
        return Listing(items, str(self.store.version))

    def pages(self, kind: Kind, **options: Any) -> Iterator[Listing]:
        yield self.list(kind, **options)

    def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object:
        return self.store.find(kind, name, namespace or "")

    def create(
        self,
        kind: Kind,
        body: Object,
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        if subresource == "eviction":
            return self._evict(body, namespace or "")
        meta = body["metadata"]
        key = meta.get("namespace", ""), meta["name"]
        if key in self.store.of(kind):
            raise errors.AlreadyExists(f"{key} exists", status=409)
        self.store.uids += 1
        meta = meta | {"uid": f"uid-{self.store.uids}", "generation": 1}
        return self.store.commit(kind, body | {"metadata": meta}, "ADDED")

    def _evict(self, body: Object, namespace: str) -> Object:
        pod = self.store.find(POD, body["metadata"]["name"], namespace)
        wanted = body["deleteOptions"]["preconditions"]["uid"]
        if pod["metadata"]["uid"] != wanted:
            raise errors.Conflict("uid", status=409)
        if "deletionTimestamp" not in pod["metadata"] and not self.store.disruptions(pod):
            raise errors.TooManyRequests("budget", status=429, cause="DisruptionBudget")
        self._terminate(pod)
        return body

    def _terminate(self, pod: Object) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        until = stamp(self.store.clock() + grace)
        pod = self.store.commit(POD, merged(pod, {"metadata": {"deletionTimestamp": until}}))
        self.store.terminate(pod)

    def replace(self, kind: Kind, body: Object, *, subresource: str | None = None) -> Object:
        old = self.store.find(kind, body["metadata"]["name"])
        self._fence(old, body)
        assert subresource == "status"
        return self.store.commit(kind, old | {"status": body["status"]})

    def patch(
        self,
        kind: Kind,
        name: str,
        patch: Object,
        *,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        old = self.store.find(kind, name, namespace or "")
        self._fence(old, patch)
        if subresource == "status":
            return self.store.commit(kind, merged(old, {"status": patch["status"]}))
        new = merged(old, {key: value for key, value in patch.items() if key != "status"})
        if new.get("spec") != old.get("spec"):
            new = merged(new, {"metadata": {"generation": old["metadata"].get("generation", 0) + 1}})
        if kind == NODE and "unschedulable" in patch.get("spec", {}):
            owner = {"manager": self.user, "fieldsV1": {"f:spec": {"f:unschedulable": {}}}}
            new = merged(new, {"metadata": {"managedFields": [owner]}})
        return self.store.commit(kind, new)

    def _fence(self, old: Object, body: Object) -> None:
        version = body["metadata"].get("resourceVersion") if "metadata" in body else None
        if version is not None and version != old["metadata"]["resourceVersion"]:
            raise errors.Conflict(f"{old['metadata']['name']} has changed", status=409)

    def apply(self, kind: Kind, body: Object, **_: Any) -> Object:
        raise NotImplementedError

    def delete(
        self,
        kind: Kind,
        name: str,
        *,
        namespace: str | None = None,
        grace: int | None = None,
        uid: str | None = None,
    ) -> None:
        old = self.store.find(kind, name, namespace or "")
        if uid is not None and old["metadata"]["uid"] != uid:
            raise errors.Conflict("uid", status=409)
        if kind == POD:
            self._terminate(old)
        elif old["metadata"].get("finalizers"):
            patch = {"metadata": {"deletionTimestamp": stamp(self.store.clock())}}
            self.store.commit(kind, merged(old, patch))
        else:
            self.store.commit(kind, old, "DELETED")

    def watch(self, kind: Kind, resource_version: str, **_: Any) -> Iterator[WatchEvent]:
        raise NotImplementedError


__all__ = ["NODE", "OS", "OSINSTANCE", "PDB", "POD", "MemoryCluster", "Store", "merged", "stamp"]
