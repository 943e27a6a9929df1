"""Prometheus metrics of the operator. Their names are API."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from os_operator.core import instants
from os_operator.core.plan import Decision
from os_operator.core.world import EvictionAnswer, EvictionResult
from os_operator.shell.act import Outcome
from warmroot.api.os import OSStatus, WaitReason

FALLBACKS = (WaitReason.FELL_BACK,)


class Metrics:
    """What one pass came to, as metrics in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._nodes = Gauge("warmroot_os_nodes", "Nodes by state.", ["os", "state"], registry=registry)
        self._waiting = Gauge(
            "warmroot_node_waiting_seconds",
            "How long a node has waited for one reason (the worst 20 of an OS).",
            ["os", "node", "reason"],
            registry=registry,
        )
        self._blocked = Gauge(
            "warmroot_drain_blocked",
            "Pods whose eviction a PodDisruptionBudget refuses now.",
            ["namespace", "pdb"],
            registry=registry,
        )
        self._fallbacks = Counter(
            "warmroot_fallbacks", "Nodes that fell back.", ["os"], registry=registry
        )  # exported as warmroot_fallbacks_total
        self._plan = Histogram("warmroot_plan_seconds", "Time that one plan took.", registry=registry)
        self._actions = Counter(
            "warmroot_actions", "Actions by kind and outcome.", ["action", "outcome"], registry=registry
        )
        self._fallen: dict[str, frozenset[tuple[str, str]]] = {}

    def observe(
        self, decision: Decision, outcomes: Iterable[Outcome], plan_seconds: float, now: float
    ) -> None:
        """Takes one pass in; `now` in Unix seconds."""
        self._plan.observe(plan_seconds)
        for outcome in outcomes:
            result = "Done" if outcome.error is None else outcome.error.reason
            self._actions.labels(type(outcome.action).__name__, result).inc()
        self._waiting.clear()
        self._nodes.clear()
        for os, status in decision.statuses.items():
            self._status(os, status, now)

    def evictions(self, results: Mapping[str, EvictionResult]) -> None:
        """Takes the standing refusals of evictions in."""
        self._blocked.clear()
        blocked = Tally(
            one.detail
            for one in results.values()
            if one.answer is EvictionAnswer.BLOCKED and "/" in one.detail
        )
        for detail, pods in blocked.items():
            namespace, _, name = detail.removeprefix("PodDisruptionBudget ").partition("/")
            self._blocked.labels(namespace, name).set(pods)

    def _status(self, os: str, status: OSStatus, now: float) -> None:
        counts = status.counts
        for state in ("total", "updated", "staged", "in_progress", "failed", "unavailable"):
            self._nodes.labels(os, state).set(getattr(counts, state))
        for row in status.waiting:
            since = instants.parse(row.since) or now
            self._waiting.labels(os, row.node, row.reason.value).set(max(0.0, now - since))
        fallen = frozenset((entry.node, entry.at) for entry in status.failed if entry.reason in FALLBACKS)
        seen = self._fallen.get(os)
        self._fallbacks.labels(os).inc(0 if seen is None else len(fallen - seen))
        self._fallen[os] = fallen
