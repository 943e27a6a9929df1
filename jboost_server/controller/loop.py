"""One pass over everything: gather, plan, act."""

from __future__ import annotations

import logging
import time

from jboost_server.controller.act import Actor, Outcome
from jboost_server.controller.gather import Gather
from jboost_server.controller.metrics import Metrics
from jboost_server.core.control.plan import plan
from jboost_server.core.control.world import Accuse, Deliver, Release, Start
from warmroot.errors import AlreadyExists, Conflict
from warmroot.kube.passes import Passed, failed

log = logging.getLogger(__name__)
LONGEST = 5.0
"""Seconds after which a pass looks whom to ask, whatever happened."""


class Engine:
    """Gather, plan and act as one step, with at most `builders` at one time. `longest`: seconds after which a
    pass looks whom to ask, whatever happened.
    """

    def __init__(
        self, gather: Gather, actor: Actor, metrics: Metrics, builders: int, *, longest: float = LONGEST
    ) -> None:
        self._gather, self._actor, self._metrics = gather, actor, metrics
        self._builders, self._longest = builders, longest

    def step(self, now: float) -> Passed:
        """One pass, and when the next one is. See `one_pass`.

        Raises:
            ClusterError, NetworkError: the API server could not be read.
        """
        errors = [outcome.error for outcome in self.one_pass(now) if outcome.error is not None]
        return failed(*errors) if errors else Passed(self._longest)

    def stand_by(self) -> None:
        """Another process leads: what the metrics say is its affair."""
        self._metrics.forget()

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
    if isinstance(action, (Accuse, Release)):
        extra |= {"pod": action.fallen.pod, "archive": action.fallen.archive[:12], "saw": action.fallen.why}
    if error is None:
        level = logging.DEBUG if isinstance(action, Deliver) else logging.INFO  # it is done each minute
        log.log(level, "done", extra=extra)
    elif isinstance(error, (Conflict, AlreadyExists)):
        log.info("decided anew: it has changed", extra=extra)
    else:
        log.warning("not done", extra=extra | {"why": str(error)})
