"""Where an evicted pod had better not go, and where no pod may go yet (rules 6 and 13)."""

from dataclasses import replace

import pytest

from os_operator.core import taints
from os_operator.core.actions import Cordon, SetTaints, Uncordon
from os_operator.core.node_way import late
from os_operator.core.parse import cordon_note, cordon_text
from os_operator.core.plan import plan
from os_operator.core.world import NOT_CURRENT, Config, CordonNote
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    cordoned,
    current,
    decide,
    done,
    failure,
    fell_back,
    fleet,
    idle,
    node,
    os,
    reasons,
    staged,
    world,
)
from warmroot.api.os import OSStatus, WaveStatus

FOREIGN = {"key": "dedicated", "value": "db", "effect": "NoSchedule", "timeAdded": "2027-01-01T00:00:00Z"}
AVOID = {"key": NOT_CURRENT, "effect": "PreferNoSchedule"}
CLOSED = {"key": NOT_CURRENT, "effect": "NoSchedule"}
CANARY = [{"name": "canary", "nodes": 1, "soak": "30m"}]
SHUT = [{"cron": "0 1 * * 6", "duration": "4h", "timeZone": "UTC"}]
MOVING = (cordoned("node-9"), staged("node-9"))


def written(decision):
    return {action.node: action.taints for action in done(decision, SetTaints)}


def late_node(name="node-1", **changes):
    return node(name, **({"taints": (CLOSED,)} | changes))


# -- an evicted pod moves once -----------------------------------------------------------------------------


def test_while_a_node_is_drained_pods_prefer_nodes_that_stay():
    decision = decide(
        os(),
        MOVING,
        (node("node-1"), staged("node-1")),
        (node("node-2"), idle("node-2")),
        (node("node-3"), current("node-3")),
    )
    assert written(decision) == {"node-1": (AVOID,), "node-2": (AVOID,)}


def test_while_a_release_is_only_downloaded_no_node_is_avoided():
    assert written(decide(os(), *fleet(3, idle))) == {}


def test_between_two_drains_nodes_stay_avoided():
    pairs = [
        (node("node-1", ready=False), current("node-1")),
        (node("node-2", taints=(AVOID,)), staged("node-2")),
    ]
    assert written(decide(os(), *pairs)) == {}


def test_taints_of_others_stay_in_place_and_whole():
    tainted = node("node-1", taints=(FOREIGN,))
    assert written(decide(os(), MOVING, (tainted, staged("node-1")))) == {"node-1": (FOREIGN, AVOID)}
    tainted = node("node-1", taints=(FOREIGN, AVOID, CLOSED))
    assert written(decide(os(), (tainted, current("node-1")))) == {"node-1": (FOREIGN, CLOSED)}


def test_the_cordon_takes_the_taint_off_in_the_same_write():
    decision = decide(os(), (node(taints=(AVOID, FOREIGN)), staged()))
    [cordon] = done(decision, Cordon)
    assert cordon.taints == (FOREIGN,)
    assert written(decision) == {}


def test_a_cordon_of_a_node_without_it_leaves_taints_alone():
    [cordon] = done(decide(os(), (node(taints=(FOREIGN,)), staged())), Cordon)
    assert cordon.taints is None


def test_pods_are_not_drawn_to_the_canaries_of_a_release_that_proves_itself():
    moved = [(node("node-1"), current("node-1")), (node("node-2"), staged("node-2"))]
    assert written(decide(os(waves=CANARY), MOVING, moved[1])) == {}
    soaking = OSStatus(
        target_digest=NEW, wave=WaveStatus(name="canary", index=0, since="2027-01-15T07:59:00Z")
    )
    assert written(decide(os(waves=CANARY, status=soaking), *moved)) == {}


AVOIDED = (node(taints=(AVOID,)), staged())


@pytest.mark.parametrize(
    "asked",
    [
        os(paused=True),
        os(windows=SHUT),
        os(waves=[{"name": "all", "approval": "Required"}]),
        replace(os(), deleting=True),
        replace(os(), spec=None, problem="broken"),
        os(status=OSStatus(target_digest=NEW, failed=(failure("node-2"),))),
    ],
    ids=["paused", "outside its windows", "before an approval", "deleted", "not followed", "halted"],
)
def test_a_rollout_that_may_not_go_on_skews_nothing(asked):
    assert written(decide(asked, AVOIDED)) == {"node-1": ()}


def test_a_node_that_nobody_selects_any_more_is_not_avoided():
    stranger = node(taints=(FOREIGN, AVOID), labels={"pool": "other"})
    assert written(decide(os(), MOVING, (stranger, idle()))) == {"node-1": (FOREIGN,)}
    assert written(decide([], (node(taints=(AVOID,)), idle()))) == {"node-1": ()}
    two = [os(), os("more")]
    assert written(decide(two, (node(taints=(AVOID,)), idle()))) == {"node-1": ()}


def test_a_node_on_which_the_release_failed_stays_and_is_not_avoided():
    lenient = {"maxUnavailable": 2, "failure": {"maxFailed": 5}}
    status = OSStatus(target_digest=NEW, failed=(failure(),))
    back = fell_back(goal="None", barred=(NEW,))
    decision = decide(
        os(status=status, **lenient), MOVING, (node(), back), (node("node-2"), staged("node-2"))
    )
    assert "node-1" not in written(decision)


def test_a_node_in_motion_whose_taint_stayed_loses_it():
    assert written(decide(os(), (cordoned(taints=(AVOID,)), staged()))) == {"node-1": ()}


def test_many_taints_are_written_some_at_a_time_and_none_twice():
    pairs = [MOVING, *fleet(120, first=100)]
    size, seen = 0, world(os(), pairs)
    for _ in range(10):
        changes = written(plan(seen, NOW))
        size += len(changes)
        assert len(changes) <= taints.AT_ONCE
        nodes = {name: replace(one, taints=changes.get(name, one.taints)) for name, one in seen.nodes.items()}
        seen = replace(seen, nodes=nodes)
    assert size == 120


# -- late nodes --------------------------------------------------------------------------------------------


def test_a_late_node_without_workloads_is_taken_first_and_costs_no_budget():
    pairs = [MOVING, (node("node-1"), staged("node-1")), (late_node("node-5"), staged("node-5"))]
    decision = decide(os(), *pairs, empty=frozenset({"node-5"}))
    [cordon] = done(decision, Cordon)
    assert (cordon.node, cordon.note.empty) == ("node-5", True)
    assert reasons(decision)["node-1"] == "Budget"
    assert decision.statuses["workers"].counts.unavailable == 1


def test_a_late_node_that_moves_takes_no_place_from_others():
    note = CordonNote("workers", NEW, NOW - 5, ours=True, empty=True)
    moving = (cordoned("node-5", note=note, taints=(CLOSED,)), staged("node-5"))
    decision = decide(os(), moving, (node("node-1"), staged("node-1")))
    assert [cordon.node for cordon in done(decision, Cordon)] == ["node-1"]


def test_a_late_node_that_an_administrator_had_cordoned_keeps_the_place_that_it_took():
    """It was down before it began to move, so no other node may go down in its stead."""
    note = CordonNote("workers", NEW, NOW - 5, ours=False, empty=True)
    moving = (cordoned("node-5", note=note, taints=(CLOSED,)), staged("node-5"))
    decision = decide(os(), moving, (node("node-1"), staged("node-1")))
    assert done(decision, Cordon) == []
    assert reasons(decision)["node-1"] == "Budget"


def test_a_late_node_with_workloads_costs_its_place():
    pairs = [MOVING, (late_node("node-5"), staged("node-5"))]
    decision = decide(os(), *pairs)
    assert done(decision, Cordon) == []
    assert reasons(decision)["node-5"] == "Budget"


def test_a_late_node_is_taken_first_where_one_place_is_left():
    pairs = [(node("node-1"), staged("node-1")), (late_node("node-5"), staged("node-5"))]
    assert [cordon.node for cordon in done(decide(os(), *pairs), Cordon)] == ["node-5"]


def test_a_late_node_downloads_first():
    pairs = [*fleet(3, idle), (late_node("node-5"), idle("node-5"))]
    decision = decide(os(maxStaging=1), *pairs)
    assert [name for name, why in reasons(decision).items() if why == "Staging"] == ["node-5"]


def test_a_node_without_workloads_is_no_canary_while_there_are_others():
    pairs = [(late_node("node-1"), staged("node-1")), (node("node-5"), staged("node-5"))]
    decision = decide(os(waves=CANARY), *pairs, empty=frozenset({"node-1"}))
    assert [cordon.node for cordon in done(decision, Cordon)] == ["node-5"]


def test_a_late_node_keeps_to_windows_like_any_other():
    decision = decide(os(windows=SHUT), (late_node(), staged()), empty=frozenset({"node-1"}))
    assert done(decision, Cordon) == []


def test_a_node_that_is_current_is_opened_to_workloads():
    assert written(decide(os(), (late_node(taints=(CLOSED, FOREIGN)), current()))) == {"node-1": (FOREIGN,)}


@pytest.mark.parametrize(
    ("asked", "instance"),
    [
        (os(), staged()),
        (os(), current(confirmed=False)),
        (os(), current(stale_at=NOW - 1)),
        (replace(os(), config=Config("sha256:" + "5" * 64, "{}")), current()),
        (replace(os(), deleting=True), current()),
        ([os(), os("more")], current()),
        ([], current()),
    ],
    ids=["other release", "on trial", "silent", "other settings", "deleted", "two objects", "no object"],
)
def test_a_node_of_which_nobody_can_say_that_it_is_current_stays_closed(asked, instance):
    assert written(decide(asked, (late_node(), instance))) == {}


def test_a_late_node_that_was_updated_is_uncordoned_and_then_opened():
    note = CordonNote("workers", NEW, NOW - 5, ours=True, empty=True)
    decision = decide(os(), (cordoned(note=note, taints=(CLOSED,)), current()))
    assert [action.lift for action in done(decision, Uncordon)] == [True]
    assert written(decision) == {}


def test_the_note_of_a_late_node_survives_a_restart():
    note = CordonNote("workers", NEW, NOW, ours=True, empty=True)
    assert cordon_note(cordon_text(note)) == note


def test_only_nodes_that_are_closed_and_about_to_move_are_asked_for_their_pods():
    pairs = [
        (late_node("node-1"), staged("node-1")),
        (late_node("node-2"), idle("node-2")),
        (node("node-3"), staged("node-3")),
        (cordoned("node-4", taints=(CLOSED,)), staged("node-4")),
        (late_node("node-5"), current("node-5")),
    ]
    seen = world(os(), pairs)
    assert late(seen.nodes, seen.instances) == ["node-1"]
