"""The judge of the audit log on rollouts in virtual time: an operator with one rule taken out is caught.

Each in a story of its own, in which the honest operator is found to do nothing wrong. That the judge raises
no false alarm in random stories either is in `test_rollouts.py`.
"""

from dataclasses import replace

import pytest

from os_operator.core import begin, finish, survey
from os_operator.core.actions import Uncordon
from os_operator.core.budget import Budget
from tests.sim.fleet import Fate, digest
from tests.sim.memory_cluster import NODE
from tests.sim.scenario import Scenario

SEED = 3
"""Of several machines."""
HALF_A_DAY = 12 * 3600


def rolled(**rollout):
    """Half an hour of a rollout, of all machines at once if nothing speaks against it: what is wrong."""
    scenario = Scenario(SEED)
    scenario.apply(**({"maxUnavailable": 8, "maxStaging": 8, "failure": {"maxFailed": 9}} | rollout))
    scenario.time.run(scenario.time.now + 1800)
    return scenario.log.judge()


def narrow():
    return rolled(maxUnavailable=1)


def shut():
    """Its window opens in half a day."""
    hour = int((Scenario(SEED).time.now + HALF_A_DAY) % 86400 // 3600)
    return rolled(windows=[{"cron": f"0 {hour} * * *", "duration": "1h"}])


def unapproved():
    return rolled(waves=[{"name": "first", "nodes": 1}, {"name": "rest", "approval": "Required"}])


def paused():
    return rolled(paused=True)


def recordoned():
    """An administrator lifts the operator's cordons, each as it is seen, and sets their own."""
    scenario = Scenario(SEED)

    def recordon():
        for node in list(scenario.fleet.store.of(NODE).values()):
            name = node["metadata"]["name"]
            if node["spec"].get("unschedulable") and name not in scenario.judge.admin_cordoned:
                scenario.judge.admin_cordoned.add(name)
                scenario.admin.patch(NODE, name, {"spec": {"unschedulable": None}})
                scenario.admin.patch(NODE, name, {"spec": {"unschedulable": True}})
        scenario.time.after(1, recordon)

    recordon()
    scenario.apply()
    scenario.time.run(scenario.time.now + 1800)
    return scenario.log.judge()


def panicking():
    """The new release panics everywhere, and the machines come back on the old one."""
    scenario = Scenario(SEED)
    for machine in scenario.fleet.machines.values():
        machine.fate[digest(2)] = Fate.PANICS
    scenario.apply()
    scenario.time.run(scenario.time.now + 1800)
    return scenario.log.judge()


@pytest.mark.parametrize("story", [narrow, shut, unapproved, paused, recordoned, panicking])
def test_an_honest_operator_does_nothing_wrong_in_these_stories(story):
    assert story().breaches == []


def caught(judge, words):
    return any(words in one for one in judge.breaches)


def test_an_operator_that_forgets_the_budget_is_caught(monkeypatch):
    monkeypatch.setattr(survey, "budget", lambda *_: Budget(1000, 0))
    assert caught(narrow(), "maxUnavailable")


def test_an_operator_that_does_not_wait_for_a_window_is_caught(monkeypatch):
    monkeypatch.setattr(begin, "_gate", lambda state, wave: None)
    assert caught(shut(), "outside its windows")


def test_an_operator_that_does_not_wait_for_an_approval_is_caught(monkeypatch):
    monkeypatch.setattr(begin, "_gate", lambda state, wave: None)
    monkeypatch.setattr("os_operator.core.waves.Progress.room", lambda *_: 1000)
    assert caught(unapproved(), "nobody approved")


def test_an_operator_that_does_not_pause_is_caught(monkeypatch):
    monkeypatch.setattr(begin, "_shut", lambda state: None)
    assert caught(paused(), "paused")


def test_an_operator_that_lifts_every_cordon_is_caught(monkeypatch):
    monkeypatch.setattr(finish, "Uncordon", lambda *args: replace(Uncordon(*args), lift=True))
    assert caught(recordoned(), "an administrator cordoned it")


def test_an_operator_that_forgets_what_fell_back_is_caught(monkeypatch):
    honest = finish.make.rest
    monkeypatch.setattr(finish.make, "rest", lambda instance, barred: honest(instance, ()))
    monkeypatch.setattr(survey.Ledger, "record", lambda *_: None)
    assert caught(panicking(), "fell back there")
