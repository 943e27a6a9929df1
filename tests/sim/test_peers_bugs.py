"""Accidents of others, each told once more to our operator: its whole process, on machines, in virtual time.

Where a test elsewhere is the same promise, it is named here instead of being written twice.
"""

import importlib

import pytest

from os_operator.core.world import CORDON_ANNOTATION
from tests.sim.fleet import Fate, digest
from tests.sim.harness import Killed
from tests.sim.memory_cluster import NODE, OSINSTANCE
from tests.sim.scenario import Scenario

ELSEWHERE = {
    "slots overrun from a stale look": "tests.unit.test_operator_shell"
    ".test_a_cordon_is_in_the_cache_before_any_watch_brings_it",
    "a failed eviction taken for a drained node": "tests.unit.test_operator_rules"
    ".test_rule_4_a_failed_eviction_is_never_taken_for_a_drained_node",
    "a lock whose holder is gone": "tests.unit.test_kube_lease"
    ".test_a_dead_holder_is_followed_after_its_duration_on_the_follower_s_own_clock",
    "a lock that somebody deleted": "tests.unit.test_kube_lease"
    ".test_a_deleted_lease_lets_nobody_in_while_its_holder_may_still_write",
    "a restart that never saw its order counted as a failed trial": "tests.unit.test_operator_rules"
    ".test_rule_2_a_restart_before_the_order_was_seen_is_no_fallback",
}


@pytest.mark.parametrize("accident", ELSEWHERE)
def test_an_accident_that_is_told_elsewhere_is_still_told_there(accident):
    module, _, name = ELSEWHERE[accident].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


FEW, SOME = 2, 3
"""Seeds of two machines, and of several."""


def story(seed=SOME, **rollout):
    """Machines without faults, whose OS object is applied."""
    scenario = Scenario(seed)
    scenario.operator.lag = 0.3
    scenario.apply(**({"maxUnavailable": 1, "maxStaging": 3, "failure": {"maxFailed": 9}} | rollout))
    return scenario


def nodes(scenario):
    return [scenario.fleet.store.of(NODE)["", name] for name in scenario.fleet.machines]


def noted(node):
    return CORDON_ANNOTATION in (node["metadata"].get("annotations") or {})


def until(scenario, true, limit=3600):
    """Runs the clock until something is true, and returns how long that took."""
    began = scenario.time.now
    while not true():
        assert scenario.time.now < began + limit, "it never came to that"
        scenario.time.run(scenario.time.now + 0.25)
    return scenario.time.now - began


def end(scenario):
    """Runs until every machine has the release, or the rollout has stopped; then everything that is wrong."""

    def over():
        status = scenario.os.get("status") or {}
        counts = status.get("counts") or {}
        ended = counts.get("updated", 0) + counts.get("failed", 0) >= len(scenario.fleet.machines)
        return scenario.operator.alive and ended and not any(map(noted, nodes(scenario)))

    until(scenario, over, limit=6 * 3600)
    scenario.time.run(scenario.time.now + 120)
    return scenario.verdict()


def test_watches_that_lag_by_twenty_seconds_give_no_slot_away_twice():
    scenario = story()
    scenario.operator.lag = 20.0
    assert end(scenario) == []
    assert scenario.os["status"]["phase"] == "Complete"


def test_a_release_that_fell_back_is_never_written_over_the_good_slot():
    scenario = story()
    machine = next(iter(scenario.fleet.machines.values()))
    machine.fate[digest(2)] = Fate.PANICS
    until(scenario, lambda: digest(2) in machine.fell_back and machine.up)
    scenario.operator.kill(1.0)
    assert end(scenario) == []
    assert scenario.fleet.written.count((machine.name, digest(2))) == 1
    assert scenario.fleet.store.of(OSINSTANCE)["", machine.name]["spec"]["goal"] == "None"
    assert (machine.running, machine.on_trial) == (digest(1), False)


def test_no_node_stays_cordoned_whichever_write_the_operator_dies_at(tally):
    deaths = 0
    while True:
        scenario = story(FEW)
        left = [deaths]

        def fail(scenario=scenario, left=left):
            left[0] -= 1
            if left[0] == -1:
                raise Killed

        scenario.operator.wire._fail = fail
        assert end(scenario) == [], f"killed at its write {deaths}"
        assert not any(noted(node) or node["spec"].get("unschedulable") for node in nodes(scenario))
        if left[0] >= 0:
            break
        deaths += 1
    tally("deaths of the operator, before and after each write of a rollout", deaths)
    assert deaths > 40


def test_a_cordon_that_a_person_sets_while_the_node_reboots_outlives_the_update_and_a_restart():
    scenario = story(maxUnavailable=2)
    machine = next(iter(scenario.fleet.machines.values()))
    until(scenario, lambda: not machine.up)
    scenario.operator.kill(10.0)
    scenario.admin.patch(NODE, machine.name, {"spec": {"unschedulable": None}})
    scenario.admin.patch(NODE, machine.name, {"spec": {"unschedulable": True}})
    scenario.judge.admin_cordoned.add(machine.name)
    assert end(scenario) == []
    assert machine.running == digest(2)
    assert scenario.fleet.store.of(NODE)["", machine.name]["spec"]["unschedulable"] is True


def test_a_drain_is_out_of_time_when_it_says_whatever_restarts_meanwhile():
    scenario = story(drain={"timeout": "2m", "onTimeout": "Skip"})
    scenario.fleet.blocked_until = scenario.time.now + 86400
    until(scenario, lambda: any(map(noted, nodes(scenario))))
    for moment in range(10, 200, 35):
        scenario.time.after(moment, lambda: scenario.operator.kill(2.0))
    took = until(scenario, lambda: (scenario.os.get("status") or {}).get("failed"))
    assert 115 <= took <= 130
    assert scenario.os["status"]["failed"][0]["reason"] == "DrainFailed"


def test_a_reboot_that_ends_the_proxy_that_was_told_to_reboot_is_no_failure():
    scenario = story()
    for machine in scenario.fleet.machines.values():
        machine.fate[digest(2)] = Fate.SLOW
    machine = next(iter(scenario.fleet.machines.values()))
    until(scenario, lambda: not machine.up)
    scenario.operator.kill(60.0)
    assert end(scenario) == []
    assert scenario.os["status"].get("failed", []) == []
    assert scenario.os["status"]["phase"] == "Complete"
