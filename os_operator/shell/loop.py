"""One pass over everything: gather, plan, act. One in which nothing is to be done sends no request."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Protocol

from os_operator.core.actions import (
    Action,
    Cordon,
    DeleteInstance,
    DeletePod,
    EnsureInstance,
    Evict,
    SetConditions,
    SetFinalizer,
    SetOrders,
    WriteStatus,
)
from os_operator.core.plan import Decision, plan
from os_operator.core.world import CordonNote, World
from os_operator.shell.act import Actor, Outcome
from os_operator.shell.alertmanager import Loud, Silencer
from os_operator.shell.checks import Nobody, Prober
from os_operator.shell.gather import Gather
from os_operator.shell.metrics import Metrics
from warmroot.errors import Conflict, NotFound
from warmroot.kube import passes
from warmroot.kube.passes import Passed
from warmroot.rollout_id import rollout_id

log = logging.getLogger(__name__)
ASIDE = (Evict, DeletePod, WriteStatus, SetConditions)
"""Actions after which nothing else can be decided at once."""


class Tracer(Protocol):
    """Hears of each pass."""

    def observe(self, decision: Decision, now: float) -> None:
        """One pass at `now`, in Unix seconds."""

    def forget(self) -> None:
        """Another process leads."""


class Engine:
    """Gather, plan and act as one step."""

    def __init__(
        self,
        gather: Gather,
        actor: Actor,
        metrics: Metrics | None = None,
        prober: Prober | None = None,
        silencer: Silencer | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._gather, self._actor, self._metrics, self._tracer = gather, actor, metrics, tracer
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
            _log(outcome, world)
        if self._metrics is not None:
            self._metrics.observe(decision, outcomes, took, now)
            self._metrics.evictions(world.evictions)
            self._metrics.staged(self._gather.staged_bytes())
        if self._tracer is not None:
            self._tracer.observe(decision, now)
        return decision, outcomes

    def step(self, now: float) -> Passed:
        """One pass, and when the next one has something to do. See `one_pass`.

        Raises:
            NetworkError: the API server could not be read.
        """
        decision, outcomes = self.one_pass(now)
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        if errors:
            return passes.failed(*errors)
        if any(not isinstance(outcome.action, ASIDE) for outcome in outcomes):
            return Passed(passes.GATHER)  # what we wrote ourselves is known before the watch brings it
        return Passed(passes.LONGEST, decision.next_deadline)

    def stand_by(self) -> None:
        """Another process leads: what the metrics say of nodes is its affair."""
        if self._metrics is not None:
            self._metrics.forget()
        if self._tracer is not None:
            self._tracer.forget()


def _log(outcome: Outcome, world: World) -> None:
    action, error = type(outcome.action).__name__, outcome.error
    about = getattr(outcome.action, "node", None) or getattr(outcome.action, "os", None)
    about = about or getattr(outcome.action, "name", "")
    fields = {"action": action, "object": about, "rollout": _rollout(outcome.action, world)}
    if error is None:
        log.info("%s %s", action, about, extra=fields)
    elif isinstance(error, (Conflict, NotFound)):
        log.info("%s %s: decided anew, the object has changed", action, about, extra=fields)
    else:
        log.warning("%s %s: %s", action, about, error, extra=fields)


def _rollout(action: Action, world: World) -> str:
    """Which rollout an action belongs to, by what it writes or by what stands on its node."""
    match action:
        case EnsureInstance() | SetOrders():
            return rollout_id(action.orders.os, action.orders.digest)
        case WriteStatus():
            return rollout_id(action.os, action.status.target_digest)
        case Cordon():
            note: CordonNote | None = action.note
        case DeleteInstance() | SetFinalizer():
            return ""
        case _:
            node = world.nodes.get(action.node)
            note = node.note if node is not None else None
    return rollout_id(note.os, note.digest) if note is not None else ""
