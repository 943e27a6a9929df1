"""The audit log as values: who asked the API server for what, and what it answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Change:
    """A write that was carried out, with what it left; `object` is None where nothing was left.

    `asked`, `done`: when the request came, and when it was answered (Unix seconds).
    """

    asked: float
    done: float
    user: str
    resource: str
    name: str
    object: dict[str, Any] | None

    @property
    def version(self) -> int:
        """Of the object that it left; 0 if it left none."""
        return int(self.object["metadata"]["resourceVersion"]) if self.object is not None else 0


def changes(path: Path) -> list[Change]:
    """Every change of what the log has bodies of (`ControlPlane(audit_bodies=True)`), in the order in which
    they were made: versions of one store rise, whatever the order of the answers was.
    """
    found: list[tuple[int, int, Change]] = []
    latest = 0
    with path.open() as lines:
        for line in lines:
            change = _change(line) if line.endswith("\n") and '"responseObject"' in line else None
            if change is not None:
                latest = max(latest, change.version)
                found.append((change.version or latest, len(found), change))
    return [change for _, _, change in sorted(found, key=lambda one: one[:2])]


def _change(line: str) -> Change | None:
    raw = json.loads(line)
    target, left = raw["objectRef"], raw["responseObject"]
    if raw["verb"] not in WRITES or int(raw.get("responseStatus", {}).get("code", 0)) >= 400:
        return None
    whole = "resourceVersion" in left.get("metadata", {})
    return Change(
        asked=_unix(raw["requestReceivedTimestamp"]),
        done=_unix(raw["stageTimestamp"]),
        user=raw["user"].get("username", ""),
        resource=target["resource"],
        name=target.get("name") or left.get("metadata", {}).get("name", ""),
        object=left if whole and left.get("kind") != "Status" else None,
    )


def _unix(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()


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
