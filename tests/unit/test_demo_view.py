"""What the demo shows and measures is read off the cluster's objects."""

from __future__ import annotations

from dataclasses import replace

from testbed.demo.timeline import Mark, Step, passage, steps
from testbed.demo.view import NodeView, node_view, os_view

NODE = {
    "metadata": {"name": "n1"},
    "spec": {"unschedulable": True},
    "status": {
        "nodeInfo": {"osImage": "warmroot 1", "bootID": "b1"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}
INSTANCE = {
    "metadata": {"name": "n1"},
    "spec": {"goal": "Stage", "barred": ["sha256:bad"]},
    "status": {
        "phase": "Failed",
        "booted": {"slot": "A", "bootID": "b1", "digest": "sha256:one"},
        "good": "A",
        "next": "-",
        "staging": {"bytesDone": 4, "bytesTotal": 9, "bytesFetched": 3, "bytesReused": 1},
        "lastError": {"reason": "Tampered", "message": "a block differs"},
    },
}


def test_a_view_joins_a_node_and_its_osinstance():
    assert node_view(NODE, INSTANCE) == NodeView(
        name="n1",
        system="warmroot 1",
        boot_id="b1",
        ready=True,
        cordoned=True,
        goal="Stage",
        phase="Failed",
        booted_slot="A",
        booted_digest="sha256:one",
        good="A",
        next="-",
        barred=("sha256:bad",),
        error="Tampered: a block differs",
        staged_bytes=4,
        total_bytes=9,
        fetched_bytes=3,
        reused_bytes=1,
    )


def test_a_node_without_osinstance_or_status_is_shown_empty():
    assert node_view({"metadata": {"name": "n1"}}, None) == NodeView("n1")


def test_an_os_view_knows_whether_the_operator_has_seen_the_present_spec():
    item = {"metadata": {"name": "w", "generation": 2}, "status": {"observedGeneration": 1}}
    assert not os_view(item).observed
    item["status"]["observedGeneration"] = 2
    assert os_view(item).observed


def test_a_node_is_settled_only_in_service_with_nothing_on_trial():
    good = NodeView("n1", ready=True, booted_slot="A", good="A", next="-")
    assert good.settled
    for change in ({"ready": False}, {"cordoned": True}, {"next": "B"}, {"booted_slot": "B"}):
        assert not replace(good, **change).settled


def test_steps_seen_at_once_are_told_in_the_order_in_which_they_must_have_happened():
    before = NodeView("n1", boot_id="b1", phase="Staged", goal="Stage", cordoned=True)
    after = NodeView("n1", boot_id="b2", ready=True, phase="Confirmed", goal="Confirm")
    assert steps(before, after) == [
        Step.NEW_BOOT,
        Step.READY,
        Step.CONFIRMING,
        Step.CONFIRMED,
        Step.UNCORDONED,
    ]


def test_a_node_seen_for_the_first_time_or_unchanged_took_no_step():
    view = NodeView("n1", boot_id="b1", ready=True, phase="Idle")
    assert steps(None, view) == [] == steps(view, view)


def test_a_passage_measures_each_part_of_a_node_s_way():
    order = (
        (0.0, Step.STAGING),
        (2.0, Step.STAGED),
        (3.0, Step.CORDONED),
        (5.0, Step.ACTIVATING),
        (9.0, Step.NEW_BOOT),
        (12.0, Step.UNCORDONED),
    )
    marks = [Mark(at, "n1", step) for at, step in order] + [Mark(4.0, "n2", Step.CORDONED)]
    way = passage("n1", marks)
    assert (way.staging, way.draining, way.restarting, way.proving, way.out_of_service) == (2, 2, 4, 3, 9)
    assert passage("n2", marks).out_of_service is None
