"""How fast a node may download: a token bucket that all its connections share."""

from __future__ import annotations

import threading
from collections.abc import Callable

from os_proxy.ports import Clock, Wait

BURST_SECONDS = 0.25
"""A pause is made up for by at most this many seconds' worth of bytes."""


class TokenBucket:
    """Lets `rate()` bytes per second through; None means no limit. The rate may change at any time."""

    def __init__(self, rate: Callable[[], int | None], clock: Clock, wait: Wait) -> None:
        self._rate, self._clock, self._wait = rate, clock, wait
        self._lock = threading.Lock()
        self._free_at = clock.monotonic()

    def take(self, count: int) -> None:
        """Waits until `count` bytes are paid for."""
        rate = self._rate()
        if rate is None:
            return
        with self._lock:
            now = self._clock.monotonic()
            self._free_at = max(self._free_at, now - BURST_SECONDS) + count / rate
            pause = self._free_at - now
        if pause > 0:
            self._wait(pause)
