"""Emptying a node: which pods to evict now, and what to say about the rest (rollout.md, rule 4).

A failed eviction is never taken for a drained pod: a node is drained when the pods that count are gone.
Ordinary pods go first, in order of rising priority; system-critical ones only when those are gone, because
the others may need them to shut down. Pods of DaemonSets, mirror pods and finished pods do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from os_operator.core.world import EvictionAnswer, EvictionResult, PodView
from warmroot.api.base import seconds
from warmroot.api.os import Drain, OnTimeout

SYSTEM_CRITICAL = 2_000_000_000
"""Priority of `system-cluster-critical` and above."""
NAMED = 3
"""How many pods a message names for each state."""
FIRST_RETRY = 1.0
LAST_RETRY = 30.0
"""Seconds between two evictions of one pod: doubled after each refusal, up to the last."""
GRACE_SLACK = 30.0
"""Seconds past its grace after which a terminating pod no longer holds a forced drain: the reboot ends it."""


class DrainState(Enum):
    """What a drain has come to."""

    DRAINED = "Drained"
    EVICTING = "Evicting"
    BLOCKED = "Blocked"
    TIMED_OUT = "TimedOut"


@dataclass(frozen=True, slots=True)
class DrainOutcome:
    """A drain as a value; it renders its own text."""

    state: DrainState
    evict: tuple[PodView, ...] = ()
    delete: tuple[PodView, ...] = ()
    waiting: tuple[PodView, ...] = ()
    blocked: tuple[tuple[PodView, str], ...] = ()
    refused: tuple[tuple[PodView, str], ...] = ()
    failed: tuple[tuple[PodView, str], ...] = ()
    look_again: float | None = None

    def text(self) -> str:
        """What a person should know, with the first few names of each state."""
        parts: list[str] = []
        budgets: dict[str, list[PodView]] = {}
        for pod, detail in self.blocked:
            budgets.setdefault(detail, []).append(pod)
        for detail, pods in sorted(budgets.items()):
            parts.append(f"blocked by {detail}: {_names(pods)}")
        parts += [f"refused, {why}: {_names([pod])}" for pod, why in self.refused[:NAMED]]
        parts += [f"eviction failed, {why}: {_names([pod])}" for pod, why in self.failed[:NAMED]]
        if self.waiting:
            parts.append(f"terminating: {_names(self.waiting)}")
        untouched = [pod for pod in self.evict if pod.uid not in {one.uid for one, _ in self.blocked}]
        if untouched:
            parts.append(f"evicting: {_names(untouched)}")
        return "; ".join(parts) or "no pods are left"


def _names(pods: Sequence[PodView]) -> str:
    shown = ", ".join(pod.title for pod in pods[:NAMED])
    return shown if len(pods) <= NAMED else f"{shown} and {len(pods) - NAMED} more"


def counts(pod: PodView) -> bool:
    """Whether a pod has to be gone before the node may restart."""
    return not (pod.mirror or pod.finished or pod.controller == "DaemonSet")


def assess(
    pods: Sequence[PodView], results: Mapping[str, EvictionResult], rules: Drain, since: float, now: float
) -> DrainOutcome:
    """What to do about the pods of a node whose drain began at `since`."""
    left = sorted(filter(counts, pods), key=lambda pod: (pod.priority, pod.namespace, pod.name))
    if not left:
        return DrainOutcome(DrainState.DRAINED)
    deadline = since + seconds(rules.timeout)
    if now >= deadline and rules.on_timeout is OnTimeout.FORCE:
        return _forced(left, now)
    refused = tuple((pod, why) for pod in left if (why := _refusal(pod, rules)) and pod.deleted_at is None)
    kept = {pod.uid for pod, _ in refused}
    waiting = tuple(pod for pod in left if pod.deleted_at is not None)
    standing = [pod for pod in left if pod.deleted_at is None and pod.uid not in kept]
    turn = [] if refused else _turn(standing, waiting)  # no pod is moved for a drain that can't end
    due = tuple(pod for pod in turn if _due(results.get(pod.uid), now))
    answers = [(pod, results[pod.uid]) for pod in standing if pod.uid in results]
    blocked = tuple((pod, one.detail) for pod, one in answers if one.answer is EvictionAnswer.BLOCKED)
    failed = tuple((pod, one.detail) for pod, one in answers if one.answer is EvictionAnswer.FAILED)
    state = DrainState.BLOCKED if blocked or refused or failed else DrainState.EVICTING
    if now >= deadline and rules.on_timeout in (OnTimeout.SKIP, OnTimeout.ABORT):
        state, due = DrainState.TIMED_OUT, ()
    retries = [_retry_at(results[pod.uid]) for pod in turn if pod.uid in results]
    future = [moment for moment in (*retries, deadline) if moment > now]
    return DrainOutcome(
        state, due, (), waiting, blocked, refused, failed, look_again=min(future, default=None)
    )


def _forced(left: Sequence[PodView], now: float) -> DrainOutcome:
    waiting = tuple(pod for pod in left if pod.deleted_at is not None and now < pod.deleted_at + GRACE_SLACK)
    delete = tuple(pod for pod in left if pod.deleted_at is None)
    if not waiting and not delete:
        return DrainOutcome(DrainState.DRAINED)
    again = min((pod.deleted_at + GRACE_SLACK for pod in waiting if pod.deleted_at is not None), default=None)
    return DrainOutcome(DrainState.EVICTING, (), delete, waiting, look_again=again)


def _refusal(pod: PodView, rules: Drain) -> str:
    if pod.empty_dir and not rules.delete_empty_dir:
        return "it has emptyDir data and drain.deleteEmptyDir is false"
    if not pod.controller and rules.unmanaged_pods == "Refuse":
        return "no controller would create it again and drain.unmanagedPods is Refuse"
    return ""


def _turn(standing: Sequence[PodView], waiting: Sequence[PodView]) -> list[PodView]:
    ordinary = [pod for pod in standing if pod.priority < SYSTEM_CRITICAL]
    if ordinary or any(pod.priority < SYSTEM_CRITICAL for pod in waiting):
        return ordinary
    return list(standing)


def _retry_at(result: EvictionResult) -> float:
    return result.at + min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(result.attempts - 1, 10))


def _due(result: EvictionResult | None, now: float) -> bool:
    return result is None or now >= _retry_at(result)
