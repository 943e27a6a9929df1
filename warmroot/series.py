"""Gauges of Prometheus whose series come and go."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Gauge

Labels = tuple[str, ...]


class Series:
    """A gauge whose series are replaced together: a scrape in between finds the old ones or the new ones."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shown: frozenset[Labels] = frozenset()

    def replace(self, values: Mapping[Labels, float]) -> None:
        """Sets these and takes all others away."""
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        for labels in self._shown.difference(values):
            self._gauge.remove(*labels)
        self._shown = frozenset(values)
