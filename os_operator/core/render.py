"""The status of an OS object, from the same values that the pass decided on.

Rendering is stable: from an unchanged world comes an equal status, so a quiet pass writes nothing (R6). Times
that have begun keep the beginning that the stored status or the node itself names (R5); no message carries a
figure that changes by itself. Conditions follow kstatus: `Ready`, `Reconciling`, `Stalled`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from os_operator.core import instants
from os_operator.core.actions import Happening
from os_operator.core.conditions import conditions
from os_operator.core.failures import named
from os_operator.core.node_way import Way
from os_operator.core.survey import Pass
from os_operator.core.waves import Gate
from warmroot.api.os import Counts, FailedNode, HistoryEntry, OSStatus, Waiting, WaitingCheck, WaveStatus
from warmroot.api.reasons import OSPhase, OSReason, WaitReason

SHOWN = 20
KEPT = 10
RESULTS = {
    OSPhase.COMPLETE: "Complete",
    OSPhase.HALTED: "Halted",
    OSPhase.ROLLING_BACK: "RollingBack",
}
UNFINISHED = ("Running", "RollingBack")
WORST_FIRST = (
    WaitReason.NEVER_CAME_BACK,
    WaitReason.UNHEALTHY,
    WaitReason.FELL_BACK,
    WaitReason.ACTIVATION_FAILED,
    WaitReason.DRAIN_FAILED,
    WaitReason.ROLLING_BACK,
    WaitReason.NO_WAY_BACK,
    WaitReason.CONFIG_REFUSED,
    WaitReason.BARRED,
    WaitReason.CHECK_FAILED,
    WaitReason.DRAIN_BLOCKED,
    WaitReason.VOLUMES_ATTACHED,
    WaitReason.CONFLICT,
    WaitReason.STAGING_FAILED,
    WaitReason.PROXY_SILENT,
    WaitReason.NOT_READY,
    WaitReason.RELEASE_UNRESOLVED,
    WaitReason.HALTED,
    WaitReason.APPROVAL,
    WaitReason.PAUSED,
    WaitReason.WINDOW,
    WaitReason.PODS_RUNNING,
    WaitReason.DRAINING,
    WaitReason.REBOOTING,
    WaitReason.CHECKING,
    WaitReason.SETTLING,
    WaitReason.CONFIRMING,
    WaitReason.CONFIGURING,
    WaitReason.SOAK,
    WaitReason.BUDGET,
    WaitReason.WAVE,
    WaitReason.ORDER,
    WaitReason.TOPOLOGY,
    WaitReason.STAGING,
    WaitReason.STAGING_PACED,
)
_RANK = {reason: rank for rank, reason in enumerate(WORST_FIRST)}


def render(done: Pass) -> tuple[OSStatus, tuple[Happening, ...], bool]:
    """The status, the Events that belong to what changed, and whether the write must not wait."""
    old = done.os.status
    known = done.target is not None
    same = done.same_target or not known
    started = old.started if same else None
    if known and started is None:
        started = instants.text(done.now)
    phase = _phase(done)
    waiting = _waiting(done)
    tally = done.tally
    status = OSStatus(
        # A spec that can't be followed was looked at, too: who waits for it is to be told at once.
        observed_generation=done.os.generation if known or done.os.spec is None else old.observed_generation,
        target_digest=done.target if known else old.target_digest,
        config_revision=done.os.config.revision or None if known else old.config_revision,
        phase=phase,
        started=started,
        ready=f"{tally.updated}/{tally.total}",
        counts=_counts(done),
        wave=_wave(done) if known else old.wave,
        waiting_on=_waiting_on(waiting),
        waiting=waiting,
        failed=done.ledger.wire() if known else old.failed,
        history=_history(done, old, same, started, phase),
        conditions=conditions(done, phase, waiting),
    )
    return status, _happenings(done, old, status), _urgent(old, status)


def _phase(done: Pass) -> OSPhase:
    tally = done.tally
    if done.os.spec is None or (done.target is None and not tally.in_progress):
        return OSPhase.WAITING if done.os.problem or done.os.resolution.reason else OSPhase.IDLE
    if done.halted:
        return OSPhase.ROLLING_BACK if _returns(done) else OSPhase.HALTED
    if tally.in_progress:
        return OSPhase.ROLLING_OUT
    if tally.total == 0:
        return OSPhase.IDLE
    if tally.updated == tally.total and not _own_conflicts(done):
        return OSPhase.COMPLETE
    if done.wave is not None and done.wave.gate is Gate.SOAK:
        return OSPhase.SOAKING
    return OSPhase.STAGING if tally.staging else OSPhase.WAITING


def _returns(done: Pass) -> bool:
    """Whether nodes are on their way back, or will be. One that was lost before holds nothing up."""
    lost = WaitReason.NEVER_CAME_BACK
    moving = any(way.reason is not lost for _, _, way in done.tally.in_motion)
    return done.takes_back and (moving or done.tally.to_return > 0)


def _own_conflicts(done: Pass) -> bool:
    return any(done.os.name in names for names in done.conflicts.values())


def _counts(done: Pass) -> Counts:
    tally = done.tally
    return Counts(
        total=tally.total,
        updated=tally.updated,
        staged=tally.staged,
        in_progress=tally.in_progress,
        failed=len(done.ledger.entries),
        unavailable=tally.unavailable,
    )


def _wave(done: Pass) -> WaveStatus | None:
    wave = done.wave
    if wave is None or done.tally.total == 0:
        return None
    return WaveStatus(
        name=wave.step.name,
        index=wave.standing.index,
        since=instants.text(wave.standing.since),
        soak_until=instants.optional(wave.standing.soak_until),
        approved=wave.gate is not Gate.APPROVAL,
    )


def _waiting(done: Pass) -> tuple[Waiting, ...]:
    rows = [(_RANK[way.reason], name, way) for name, way in done.tally.rows if way.reason is not None]
    for way, pairs in done.tally.crowds:
        if way.reason is not None:
            names = heapq.nsmallest(SHOWN, (node.name for node, _ in pairs))
            rows += [(_RANK[way.reason], name, way) for name in names]
    before = {(row.node, row.reason): row.since for row in done.os.status.waiting}
    worst = heapq.nsmallest(SHOWN, rows, key=lambda row: row[:2])
    return tuple(_row(name, way, before, done) for _, name, way in worst)


def _row(name: str, way: Way, before: dict[tuple[str, WaitReason], str], done: Pass) -> Waiting:
    assert way.reason is not None
    entry = done.ledger.entries.get(name)
    since, message, reason = way.since, way.message, way.reason
    if entry is not None and reason is WaitReason.BARRED:
        reason, message = entry.reason, message or entry.message
        since = instants.parse(entry.at)
    if reason is WaitReason.RELEASE_UNRESOLVED and not message:
        message = done.os.resolution.message or done.os.problem
    kept = before.get((name, reason))
    begun = instants.text(since) if since is not None else kept or instants.text(done.now)
    return Waiting(
        node=name,
        phase=way.phase,
        reason=reason,
        message=message[:1024],
        since=begun,
        deadline=instants.optional(way.deadline),
        check=WaitingCheck(name=way.check[0], reason=way.check[1]) if way.check is not None else None,
    )


def _waiting_on(waiting: tuple[Waiting, ...]) -> str:
    if not waiting:
        return ""
    first = waiting[0]
    others = sum(1 for row in waiting[1:] if row.reason is first.reason)
    return f"{first.reason.value}: {first.node}"[:110] + (f" +{others}" if others else "")


def _history(
    done: Pass, old: OSStatus, same: bool, started: str | None, phase: OSPhase
) -> tuple[HistoryEntry, ...]:
    """Newest first. The running rollout is the first entry; what it ends as is its result."""
    entries = list(old.history)
    now = instants.text(done.now)
    if done.target is None or done.os.spec is None or started is None:
        return old.history
    if not same and entries and entries[0].finished is None:
        entries[0] = entries[0].model_copy(update={"finished": now, "result": "Superseded"})
    if not entries or entries[0].digest != done.target or entries[0].started != started:
        version = done.os.spec.release.version
        about = (done.target, version, done.os.config.revision or None)
        entries.insert(0, _begun(*about, started))
    result = RESULTS.get(phase, "Running")
    if phase is OSPhase.HALTED and done.takes_back and not done.tally.updated:
        result = "RolledBack"
    if entries[0].result != result and not (entries[0].result == "Complete" and result == "Running"):
        finished = None if result in UNFINISHED else now
        entries[0] = entries[0].model_copy(update={"finished": finished, "result": result})
    return tuple(entries[:KEPT])


def _begun(digest: str, version: str, config: str | None, started: str) -> HistoryEntry:
    return HistoryEntry(
        digest=digest, version=version, config_revision=config, started=started, result="Running"
    )


def _urgent(old: OSStatus, new: OSStatus) -> bool:
    """Whether a restart before the write would forget something, or a person waits for it."""
    if (old.target_digest, old.phase, old.started) != (new.target_digest, new.phase, new.started):
        return True
    if old.observed_generation != new.observed_generation or old.history != new.history:
        return True
    if (old.failed, old.wave) != (new.failed, new.wave):
        return True
    if new.phase is OSPhase.HALTED and old.counts.in_progress and not new.counts.in_progress:
        return True  # the last node is back in service, and nothing follows that would say so
    stated = [(one.type, one.status, one.reason) for one in old.conditions]
    return stated != [(one.type, one.status, one.reason) for one in new.conditions]


def _happenings(done: Pass, old: OSStatus, new: OSStatus) -> tuple[Happening, ...]:
    """Events of what changed between the stored status and this one."""
    events: list[Happening] = []

    def say(reason: str, note: str, *key: str, warning: bool = False, node: str = "") -> None:
        name = "/".join((done.os.uid, reason, str(new.target_digest), *key))
        events.append(Happening(done.os.name, done.os.uid, reason, note, name, warning, node))

    before = {(entry.node, entry.reason) for entry in old.failed if entry.digest == new.target_digest}
    for entry in new.failed:
        if (entry.node, entry.reason) not in before:
            say(entry.reason.value, _failure_text(entry), entry.node, entry.at, warning=True, node=entry.node)
    if new.phase is not old.phase or new.started != old.started:
        _say_the_phase(done, old, new, say)
    if new.wave and not new.wave.approved and (old.wave is None or old.wave.approved):
        say("ApprovalNeeded", f"wave {new.wave.name} waits for a person", new.wave.name, new.wave.since)
    unresolved = OSReason.RELEASE_UNRESOLVED
    if done.os.resolution.reason and all(one.reason != unresolved.value for one in old.conditions):
        say(unresolved.value, done.os.resolution.message, str(done.os.generation), warning=True)
    return tuple(events)


def _say_the_phase(done: Pass, old: OSStatus, new: OSStatus, say: Callable[..., None]) -> None:
    match new.phase:
        case OSPhase.ROLLING_BACK:
            say("RollingBack", done.halted, str(new.started), str(len(new.failed)), warning=True)
        case OSPhase.HALTED if old.phase is OSPhase.ROLLING_BACK:
            settings = f"have {named(done.os.config.revision)}"
            failed = f"run {new.target_digest}" if done.returning else settings
            say("RolledBack", f"{new.ready} still {failed}", str(new.started), new.ready)
        case OSPhase.HALTED:
            say("Halted", done.halted, str(new.started), str(len(new.failed)), warning=True)
        case OSPhase.COMPLETE:
            say("Complete", f"{new.ready} nodes run {new.target_digest}", str(new.started), new.ready)


def _failure_text(entry: FailedNode) -> str:
    barred = "; the release is barred there" if entry.reason is WaitReason.FELL_BACK else ""
    return f"{entry.node}: {entry.message}{barred}"
