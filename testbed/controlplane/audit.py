"""The audit log as values: who asked the API server for what, and what it answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Entry:
    """One line. A watch has two: when it begins (`ResponseStarted`) and when it ends (`ResponseComplete`).

    `at` is when the request came (RFC 3339, UTC, microseconds); `resource` has its subresource behind a
    slash; `code` is the HTTP status.
    """

    at: str
    stage: str
    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    code: int

    @property
    def is_write(self) -> bool:
        """Whether it changed something, or tried to."""
        return self.verb in WRITES


def read(path: Path) -> Iterator[Entry]:
    """All whole lines, in the order in which requests ended. A line being written is left out."""
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield _entry(line)


def _entry(line: str) -> Entry:
    raw = json.loads(line)
    target = raw.get("objectRef", {})
    resource = target.get("resource", raw["requestURI"].partition("?")[0])
    subresource = target.get("subresource")
    return Entry(
        at=raw["requestReceivedTimestamp"],
        stage=raw["stage"],
        user=raw["user"].get("username", ""),
        verb=raw["verb"],
        group=target.get("apiGroup", ""),
        resource=f"{resource}/{subresource}" if subresource else resource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=int(raw.get("responseStatus", {}).get("code", 0)),
    )
