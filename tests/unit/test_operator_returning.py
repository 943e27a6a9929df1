"""`failure.action: Rollback`: nodes that run a release which failed return to what they came from."""

from dataclasses import replace

import pytest

from os_operator.core.actions import Cordon, Evict, SetOrders, Uncordon
from os_operator.core.explain import explain
from os_operator.core.parse import instance_view
from os_operator.core.world import CordonNote
from os_operator.shell.act import spec_of
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    OLD,
    cordoned,
    current,
    decide,
    done,
    failure,
    idle,
    node,
    ordered,
    os,
    pod,
    reasons,
    staged,
    trial,
    world,
)
from warmroot.api.os import OSStatus, WaveStatus
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import WaitReason

BACK = {"maxFailed": 0, "action": "Rollback"}
SETTINGS = "sha256:" + "5" * 64
OTHER = "sha256:" + "7" * 64


def failed(name="z", **changes):
    """A status in which the release failed on one node."""
    entries = (failure(name, **changes),)
    return OSStatus(observed_generation=1, target_digest=NEW, started="2027-01-15T06:00:00Z", failed=entries)


def taking_back(**rollout):
    return os(status=failed(), **({"failure": BACK} | rollout))


def fallen(name="z"):
    return node(name), idle(name, barred=(NEW,), phase=InstancePhase.FELL_BACK)


def updated(name, **changes):
    """It runs the release that failed elsewhere; its other slot has the one before."""
    kept = {"verified_digest": OLD, "kept_version": "1", "kept_config": SETTINGS}
    return current(name, **(kept | changes))


def home_staged(name, **changes):
    """It was told to return, and what it returns to is ready."""
    told = {"goal": Goal.STAGE, "digest": OLD, "config": SETTINGS, "phase": InstancePhase.STAGED}
    return updated(
        name, **(told | {"release_version": "1", "sources": ("https://releases.example",)} | changes)
    )


def home_cordoned(name, **changes):
    note = CordonNote("workers", OLD, NOW - 10, ours=True)
    return node(name, unschedulable=True, note=note, **changes)


def orders(decision):
    return {action.name: action.orders for action in done(decision, SetOrders)}


def test_a_node_that_runs_the_release_is_told_to_return_with_the_settings_of_that_slot():
    decision = decide(taking_back(), fallen(), (node("a"), updated("a")))
    wanted = orders(decision)["a"]
    assert (wanted.goal, wanted.digest, wanted.release_version) == (Goal.STAGE, OLD, "1")
    sent = spec_of(wanted)
    assert (sent["configRevision"], sent["config"]) == (SETTINGS, None)
    assert decision.statuses["workers"].phase == "RollingBack"


def test_nodes_that_never_ran_the_release_stay_and_say_so():
    decision = decide(taking_back(), fallen(), (node("a"), staged("a")), (node("b"), updated("b")))
    assert "a" not in orders(decision)
    assert reasons(decision)["a"] == "Halted"


def test_halt_moves_nobody_back():
    chosen = os(status=failed(), failure={"maxFailed": 0})
    decision = decide(chosen, fallen(), (node("a"), updated("a")))
    assert orders(decision) == {}
    assert decision.statuses["workers"].phase == "Halted"


def test_a_failure_counts_for_a_return_only_once_it_stands_in_the_status():
    """A restart between the two would otherwise know of a return and not of its reason."""
    chosen = os(failure=BACK, status=failed().model_copy(update={"failed": ()}))
    first = decide(chosen, fallen(), (node("a"), updated("a")))
    assert orders(first) == {}
    assert first.next_deadline is not None
    assert first.next_deadline <= NOW + 1
    told = first.statuses["workers"]
    assert told.phase == "Halted"
    second = decide(replace(chosen, status=told), fallen(), (node("a"), updated("a")))
    assert orders(second)["a"].digest == OLD


def test_no_more_return_at_once_than_may_be_down():
    fleet = [(node(name), home_staged(name)) for name in "abc"]
    decision = decide(taking_back(maxUnavailable=2), fallen(), *fleet)
    assert [action.node for action in done(decision, Cordon)] == ["a", "b"]
    assert {action.note.digest for action in done(decision, Cordon)} == {OLD}
    assert reasons(decision)["c"] == "Budget"


def test_a_return_takes_no_waves_but_the_window():
    waves = [{"name": "canary", "nodes": 1, "approval": "Required"}]
    fleet = [(node(name), home_staged(name)) for name in "ab"]
    shut = {"windows": [{"cron": "0 3 1 1 *", "duration": "1h"}]}
    rollout = {"maxUnavailable": 9, "waves": waves, "failure": BACK}
    decision = decide(taking_back(**rollout), fallen(), *fleet)
    assert [action.node for action in done(decision, Cordon)] == ["a", "b"]
    closed = decide(taking_back(**rollout, **shut), fallen(), *fleet)
    assert done(closed, Cordon) == []
    assert reasons(closed)["a"] == "Window"
    asked = {"failure": BACK | {"ignoreWindows": True}}
    waived = decide(taking_back(**(rollout | shut | asked)), fallen(), *fleet)
    assert [action.node for action in done(waived, Cordon)] == ["a", "b"]


def test_pause_holds_a_return():
    decision = decide(taking_back(paused=True), fallen(), (node("a"), home_staged("a")))
    assert done(decision, Cordon) == []
    assert reasons(decision)["a"] == "Paused"


def test_a_node_on_its_way_back_is_drained_and_booted_like_any_other():
    chosen = taking_back()
    there = (home_cordoned("a"), home_staged("a"))
    draining = decide(chosen, fallen(), there, pods={"a": (pod("web"),)})
    assert [action.pod.name for action in done(draining, Evict)] == ["web"]
    empty = decide(chosen, fallen(), there, pods={"a": ()})
    assert (orders(empty)["a"].goal, orders(empty)["a"].digest) == (Goal.ACTIVATE, OLD)


@pytest.mark.parametrize("then", ["Skip", "Abort", "Wait"])
def test_a_drain_on_the_way_back_is_not_given_up(then):
    chosen = taking_back(drain={"timeout": "1s", "onTimeout": then})
    there = (home_cordoned("a"), home_staged("a"))
    decision = decide(chosen, fallen(), there, pods={"a": (pod("web"),)})
    assert done(decision, Uncordon) == []
    assert [action.pod.name for action in done(decision, Evict)] == ["web"]
    assert reasons(decision)["a"] == "Draining"


def test_a_node_drained_for_the_failed_release_is_given_back():
    decision = decide(taking_back(), fallen(), (cordoned("a"), staged("a")), (node("b"), updated("b")))
    assert [action.node for action in done(decision, Uncordon)] == ["a"]


def test_a_trial_of_the_failed_release_is_ended_before_its_node_returns():
    decision = decide(taking_back(), fallen(), (cordoned("a", boot_id="a-boot-2"), trial("a")))
    assert orders(decision)["a"].goal is Goal.CONFIRM


def test_a_node_that_is_back_home_is_released_and_stays():
    back = home_staged(
        "a", booted_digest=OLD, verified_digest=NEW, goal=Goal.CONFIRM, phase=InstancePhase.CONFIRMED
    )
    decision = decide(taking_back(), fallen(), (home_cordoned("a"), back))
    assert [action.node for action in done(decision, Uncordon)] == ["a"]
    rests = decide(taking_back(), fallen(), (node("a"), back))
    assert done(rests, SetOrders) == []
    told = rests.statuses["workers"]
    assert (told.phase, told.history[0].result, told.ready) == ("Halted", "RolledBack", "0/2")


@pytest.mark.parametrize(
    "slot",
    [{"verified_digest": None}, {"barred": (OLD,)}, {"verified_digest": NEW}],
    ids=["its other slot is empty", "what it has was barred", "both slots have the same"],
)
def test_a_node_without_anything_to_return_to_keeps_the_release_and_says_so(slot):
    decision = decide(taking_back(), fallen(), (node("a"), updated("a", **slot)))
    assert orders(decision) == {}
    assert reasons(decision)["a"] == "NoWayBack"
    assert decision.statuses["workers"].phase == "Halted"


def test_nodes_return_each_to_its_own_release():
    fleet = [(node("a"), updated("a")), (node("b"), updated("b", verified_digest=OTHER))]
    decision = decide(taking_back(maxStaging=9), fallen(), *fleet)
    assert {name: wanted.digest for name, wanted in orders(decision).items()} == {"a": OLD, "b": OTHER}


def test_a_former_release_that_falls_back_is_barred_there_and_the_others_go_on():
    there = ordered("a", digest=OLD, booted_digest=NEW, verified_digest=OLD)
    assert there.order is not None
    lost = replace(there, phase=InstancePhase.FELL_BACK, boot_id="a-boot-3", reboot_id=there.order.id)
    decision = decide(taking_back(), fallen(), (home_cordoned("a"), lost), (node("b"), updated("b")))
    assert orders(decision)["a"].barred == (OLD,)
    assert [entry.node for entry in decision.statuses["workers"].failed] == ["z"], "no failure of the release"
    assert orders(decision)["b"].digest == OLD


@pytest.mark.parametrize(
    ("reason", "back"),
    [(WaitReason.DRAIN_FAILED, False), (WaitReason.UNHEALTHY, True), (WaitReason.NEVER_CAME_BACK, True)],
)
def test_only_failures_of_the_release_take_it_back(reason, back):
    chosen = os(status=failed(reason=reason), failure=BACK, drain={"onTimeout": "Abort"})
    decision = decide(chosen, (node("z"), idle("z")), (node("a"), updated("a")))
    assert ("a" in orders(decision)) is back


def test_too_many_failures_of_one_wave_take_the_release_back_too():
    wave = WaveStatus(name="canary", index=0, since="2027-01-15T07:00:00Z")
    status = failed(at="2027-01-15T08:00:00Z").model_copy(update={"wave": wave})
    lenient = {"maxFailed": 9, "action": "Rollback"}
    chosen = os(status=status, failure=lenient, waves=[{"name": "canary", "nodes": 2}])
    assert orders(decide(chosen, fallen(), (node("a"), updated("a"))))["a"].digest == OLD


def test_whoever_forgives_ends_the_return():
    chosen = replace(taking_back(), clears=(("*", NOW),))
    there = (node("z"), idle("z"))
    decision = decide(chosen, there, (node("a"), home_staged("a")))
    assert done(decision, Cordon) == []
    assert decision.statuses["workers"].phase != "RollingBack"


def test_why_says_what_a_node_without_a_way_back_needs():
    stuck = (node("a"), updated("a", verified_digest=None))
    told = explain("a", world(taking_back(), [fallen(), stuck]), NOW)
    assert told.reason is WaitReason.NO_WAY_BACK
    assert "spec.release" in told.next


def test_what_a_slot_holds_is_read_with_its_version_and_settings():
    status = {
        "slots": {
            "A": {"state": "Verified", "digest": OLD, "version": "1", "configRevision": SETTINGS},
            "B": {"state": "Good", "digest": NEW, "version": "2"},
        },
        "booted": {"slot": "B", "bootID": "x", "digest": NEW, "at": "2027-01-15T07:00:00Z"},
        "good": "B",
    }
    meta = {"name": "a", "uid": "u", "resourceVersion": "1", "ownerReferences": []}
    view = instance_view({"metadata": meta, "spec": {"os": "workers"}, "status": status})
    assert (view.verified_digest, view.kept_version, view.kept_config) == (OLD, "1", SETTINGS)
