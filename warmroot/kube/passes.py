"""One level-triggered pass after another: woken by events and by the time, and never before the API server
wants to be asked again.

Passes run only while we hold the Lease; every single write asks again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from warmroot.errors import ClusterError, NetworkError, TooManyRequests

log = logging.getLogger(__name__)
DEBOUNCE = 0.2
"""Seconds between two passes, at the least: a burst of events makes one or two."""
GATHER = 0.02
"""Seconds that a pass waits after an event that follows a quiet time: what belongs together comes together,
and what waits for us is not kept waiting for the debounce."""
LONGEST = 30.0
"""Seconds after which a pass looks at the clock, whatever happened: a status grows stale in silence."""
RETRY = 1.0


@dataclass(frozen=True)
class Passed:
    """What a pass came to: the next one is in `again` seconds if nothing happens, or at `due` (Unix seconds)
    if that is sooner, and whatever happens not within `hush` seconds.
    """

    again: float
    due: float | None = None
    hush: float = 0.0


class Steps(Protocol):
    """Who makes passes."""

    def step(self, now: float) -> Passed:
        """One pass at `now` (Unix seconds).

        Raises:
            ClusterError, NetworkError: the API server could not be read.
        """

    def stand_by(self) -> None:
        """Another process leads."""


class Loop:
    """Runs passes until it is stopped. `clock` gives Unix seconds, for decisions; `monotonic` never jumps."""

    def __init__(
        self,
        steps: Steps,
        leading: Callable[[], bool],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps, self._leading, self._clock, self._monotonic = steps, leading, clock, monotonic
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._hush = 0.0
        self._last_pass: float | None = None

    @property
    def quiet(self) -> float:
        """Seconds since the last pass; 0 before the first."""
        return 0.0 if self._last_pass is None else self._monotonic() - self._last_pass

    def wake(self) -> None:
        """Something changed; a pass follows within the debounce."""
        self._wake.set()

    def stop(self) -> None:
        """Ends after the current pass."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Passes until `stop`."""
        pause = 0.0
        while not self._stop.is_set():
            if self._wake.wait(pause):
                since = DEBOUNCE if self._last_pass is None else self.quiet
                self._stop.wait(max(GATHER, DEBOUNCE - since))
            self._wake.clear()
            hush, self._hush = self._hush, 0.0
            if self._stop.is_set() or self._stop.wait(hush):
                break
            pause = self._pass() if self._leading() else self._stand_by()
            self._last_pass = self._monotonic()

    def _stand_by(self) -> float:
        self._steps.stand_by()
        return RETRY

    def _pass(self) -> float:
        """One pass; returns the seconds until the next one if nothing happens."""
        try:
            passed = self._steps.step(self._clock())
        except (NetworkError, ClusterError) as error:
            log.warning("the pass is repeated: %s", error)
            passed = failed(error)
        self._hush = passed.hush
        if passed.due is None:
            return passed.again
        return min(passed.again, max(0.0, passed.due - self._clock()))


def failed(*errors: Exception) -> Passed:
    """A pass in which this went wrong is soon repeated; but the API server may say when at the earliest."""
    asked = (error.retry_after for error in errors if isinstance(error, TooManyRequests))
    return Passed(RETRY, hush=min(LONGEST, max(asked, default=0.0)))
