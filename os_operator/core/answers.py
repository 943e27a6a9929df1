"""What came back from a check's question, as an answer: it holds, or why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from os_operator.core.cel import HOLDS, Said
from os_operator.core.world import Answer
from warmroot.api.base import share
from warmroot.api.health import CheckReason, HttpCheck, JavaCachesCheck, ObjectCheck, PodsCheck
from warmroot.api.javacache import CacheReason

_NAMED = 3
"""Pods that an answer names before it says how many more there are."""
_REDIRECTS = range(300, 400)
_SILENT = CacheReason.SERVICE_UNAVAILABLE.value
_SAID = 160
"""Characters of a condition's message that an answer repeats."""


def pods(check: PodsCheck, found: Iterable[Mapping[str, Any]]) -> Answer:
    """Whether enough of these pods (as the API server has them) are Ready."""
    ready: list[str] = []
    others: list[str] = []
    for pod in found:
        meta, status = pod["metadata"], pod.get("status") or {}
        if "deletionTimestamp" in meta or status.get("phase") in ("Succeeded", "Failed"):
            continue
        (ready if _ready(status) else others).append(meta["name"])
    where = " on this node" if check.on_node else ""
    total = len(ready) + len(others)
    if not total:
        return Answer(CheckReason.NO_PODS, f"no pod in {check.namespace} matches the selector{where}")
    needed = share(check.min_ready, total, round_up=True)
    if len(ready) >= needed:
        return Answer()
    others.sort()
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    names = f", and not {', '.join(others[:_NAMED])}{more}" if others else ""
    return Answer(
        CheckReason.PODS_NOT_READY, f"{len(ready)} of {total} pods{where} are Ready, {needed} must{names}"
    )


def _ready(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def status(check: HttpCheck, url: str, code: int) -> Answer:
    """Whether this is the status code that was expected."""
    if code == check.expect:
        return Answer()
    if code in _REDIRECTS:
        text = f"{place(url)} redirects ({code}), which is not followed"
        return Answer(CheckReason.REDIRECTED, text)
    return Answer(CheckReason.WRONG_STATUS, f"{place(url)} answered {code} instead of {check.expect}")


def place(url: str) -> str:
    """A URL as it may be told: without what follows its path, which may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def value(check: ObjectCheck, said: Said) -> Answer:
    """What an expression said, as an answer."""
    if said.kind == HOLDS:
        return Answer()
    return Answer(CheckReason(said.kind), f"{check.kind} {check.name}: {said.detail}")


def java_caches(check: JavaCachesCheck, found: Iterable[Mapping[str, Any]]) -> Answer:
    """Whether these JavaCaches (as the API server has them, all of the check's namespace) serve as they must.

    What is wrong with the first one that does not hold is told, by name; then how many others there are.
    """
    caches = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in found}
    if check.names:
        wanted = [(str(check.namespace), name) for name in check.names]
    else:
        wanted = [name for name, one in sorted(caches.items()) if not _off(one)]
    if not wanted:
        where = f" in {check.namespace}" if check.namespace else ""
        return Answer(CheckReason.NO_CACHE, f"there is no JavaCache{where} that is not off")
    least = int(check.min_coverage.removesuffix("%"))
    failing = [answer for name in wanted if not (answer := _java_cache(name, caches.get(name), least)).holds]
    if not failing:
        return Answer()
    more = f"; {len(failing) - 1} more do not hold" if len(failing) > 1 else ""
    return Answer(failing[0].reason, failing[0].detail + more)


def _off(cache: Mapping[str, Any]) -> bool:
    return bool((cache.get("spec") or {}).get("mode") == "Off")


def _java_cache(name: tuple[str, str], cache: Mapping[str, Any] | None, least: int) -> Answer:
    text = f"JavaCache {'/'.join(name)}"
    if cache is None:
        return Answer(CheckReason.NO_CACHE, f"there is no {text}")
    status = cache.get("status") or {}
    said = {one["type"]: one for one in status.get("conditions") or ()}
    ready, degraded = said.get("Ready"), said.get("Degraded") or {}
    if ready is None or status.get("observedGeneration") != cache["metadata"]["generation"]:
        return Answer(CheckReason.CACHE_UNKNOWN, f"{text}: its controller has not looked at it")
    if degraded.get("reason") == _SILENT:
        return Answer(CheckReason.CACHE_UNKNOWN, f"{text}: {_short(degraded.get('message', ''))}")
    if _off(cache) or ready["status"] != "True":
        why = f"{ready['reason']}, {_short(ready.get('message', ''))}"
        return Answer(CheckReason.CACHE_NOT_SERVING, f"{text}: {why}")
    share_ = status.get("coverage")
    if share_ is None:
        return Answer(CheckReason.CACHE_UNKNOWN, f"{text}: no pod has reported a start")
    if share_ < least:
        return Answer(
            CheckReason.LOW_COVERAGE,
            f"{text}: {share_}% of the recent starts were from an archive, {least}% must",
        )
    return Answer()


def _short(text: str) -> str:
    return text[:_SAID]


def forbidden(verb: str, group: str, resource: str, namespace: str | None) -> Answer:
    """The API server refused; the answer has the rule that is missing."""
    kind = "Role" if namespace else "ClusterRole"
    where = f" in namespace {namespace}" if namespace else ""
    rule = f'{{apiGroups: ["{group}"], resources: [{resource}], verbs: [{verb}]}}'
    return Answer(CheckReason.FORBIDDEN, f"the operator may not; give it a {kind}{where} with {rule}")
