"""Secrets and webhook configurations in memory, with versions; something may come before a write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jboost_server.webhook.keeping import CONFIGURATION
from warmroot import errors
from warmroot.kube.cluster import Kind, Object


class KeepingCluster:
    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.version = 0
        self.before_write: Callable[[], Any] | None = None
        self._writing = False

    def configure(self, name: str) -> None:
        """As `kubectl apply` leaves it: without authorities."""
        body = {"metadata": {"name": name}, "webhooks": [{"name": "a", "clientConfig": {"url": "https://a"}}]}
        self._commit(CONFIGURATION, body)

    def touch(self) -> None:
        """Somebody writes all objects, and changes nothing."""
        for key, one in list(self.objects.items()):
            self.version += 1
            self.objects[key] = one | {"metadata": one["metadata"] | {"resourceVersion": str(self.version)}}

    def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object:
        try:
            return self.objects[kind.plural, namespace or "", name]
        except KeyError:
            raise errors.NotFound(f"{name} not found", status=404) from None

    def create(self, kind: Kind, body: Object, **_: Any) -> Object:
        self._interfere()
        if _key(kind, body) in self.objects:
            raise errors.AlreadyExists("it is there", status=409)
        return self._commit(kind, body)

    def replace(self, kind: Kind, body: Object, **_: Any) -> Object:
        self._interfere()
        meta = body["metadata"]
        stored = self.get(kind, meta["name"], namespace=meta.get("namespace"))
        if stored["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            raise errors.Conflict("another version", status=409)
        return self._commit(kind, body)

    def delete(self, kind: Kind, name: str, *, namespace: str | None = None, **_: Any) -> None:
        del self.objects[kind.plural, namespace or "", name]

    def _interfere(self) -> None:
        if self.before_write is None or self._writing:
            return
        self._writing = True
        try:
            self.before_write()
        finally:
            self._writing = False

    def _commit(self, kind: Kind, body: Object) -> Object:
        self.version += 1
        meta = body["metadata"] | {"resourceVersion": str(self.version)}
        self.objects[_key(kind, body)] = body | {"metadata": meta}
        return self.objects[_key(kind, body)]


def _key(kind: Kind, body: Object) -> tuple[str, str, str]:
    return kind.plural, body["metadata"].get("namespace", ""), body["metadata"]["name"]
