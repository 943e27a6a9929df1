"""`failure.action: Rollback` for settings that were changed alone: nodes return to those that they had."""

from dataclasses import replace

import pytest

from os_operator.core.actions import Cordon, SetOrders
from os_operator.core.parse import instance_view
from os_operator.core.world import Config, Failure
from os_operator.plugin import showing
from os_operator.shell.act import spec_of
from tests.unit.operator_worlds import NEW, NOW, OLD, current, decide, done, node, os, reasons, staged
from warmroot import nodeconfig
from warmroot.api.os import FailedNode, FailedPart, OSStatus, WaveStatus
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import OSPhase, WaitReason

TEXT = nodeconfig.encode({"sysctl": {"vm.swappiness": "1"}})
BAD = nodeconfig.revision(TEXT)
GOOD, OLDER = "sha256:" + "b" * 64, "sha256:" + "a" * 64
BACK = {"maxFailed": 0, "action": "Rollback"}
LATE = NOW - 901
"""Longer ago than `health.timeout`."""


def failed(*names, revision=BAD, reason=WaitReason.UNHEALTHY, at="2027-01-15T07:00:00Z"):
    """A status in which the settings failed on these nodes."""
    entries = tuple(
        FailedNode(
            node=name, digest=NEW, part=FailedPart.SETTINGS, config_revision=revision or None,
            reason=reason, message="seen", at=at,
        )
        for name in names
    )  # fmt: skip
    return OSStatus(
        observed_generation=1, target_digest=NEW, config_revision=BAD, started="2027-01-15T06:00:00Z",
        failed=entries,
    )  # fmt: skip


def workers(status=None, config=None, **rollout):
    chosen = os(status=status, **({"failure": BACK} | rollout))
    return replace(chosen, config=config or Config(BAD, TEXT))


def taking_back(*names, **rollout):
    return workers(failed(*(names or ("z",))), **rollout)


def settled(name, **changes):
    """It has the settings, and was left in peace with them."""
    return current(name, **({"in_force": BAD, "former": GOOD} | changes))


def before(name, **changes):
    return current(name, in_force=GOOD, **changes)


def configured(name, since=NOW - 100, **changes):
    """It has the settings and is watched."""
    told = {"goal": Goal.CONFIGURE, "digest": NEW, "config": BAD, "since": since}
    return settled(name, **(told | changes))


def going_back(name, since=NOW - 5, **changes):
    told = {"config": GOOD, "in_force": None, "phase": InstancePhase.CONFIGURING}
    return configured(name, since, **(told | changes))


def refused(name, **changes):
    said = Failure("ConfigRefused", "kubelet.service does not start with them", None)
    told = {"in_force": GOOD, "phase": InstancePhase.FAILED, "failure": said}
    return configured(name, **(told | changes))


def nodes(*instances, **changes):
    return [(node(one.name, **changes), one) for one in instances]


def orders(decision):
    return {action.name: action.orders for action in done(decision, SetOrders)}


Z = (node("z"), before("z"))
"""The node on which they failed, back with those before."""


# -- what failed ------------------------------------------------------------------------------------------


def test_a_node_that_is_not_ready_with_new_settings_within_the_timeout_failed_with_them():
    sick = nodes(configured("a", LATE), ready=False, ready_since=NOW - 800)
    status = decide(workers(), *sick).statuses["workers"]
    [entry] = status.failed
    assert (entry.node, entry.part, entry.config_revision) == ("a", "Settings", BAD)
    assert (entry.reason, status.phase) == ("Unhealthy", OSPhase.HALTED)


def test_a_node_that_comes_to_be_ready_too_late_failed_too_and_is_left_in_peace_all_the_same():
    late = nodes(configured("a", LATE), ready_since=NOW - 30)
    assert [entry.node for entry in decide(workers(), *late).statuses["workers"].failed] == ["a"]
    halting = workers(failed("a"), failure={"maxFailed": 0})
    well = nodes(configured("a", LATE), ready_since=NOW - 61)
    assert orders(decide(halting, *well))["a"].goal is Goal.NONE


def test_a_node_within_its_time_did_not_fail():
    sick = nodes(configured("a", NOW - 899), ready=False, ready_since=NOW - 800)
    decision = decide(workers(), *sick)
    assert decision.statuses["workers"].failed == ()
    assert decision.next_deadline is not None
    assert decision.next_deadline <= NOW + 1


def test_settings_that_a_unit_refuses_failed_and_the_status_says_which():
    status = decide(workers(), *nodes(refused("a"))).statuses["workers"]
    [entry] = status.failed
    assert (entry.reason, entry.config_revision) == ("ConfigRefused", BAD)


def test_a_node_that_will_try_again_by_itself_has_not_failed():
    busy = refused("a", failure=Failure("NodeError", "systemctl could not be asked", NOW + 60))
    status = decide(workers(), *nodes(busy)).statuses["workers"]
    assert (status.failed, status.phase) == ((), OSPhase.HALTED)


@pytest.mark.parametrize(("former", "part"), [(GOOD, "Settings"), (None, "Release")])
def test_a_node_that_fails_in_the_soak_failed_with_what_is_new_on_it(former, part):
    wave = WaveStatus(name="canary", index=0, since="2027-01-15T07:00:00Z", soak_until="2027-01-15T09:00:00Z")
    status = failed().model_copy(update={"wave": wave, "failed": ()})
    chosen = workers(status, waves=[{"name": "canary", "nodes": 1, "soak": "2h"}, {"name": "rest"}])
    sick = nodes(settled("a", former=former), ready=False, ready_since=NOW - 60)
    [entry] = decide(chosen, *sick, *nodes(before("b"))).statuses["workers"].failed
    assert (entry.part, entry.config_revision) == (part, BAD if former else None)


def test_failures_of_settings_and_of_the_release_are_counted_apart():
    status = failed("z")
    release = FailedNode(node="y", digest=NEW, reason="FellBack", message="seen", at="2027-01-15T07:00:00Z")
    both = status.model_copy(update={"failed": (*status.failed, release)})
    chosen = workers(both, failure={"maxFailed": 1, "action": "Rollback"})
    assert decide(chosen, Z, *nodes(settled("a"))).statuses["workers"].phase is not OSPhase.HALTED


# -- taken back -------------------------------------------------------------------------------------------


def test_a_node_that_has_the_settings_returns_to_those_that_it_keeps_without_a_cordon():
    decision = decide(taking_back(), Z, *nodes(settled("a")))
    wanted = orders(decision)["a"]
    assert (wanted.goal, wanted.digest, wanted.config.revision) == (Goal.CONFIGURE, NEW, GOOD)
    sent = spec_of(wanted)
    assert (sent["configRevision"], sent["config"]) == (GOOD, None)
    assert done(decision, Cordon) == []
    assert decision.statuses["workers"].phase is OSPhase.ROLLING_BACK


def test_a_node_that_had_the_images_settings_returns_to_those():
    sent = spec_of(orders(decide(taking_back(), Z, *nodes(settled("a", former=""))))["a"])
    assert (sent["configRevision"], sent["config"]) == (None, None)


def test_settings_of_the_image_can_fail_and_be_taken_back_too():
    chosen = replace(os(status=failed("z", revision=""), failure=BACK), config=Config())
    chosen = replace(chosen, status=chosen.status.model_copy(update={"config_revision": None}))
    decision = decide(chosen, Z, *nodes(settled("a", in_force="")))
    assert orders(decision)["a"].config.revision == GOOD


def test_nodes_that_never_had_the_settings_do_not_get_them():
    decision = decide(taking_back(maxUnavailable=9), Z, *nodes(before("a"), settled("b")))
    assert list(orders(decision)) == ["b"]
    assert reasons(decision)["a"] == "Halted"


def test_a_node_that_waits_for_the_release_with_these_settings_stays_on_what_it_runs():
    waits = staged("a", config=BAD, booted_digest=OLD, verified_digest=NEW)
    decision = decide(taking_back(maxUnavailable=9), Z, *nodes(waits))
    assert (done(decision, Cordon), reasons(decision)["a"]) == ([], "Halted")


def test_halt_takes_no_settings_back():
    decision = decide(taking_back(failure={"maxFailed": 0}), Z, *nodes(settled("a")))
    assert (orders(decision), decision.statuses["workers"].phase) == ({}, OSPhase.HALTED)


def test_a_failure_takes_settings_back_only_once_it_stands_in_the_status():
    sick = nodes(configured("z", LATE), ready=False, ready_since=NOW - 800)
    first = decide(workers(), *sick, *nodes(settled("a")))
    assert orders(first) == {}
    assert first.next_deadline is not None
    assert first.next_deadline <= NOW + 1
    second = decide(workers(first.statuses["workers"]), *sick, *nodes(settled("a"), ready=False))
    assert {name: given.config.revision for name, given in orders(second).items()} == {"a": GOOD, "z": GOOD}


def test_no_more_return_at_once_than_may_be_down():
    decision = decide(taking_back(maxUnavailable=2), Z, *nodes(settled("a"), settled("b"), settled("c")))
    assert sorted(orders(decision)) == ["a", "b"]
    assert reasons(decision)["c"] == "Budget"


def test_a_node_that_is_down_returns_past_the_budget():
    down = nodes(settled("a"), ready=False)
    decision = decide(taking_back(), Z, *down, *nodes(going_back("b")))
    assert list(orders(decision)) == ["a"]


def test_a_node_that_was_still_to_prove_itself_keeps_its_place_and_goes_back_in_it():
    """It counts among those that may be down from its order until it is back; nobody else takes its place."""
    proving = configured("c", since=NOW - 5)
    chosen = taking_back(maxUnavailable=2)
    decision = decide(chosen, Z, *nodes(settled("a"), settled("b"), proving))
    assert len(orders(decision)) == 2
    assert orders(decision)["c"].config.revision == GOOD
    full = decide(taking_back(maxUnavailable=1), Z, *nodes(settled("a"), proving))
    assert list(orders(full)) == ["c"]
    assert reasons(full)["a"] == "Budget"


def test_a_return_of_settings_takes_no_waves_but_the_window():
    shut = {"windows": [{"cron": "0 3 1 1 *", "duration": "1h"}]}
    waves = {"waves": [{"name": "canary", "nodes": 1, "approval": "Required"}]}
    assert list(orders(decide(taking_back(**waves), Z, *nodes(settled("a"))))) == ["a"]
    closed = decide(taking_back(**shut), Z, *nodes(settled("a")))
    assert (orders(closed), reasons(closed)["a"]) == ({}, "Window")
    waived = taking_back(**shut, failure=BACK | {"ignoreWindows": True})
    assert list(orders(decide(waived, Z, *nodes(settled("a"))))) == ["a"]


def test_pause_holds_a_return_of_settings():
    decision = decide(taking_back(paused=True), Z, *nodes(settled("a")))
    assert (orders(decision), reasons(decision)["a"]) == ({}, "Paused")


def test_a_node_that_has_not_come_to_an_end_with_the_settings_is_not_sent_elsewhere():
    """What it keeps until then is not what it had before them."""
    unread = configured("a", observed=False, in_force=GOOD, former=OLDER)
    changing = configured("b", in_force=None, phase=InstancePhase.CONFIGURING)
    assert orders(decide(taking_back(maxUnavailable=9), Z, *nodes(unread, changing))) == {}


def test_a_node_on_its_way_back_holds_its_place_and_is_left_in_peace_once_it_is_well():
    chosen = taking_back()
    busy = decide(chosen, Z, *nodes(going_back("a"), settled("b")))
    assert orders(busy) == {}
    row = next(row for row in busy.statuses["workers"].waiting if row.node == "a")
    assert (row.reason, row.message) == ("Configuring", f"it returns to settings {GOOD[:19]}…")
    there = {"in_force": GOOD, "phase": InstancePhase.CONFIRMED}
    well = decide(chosen, Z, *nodes(going_back("a", NOW - 61, **there)))
    assert orders(well)["a"].goal is Goal.NONE


def test_once_all_are_back_the_rollout_is_halted_and_its_history_names_the_settings():
    decision = decide(taking_back(), Z, *nodes(before("a")))
    status = decision.statuses["workers"]
    assert (status.phase, status.ready, orders(decision)) == (OSPhase.HALTED, "0/2", {})
    entry = status.history[0]
    assert (entry.result, entry.config_revision) == ("RolledBack", BAD)
    assert BAD in showing.history("workers", status.history)


@pytest.mark.parametrize("former", [None, BAD])
def test_a_node_that_keeps_no_others_keeps_the_settings_and_says_so(former):
    decision = decide(taking_back(), Z, *nodes(settled("a", former=former)))
    status = decision.statuses["workers"]
    assert (orders(decision), reasons(decision)["a"], status.phase) == ({}, "NoWayBack", OSPhase.HALTED)


def test_settings_before_that_are_refused_as_well_are_no_further_failure():
    decision = decide(taking_back(), Z, *nodes(refused("a", config=GOOD, in_force=BAD)))
    assert [entry.node for entry in decision.statuses["workers"].failed] == ["z"]
    assert (orders(decision), reasons(decision)["a"]) == ({}, "ConfigRefused")


def test_a_node_that_is_unwell_on_its_way_back_is_no_further_failure():
    there = {"in_force": GOOD, "phase": InstancePhase.CONFIRMED}
    sick = nodes(going_back("a", LATE, **there), ready=False, ready_since=NOW - 800)
    assert [entry.node for entry in decide(taking_back(), Z, *sick).statuses["workers"].failed] == ["z"]


def test_too_many_failures_of_one_wave_take_the_settings_back_too():
    wave = WaveStatus(name="canary", index=0, since="2027-01-15T06:00:00Z")
    status = failed("z").model_copy(update={"wave": wave})
    lenient = {"maxFailed": 9, "action": "Rollback"}
    chosen = workers(status, failure=lenient, waves=[{"name": "canary", "nodes": 2}, {"name": "rest"}])
    assert list(orders(decide(chosen, Z, *nodes(settled("a"))))) == ["a"]


# -- and never again --------------------------------------------------------------------------------------


def test_settings_that_failed_on_one_node_are_taken_back_there_while_the_others_go_on():
    lenient = taking_back("a", failure={"maxFailed": 1, "action": "Rollback"}, maxUnavailable=2)
    down = nodes(configured("a", LATE), ready=False, ready_since=NOW - 800)
    decision = decide(lenient, *down, *nodes(settled("b"), before("c")))
    assert {name: given.config.revision for name, given in orders(decision).items()} == {"a": GOOD, "c": BAD}


@pytest.mark.parametrize("action", ["Halt", "Rollback"])
def test_settings_that_failed_on_a_node_are_not_tried_there_again(action):
    lenient = taking_back("a", failure={"maxFailed": 1, "action": action}, maxUnavailable=9)
    decision = decide(lenient, *nodes(before("a"), settled("b")))
    assert (orders(decision), reasons(decision)) == ({}, {"a": "Unhealthy"})
    assert decision.statuses["workers"].phase is not OSPhase.COMPLETE


def test_other_settings_are_tried_where_the_last_ones_failed():
    other = Config(OLDER, TEXT)
    decision = decide(workers(failed("a", "z"), other, maxUnavailable=9), *nodes(before("a"), before("z")))
    assert {given.config.revision for given in orders(decision).values()} == {OLDER}
    assert decision.statuses["workers"].failed == ()


def test_whoever_forgives_has_the_settings_tried_again():
    chosen = replace(taking_back(), clears=(("*", NOW),))
    assert orders(decide(chosen, Z))["z"].config.revision == BAD


def test_what_a_node_keeps_is_read_off_the_slot_that_runs():
    def view(former):
        slots = {"A": {"state": "Good"} | former, "B": {"former": {"configRevision": OLDER}}}
        status = {"slots": slots, "booted": {"slot": "A", "bootID": "x", "at": "2027-01-15T07:00:00Z"}}
        meta = {"name": "a", "uid": "u", "resourceVersion": "1"}
        return instance_view({"metadata": meta, "spec": {"os": "workers"}, "status": status}).former

    assert view({"former": {"configRevision": GOOD}}) == GOOD
    assert view({"former": {}}) == ""
    assert view({}) is None
