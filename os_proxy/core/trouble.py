"""What went wrong, how often in a row, and when it is tried again: backoff as a value."""

from __future__ import annotations

from dataclasses import dataclass

from warmroot import errors
from warmroot.errors import WarmrootError

FIRST_DELAY = 2.0
"""Seconds before the second attempt; doubled for each further one."""
MAX_DELAY = 300.0
"""No wait is longer than this many seconds."""
RETRIED = (
    errors.NetworkError,
    errors.ClusterError,
    errors.Truncated,
    errors.Frozen,
    errors.Mixed,
    errors.Unknown,
    errors.DiskFull,
    errors.ReadOnlyDisk,
)
"""What can mend itself: the network, a publication under way, space. All else waits for a person."""


@dataclass(frozen=True)
class Trouble:
    """An error that stands. Instants in seconds since 1970; without `retry_at` a person is needed."""

    reason: str
    message: str
    at: float
    attempts: int = 1
    retry_at: float | None = None

    def waits(self, now: float) -> bool:
        """Whether nothing is to be tried now."""
        return self.retry_at is None or now < self.retry_at


def after(previous: Trouble | None, error: WarmrootError, now: float, jitter: float) -> Trouble:
    """The trouble after one more failed attempt. `jitter` in 0..1 spreads the fleet over half of the wait."""
    attempts = previous.attempts + 1 if previous else 1
    delay = min(MAX_DELAY, FIRST_DELAY * 2 ** min(attempts - 1, 16)) * (0.5 + jitter / 2)
    retry_at = now + delay if isinstance(error, RETRIED) else None
    return Trouble(error.reason, str(error), now, attempts, retry_at)
