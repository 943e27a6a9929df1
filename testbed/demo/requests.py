"""Who asked the API server for what, counted from the audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from testbed.controlplane.audit import Entry

OPERATOR = "system:serviceaccount:warmroot-system:warmroot-operator"
PROXY = "system:serviceaccount:warmroot-system:warmroot-proxy"


@dataclass(frozen=True)
class Traffic:
    """Requests of one part."""

    requests: int
    writes: int
    refused: int


def _finished(entries: Iterable[Entry], user: str) -> list[Entry]:
    return [entry for entry in entries if entry.user == user and entry.stage == "ResponseComplete"]


def traffic(entries: Iterable[Entry], user: str) -> Traffic:
    """What a user asked for; a watch counts once, when it ended."""
    mine = _finished(entries, user)
    return Traffic(len(mine), sum(entry.is_write for entry in mine), sum(entry.code >= 400 for entry in mine))


def is_heartbeat(entry: Entry) -> bool:
    """Whether it is a Lease or a watch: all that an idle part may send."""
    return entry.resource == "leases" or entry.verb == "watch"


def busy(entries: Iterable[Entry], user: str) -> Counter[str]:
    """Requests of a user that are neither Lease nor watch, by verb and resource."""
    return Counter(
        f"{entry.verb} {entry.resource}" for entry in _finished(entries, user) if not is_heartbeat(entry)
    )


def writes(entries: Iterable[Entry], user: str) -> Counter[str]:
    """Writes of a user that were carried out, by verb and resource. Leases are heartbeat, not work."""
    return Counter(
        f"{entry.verb} {entry.resource}"
        for entry in _finished(entries, user)
        if entry.is_write and entry.resource != "leases" and entry.code < 400
    )
