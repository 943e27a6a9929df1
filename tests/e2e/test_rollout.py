"""A whole rollout, with real processes: good releases arrive everywhere, bad ones nowhere for good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.demo import verdict
from testbed.demo.timeline import Mark, Step
from testbed.machine.faults import Fault
from testbed.releases.server import Manner
from tests.e2e.driver import PACE, Driver, broken
from warmroot.kube.cluster import OS
from warmroot.nodeconfig import of_target
from warmroot.rollout_id import rollout_id

pytestmark = pytest.mark.e2e


def most_cordoned_at_once(marks: list[Mark]) -> int:
    out, most = set(), 0
    for mark in marks:
        if mark.step is Step.CORDONED:
            out.add(mark.node)
        elif mark.step is Step.UNCORDONED:
            out.discard(mark.node)
        most = max(most, len(out))
    return most


def test_a_good_release_moves_every_node_within_the_budget(driver: Driver):
    scene = driver.bed.scene
    seen, scene.least_ready = len(scene.marks), None
    release = driver.make()
    assert driver.roll(release).phase == "Complete"
    driver.current = release
    driver.settle()
    assert broken(driver.all_serve(release)) == []
    marks = scene.marks[seen:]
    assert sum(mark.step is Step.UNCORDONED for mark in marks) == driver.bed.run.machines
    assert most_cordoned_at_once(marks) <= PACE.max_unavailable
    assert scene.least_ready >= driver.bed.run.replicas - driver.bed.run.spare


def test_one_name_leads_from_the_object_through_the_operator_s_log_to_the_sector_of_each_node(driver: Driver):
    release = driver.make()
    assert driver.roll(release).phase == "Complete"
    driver.current = release
    name = f"rollout={rollout_id(driver.bed.run.os, release.digest)}"
    operators = driver.bed.operator.log.read_text().splitlines()
    for machine in driver.bed.fleet:
        mine = [line for line in operators if name in line and machine.name in line]
        assert {"Cordon", "SetOrders", "Uncordon"} <= {word for line in mine for word in line.split()}
        proxy = [line for line in machine.paths.proxy_log.read_text().splitlines() if name in line]
        assert sum("the boot record is written" in line for line in proxy) == 2, "to try it, and to keep it"


@pytest.mark.parametrize(
    ("behaviour", "fault"),
    [
        ("panic", None),
        ("not-ready", None),
        ("hang", None),
        ("ok", Fault.ROT),
        ("ok", Fault.NEVER_COMES_BACK),
    ],
    ids=["panic", "not-ready", "hang", "rot", "never-comes-back"],
)
def test_a_bad_release_is_taken_back_barred_and_explained(driver: Driver, behaviour, fault):
    if fault is not None:
        for machine in driver.bed.fleet:
            machine.faults.add(fault)
    bad = driver.make(behaviour)
    driver.roll(bad)
    driver.settle()  # a person switches on again what stayed dark
    assert broken(driver.all_serve(driver.current)) == []
    assert broken(verdict.refused(driver.system, bad, driver.bed.scene.nodes().values())) == []
    failed = {row.node for row in driver.system.failed if row.digest == bad.digest}
    assert len(failed) <= PACE.max_unavailable
    story = driver.story()
    assert [node for node in failed if node not in story] == []
    assert "Halted" in story


def settings(content: str) -> dict:
    return {"files": [{"path": "/etc/motd", "content": content}], "sysctl": {"vm.swappiness": "1"}}


def messages(driver: Driver) -> set[str]:
    return {(machine.paths.root / "etc/motd").read_text() for machine in driver.bed.fleet}


def test_settings_arrive_everywhere_without_a_boot_and_stay_with_their_slot(driver: Driver):
    fleet = driver.bed.fleet
    boots = [len(machine.history.boots) for machine in fleet]
    assert driver.roll(driver.current, config=settings("first")).phase == "Complete"
    assert messages(driver) == {"first"}
    assert [len(machine.history.boots) for machine in fleet] == boots

    bad = driver.make("panic")
    driver.roll(bad, config=settings("of the bad release"))
    driver.settle()
    assert messages(driver) == {"first"}

    release = driver.make()
    assert driver.roll(release, config=settings("second")).phase == "Complete"
    driver.current = release
    assert messages(driver) == {"second"}

    assert driver.roll(release).phase == "Complete"
    assert [path for machine in fleet for path in (machine.paths.root / "etc").rglob("90-warmroot*")] == []


def test_a_release_that_fails_on_one_machine_is_taken_back_from_the_others_with_its_settings(driver: Driver):
    fleet, cluster = driver.bed.fleet, driver.bed.cluster
    assert driver.roll(driver.current, config=settings("before")).phase == "Complete"
    last = max(fleet, key=lambda machine: machine.name)
    last.faults.add(Fault.ROT)
    release, seen = driver.make(), len(driver.bed.scene.marks)
    driver.apply(release, replace(PACE, on_failure="Rollback"), config=settings("of the failed release"))

    def taken_back() -> bool:
        told = cluster.get(OS, driver.bed.run.os)["status"]
        entry = told["history"][0]
        return (entry["digest"], entry["result"]) == (release.digest, "RolledBack")

    driver.wait(taken_back, "every machine on what it came from", 180)
    driver.settle()
    assert broken(driver.all_serve(driver.current)) == []
    assert messages(driver) == {"before"}
    assert [row.node for row in driver.system.failed] == [last.name]
    assert most_cordoned_at_once(driver.bed.scene.marks[seen:]) <= PACE.max_unavailable
    driver.roll(driver.current)


def command_lines(driver: Driver) -> set[str]:
    """What follows the release's own arguments on the command lines of the machines."""
    lines = [(machine.paths.proc / "cmdline").read_text().strip() for machine in driver.bed.fleet]
    return {line.partition(" wr.args=")[2].partition(" ")[2] for line in lines}


def test_kernel_arguments_take_one_boot_and_go_back_where_nothing_comes_up_with_them(driver: Driver):
    fleet, release = driver.bed.fleet, driver.current
    boots = [len(machine.history.boots) for machine in fleet]
    assert driver.roll(release, config={"kernelArguments": ["mitigations=auto"]}).phase == "Complete"
    assert command_lines(driver) == {"mitigations=auto"}
    assert [len(machine.history.boots) for machine in fleet] == [count + 1 for count in boots]

    ended = driver.roll(release, config={"kernelArguments": ["stub.behaviour=panic"]})
    assert (ended.phase, of_target(ended.failed[0].digest)[0]) == ("Halted", release.digest)
    assert ended.failed[0].digest != release.digest
    driver.settle()
    assert command_lines(driver) == {"mitigations=auto"}

    assert driver.roll(release).phase == "Complete"
    assert command_lines(driver) == {""}


@pytest.mark.parametrize(
    ("manner", "word"),
    [(Manner.DOWN, "NetworkError"), (Manner.LYING, "Tampered"), (Manner.TRUNCATING, "Truncated")],
)
def test_a_source_that_is_down_or_lies_leaves_nodes_in_service_and_says_so(driver: Driver, manner, word):
    release = driver.make()
    driver.bed.server.behave(manner, only="blobs/")
    seen = len(driver.bed.scene.marks)
    driver.apply(release)

    def told() -> bool:
        return any(row.reason == "StagingFailed" and word in row.message for row in driver.system.waiting)

    driver.wait(told, f"a waiting row that says StagingFailed and {word}", 60)
    assert [mark for mark in driver.bed.scene.marks[seen:] if mark.step is Step.CORDONED] == []
    assert broken(driver.all_serve(driver.current)) == []
    driver.bed.server.behave(Manner.HONEST)
    driver.roll(driver.current)
