"""Prometheus metrics of the operator. Their names are API (docs/metrics.md).

Gauges are those of the process that leads: one that does not shows none of them. A label that can take many
values, a node's name, appears only for the nodes that the status names, at most 20 an OS object.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from os_operator.core import instants
from os_operator.core.plan import Decision
from os_operator.core.world import EvictionAnswer, EvictionResult
from os_operator.shell.act import Outcome
from warmroot.api.os import OSStatus
from warmroot.api.reasons import NodePhase, WaitReason
from warmroot.series import Labels, Series

FALLBACKS = (WaitReason.FELL_BACK,)
PHASE_BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
"""Seconds: from a pod that goes at once to a drain that somebody has to look at."""
PLAN_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
"""Seconds: from a handful of nodes to many times the 50 ms that 10,000 nodes may take."""


class PhaseTimes:
    """How long nodes were in each phase, as the passes saw it. One that was under way at the first pass is
    left out: when it began is not known.
    """

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self.forget()

    def forget(self) -> None:
        """Begins anew."""
        self._since: dict[tuple[str, str], tuple[NodePhase, float | None]] = {}
        self._first = True

    def observe(self, phases: Mapping[str, Mapping[str, NodePhase]], now: float) -> None:
        """Takes one pass in: phase by OS object and node."""
        seen = {(os, node): phase for os, nodes in phases.items() for node, phase in nodes.items()}
        for key, (phase, since) in list(self._since.items()):
            if seen.get(key) is not phase:
                del self._since[key]
                if since is not None:
                    self._histogram.labels(key[0], phase.value).observe(max(0.0, now - since))
        for key, phase in seen.items():
            self._since.setdefault(key, (phase, None if self._first else now))
        self._first = False


class Metrics:
    """What one pass came to, as metrics in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, *labels: str) -> Series:
            return Series(Gauge(name, about, labels, registry=registry))

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(name, about, labels, registry=registry)  # exported with `_total`

        self._nodes = gauge("warmroot_os_nodes", "Nodes by state.", "os", "state")
        self._waiting = gauge(
            "warmroot_node_waiting_seconds",
            "How long a node has waited for one reason (the worst 20 of an OS).",
            *("os", "node", "reason"),
        )
        self._eta = gauge(
            "warmroot_rollout_eta_seconds",
            "Seconds until a rollout is done, by what the last one took; soaks included.",
            "os",
        )
        self._blocked = gauge(
            "warmroot_drain_blocked",
            "Pods whose eviction a PodDisruptionBudget refuses now.",
            *("namespace", "pdb"),
        )
        self._phases = PhaseTimes(
            Histogram(
                "warmroot_node_phase_seconds",
                "How long nodes were in a phase that ended.",
                ("os", "phase"),
                buckets=PHASE_BUCKETS,
                registry=registry,
            )
        )
        self._plan = Histogram(
            "warmroot_plan_seconds", "Time that one plan took.", buckets=PLAN_BUCKETS, registry=registry
        )
        self._fallbacks = counter("warmroot_fallbacks", "Nodes that fell back.", "os")
        self._staging = counter(
            "warmroot_staging_bytes", "Bytes of releases that nodes staged, by where they came from.", "kind"
        )
        self._requests = counter("warmroot_api_requests", "Requests to the API server.", "verb", "resource")
        self._silences = counter(
            "warmroot_silences", "Silences that were asked of Alertmanager or ended, by outcome.", "outcome"
        )
        self._actions = counter("warmroot_actions", "Actions by kind and outcome.", "action", "outcome")
        self.forget()

    def forget(self) -> None:
        """What holds only for a process that leads is shown no more."""
        for series in (self._nodes, self._waiting, self._eta, self._blocked):
            series.replace({})
        self._phases.forget()
        self._fallen: dict[str, frozenset[tuple[str, str]]] = {}
        self._staged: Mapping[str, int] | None = None

    def observe(
        self, decision: Decision, outcomes: Iterable[Outcome], plan_seconds: float, now: float
    ) -> None:
        """Takes one pass in; `now` in Unix seconds."""
        self._plan.observe(plan_seconds)
        for outcome in outcomes:
            result = "Done" if outcome.error is None else outcome.error.reason
            self._actions.labels(type(outcome.action).__name__, result).inc()
        statuses = decision.statuses
        self._nodes.replace(
            {pair: count for os, status in statuses.items() for pair, count in _states(os, status)}
        )
        self._waiting.replace(
            {
                (os, row.node, row.reason.value): max(0.0, now - (instants.parse(row.since) or now))
                for os, status in statuses.items()
                for row in status.waiting
            }
        )
        self._eta.replace({(os,): seconds for os, seconds in decision.etas.items()})
        self._phases.observe(decision.phases, now)
        for os, status in statuses.items():
            self._count_fallbacks(os, status)

    def evictions(self, results: Mapping[str, EvictionResult]) -> None:
        """Takes the standing refusals of evictions in."""
        blocked = Tally(
            one.detail
            for one in results.values()
            if one.answer is EvictionAnswer.BLOCKED and "/" in one.detail
        )
        self._blocked.replace({_budget(detail): float(pods) for detail, pods in blocked.items()})

    def staged(self, total: Mapping[str, int]) -> None:
        """Takes in how many bytes nodes have staged so far, by where they came from."""
        for kind, count in total.items():
            before = count if self._staged is None else self._staged[kind]
            self._staging.labels(kind).inc(count - before)
        self._staged = dict(total)

    def request(self, verb: str, resource: str) -> None:
        """Counts a request to the API server."""
        self._requests.labels(verb, resource).inc()

    def silence(self, outcome: str) -> None:
        """Counts what came of a silence."""
        self._silences.labels(outcome).inc()

    def _count_fallbacks(self, os: str, status: OSStatus) -> None:
        fallen = frozenset((entry.node, entry.at) for entry in status.failed if entry.reason in FALLBACKS)
        seen = self._fallen.get(os)
        self._fallbacks.labels(os).inc(0 if seen is None else len(fallen - seen))
        self._fallen[os] = fallen


def _states(os: str, status: OSStatus) -> Iterable[tuple[Labels, float]]:
    for state in ("total", "updated", "staged", "in_progress", "failed", "unavailable"):
        yield (os, state), float(getattr(status.counts, state))


def _budget(detail: str) -> Labels:
    namespace, _, name = detail.removeprefix("PodDisruptionBudget ").partition("/")
    return namespace, name
