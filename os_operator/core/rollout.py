"""One OS object's pass: look at each node, bring to an end what is in motion, then begin what may begin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from os_operator.core import orders as make
from os_operator.core.actions import Action, SetFinalizer, SetOrders
from os_operator.core.begin import begin
from os_operator.core.failures import open_ledger
from os_operator.core.finish import finish, unbar
from os_operator.core.health import trials
from os_operator.core.node_way import in_orders
from os_operator.core.resetting import undone
from os_operator.core.returning import look_back, taken_back
from os_operator.core.survey import DEFAULTS, Pass, gauge, look, running_wave, target_of
from os_operator.core.world import InstanceView, NodeView, OSView, World
from warmroot.api.os import FailedPart
from warmroot.api.osinstance import Goal


def run(
    os: OSView,
    world: World,
    members: list[NodeView],
    strays: list[NodeView],
    conflicts: dict[str, tuple[str, ...]],
    now: float,
) -> Pass:
    """Everything that one OS object wants done now."""
    rollout = os.spec.rollout if os.spec else DEFAULTS
    judged = os.health
    if os.spec is not None:
        judged = os.spec.rollout.health
    elif judged is not None:
        rollout = rollout.model_copy(update={"health": judged})
    state = Pass(os, world, now, target_of(os), conflicts, members, strays, rollout)
    state.trials = trials(judged, world.checks)
    if state.target is not None:
        state.ledger = open_ledger(os, state.target, world.instances)
    state.returning = taken_back(state)
    if not state.returning and state.ledger.counted(FailedPart.SETTINGS):
        state.undone = undone(state.ledger, state.settings, rollout, running_wave(state))
    (look_back if state.returning else look)(state)
    gauge(state)
    for node, instance, way in state.tally.in_motion:
        finish(state, node, instance, way)
    for instance in state.ledger.unbar:
        unbar(state, instance)
    if os.deleting:
        _let_go(state)
    elif os.spec is None:
        pass
    elif not os.finalizer:
        state.actions.insert(0, SetFinalizer(os.name, os.version, present=True))
    else:
        begin(state)
    return state


def _let_go(state: Pass) -> None:
    """A deleted OS object stays until no node is in motion for it; then its orders and its finalizer go."""
    standing = [instance for instance in state.world.instances.values() if instance.os == state.os.name]
    state.actions += withdraw_all(standing)
    busy = state.tally.in_motion or any(instance.goal is not Goal.NONE for instance in standing)
    if state.os.finalizer and not busy:
        state.actions.append(SetFinalizer(state.os.name, state.os.version, present=False))


def withdraw_all(instances: Iterable[InstanceView]) -> list[Action]:
    """Takes every order back that is not a reboot under way. Bars stay: they outlive the object (R3)."""
    return [
        SetOrders(instance.name, instance.version, make.rest(instance, instance.barred))
        for instance in instances
        if instance.goal is not Goal.NONE and not in_orders(instance)
    ]


def run_orphans(world: World, nodes: list[NodeView], os: OSView, now: float) -> Pass:
    """Brings nodes to an end whose OS object is gone."""
    return run(replace(os, deleting=True, finalizer=False), world, [], nodes, {}, now)
