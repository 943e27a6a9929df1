"""One level-triggered pass after another: gather, plan, act. Woken by what changes, and by the time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from jboost_server.controller.act import Actor, Outcome
from jboost_server.controller.gather import Gather
from jboost_server.controller.metrics import Metrics
from jboost_server.core.control.plan import plan
from jboost_server.core.control.world import Start
from warmroot.errors import AlreadyExists, ClusterError, Conflict, NetworkError, TooManyRequests

log = logging.getLogger(__name__)
DEBOUNCE = 0.2
"""Seconds between two passes, at the least."""
LONGEST = 5.0
"""Seconds after which a pass looks whom to ask, whatever happened."""
RETRY = 1.0


class Loop:
    """Runs passes until it is stopped, while `leading`. `clock` gives Unix seconds."""

    def __init__(
        self,
        gather: Gather,
        actor: Actor,
        metrics: Metrics,
        leading: Callable[[], bool],
        builders: int,
        *,
        clock: Callable[[], float] = time.time,
        longest: float = LONGEST,
    ) -> None:
        self._gather, self._actor, self._metrics, self._leading = gather, actor, metrics, leading
        self._builders, self._clock, self._longest = builders, clock, longest
        self._wake, self._stop = threading.Event(), threading.Event()

    def wake(self) -> None:
        """Something changed."""
        self._wake.set()

    def stop(self) -> None:
        """Ends after the current pass."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Passes until `stop`."""
        pause = 0.0
        while not self._stop.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            if self._leading():
                pause = self._pass()
            else:
                self._metrics.forget()
                pause = RETRY
            self._stop.wait(DEBOUNCE)

    def _pass(self) -> float:
        """One pass; seconds until the next one if nothing happens."""
        try:
            outcomes = self.one_pass(self._clock())
        except (NetworkError, ClusterError) as error:
            log.warning("the pass is repeated", extra={"why": str(error)})
            return _asked_for(error) or RETRY
        waits = [_asked_for(outcome.error) for outcome in outcomes if outcome.error is not None]
        return max(RETRY, *waits) if waits else self._longest

    def one_pass(self, now: float) -> list[Outcome]:
        """One pass at `now` (Unix seconds).

        Raises:
            ClusterError, NetworkError: the API server could not be read.
        """
        began = time.perf_counter()
        world = self._gather.world(now)
        decision = plan(world, now, self._builders)
        outcomes = self._actor.carry_out(decision, now)
        for outcome in outcomes:
            _log(outcome)
        took = time.perf_counter() - began
        self._metrics.observe(decision.statuses, world.builds, outcomes, took)
        return outcomes


def _log(outcome: Outcome) -> None:
    action, error = outcome.action, outcome.error
    extra = {"cache": "/".join(action.cache.name), "action": type(action).__name__}
    if isinstance(action, Start):
        extra |= {"key": action.key.digest[:12], "attempt": str(action.attempt)}
    if error is None:
        log.info("done", extra=extra)
    elif isinstance(error, (Conflict, AlreadyExists)):
        log.info("decided anew: it has changed", extra=extra)
    else:
        log.warning("not done", extra=extra | {"why": str(error)})


def _asked_for(error: Exception | None) -> float:
    """Seconds for which the API server wants to be left alone."""
    return min(30.0, error.retry_after) if isinstance(error, TooManyRequests) else 0.0
