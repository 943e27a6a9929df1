"""SIGKILL of the operator or of any proxy, at any moment, changes nothing in the outcome."""

from __future__ import annotations

import random
import threading
import time

import pytest

from testbed.demo import verdict
from testbed.demo.objects import Pace
from tests.e2e.driver import Driver, broken

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
KILLS = 50
OF_THE_OPERATOR = 8
"""So many kills at least hit the operator, however short the rollouts are on this machine."""
A_ROLLOUT = 12
"""Kills in one rollout at most: after them it must come to its end."""
GAP = (0.5, 3.5)
"""Seconds between two kills."""
OPERATOR_REST = 10.0
"""Seconds that the operator lives at least: killed while it still starts, it can do nothing wrong."""
PATIENT = Pace(max_unavailable=2, ready_seconds=1, health_timeout="90s")
"""A node that is slow because its proxy or the operator was killed is not yet unhealthy."""


class Killer:
    """Kills the operator and proxies at seeded random moments, until told to stop or `A_ROLLOUT` times."""

    def __init__(self, driver: Driver, seed: int) -> None:
        self.kills: list[str] = []
        self._driver = driver
        self._chance = random.Random(seed)
        self._stopped = threading.Event()
        self._operator_died = time.monotonic() - OPERATOR_REST
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while len(self.kills) < A_ROLLOUT and not self._stopped.wait(self._chance.uniform(*GAP)):
            name = self._kill_one()
            if name:
                self.kills.append(name)

    def _kill_one(self) -> str:
        bed = self._driver.bed
        rested = time.monotonic() - self._operator_died > OPERATOR_REST
        if rested and self._chance.random() < 0.4:
            self._operator_died = time.monotonic()
            return "operator" if bed.operator.kill() else ""
        machine = self._chance.choice(list(bed.fleet))
        return machine.name if machine.proxy.kill() else ""


def test_killing_operator_and_proxies_at_random_moments_changes_nothing(driver: Driver, tally):
    kills: list[str] = []
    rollouts = 0
    while len(kills) < KILLS or kills.count("operator") < OF_THE_OPERATOR:
        release = driver.make("panic" if rollouts % 2 else "ok")
        with Killer(driver, seed=rollouts) as killer:
            driver.roll(release, seconds=240, pace=PATIENT)
        kills += killer.kills
        if rollouts % 2:
            driver.settle()
            assert broken(verdict.refused(driver.system, release, driver.bed.scene.nodes().values())) == []
        else:
            assert driver.system.phase == "Complete"
            driver.current = release
            driver.settle()
        assert broken(driver.all_serve(driver.current)) == []
        rollouts += 1
    tally("SIGKILLs of the operator during rollouts", kills.count("operator"))
    tally("SIGKILLs of proxies during rollouts", len(kills) - kills.count("operator"))
    tally("rollouts under SIGKILL", rollouts)
