"""Counts what the operator asks of the API server, below everything that asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from warmroot.kube.transport import Response, Transport

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class CountedTransport:
    """A Transport that tells `count` verb and resource (`nodes`, `pods/eviction`) of each request."""

    def __init__(self, inner: Transport, count: Callable[[str, str], None]) -> None:
        self._inner, self._count = inner, count

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> Response:
        """See `Transport.request`."""
        resource, named = resource_of(path)
        self._count(_VERBS.get(method, "get" if named else "list"), resource)
        return self._inner.request(
            method, path, query=query, body=body, content_type=content_type, timeout=timeout
        )

    def stream(
        self, path: str, *, query: Mapping[str, str], timeout: float
    ) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """See `Transport.stream`."""
        self._count("watch", resource_of(path)[0])
        return self._inner.stream(path, query=query, timeout=timeout)


def resource_of(path: str) -> tuple[str, bool]:
    """The resource of a path with its subresource, and whether the path names one object."""
    parts = path.strip("/").split("/")
    parts = parts[2 if parts[0] == "api" else 3 :]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    return "/".join([*parts[:1], *parts[2:3]]), len(parts) > 1
