"""What came back from a check's question, as an answer: it holds, or why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from os_operator.core.cel import HOLDS, Said
from os_operator.core.world import Answer
from warmroot.api.base import share
from warmroot.api.health import CheckReason, HttpCheck, ObjectCheck, PodsCheck

_NAMED = 3
"""Pods that an answer names before it says how many more there are."""
_REDIRECTS = range(300, 400)


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


def forbidden(verb: str, group: str, resource: str, namespace: str | None) -> Answer:
    """The API server refused; the answer has the rule that is missing."""
    kind = "Role" if namespace else "ClusterRole"
    where = f" in namespace {namespace}" if namespace else ""
    rule = f'{{apiGroups: ["{group}"], resources: [{resource}], verbs: [{verb}]}}'
    return Answer(CheckReason.FORBIDDEN, f"the operator may not; give it a {kind}{where} with {rule}")
