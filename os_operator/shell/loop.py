"""One level-triggered pass over everything: gather, plan, act. Woken by events and by its own deadlines.

Passes run only while we hold the Lease; every single write asks again. A pass in which nothing is to be done
sends no request.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from os_operator.core.actions import DeletePod, Evict, SetConditions, WriteStatus
from os_operator.core.plan import Decision, plan
from os_operator.shell.act import Actor, Outcome
from os_operator.shell.alertmanager import Loud, Silencer
from os_operator.shell.checks import Nobody, Prober
from os_operator.shell.gather import Gather
from os_operator.shell.metrics import Metrics
from warmroot.errors import ClusterError, Conflict, NetworkError, NotFound, TooManyRequests

log = logging.getLogger(__name__)
DEBOUNCE = 0.2
"""Seconds between two passes, at the least: a burst of events makes one or two."""
GATHER = 0.02
"""Seconds that a pass waits after an event that follows a quiet time: what belongs together comes together,
and a node that waits for us is not kept waiting for the debounce."""
LONGEST = 30.0
"""Seconds after which a pass looks at the clock, whatever happened: a status grows stale in silence."""
RETRY = 1.0
ASIDE = (Evict, DeletePod, WriteStatus, SetConditions)
"""Actions after which nothing else can be decided at once."""


class Engine:
    """Gather, plan and act as one step."""

    def __init__(
        self,
        gather: Gather,
        actor: Actor,
        metrics: Metrics | None = None,
        prober: Prober | None = None,
        silencer: Silencer | None = None,
    ) -> None:
        self._gather, self._actor, self._metrics = gather, actor, metrics
        self._prober, self._silencer = prober or Nobody(), silencer or Loud()

    def one_pass(self, now: float) -> tuple[Decision, list[Outcome]]:
        """One pass at `now` (Unix seconds).

        Raises:
            NetworkError: the API server could not be read.
        """
        world = replace(self._gather.world(now), checks=self._prober.standings())
        began = time.perf_counter()
        decision = plan(world, now)
        took = time.perf_counter() - began
        self._prober.ask(decision.questions)
        self._silencer.keep(decision.silences)
        outcomes = self._actor.carry_out(decision.actions, now)
        for outcome in outcomes:
            if isinstance(outcome.action, WriteStatus) and outcome.error is None:
                self._gather.status_written(outcome.action.os, now)
            _log(outcome)
        if self._metrics is not None:
            self._metrics.observe(decision, outcomes, took, now)
            self._metrics.evictions(world.evictions)
            self._metrics.staged(self._gather.staged_bytes())
        return decision, outcomes

    def stand_by(self) -> None:
        """Another process leads: what the metrics say of nodes is its affair."""
        if self._metrics is not None:
            self._metrics.forget()


def _log(outcome: Outcome) -> None:
    action, error = type(outcome.action).__name__, outcome.error
    about = getattr(outcome.action, "node", None) or getattr(outcome.action, "os", None)
    about = about or getattr(outcome.action, "name", "")
    fields = {"action": action, "object": about}
    if error is None:
        log.info("%s %s", action, about, extra=fields)
    elif isinstance(error, (Conflict, NotFound)):
        log.info("%s %s: decided anew, the object has changed", action, about, extra=fields)
    else:
        log.warning("%s %s: %s", action, about, error, extra=fields)


class Loop:
    """Runs passes until it is stopped. `clock` gives Unix seconds, for decisions; `monotonic` never jumps."""

    def __init__(
        self,
        engine: Engine,
        leading: Callable[[], bool],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._leading, self._clock, self._monotonic = engine, leading, clock, monotonic
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
        self._engine.stand_by()
        return RETRY

    def _pass(self) -> float:
        """One pass; returns the seconds until the next one if nothing happens."""
        now = self._clock()
        try:
            decision, outcomes = self._engine.one_pass(now)
        except (NetworkError, ClusterError) as error:
            log.warning("the pass is repeated: %s", error)
            self._hush = _asked_for(error)
            return RETRY
        if any(outcome.error is not None for outcome in outcomes):
            self._hush = max(_asked_for(outcome.error) for outcome in outcomes)
            return RETRY
        if any(not isinstance(outcome.action, ASIDE) for outcome in outcomes):
            return GATHER  # what we wrote ourselves wakes nobody: it is known before the watch brings it
        if decision.next_deadline is None:
            return LONGEST
        return min(LONGEST, max(0.0, decision.next_deadline - self._clock()))


def _asked_for(error: Exception | None) -> float:
    """Seconds for which the API server wants to be left alone, whatever happens meanwhile."""
    return min(LONGEST, error.retry_after) if isinstance(error, TooManyRequests) else 0.0
