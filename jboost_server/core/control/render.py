"""The status of a JavaCache: its keys, what they come to, conditions that kstatus reads, and what is news."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jboost_server.core.control import queue, starts
from jboost_server.core.control.times import when
from jboost_server.core.control.world import Cache, Event, Key, Phase, Told, World
from jboost_server.core.progress import Stage
from warmroot.api.base import Condition, ConditionStatus
from warmroot.api.javacache import (
    MAX_KEYS,
    CacheMode,
    CacheReason,
    CacheState,
    JavaCacheStatus,
    KeyStatus,
    StartSeconds,
)

_STATES = {
    Stage.LEARNING: CacheState.LEARNING,
    Stage.BUILDING: CacheState.BUILDING,
    Stage.SERVING: CacheState.SERVING,
    Stage.REFUSED: CacheState.REFUSED,
    Stage.WITHDRAWN: CacheState.QUARANTINED,
}
_SHOWN = (
    CacheState.QUARANTINED,
    CacheState.SERVING,
    CacheState.BUILDING,
    CacheState.LEARNING,
    CacheState.REFUSED,
)
"""Which keys are shown first."""
_BEST = (
    CacheState.SERVING,
    CacheState.BUILDING,
    CacheState.LEARNING,
    CacheState.QUARANTINED,
    CacheState.REFUSED,
)
"""A cache is as far as its best key."""
_NEWS = {CacheReason.SERVING, CacheReason.REFUSED, CacheReason.QUARANTINED, CacheReason.BUILD_FAILED}
_WARNINGS = {CacheReason.QUARANTINED, CacheReason.BUILD_FAILED}


def status(cache: Cache, world: World, now: float, full: bool) -> JavaCacheStatus:
    """The status at `now` (Unix seconds). `full`: as many builders run as may, here or in all.

    Where the cache service was silent, what was known of keys stays.
    """
    told = world.told.get(cache.name)
    if told is None or (told.silent and not told.keys):
        rows, marks = cache.status.keys, cache.status.marks
        share, before, after = cache.status.coverage, cache.status.start_before, cache.status.start_after
        served = cache.status.serving
    else:
        every = sorted((_row(cache, key, world, now, full) for key in told.keys), key=_rank)
        rows = tuple(every[:MAX_KEYS])
        hits, all_ = starts.counted(told.keys)
        marks = starts.marked(cache.status.marks, hits, all_, now)
        share = starts.coverage(marks, hits, all_)
        before, after = _times(told.keys)
        served = f"{sum(row.state is CacheState.SERVING for row in every)}/{len(every)}" if every else ""
    state, reason, message = _whole(cache, rows, told)
    return JavaCacheStatus(
        observed_generation=cache.generation,
        state=state,
        serving=served,
        coverage=share,
        agent=_agent(cache, world),
        start_before=before,
        start_after=after,
        marks=marks,
        keys=rows,
        conditions=_conditions(cache, rows, told, state, reason, message, now),
    )


def _agent(cache: Cache, world: World) -> str | None:
    """Until it was tried, what a controller before us said counts, if it was of the same version."""
    last = world.deliveries.get(cache.name[0])
    if last is None:
        return world.agent if world.agent and cache.status.agent == world.agent else None
    return world.agent if last.there else None


def events(cache: Cache, new: JavaCacheStatus) -> Iterator[Event]:
    """What became of keys since the status before. Told twice, it is one Event all the same."""
    before = {row.key: _news(row) for row in cache.status.keys}
    for row in new.keys:
        news = _news(row)
        if news and news != before.get(row.key):
            note = f"JDK {row.jdk} on {row.arch}, key {row.key[:12]}: {row.message}"
            yield Event(row.reason, note, f"{cache.uid}/{row.key}/{news}", row.reason in _WARNINGS)


def _news(row: KeyStatus) -> str:
    """What is worth an Event of a key: another text is another event. Empty if nothing is."""
    return f"{row.reason}/{row.archive_digest or row.message}" if row.reason in _NEWS else ""


def _row(cache: Cache, key: Key, world: World, now: float, full: bool) -> KeyStatus:
    state = _STATES[key.stage]
    reason, message = CacheReason(state.value), key.why
    found = queue.turn(cache.name, key, world.builds)
    if state is CacheState.LEARNING and found.active is not None:
        state, reason, message = CacheState.BUILDING, CacheReason.BUILDING, f"attempt {found.active.attempt}"
    elif state is CacheState.LEARNING and key.wanted:
        reason, message = _delayed(cache, world, found, now, full)
    archive = key.archive
    return KeyStatus(
        key=key.digest,
        jdk=key.jdk,
        arch=key.arch,
        state=state,
        reason=reason,
        message=message,
        recordings=key.recordings,
        archive_digest=f"sha256:{archive.digest}" if archive else None,
        bytes=archive.size if archive else None,
        start_seconds=StartSeconds(without=archive.plain / 1000, with_=archive.warm / 1000)
        if archive
        else None,
        hits=key.hits,
        misses=dict(sorted(key.misses.items())),
    )


def _delayed(
    cache: Cache, world: World, found: queue.Turn, now: float, full: bool
) -> tuple[CacheReason, str]:
    """Why there is no builder, though there is something to build."""
    refusal = world.refusals.get(cache.name)
    if refusal is not None:
        return refusal.reason, refusal.message
    if found.last is not None and found.last.phase is Phase.FAILED and now < found.due:
        then = when(found.due)
        return (
            CacheReason.BUILD_FAILED,
            f"attempt {found.last.attempt} came to nothing ({found.last.why}); the next one from {then} on",
        )
    if cache.name in world.shapes and not world.shapes[cache.name]:
        return (
            CacheReason.NO_POD,
            "there is something to build, but no pod of this cache that was injected: start one",
        )
    if full:
        return CacheReason.WAITING, "for other builders to end"
    return CacheReason.LEARNING, "a builder is next"


def _whole(cache: Cache, rows: Sequence[KeyStatus], told: Told | None) -> tuple[CacheState, CacheReason, str]:
    if cache.spec is not None and cache.spec.mode is CacheMode.OFF:
        return CacheState.OFF, CacheReason.OFF, "new pods start as they are"
    if not rows and told is not None and told.silent:
        return CacheState.LEARNING, CacheReason.SERVICE_UNAVAILABLE, told.silent
    if not rows:
        text = "no pod has asked for it yet; pods are injected when they are made (docs/java-injection.md)"
        return CacheState.LEARNING, CacheReason.NOT_SEEN, text
    best = min(rows, key=lambda row: _BEST.index(row.state))
    return best.state, best.reason, best.message


def _conditions(
    cache: Cache,
    rows: Sequence[KeyStatus],
    told: Told | None,
    state: CacheState,
    reason: CacheReason,
    message: str,
    now: float,
) -> tuple[Condition, ...]:
    before = {one.type: one for one in cache.status.conditions}

    def say(kind: str, true: bool, why: CacheReason, text: str = "") -> Condition:
        status = ConditionStatus.TRUE if true else ConditionStatus.FALSE
        old = before.get(kind)
        at = old.last_transition_time if old is not None and old.status is status else when(now)
        return Condition(
            type=kind,
            status=status,
            reason=why.value,
            message=text[:1024],
            last_transition_time=at,
            observed_generation=cache.generation,
        )

    ready = state in (CacheState.SERVING, CacheState.OFF)
    stalled = state in (CacheState.REFUSED, CacheState.QUARANTINED)
    harmed = [row for row in rows if row.state is CacheState.QUARANTINED]
    if told is not None and told.silent:
        degraded = say("Degraded", True, CacheReason.SERVICE_UNAVAILABLE, told.silent)
    elif harmed:
        text = f"{len(harmed)} of the keys shown; JDK {harmed[0].jdk}: {harmed[0].message}"
        degraded = say("Degraded", True, CacheReason.QUARANTINED, text)
    else:
        degraded = say("Degraded", False, CacheReason.HEALTHY)
    return (
        say("Ready", ready, reason, message),
        degraded,
        say("Reconciling", not ready and not stalled, reason, message),
        say("Stalled", stalled, reason, message if stalled else ""),
    )


def _times(keys: Sequence[Key]) -> tuple[str, str]:
    served = [key.archive for key in keys if key.archive is not None]
    if not served:
        return "", ""
    last = max(served, key=lambda each: (each.built, each.digest))
    return f"{last.plain / 1000:.2f}s", f"{last.warm / 1000:.2f}s"


def _rank(row: KeyStatus) -> tuple[int, int, str]:
    return _SHOWN.index(row.state), -row.hits, row.key
