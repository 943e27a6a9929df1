"""Objects of the API and answers of the cache service, as what the controller decides about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jboost_server.core.control.builder import ATTEMPT, CACHE, KEY, SHAPE
from jboost_server.core.control.times import instant
from jboost_server.core.control.world import Archive, Build, Cache, Key, Phase
from jboost_server.core.layout import is_digest
from jboost_server.core.outcome import Outcome
from jboost_server.core.progress import Stage
from warmroot.api.javacache import JavaCacheSpec, JavaCacheStatus

MAX_WORDS = 400
"""Characters of what a service or a Job says, as far as it goes into a status."""
MAX_VERSION = 64
_OUTCOMES = frozenset(Outcome)
Object = dict[str, Any]


def cache(item: Object) -> Cache:
    """A JavaCache. What of it can't be read counts for nothing: a newer version may have written it."""
    meta = item["metadata"]
    try:
        spec = JavaCacheSpec.model_validate(item.get("spec") or {})
    except ValueError:
        spec = None
    try:
        status = JavaCacheStatus.model_validate(item.get("status") or {})
    except ValueError:
        status = JavaCacheStatus()
    return Cache(
        name=(str(meta["namespace"]), str(meta["name"])),
        uid=str(meta["uid"]),
        generation=int(meta["generation"]),
        version=str(meta["resourceVersion"]),
        spec=spec,
        status=status,
    )


def build(item: Object) -> Build | None:
    """A builder Job; None if it is none of ours."""
    meta, status = item["metadata"], item.get("status") or {}
    notes = meta.get("annotations") or {}
    key, attempt = str(notes.get(KEY, "")), str(notes.get(ATTEMPT, ""))
    if not is_digest(key) or not attempt.isdecimal() or CACHE not in notes:
        return None
    phase, ended, why = Phase.ACTIVE, 0.0, ""
    for condition in status.get("conditions") or ():
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            phase = Phase(condition["type"])
            ended = instant(str(condition.get("lastTransitionTime", "")))
            why = words(f"{condition.get('reason', '')}: {condition.get('message', '')}")
    name = str(meta["namespace"]), str(notes[CACHE])
    return Build(name, key, int(attempt), str(notes.get(SHAPE, "")), phase, ended, why)


def keys(answer: object) -> tuple[Key, ...]:
    """The keys in an answer of the cache service.

    Raises:
        ValueError: it is no such answer.
    """
    try:
        found = [_key(one) for one in answer["keys"]]  # type: ignore[index]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an answer about keys: {error!r}") from error
    return tuple(found)


def words(text: str) -> str:
    """What somebody wrote for people, short enough for a status."""
    text = "".join(each if each.isprintable() else " " for each in text).strip()
    return text if len(text) <= MAX_WORDS else f"{text[: MAX_WORDS - 1]}…"


def _key(one: Mapping[str, Any]) -> Key:
    archive = one["archive"]
    digest = str(one["key"])
    if not is_digest(digest):
        raise ValueError("a key is not named by its digest")
    return Key(
        digest=digest,
        jdk=str(one["jdk"])[:MAX_VERSION],
        arch=str(one["arch"])[:MAX_VERSION],
        stage=Stage(one["state"]),
        why=words(str(one["why"])),
        recordings=int(one["recordings"]),
        archive=Archive(*(archive[name] for name in ("digest", "size", "built", "plain", "warm")))
        if archive
        else None,
        hits=int(one["hits"]),
        misses={name: int(count) for name, count in one["misses"].items() if name in _OUTCOMES},
        recorded_by=tuple(map(str, one["recordedBy"])),
        wanted=bool(one["wanted"]),
    )
