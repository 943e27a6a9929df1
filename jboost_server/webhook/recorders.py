"""Which new pods may record: of each JavaCache no more than it allows, in any half hour.

Each replica of the webhook counts for itself, and forgets when it starts anew. That costs a sidecar or two
more, no recording: those are leased by the cache service, which counts for all.
"""

from __future__ import annotations

from collections import deque

EVERY = 1800.0
"""Seconds: as long as a lease of the cache service, after which who was to record may be replaced."""
Name = tuple[str, str]


class Recorders:
    """When pods of which JavaCache were last let record. Made for one event loop."""

    def __init__(self) -> None:
        self._taken: dict[Name, deque[float]] = {}

    def take(self, name: Name, most: int, now: float) -> bool:
        """Whether one more pod may, at `now` in seconds of a clock that never jumps; it counts if it may."""
        taken = self._taken.get(name, deque())
        while taken and now >= taken[0] + EVERY:
            taken.popleft()
        if len(taken) >= most:
            return False
        taken.append(now)
        self._taken[name] = taken
        self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        for name in [name for name, taken in self._taken.items() if not taken or now >= taken[-1] + EVERY]:
            del self._taken[name]
