"""SIGKILL of the operator or of any proxy, at any moment, changes nothing in the outcome."""

from __future__ import annotations

import random
import threading
import time

import pytest

from testbed.demo import verdict
from tests.e2e.driver import Driver, broken

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
KILLS = 50
OPERATOR_REST = 8.0
"""Seconds that the operator lives at least: it needs some to start, and a kill at rest proves nothing."""


class Killer:
    """Kills the operator and proxies at seeded random moments until told to stop."""

    def __init__(self, driver: Driver, seed: int) -> None:
        self.kills: list[str] = []
        self._driver = driver
        self._chance = random.Random(seed)
        self._stopped = threading.Event()
        self._operator_died = time.monotonic()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._chance.uniform(0.3, 1.6)):
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
    while len(kills) < KILLS:
        release = driver.make("panic" if rollouts % 2 else "ok")
        with Killer(driver, seed=rollouts) as killer:
            driver.roll(release, seconds=240)
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
    assert kills.count("operator") >= rollouts
