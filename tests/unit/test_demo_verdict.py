"""The demo's verdict rests on objects and disk bytes, and is not easily pleased."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.controlplane.audit import Entry
from testbed.demo import requests, verdict
from testbed.demo.releases import Release
from testbed.demo.story import judge
from testbed.demo.verdict import DiskView, Finding
from testbed.demo.view import FailedRow, NodeView, OSView
from testbed.machine.faults import rot
from tests.unit.machine_images import MISSING, make_disk_at
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.errors import StepFailed

TWO = Release("2", "sha256:two", "22ff", "warmroot 2", 2, Path())
BAD = Release("3", "sha256:bad", "33ff", "warmroot 3", 3, Path())
VIEW = NodeView(
    "n1",
    system="warmroot 2",
    ready=True,
    booted_slot="B",
    booted_digest="sha256:two",
    good="B",
    next="-",
    barred=("sha256:bad",),
)
DISK = DiskView("B", "-", "22ff")
HALTED = OSView("w", "Halted", True, "sha256:bad", failed=(FailedRow("n1", "sha256:bad", "FellBack"),))


def holds(findings: list[Finding]) -> bool:
    return all(finding.holds for finding in findings)


def test_a_node_serves_a_release_if_node_osinstance_and_disk_all_say_so():
    assert holds(verdict.serves(TWO, VIEW, DISK))


@pytest.mark.parametrize(
    "view",
    [
        replace(VIEW, ready=False),
        replace(VIEW, cordoned=True),
        replace(VIEW, system="warmroot 1"),
        replace(VIEW, booted_digest="sha256:one"),
        replace(VIEW, next="A"),
    ],
)
def test_a_node_that_says_otherwise_does_not_serve_it(view):
    assert not holds(verdict.serves(TWO, view, DISK))


@pytest.mark.parametrize(
    "disk", [replace(DISK, root_hash="11ff"), replace(DISK, next="A"), replace(DISK, damage="rot")]
)
def test_a_disk_that_says_otherwise_does_not_serve_it(disk):
    assert not holds(verdict.serves(TWO, VIEW, disk))


def test_a_refusal_needs_a_halt_a_failure_and_a_bar_on_the_same_node():
    assert holds(verdict.refused(HALTED, BAD, [VIEW]))
    assert not holds(verdict.refused(replace(HALTED, phase="Complete"), BAD, [VIEW]))
    assert not holds(verdict.refused(replace(HALTED, failed=()), BAD, [VIEW]))
    assert not holds(verdict.refused(HALTED, BAD, [replace(VIEW, barred=())]))


def test_a_rollout_is_complete_only_for_the_release_that_was_asked_for():
    done = OSView("w", "Complete", True, "sha256:two")
    assert holds(verdict.complete(done, TWO))
    assert not holds(verdict.complete(done, BAD))


def test_a_demo_that_checked_nothing_or_found_a_lie_fails():
    with pytest.raises(StepFailed, match="nothing checked"):
        judge([])
    with pytest.raises(StepFailed, match="n1 runs warmroot 2"):
        judge([Finding(False, "n1 runs warmroot 2", "1")])
    judge([Finding(True, "fine")])


@pytest.mark.erofs
@pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed")
def test_a_rotten_block_in_the_good_slot_is_seen_on_the_disk(tmp_path):
    disk = make_disk_at(tmp_path / "disk.img", BootRecord(4, Slot.B))
    sound = verdict.read_disk(disk)
    assert (sound.good, sound.next, len(sound.root_hash), sound.damage) == ("B", "-", 64, "")
    rot(disk, Slot.B, seed=3)
    assert "is corrupted" in verdict.read_disk(disk).damage


def entry(user: str, verb: str, resource: str, code: int = 200, stage: str = "ResponseComplete") -> Entry:
    return Entry("2026-01-01T00:00:00.000000Z", stage, user, verb, "", resource, "", "n1", code)


def test_requests_are_counted_by_who_sent_them_and_once():
    log = [
        entry(requests.PROXY, "patch", "osinstances/status"),
        entry(requests.PROXY, "patch", "osinstances/status", 403),
        entry(requests.PROXY, "watch", "osinstances", stage="ResponseStarted"),
        entry(requests.OPERATOR, "update", "leases"),
    ]
    assert requests.traffic(log, requests.PROXY) == requests.Traffic(2, 2, 1)
    assert requests.writes(log, requests.OPERATOR) == {}
    assert requests.writes(log, requests.PROXY) == {"patch osinstances/status": 1}


def test_leases_and_watches_are_no_work():
    log = [
        entry(requests.OPERATOR, "update", "leases"),
        entry(requests.OPERATOR, "watch", "nodes"),
        entry(requests.OPERATOR, "list", "pods"),
    ]
    assert requests.busy(log, requests.OPERATOR) == {"list pods": 1}
