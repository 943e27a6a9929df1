"""One node as the cluster's objects describe it. Pure: objects in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class NodeView:
    """A Node and its OSInstance, as much of them as a table shows and a verdict needs. Bytes, not MiB."""

    name: str
    system: str = ""
    boot_id: str = ""
    ready: bool = False
    cordoned: bool = False
    goal: str = ""
    phase: str = ""
    booted_slot: str = ""
    booted_digest: str = ""
    good: str = ""
    next: str = ""
    barred: tuple[str, ...] = ()
    error: str = ""
    staged_bytes: int = 0
    total_bytes: int = 0
    fetched_bytes: int = 0
    reused_bytes: int = 0

    @property
    def settled(self) -> bool:
        """Ready, in service, and nothing on trial."""
        return self.ready and not self.cordoned and self.next in ("", "-") and self.booted_slot == self.good


def node_view(node: Object, instance: Object | None) -> NodeView:
    """The view of one node; `instance` is None before its OSInstance exists."""
    status = node.get("status", {})
    info = status.get("nodeInfo", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    spec, state = (instance or {}).get("spec", {}), (instance or {}).get("status", {})
    booted, staging, error = (state.get(key) or {} for key in ("booted", "staging", "lastError"))
    return NodeView(
        name=node["metadata"]["name"],
        system=info.get("osImage", ""),
        boot_id=info.get("bootID", ""),
        ready=ready,
        cordoned=bool(node.get("spec", {}).get("unschedulable")),
        goal=spec.get("goal", ""),
        phase=state.get("phase", ""),
        booted_slot=booted.get("slot", ""),
        booted_digest=booted.get("digest", ""),
        good=state.get("good", ""),
        next=state.get("next", ""),
        barred=tuple(spec.get("barred", ())),
        error=f"{error['reason']}: {error['message']}" if error else "",
        staged_bytes=staging.get("bytesDone", 0),
        total_bytes=staging.get("bytesTotal", 0),
        fetched_bytes=staging.get("bytesFetched", 0),
        reused_bytes=staging.get("bytesReused", 0),
    )


@dataclass(frozen=True)
class FailedRow:
    """One node on which a release failed, and why."""

    node: str
    digest: str
    reason: str
    message: str = ""


@dataclass(frozen=True)
class WaitingRow:
    """One node that waits, and why."""

    node: str
    reason: str
    message: str = ""


@dataclass(frozen=True)
class OSView:
    """An OS object's status."""

    name: str = ""
    phase: str = ""
    observed: bool = False
    target: str = ""
    ready: str = ""
    waiting_on: str = ""
    failed: tuple[FailedRow, ...] = ()
    waiting: tuple[WaitingRow, ...] = ()


def os_view(item: Object) -> OSView:
    """The view of one OS object."""
    status, meta = item.get("status", {}), item["metadata"]
    return OSView(
        name=meta["name"],
        phase=status.get("phase", ""),
        observed=status.get("observedGeneration", 0) == meta.get("generation", 0),
        target=status.get("targetDigest", ""),
        ready=status.get("ready", ""),
        waiting_on=status.get("waitingOn", ""),
        failed=tuple(
            FailedRow(row["node"], row["digest"], row["reason"], row.get("message", ""))
            for row in status.get("failed", [])
        ),
        waiting=tuple(
            WaitingRow(row["node"], row["reason"], row.get("message", ""))
            for row in status.get("waiting", [])
        ),
    )
