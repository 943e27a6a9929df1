"""OSInstance.status as JSON, from what was seen and decided.

All fields with defaults are always there, so
that what we want and what the API server stores compare equal: an unchanged node writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from os_proxy.core import clocktext
from os_proxy.core.drift import Drift
from os_proxy.core.receipts import SlotContent
from os_proxy.core.seen import Seen
from os_proxy.core.steps import Phase
from os_proxy.core.trouble import Trouble
from warmroot.disk.bootrecord import Slot

Json = dict[str, Any]
MAX_MESSAGE = 1024
WORKING = frozenset({Phase.STAGING, Phase.ACTIVATING, Phase.TRIAL, Phase.CONFIGURING})
WORKING_HEARTBEAT, IDLE_HEARTBEAT = 50.0, 270.0
"""Seconds: a little less than what docs/node-protocol.md promises."""


@dataclass(frozen=True)
class Progress:
    """Progress of staging. Bytes, and bytes per second over this attempt."""

    done: int = 0
    total: int = 0
    fetched: int = 0
    reused: int = 0
    per_second: int = 0


@dataclass(frozen=True)
class Report:
    """What the status is made of. `generation` is the one of the orders."""

    seen: Seen
    phase: Phase
    generation: int
    trouble: Trouble | None
    progress: Progress | None
    agent_version: str
    drifts: Sequence[Drift] = ()


def render(report: Report, previous: Json, now: float) -> Json:
    """The whole status. Instants of what has not changed are taken over from the `previous` one."""
    seen, record = report.seen, report.seen.boot.record
    status: Json = {
        "observedGeneration": report.generation,
        "phase": report.phase.value,
        "since": previous.get("since") if previous.get("phase") == report.phase.value else None,
        "heartbeat": clocktext.spell(now),
        "slots": {slot.value: _slot(seen, slot) for slot in Slot},
        "booted": _booted(seen, previous.get("booted") or {}, now),
        "triesLeft": record.left if record else 0,
        "agentVersion": report.agent_version,
        "conditions": [_ready(report, previous, now)],
        "configPending": _config_pending(seen),
        "configDrift": [{"path": one.path, "diff": one.diff} for one in report.drifts],
    }
    if seen.booted.configuration and not seen.config_cut_off:
        status["configRevision"] = seen.booted.configuration
    status["since"] = status["since"] or clocktext.spell(now)
    if record:
        status |= {"good": record.good.value, "next": record.next.value if record.next else "-"}
    if report.progress:
        status["staging"] = _staging(report.progress)
    if seen.reboot:
        status["rebootID"] = seen.reboot.id
    if report.trouble:
        status["lastError"] = _last_error(report.trouble)
    return status


def patch(before: Json, wanted: Json) -> Json:
    """The JSON merge patch (RFC 7386) that turns one object into another; empty if they are equal."""
    changes: Json = {key: None for key in before if key not in wanted}
    for key, value in wanted.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := patch(old, value):
                changes[key] = inner
        elif key not in before or old != value:
            changes[key] = value
    return changes


def heartbeat_due(previous: Json, phase: Phase, now: float) -> bool:
    """Whether the status must be written though nothing changed."""
    try:
        age = now - clocktext.read(previous["heartbeat"])
    except (KeyError, ValueError, TypeError):
        return True
    return age >= (WORKING_HEARTBEAT if phase in WORKING else IDLE_HEARTBEAT)


def _slot(seen: Seen, slot: Slot) -> Json:
    receipt, record = seen.receipts.get(slot), seen.boot.record
    if record and record.good is slot:
        state = "Good"
    elif seen.booted.slot is slot:
        state = "Booted"
    elif receipt:
        state = "Verified" if receipt.content is SlotContent.VERIFIED else "Writing"
    else:
        state = "Empty"
    digest = seen.booted_digest if seen.booted.slot is slot else receipt.digest if receipt else None
    booted = seen.booted.slot is slot
    status = {"state": state} | _arguments(seen.booted.arguments if booted else seen.arguments_of(slot))
    if settings := seen.config_of(slot):
        status["configRevision"] = settings
    if booted:
        status |= _former(seen.former_of(slot).revision, settings)
    manifest = seen.manifests.get(digest) if digest else None
    named = manifest or (receipt if receipt and receipt.digest == digest else None)
    if named is None:
        return status
    return status | {"digest": digest, "version": named.version, "releaseSeq": named.release_seq}


def _former(kept: str | None, settings: str) -> Json:
    if kept is None or kept == settings:
        return {}
    return {"former": {"configRevision": kept} if kept else {}}


def _arguments(revision: str) -> Json:
    return {"argumentsRevision": revision} if revision else {}


def _config_pending(seen: Seen) -> str:
    if not seen.config_in_force:
        return "Reload"
    return "Reboot" if seen.config_needs_boot else "None"


def _booted(seen: Seen, previous: Json, now: float) -> Json:
    same = previous.get("bootID") == seen.booted.boot_id and previous.get("at")
    booted = {
        "slot": seen.booted.slot.value,
        "bootID": seen.booted.boot_id,
        "at": previous["at"] if same else clocktext.spell(now),
        **_arguments(seen.booted.arguments),
    }
    digest = seen.booted_digest
    return booted | ({"digest": digest} if digest else {})


def _staging(progress: Progress) -> Json:
    return {
        "bytesDone": progress.done,
        "bytesTotal": progress.total,
        "bytesFetched": progress.fetched,
        "bytesReused": progress.reused,
        "bytesPerSecond": progress.per_second,
    }


def _last_error(trouble: Trouble) -> Json:
    error: Json = {
        "reason": trouble.reason,
        "message": trouble.message[:MAX_MESSAGE],
        "at": clocktext.spell(trouble.at),
        "attempts": trouble.attempts,
    }
    if trouble.retry_at is not None:
        error["retryAt"] = clocktext.spell(trouble.retry_at)
    return error


def _ready(report: Report, previous: Json, now: float) -> Json:
    trouble = report.trouble
    failing = report.phase is Phase.FAILED
    condition: Json = {
        "type": "Ready",
        "status": "False" if failing else "True",
        "reason": trouble.reason if failing and trouble else report.phase.value,
        "message": trouble.message[:MAX_MESSAGE] if failing and trouble else "",
    }
    before: Json = next(iter(previous.get("conditions") or []), {})
    same = before.get("status") == condition["status"] and before.get("lastTransitionTime")
    condition["lastTransitionTime"] = before["lastTransitionTime"] if same else clocktext.spell(now)
    return condition
