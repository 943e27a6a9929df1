"""Hundreds of randomly faulted rollouts in virtual time: whatever happens, R1 to R6 hold.

Two judges see to that, who do not know each other: `harness.Judge` hears of each delivery and each write, and
`testbed.swarm.judge` reads what an API server would have logged.
"""

import os
from dataclasses import replace

import pytest

from os_operator.core import begin, finish, render, survey
from os_operator.core.actions import Uncordon
from os_operator.core.budget import Budget
from os_operator.core.world import NOT_CURRENT, NodeView
from tests.sim.fleet import Fate, digest
from tests.sim.scenario import Scenario

ROLLOUTS = 300
SHARES = 10
FIRST = int(os.environ.get("WARMROOT_SIM_SEED", "0"))


def told(seed: int) -> Scenario:
    scenario = Scenario(seed)
    scenario.disturb()
    scenario.run()
    return scenario


@pytest.mark.parametrize("part", range(SHARES))
def test_no_fault_breaks_an_invariant_and_every_rollout_ends_or_says_why_not(part, tally):
    size = ROLLOUTS // SHARES
    wrong, passes, cordons, orders, restarts, returns = [], 0, 0, 0, 0, 0
    for seed in range(FIRST + part * size, FIRST + (part + 1) * size):
        scenario = told(seed)
        reader = scenario.log.judge()
        orders += reader.orders
        passes += scenario.operator.passes
        cordons += scenario.judge.cordons
        restarts += scenario.operator.restarts
        returns += scenario.returned
        found = [*reader.breaches, *scenario.verdict()]
        wrong += [f"seed {seed} ({', '.join(scenario.faults)}): {one}" for one in found]
    tally("randomly faulted rollouts in virtual time", size)
    tally("cordons judged in them", cordons)
    tally("reboot orders judged in them", orders)
    tally("operator restarts in them", restarts)
    tally("releases that were taken back in them", returns)
    tally("passes of the operator in them", passes)
    assert wrong == []


def test_a_fleet_without_faults_is_updated_whole():
    scenario = Scenario(7)
    scenario.apply(waves=[{"name": "canary", "nodes": 1, "soak": "5m"}])
    scenario.run()
    assert scenario.verdict() == []
    assert scenario.os["status"]["phase"] == "Complete"


def test_a_release_that_fails_late_is_taken_back_from_every_node_that_ran_it():
    scenario = Scenario(11)
    names = sorted(scenario.fleet.machines)
    scenario.fleet.machines[names[-1]].fate[digest(2)] = Fate.PANICS
    scenario.apply(maxUnavailable=1, failure={"maxFailed": 0, "action": "Rollback"})
    scenario.run()
    assert scenario.verdict() == []
    assert scenario.returned
    assert {machine.running for machine in scenario.fleet.machines.values()} == {digest(1)}
    boots = {name: scenario.fleet.machines[name].boot for name in names}
    assert boots.pop(names[-1]) == 2, "its firmware took it back by itself"
    assert set(boots.values()) == {3}, "there and back, once each"


# -- the judge is no rubber stamp: an operator with one rule taken out is caught ---------------------------


def caught(rule: str) -> bool:
    return any(one.startswith(rule) for seed in range(60) for one in told(seed).verdict())


def test_the_judge_catches_an_operator_that_forgets_the_budget(monkeypatch):
    monkeypatch.setattr(survey, "budget", lambda *_: Budget(1000, 0))
    assert caught("R1")


def test_the_judge_catches_an_operator_that_lifts_every_cordon(monkeypatch):
    monkeypatch.setattr(finish, "Uncordon", lambda *args: replace(Uncordon(*args), lift=True))
    assert caught("R2")


def test_the_judge_catches_an_operator_that_forgets_what_fell_back(monkeypatch):
    honest = finish.make.rest
    monkeypatch.setattr(finish.make, "rest", lambda instance, barred: honest(instance, ()))
    monkeypatch.setattr(survey.Ledger, "record", lambda *_: None)
    scenario = Scenario(3)
    for machine in scenario.fleet.machines.values():
        machine.fate[digest(2)] = Fate.PANICS
    scenario.apply()
    scenario.time.run(scenario.time.now + 1800)
    assert any(breach.startswith("R3") for breach in scenario.fleet.breaches)


def test_the_judge_catches_an_operator_that_does_not_wait_for_gates(monkeypatch):
    monkeypatch.setattr(begin, "_gate", lambda state, wave: None)
    monkeypatch.setattr("os_operator.core.waves.Progress.room", lambda *_: 1000)
    assert caught("R4")


def test_the_judge_catches_an_operator_that_writes_over_somebody_else_s_taints(monkeypatch):
    monkeypatch.setattr(NodeView, "with_taint", lambda _, effect: ({"key": NOT_CURRENT, "effect": effect},))
    assert caught("taints")


def test_the_judge_catches_a_status_that_forgets_since_when(monkeypatch):
    honest = render._row
    monkeypatch.setattr(
        render,
        "_row",
        lambda name, way, before, done: honest(name, way._replace(since=done.now), before, done),
    )
    assert caught("R5")
