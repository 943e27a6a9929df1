"""Rollouts whose checks hold, fail, hang, flap or come late, with every other fault."""

from random import Random

import pytest

from os_operator.core.health import ALL_HOLD, Trials
from os_operator.shell.checks import Checks
from tests.sim.doctor import Course, Doctor
from tests.sim.fleet import Fleet
from tests.sim.scenario import START, Scenario
from tests.sim.virtual import Time
from tests.unit.operator_worlds import question
from tests.waiting import until

ROLLOUTS = 20
SHARES = 2


def told(seed: int) -> Scenario:
    scenario = Scenario(seed, checked=True)
    scenario.disturb()
    scenario.run()
    return scenario


def steady(course: Course, seed: int = 7) -> Scenario:
    """Without any other fault."""
    scenario = Scenario(seed, checked=True)
    scenario.doctor.weights = [one is course for one in Course]
    scenario.apply()
    scenario.run()
    assert scenario.verdict() == []
    return scenario


@pytest.mark.parametrize("part", range(SHARES))
def test_no_fault_confirms_a_node_whose_checks_do_not_hold(part, tally):
    size = ROLLOUTS // SHARES
    wrong, confirmed = [], 0
    for seed in range(part * size, (part + 1) * size):
        scenario = told(seed)
        confirmed += scenario.judge.confirmed
        wrong += [f"seed {seed} ({', '.join(scenario.faults)}): {one}" for one in scenario.verdict()]
    tally("randomly faulted rollouts with health checks", size)
    tally("confirmations judged in them", confirmed)
    assert wrong == []
    assert confirmed > 0


@pytest.mark.parametrize("course", [Course.HOLDS, Course.LATE])
def test_a_fleet_whose_checks_come_to_hold_is_updated_whole(course):
    assert steady(course).os["status"]["phase"] == "Complete"


@pytest.mark.parametrize("course", [Course.FAILS, Course.HANGS])
def test_a_release_whose_checks_do_not_hold_goes_back_and_the_record_says_which(course):
    status = steady(course).os["status"]
    assert status["phase"] == "Halted"
    assert {entry["reason"] for entry in status["failed"]} == {"Unhealthy"}
    assert all(entry["message"].startswith("check ") for entry in status["failed"])


def test_the_judge_catches_an_operator_that_believes_without_asking(monkeypatch):
    monkeypatch.setattr(Trials, "verdict", lambda *_: ALL_HOLD)
    assert any(one.startswith("health") for seed in range(10) for one in told(seed).verdict())


# -- the prober of the simulation and that of the operator keep the same promises --------------------------


class Real:
    def __init__(self):
        class Holds:
            async def ask(self, _):
                from os_operator.core.world import Answer

                return Answer()

            async def close(self):
                pass

        self.prober = Checks(Holds, lambda: None, lambda: True)

    def wait(self, holds):
        until(holds, 10)

    def close(self):
        self.prober.close()


class Simulated:
    def __init__(self):
        class Process:
            life = 1

            def wake(self, _):
                pass

        self.time = Time(START)
        doctor = Doctor(Fleet(self.time, Random(1), 0, release=1), Random(1))
        doctor.weights = [one is Course.HOLDS for one in Course]
        self.prober = doctor.prober(Process())

    def wait(self, holds):
        self.time.run(self.time.now + 30)
        assert holds()

    def close(self):
        pass


@pytest.mark.parametrize("make", [Real, Simulated])
def test_the_simulated_prober_keeps_the_ports_promises_as_the_real_one_does(make):
    world = make()
    prober = world.prober
    one, other = question(http={"url": "http://x/"}), question(boot_id="boot-3", http={"url": "http://x/"})
    try:
        assert prober.standings() == {}
        prober.ask([one])
        assert set(prober.standings()) == {one.key}
        assert prober.standings()[one.key].asked > 0
        world.wait(lambda: prober.standings()[one.key].holds)
        known = prober.standings()[one.key]
        assert known.asked <= known.since <= known.at
        prober.ask([one, other])
        assert prober.standings()[one.key].since == known.since
        world.wait(lambda: prober.standings()[other.key].holds)
        prober.ask([other])
        assert set(prober.standings()) == {other.key}
        prober.ask([])
        assert prober.standings() == {}
    finally:
        world.close()
