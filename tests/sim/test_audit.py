"""The judge of the audit log on rollouts in virtual time: no false alarm, and broken operators are caught.

It reads what the API server in memory would have logged; `harness.Judge` hears of each delivery instead.
Neither knows the other.
"""

from dataclasses import replace

import pytest

from os_operator.core import begin, finish, survey
from os_operator.core.actions import Uncordon
from os_operator.core.budget import Budget
from testbed.controlplane.audit import Change
from testbed.swarm.judge import Judge
from testbed.swarm.machine import Fate, digest
from tests.sim.harness import WRITES
from tests.sim.memory_cluster import NODE, OS, OSINSTANCE
from tests.sim.scenario import Scenario

OPERATOR = "warmroot"
ROLLOUTS = 40
SHARES = 4
LATEST = 5.0
"""Seconds by which what others did is known to the operator: the longest lag of its watches, and a pass."""


class Log:
    """Every change of a story, and whose it was."""

    def __init__(self, scenario: Scenario) -> None:
        self.changes: list[Change] = []
        self._scenario, self._user = scenario, "somebody"
        inner = scenario.operator.wire._inner
        for verb in WRITES:
            setattr(inner, verb, self._of_operator(getattr(inner, verb)))
        for kind in (NODE, OSINSTANCE, OS):
            for item in scenario.fleet.store.of(kind).values():
                self._heard("ADDED", kind, item)
        scenario.fleet.store.listeners.insert(0, self._heard)

    def judge(self) -> Judge:
        judge = Judge(OPERATOR, grace=LATEST)
        judge.read(self.changes)
        return judge

    def _of_operator(self, write):
        def written(*args, **options):
            self._user = OPERATOR
            try:
                return write(*args, **options)
            finally:
                self._user = "somebody"

        return written

    def _heard(self, event, kind, item) -> None:
        if kind in (NODE, OSINSTANCE, OS):
            now, left = self._scenario.time.now, None if event == "DELETED" else item
            change = Change(now, now, self._user, kind.plural, item["metadata"]["name"], left)
            self.changes.append(change)


def judged(seed: int) -> Judge:
    scenario = Scenario(seed)
    log = Log(scenario)
    scenario.disturb()
    scenario.run()
    return log.judge()


@pytest.mark.parametrize("part", range(SHARES))
def test_the_judge_of_the_audit_log_finds_nothing_wrong_with_an_honest_operator(part, tally):
    size = ROLLOUTS // SHARES
    wrong, cordons, orders = [], 0, 0
    for seed in range(1000 + part * size, 1000 + (part + 1) * size):
        judge = judged(seed)
        wrong += [f"seed {seed}: {one}" for one in judge.breaches]
        cordons, orders = cordons + judge.cordons, orders + judge.orders
    tally("cordons of rollouts in virtual time judged as from an audit log", cordons)
    tally("reboot orders of rollouts in virtual time judged as from an audit log", orders)
    assert wrong == []


def caught(words: str) -> bool:
    return any(words in one for seed in range(1000, 1060) for one in judged(seed).breaches)


def test_it_catches_an_operator_that_forgets_the_budget(monkeypatch):
    monkeypatch.setattr(survey, "budget", lambda *_: Budget(1000, 0))
    assert caught("maxUnavailable")


def test_it_catches_an_operator_that_lifts_every_cordon(monkeypatch):
    monkeypatch.setattr(finish, "Uncordon", lambda *args: replace(Uncordon(*args), lift=True))
    assert caught("an administrator cordoned it")


@pytest.mark.parametrize("words", ["nobody approved", "outside its windows"])
def test_it_catches_an_operator_that_does_not_wait_for_gates(monkeypatch, words):
    monkeypatch.setattr(begin, "_gate", lambda state, wave: None)
    monkeypatch.setattr("os_operator.core.waves.Progress.room", lambda *_: 1000)
    assert caught(words)


def test_it_catches_an_operator_that_does_not_pause(monkeypatch):
    monkeypatch.setattr(begin, "_shut", lambda state: None)
    assert caught("paused")


def test_it_catches_an_operator_that_forgets_what_fell_back(monkeypatch):
    honest = finish.make.rest
    monkeypatch.setattr(finish.make, "rest", lambda instance, barred: honest(instance, ()))
    monkeypatch.setattr(survey.Ledger, "record", lambda *_: None)
    scenario = Scenario(3)
    log = Log(scenario)
    for machine in scenario.fleet.machines.values():
        machine.fate[digest(2)] = Fate.PANICS
    scenario.apply()
    scenario.time.run(scenario.time.now + 1800)
    assert any("fell back there" in one for one in log.judge().breaches)
