"""What a machine needs of the world: a clock, chance, and its two objects in the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

Object = dict[str, Any]
Span = tuple[float, float]
"""Seconds, at the least and at the most."""


def stamp(moment: float) -> str:
    """Unix seconds as Kubernetes writes them: RFC 3339, whole seconds, UTC."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Times:
    """How long a machine takes for what it does, in seconds.

    `heed`: until its proxy sees new orders; `guard`: after which a trial that nobody confirmed ends; `grace`:
    after which a kubelet that is away is missed; `retry`: until a download that failed is tried again.
    """

    heed: Span = (0.05, 1)
    staging: Span = (2, 20)
    boot: Span = (5, 30)
    slow_boot: Span = (200, 400)
    panic: Span = (30, 120)
    late: Span = (1200, 4000)
    fallback: Span = (5, 30)
    guard: float = 600
    after_guard: float = 20
    grace: float = 40
    ready: float = 3
    crash: float = 25
    retry: float = 30
    heartbeat: float = 60


class Time(Protocol):
    """A clock, and things that are due."""

    @property
    def now(self) -> float:
        """Unix seconds."""

    def after(self, delay: float, what: Callable[[], None]) -> None:
        """Does something in `delay` seconds, never two things at once."""


class Records(Protocol):
    """A machine's two objects, as last seen, and what its proxy and its kubelet write of them.

    What can't be written is the adapter's affair: a machine never waits, and never fails for it.
    """

    def instance(self, name: str) -> Object | None:
        """The OSInstance of that name."""

    def node(self, name: str) -> Object | None:
        """The Node of that name."""

    def report(self, instance: Object, status: Object) -> None:
        """Writes an OSInstance's status; None takes a field away."""

    def tell(self, node: Object, status: Object) -> None:
        """Merges into a Node's status; what it says already is not written."""
