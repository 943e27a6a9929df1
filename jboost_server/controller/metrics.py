"""Figures of the controller for Prometheus (docs/java-controller.md). Their names are API.

Gauges are those of the process that leads: one that does not shows none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from jboost_server.controller.act import Outcome
from jboost_server.core.control.world import Build, Name, Phase
from warmroot.api.javacache import JavaCacheStatus
from warmroot.series import Labels, Series


class Metrics:
    """What passes came to, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        def gauge(name: str, about: str, *labels: str) -> Series:
            return Series(Gauge(name, about, labels, registry=self.registry))

        self._keys = gauge("jboost_cache_keys", "Build keys by state.", "namespace", "cache", "state")
        self._coverage = gauge(
            "jboost_cache_coverage_ratio", "Share of recent starts from an archive.", "namespace", "cache"
        )
        self._builders = Gauge("jboost_builders", "Builders that run now.", registry=self.registry)
        self._pass = Histogram(
            "jboost_controller_pass_seconds",
            "Time that one pass took, asking and writing included.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self._actions = Counter(
            "jboost_controller_actions",
            "Actions by kind and outcome.",
            ("action", "outcome"),
            registry=self.registry,
        )

    def observe(
        self,
        statuses: Mapping[Name, JavaCacheStatus],
        builds: Iterable[Build],
        outcomes: Iterable[Outcome],
        seconds: float,
    ) -> None:
        """Takes one pass in."""
        self._pass.observe(seconds)
        for outcome in outcomes:
            result = "Done" if outcome.error is None else outcome.error.reason
            self._actions.labels(type(outcome.action).__name__, result).inc()
        keys: dict[Labels, float] = {}
        for name, status in statuses.items():
            for row in status.keys:
                labels = (*name, row.state.value)
                keys[labels] = keys.get(labels, 0.0) + 1
        self._keys.replace(keys)
        covered = {name: status.coverage for name, status in statuses.items()}
        self._coverage.replace({name: share / 100 for name, share in covered.items() if share is not None})
        self._builders.set(sum(one.phase is Phase.ACTIVE for one in builds))

    def forget(self) -> None:
        """Another process leads."""
        self._keys.replace({})
        self._coverage.replace({})
        self._builders.set(0)
