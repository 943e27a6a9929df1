"""The Cluster port: Kubernetes objects as plain JSON, errors as types.

An object is the dict that the API server sent. No model objects are built: at 10,000 nodes they would be
most of the operator's memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from warmroot import errors
from warmroot.kube.transport import Response, Transport

loads: Callable[[bytes], Any]
try:
    import orjson

    loads = orjson.loads
except ImportError:  # the proxy does without
    loads = json.loads

Object = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """Where objects of one kind live in the API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Path on the API server. A namespaced kind without `namespace` means all namespaces."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
POD = Kind("", "v1", "pods", "Pod")
EVENT = Kind("events.k8s.io", "v1", "events", "Event")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
SECRET = Kind("", "v1", "secrets", "Secret")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
PDB = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
VOLUME_ATTACHMENT = Kind("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", namespaced=False)
PERSISTENT_VOLUME = Kind("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
CRD = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
OS = Kind("warmroot.io", "v1alpha1", "oses", "OS", namespaced=False)
OSINSTANCE = Kind("warmroot.io", "v1alpha1", "osinstances", "OSInstance", namespaced=False)
JAVA_CACHE = Kind("warmroot.io", "v1alpha1", "javacaches", "JavaCache")


@dataclass(frozen=True)
class Listing:
    """Objects and the version from which to watch on."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""

    type: str
    object: Object


class Cluster(Protocol):
    """What our parts ask of Kubernetes.

    Any call may raise NetworkError, and ClusterError for what the API server refuses: Forbidden, Invalid,
    TooManyRequests. What else a call raises is said with it.
    """

    def list(
        self, kind: Kind, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Listing:
        """Every object that selectors choose, in all namespaces if none is named."""

    def pages(
        self, kind: Kind, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Iterator[Listing]:
        """The same in parts, all of one version. Whoever keeps little of each part needs little memory.

        Raises:
            Gone: a part was asked for so late that its version is forgotten; begin anew.
        """

    def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object:
        """One object.

        Raises:
            NotFound: there is none.
        """

    def discover(self, api_version: str, kind: str) -> Kind:
        """Where objects of a kind live, by its name in manifests.

        Raises:
            NotFound: the API server knows no such group, version or kind.
        """

    def create(
        self,
        kind: Kind,
        body: Object,
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Makes an object, or asks a subresource of the one with that name (eviction, token).

        With `dry_run` nothing is kept, and all else is as if it were.

        Raises:
            AlreadyExists: there is one of that name.
        """

    def replace(self, kind: Kind, body: Object, *, subresource: str | None = None) -> Object:
        """Writes over exactly the version that `body` came from.

        Raises:
            Conflict: there is another version by now.
            NotFound: there is none.
        """

    def patch(
        self,
        kind: Kind,
        name: str,
        patch: Object,
        *,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        """Merges a patch (RFC 7386); with a `resourceVersion` in it only into that version.

        Raises:
            NotFound: there is none.
            Conflict: there is another version by now.
        """

    def apply(
        self, kind: Kind, body: Object, *, manager: str, force: bool = False, subresource: str | None = None
    ) -> Object:
        """Server-side apply under the name of `manager`; `force` takes fields from other managers.

        Raises:
            Conflict: another manager owns a field, and `force` was not given.
        """

    def delete(
        self,
        kind: Kind,
        name: str,
        *,
        namespace: str | None = None,
        grace: int | None = None,
        uid: str | None = None,
    ) -> None:
        """Deletes an object, with `grace` in seconds, and only the one with that `uid`.

        Raises:
            Conflict: the object of that name has another uid.
            NotFound: there is none.
        """

    def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        timeout: float = 300.0,
    ) -> Iterator[WatchEvent]:
        """Changes after `resource_version`, until the server ends the watch after `timeout` seconds.

        Raises:
            Gone: the version is too old; list again.
            NetworkError: the connection broke; watch on from the last version seen.
        """


_BY_STATUS: dict[int, type[errors.ClusterError]] = {
    400: errors.Invalid,
    401: errors.Forbidden,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Gone,
    422: errors.Invalid,
    429: errors.TooManyRequests,
}


# A field of a built-in kind that its schema does not have comes back from a server-side apply as 500
# (Kubernetes 1.37; for our own kinds it is 400).
_UNKNOWN_FIELD = "failed to create typed patch object"


def _refused(status: int, body: bytes, retry_after: float = 0.0) -> errors.ClusterError:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        found = _refusal(status, answer)
    else:
        text = body[:200].decode(errors="replace") or f"the API server answered {status}"
        found = _BY_STATUS.get(status, errors.ClusterError)(text, status=status)
    if isinstance(found, errors.TooManyRequests):
        found.retry_after = retry_after
    return found


def _refusal(status: int, answer: Object) -> errors.ClusterError:
    """The error for a Status object."""
    message = str(answer.get("message", "")) or f"the API server answered {status}"
    causes = (answer.get("details") or {}).get("causes") or []
    cause = str(causes[0].get("reason", "")) if causes else ""
    leaf = _BY_STATUS.get(status, errors.ClusterError)
    if answer.get("reason") == "AlreadyExists":
        leaf = errors.AlreadyExists
    elif status == 500 and _UNKNOWN_FIELD in message:
        leaf = errors.Invalid
    return leaf(message, status=status, cause=cause)


def _parse(data: bytes) -> Any:
    try:
        return loads(data)
    except ValueError as error:
        raise errors.NetworkError(
            f"the answer is not JSON: {data[:200].decode(errors='replace')}",
            hint="something on the way answers in the API server's place; check address and proxies",
        ) from error


class RestCluster:
    """The Cluster port over a Transport. Lists come in pages of `page` objects."""

    def __init__(self, transport: Transport, *, page: int = 500) -> None:
        self.transport = transport
        self._page = page

    def _call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        answer: Response = self.transport.request(
            method, path, query=query, body=data, content_type=content_type
        )
        if answer.status >= 300:
            # Without a name here: an error that its own frame names is a cycle, with the connection in it.
            raise _refused(answer.status, answer.body, answer.retry_after)
        result: Object = _parse(answer.body)
        return result

    def list(
        self, kind: Kind, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Listing:
        """All objects, fetched in pages."""
        items: list[Object] = []
        version = ""
        for page in self.pages(kind, namespace=namespace, labels=labels, fields=fields):
            items += page.items
            version = page.resource_version
        return Listing(items, version)

    def pages(
        self, kind: Kind, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Iterator[Listing]:
        """Pages as they are asked for.

        Raises:
            Gone: a page was asked for so late that its version is forgotten; begin anew.
        """
        query = {"limit": str(self._page)} | _selectors(labels, fields)
        while True:
            page = self._call("GET", kind.path(namespace), query=query)
            meta = page["metadata"]
            yield Listing(page["items"], meta["resourceVersion"])
            if not meta.get("continue"):
                return
            query["continue"] = meta["continue"]

    def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object:
        """One object."""
        return self._call("GET", kind.path(namespace, name))

    def discover(self, api_version: str, kind: str) -> Kind:
        """A kind, from the API server's own list.

        Raises:
            NotFound: it knows no such group, version or kind.
        """
        group, _, version = api_version.rpartition("/")
        listed = self._call("GET", f"/apis/{api_version}" if group else f"/api/{version}")
        for one in listed.get("resources") or ():
            if one["kind"] == kind and "/" not in one["name"]:
                return Kind(group, version, one["name"], kind, bool(one["namespaced"]))
        raise errors.NotFound(f"{api_version} has no kind {kind}", status=404)

    def create(
        self,
        kind: Kind,
        body: Object,
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """A new object; with `name` and `subresource`, such as an eviction or a token, below an object."""
        namespace = namespace or (None if not kind.namespaced else body["metadata"].get("namespace"))
        query = {"dryRun": "All"} if dry_run else None
        return self._call("POST", kind.path(namespace, name, subresource), body, query)

    def replace(self, kind: Kind, body: Object, *, subresource: str | None = None) -> Object:
        """The object as a whole; its resourceVersion fences the write."""
        meta = body["metadata"]
        return self._call("PUT", kind.path(meta.get("namespace"), meta["name"], subresource), body)

    def patch(
        self,
        kind: Kind,
        name: str,
        patch: Object,
        *,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        """A JSON merge patch. A resourceVersion in it fences the write."""
        path = kind.path(namespace, name, subresource)
        return self._call("PATCH", path, patch, content_type="application/merge-patch+json")

    def apply(
        self, kind: Kind, body: Object, *, manager: str, force: bool = False, subresource: str | None = None
    ) -> Object:
        """Server-side apply under a field manager, with strict field validation."""
        meta = body["metadata"]
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        path = kind.path(meta.get("namespace"), meta["name"], subresource)
        return self._call("PATCH", path, body, query, content_type="application/apply-patch+yaml")

    def delete(
        self,
        kind: Kind,
        name: str,
        *,
        namespace: str | None = None,
        grace: int | None = None,
        uid: str | None = None,
    ) -> None:
        """Deletes; `grace` in seconds, `uid` as a precondition."""
        body: Object = {}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        self._call("DELETE", kind.path(namespace, name), body)

    def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        timeout: float = 300.0,
    ) -> Iterator[WatchEvent]:
        """Changes after `resource_version`, until the server ends the watch after `timeout` seconds.

        Raises:
            Gone: the version is too old; list again.
            NetworkError: the connection broke; watch on from the last version seen.
        """
        query = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, math.ceil(timeout))),  # 0 would mean: as long as the server likes
        } | _selectors(labels, fields)
        with self._stream(kind.path(namespace), query, timeout + 30) as lines:
            for line in lines:
                event = _parse(line)
                if event["type"] == "ERROR":
                    raise _refusal(int(event["object"].get("code", 500)), event["object"])
                yield WatchEvent(event["type"], event["object"])

    @contextmanager
    def _stream(self, path: str, query: Mapping[str, str], timeout: float) -> Iterator[Iterator[bytes]]:
        with self.transport.stream(path, query=query, timeout=timeout) as (status, lines):
            if status >= 300:
                raise _refused(status, b"\n".join(lines))
            yield lines


def _selectors(labels: str, fields: str) -> dict[str, str]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {key: value for key, value in chosen.items() if value}


def connect(make: Callable[[str | None], Transport], kubeconfig: str | None = None) -> RestCluster:
    """A cluster over the transport that `make` opens.

    Raises:
        UserError: there is no usable kubeconfig or service account.
    """
    return RestCluster(make(kubeconfig))
