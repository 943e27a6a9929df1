"""The rules of a rollout, one promise each. A rule that was learnt from an accident is in its test's name."""

from dataclasses import replace

import pytest

from os_operator.core.actions import (
    Cordon,
    DeletePod,
    EnsureInstance,
    Evict,
    SetFinalizer,
    SetOrders,
    Uncordon,
    WriteStatus,
)
from os_operator.core.world import EvictionAnswer, EvictionResult, Failure, Resolution
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    OLD,
    cordoned,
    current,
    decide,
    done,
    failure,
    fell_back,
    fleet,
    goals,
    idle,
    node,
    ordered,
    os,
    pod,
    reasons,
    staged,
    trial,
)
from warmroot.api.os import OSStatus
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import NodePhase, WaitReason

# -- rule 1: the budget -----------------------------------------------------------------------------------


def test_rule_1_one_slot_a_node_a_pass():
    decision = decide(os(maxUnavailable=2), *fleet(5))
    assert [action.node for action in done(decision, Cordon)] == ["node-1", "node-2"]


@pytest.mark.parametrize(
    "down",
    [
        (node("node-9", ready=False), staged("node-9")),
        (node("node-9", unschedulable=True), current("node-9")),
        (cordoned("node-9"), staged("node-9")),
        (node("node-9"), ordered("node-9")),
        (node("node-9", ready=False), None),
    ],
    ids=["not ready", "an administrator's cordon", "ours", "rebooting", "without a proxy"],
)
def test_rule_1_a_node_that_is_down_for_any_reason_takes_its_part_of_the_budget(down):
    decision = decide(os(maxUnavailable=1), *fleet(3), down)
    assert done(decision, Cordon) == []
    assert reasons(decision)["node-1"] == "Budget"


def test_rule_1_work_on_a_node_that_is_already_down_is_free():
    admin = (node("node-9", unschedulable=True), staged("node-9"))
    decision = decide(os(maxUnavailable=1), *fleet(3), admin)
    assert [action.node for action in done(decision, Cordon)] == ["node-9"]


def test_rule_1_a_node_that_a_person_uncordoned_is_cordoned_again_only_within_the_budget():
    taken_back = (cordoned(unschedulable=False), staged())
    sick = (node("node-2", ready=False), staged("node-2"))
    decision = decide(os(maxUnavailable=1), taken_back, sick)
    assert done(decision, Cordon) == []
    assert reasons(decision)["node-1"] == "Budget"
    [again] = done(decide(os(maxUnavailable=2), taken_back, sick), Cordon)
    assert again.note.since == NOW - 10


def test_rule_1_of_nodes_that_a_person_uncordoned_as_many_are_cordoned_again_as_the_budget_now_allows():
    """They all count as taken; were they all to wait for that, none would ever move."""
    pairs = [(cordoned(name, unschedulable=False), staged(name)) for name in ("node-1", "node-2")]
    decision = decide(os(maxUnavailable=1), *pairs)
    assert [action.node for action in done(decision, Cordon)] == ["node-1"]
    assert reasons(decision)["node-2"] == "Budget"


def test_rule_1_a_node_that_another_object_still_moves_counts():
    other = replace(os("other"), deleting=True)
    moving = cordoned("node-9")
    moving = replace(moving, note=replace(moving.note, os="other"))
    decision = decide([os(maxUnavailable=1), other], *fleet(2), (moving, staged("node-9")))
    assert done(decision, Cordon) == []


# -- rule 2: a fallback is seen ---------------------------------------------------------------------------


def test_rule_2_a_fallback_is_barred_counted_and_halts():
    decision = decide(os(), (cordoned(), fell_back()), *fleet(2, first=2))
    [order] = done(decision, SetOrders)
    assert (order.orders.goal, order.orders.barred) == (Goal.NONE, (NEW,))
    status = decision.statuses["workers"]
    assert [(entry.node, entry.reason) for entry in status.failed] == [("node-1", WaitReason.FELL_BACK)]
    assert status.phase == "Halted"
    assert done(decision, Cordon) == []


def test_rule_2_a_new_boot_on_the_old_slot_is_a_fallback_whatever_the_proxy_calls_it():
    decision = decide(os(), (cordoned(), fell_back(phase=InstancePhase.IDLE)))
    assert done(decision, SetOrders)[0].orders.barred == (NEW,)


def test_rule_2_a_restart_before_the_order_was_seen_is_no_fallback():
    restarted = ordered(boot_id="node-1-boot-2", phase=InstancePhase.STAGED)
    decision = decide(os(), (cordoned(boot_id="node-1-boot-2"), restarted))
    assert done(decision, SetOrders) == []
    assert reasons(decision)["node-1"] == "Rebooting"


def test_rule_2_after_the_bar_the_node_serves_on_with_its_old_release():
    barred = idle(barred=(NEW,), phase=InstancePhase.FELL_BACK)
    decision = decide(os(status=OSStatus(target_digest=NEW, failed=(failure(),))), (cordoned(), barred))
    [uncordon] = done(decision, Uncordon)
    assert uncordon.lift


def test_rule_2_a_bar_on_a_node_that_is_still_cordoned_counts_before_anything_begins():
    """The target went to another release and back while the node fell back: nothing else recorded it."""
    barred = idle(barred=(NEW,), phase=InstancePhase.FELL_BACK)
    decision = decide(os(maxUnavailable=2), (cordoned(), barred), *fleet(2, first=2))
    assert decision.statuses["workers"].phase == "Halted"
    assert done(decision, Cordon) == []


def test_rule_2_a_bar_whose_record_was_lost_in_a_restart_is_counted_again():
    barred = idle(barred=(NEW,), phase=InstancePhase.FELL_BACK)
    status = decide(os(), (node(), barred)).statuses["workers"]
    assert [(entry.node, entry.reason) for entry in status.failed] == [("node-1", WaitReason.FELL_BACK)]


@pytest.mark.parametrize("known", [WaitReason.NEVER_CAME_BACK, WaitReason.UNHEALTHY])
def test_a_node_that_came_back_late_says_why_and_is_still_one_failure_of_the_same_time(known):
    """What else was noted of it stays: a node that was unhealthy is not excused by falling back."""
    seen = failure(reason=known)
    why = Failure("NeverStarted", "no start of it came as far as its root", None)
    halted = os(status=OSStatus(target_digest=NEW, failed=(seen,)))
    decision = decide(halted, (cordoned(), fell_back(failure=why)))
    [entry] = decision.statuses["workers"].failed
    [write] = done(decision, WriteStatus)
    if known is WaitReason.NEVER_CAME_BACK:
        assert (entry.reason, entry.at) == (WaitReason.FELL_BACK, seen.at)
        assert "NeverStarted" in entry.message
        assert [(one.reason, "NeverStarted" in one.note) for one in write.happenings][:1] == [
            ("FellBack", True)
        ]
    else:
        assert entry == seen
        assert "FellBack" not in [one.reason for one in write.happenings]


def test_a_person_forgives_up_to_a_time_and_not_beyond():
    barred = idle(barred=(NEW,), phase=InstancePhase.FELL_BACK)
    known = os(status=OSStatus(target_digest=NEW, failed=(failure(at="2027-01-15T07:00:00Z"),)))
    late = replace(known, clears=(("*", NOW + 1),))
    early = replace(known, clears=(("node-1", 1.0),))
    assert done(decide(late, (node(), barred)), SetOrders)[0].orders.barred == ()
    assert done(decide(early, (node(), barred)), SetOrders) == []


# -- rule 3: waves ----------------------------------------------------------------------------------------

WAVES = [{"name": "canary", "nodes": 1, "soak": "10m"}, {"name": "rest", "approval": "Required"}]


def test_a_wave_takes_no_more_than_its_share():
    decision = decide(os(maxUnavailable=3, waves=WAVES), *fleet(4))
    assert [action.node for action in done(decision, Cordon)] == ["node-1"]
    assert reasons(decision)["node-2"] == "Wave"


def test_a_wave_soaks_then_waits_for_a_person_then_goes_on():
    pairs = [(node("node-0"), current("node-0")), *fleet(3)]
    soaking = decide(os(waves=WAVES), *pairs)
    assert reasons(soaking)["node-1"] == "Soak"
    status = soaking.statuses["workers"]
    assert status.phase == "Soaking"
    later = decide(os(waves=WAVES, status=status), *with_time(pairs, 601), now=NOW + 601)
    assert reasons(later)["node-1"] == "Approval"
    assert "warmroot.io/approve=rest@" + NEW in later.statuses["workers"].waiting[0].message
    approved = replace(os(waves=WAVES, status=status), approvals=frozenset({f"rest@{NEW}"}))
    assert len(done(decide(approved, *with_time(pairs, 601), now=NOW + 601), Cordon)) == 1


def with_time(pairs, seconds):
    return [(one, replace(instance, stale_at=instance.stale_at + seconds)) for one, instance in pairs]


def test_an_approval_does_not_outlive_its_release():
    waves = [{"name": "rest", "approval": "Required"}]
    approved = replace(os(waves=waves), approvals=frozenset({f"rest@{OLD}"}))
    assert done(decide(approved, *fleet(2)), Cordon) == []


def test_a_node_that_turns_unhealthy_in_the_soak_fails():
    pairs = [(node("node-0"), current("node-0")), *fleet(3)]
    status = decide(os(waves=WAVES), *pairs).statuses["workers"]
    sick = (node("node-0", ready=False, ready_since=NOW + 60), current("node-0"))
    decision = decide(os(waves=WAVES, status=status), sick, *fleet(3), now=NOW + 61)
    assert [entry.reason for entry in decision.statuses["workers"].failed] == [WaitReason.UNHEALTHY]
    assert decision.statuses["workers"].phase == "Halted"


def test_another_target_starts_again_at_the_first_wave():
    pairs = [(node("node-0"), current("node-0")), *fleet(3)]
    status = decide(os(waves=WAVES), *pairs).statuses["workers"]
    status = status.model_copy(update={"wave": status.wave.model_copy(update={"index": 1, "name": "rest"})})
    other = decide(os(waves=WAVES, status=status, digest="sha256:" + "2" * 64), *pairs)
    assert other.statuses["workers"].wave.index == 0


# -- rule 4: the drain ------------------------------------------------------------------------------------


def draining(since=NOW - 10, pods=(), results=None, **rollout):
    drain = rollout.pop("drain", {})
    return decide(
        os(drain=drain, **rollout),
        (cordoned(since=since), staged()),
        pods={"node-1": tuple(pods)},
        evictions=results or {},
    )


def refused(name="web-1", attempts=1):
    one = EvictionResult(EvictionAnswer.BLOCKED, NOW - 1, attempts, "PodDisruptionBudget shop/web")
    return {f"uid-{name}": one}


def test_rule_4_a_failed_eviction_is_never_taken_for_a_drained_node():
    decision = draining(pods=[pod("web-1")], results=refused())
    assert done(decision, SetOrders) == []
    [row] = decision.statuses["workers"].waiting
    assert row.reason is WaitReason.DRAIN_BLOCKED
    assert row.message == "blocked by PodDisruptionBudget shop/web: shop/web-1"


def test_rule_4_a_node_is_not_drained_before_its_pods_were_listed():
    decision = decide(os(), (cordoned(), staged()))
    assert done(decision, SetOrders) == []
    assert decision.next_deadline == NOW + 1


def test_an_empty_node_is_ordered_to_reboot_once():
    decision = draining(pods=[pod("logs", controller="DaemonSet"), pod("static", mirror=True)])
    [order] = done(decision, SetOrders)
    assert order.orders.goal is Goal.ACTIVATE
    assert order.orders.order.deadline == NOW + 900
    assert order.orders.order == done(draining(pods=[]), SetOrders)[0].orders.order


@pytest.mark.parametrize(("then", "lifted"), [("Wait", 0), ("Skip", 0), ("Abort", 0), ("Force", 0)])
def test_no_drain_is_given_up_before_its_time(then, lifted):
    decision = draining(pods=[pod("web-1")], results=refused(), drain={"timeout": "1m", "onTimeout": then})
    assert len(done(decision, Uncordon)) == lifted
    assert done(decision, DeletePod) == []


def test_a_drain_out_of_time_waits_skips_forces_or_aborts_as_told():
    def late(then):
        drain = {"timeout": "1m", "onTimeout": then}
        return draining(NOW - 61, [pod("web-1")], refused(), drain=drain)

    assert reasons(late("Wait"))["node-1"] == "DrainBlocked"
    assert [action.pod.name for action in done(late("Force"), DeletePod)] == ["web-1"]
    for then, phase in (("Skip", "RollingOut"), ("Abort", "RollingOut")):
        decision = late(then)
        assert [entry.reason for entry in decision.statuses["workers"].failed] == [WaitReason.DRAIN_FAILED]
        assert decision.statuses["workers"].phase in (phase, "Halted")
        assert done(decision, Uncordon) == []  # first the record, then the cordon


def test_a_skipped_node_goes_back_into_service_and_the_rollout_goes_on():
    skipped = failure(reason=WaitReason.DRAIN_FAILED)
    known = os(status=OSStatus(target_digest=NEW, failed=(skipped,)), drain={"onTimeout": "Skip"})
    first = decide(known, (cordoned(), staged()), *fleet(2, first=2))
    assert done(first, Uncordon)[0].lift
    then = decide(known, (node(), staged()), *fleet(2, first=2))
    assert [action.node for action in done(then, Cordon)] == ["node-2"]


def test_an_aborted_drain_halts():
    known = os(
        status=OSStatus(target_digest=NEW, failed=(failure(reason=WaitReason.DRAIN_FAILED),)),
        drain={"onTimeout": "Abort"},
    )
    decision = decide(known, (node(), staged()), *fleet(2, first=2))
    assert decision.statuses["workers"].phase == "Halted"
    assert done(decision, Cordon) == []


# -- health and rule 8: never came back -------------------------------------------------------------------

READY = {"boot_id": "node-1-boot-2", "ready_since": NOW - 120}


def test_a_node_is_confirmed_after_its_ready_seconds_with_the_new_boot_id():
    assert goals(decide(os(), (cordoned(**READY), trial()))) == {"node-1": Goal.CONFIRM}


def test_a_node_that_was_told_to_confirm_waits_for_its_proxy_and_says_so():
    decision = decide(os(), (cordoned(**READY), trial(goal=Goal.CONFIRM)))
    (row,) = decision.statuses["workers"].waiting
    assert (row.node, row.phase, row.reason) == ("node-1", NodePhase.CONFIRMING, WaitReason.CONFIRMING)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"boot_id": "node-1-boot-1"}, "NotReady"),
        ({"ready": False}, "NotReady"),
        ({"ready_since": NOW - 30}, "Settling"),
    ],
    ids=["old boot id", "not ready", "not for long enough"],
)
def test_a_node_is_not_confirmed_before(changes, reason):
    decision = decide(os(), (cordoned(**(READY | changes)), trial()))
    assert goals(decision) == {}
    assert reasons(decision)["node-1"] == reason


def test_readiness_from_before_the_reboot_does_not_count():
    decision = decide(os(), (cordoned(**(READY | {"ready_since": NOW - 9000})), trial(booted_at=NOW - 10)))
    assert goals(decision) == {}


def test_an_operator_that_was_away_still_sees_that_a_node_got_healthy_in_time():
    away = trial(deadline=NOW - 60, booted_at=NOW - 600)
    decision = decide(os(), (cordoned(**(READY | {"ready_since": NOW - 590})), away))
    assert goals(decision) == {"node-1": Goal.CONFIRM}


def test_an_unhealthy_node_is_rolled_back_and_counted():
    decision = decide(os(), (cordoned(**(READY | {"ready": False})), trial(deadline=NOW - 1)))
    assert goals(decision) == {"node-1": Goal.ROLLBACK}
    assert [entry.reason for entry in decision.statuses["workers"].failed] == [WaitReason.UNHEALTHY]


def test_rule_8_a_node_that_never_came_back_is_a_state_that_holds_its_slot():
    gone = ordered(deadline=NOW - 1, phase=InstancePhase.ACTIVATING, stale_at=NOW - 500)
    gone = replace(gone, reboot_id=gone.order.id)
    decision = decide(os(failure={"maxFailed": 3}), (cordoned(ready=False), gone), *fleet(2, first=2))
    assert reasons(decision)["node-1"] == "NeverCameBack"
    assert [entry.reason for entry in decision.statuses["workers"].failed] == [WaitReason.NEVER_CAME_BACK]
    assert done(decision, Cordon) == []
    [write] = done(decision, WriteStatus)
    assert [happening.reason for happening in write.happenings] == ["NeverCameBack"]


def test_an_order_that_was_never_carried_out_is_recorded_then_withdrawn():
    silent = ordered(deadline=NOW - 1, stale_at=NOW - 500)
    first = decide(os(), (cordoned(), silent))
    assert done(first, SetOrders) == []
    status = first.statuses["workers"]
    assert [entry.reason for entry in status.failed] == [WaitReason.ACTIVATION_FAILED]
    assert goals(decide(os(status=status), (cordoned(), silent))) == {"node-1": Goal.NONE}


# -- staging, resolution, conflicts, finalizer ------------------------------------------------------------


def test_downloads_are_paced_and_share_the_bandwidth():
    decision = decide(os(maxStaging=2, stagingBandwidth="10Mi"), *fleet(4, idle))
    orders = done(decision, SetOrders)
    assert [action.name for action in orders] == ["node-1", "node-2"]
    assert {action.orders.bandwidth for action in orders} == {5 * 2**20}
    assert reasons(decision)["node-3"] == "StagingPaced"


def test_a_source_that_fails_leaves_nodes_as_they_are_and_says_so():
    from os_operator.core.world import Failure

    broken = staged(
        phase=InstancePhase.FAILED, verified_digest=None, failure=Failure("Tampered", "bad", None)
    )
    decision = decide(os(), (node(), broken))
    assert done(decision, Cordon) == []
    assert reasons(decision)["node-1"] == "StagingFailed"


def test_an_unresolved_release_touches_no_node():
    asked = replace(os(digest=None), resolution=Resolution(reason="WrongKey", message="too few signatures"))
    decision = decide(asked, (node(), idle()))
    assert done(decision, (Cordon, SetOrders)) == []
    condition = next(c for c in decision.statuses["workers"].conditions if c.type == "ReleaseResolved")
    assert (condition.status, condition.message) == ("False", "too few signatures")


def test_a_restart_with_the_source_down_goes_on_with_the_digest_of_this_generation():
    status = OSStatus(target_digest=NEW, observed_generation=1)
    assert len(done(decide(os(digest=None, status=status), *fleet(2)), Cordon)) == 1
    stale = OSStatus(target_digest=NEW, observed_generation=0)
    assert done(decide(os(digest=None, status=stale), *fleet(2)), Cordon) == []


def test_a_digest_of_the_spec_before_is_not_taken_for_that_of_one_that_could_not_be_followed():
    resolved = OSStatus(target_digest=OLD, observed_generation=1)
    broken = replace(os(digest=None, status=resolved), spec=None, generation=2, problem="no such time zone")
    status = decide(broken, (node(), staged())).statuses["workers"]
    assert (status.observed_generation, status.target_digest) == (2, OLD)
    followed = replace(os(digest=None, status=status), generation=2)
    assert decide(followed, (node(), idle())).statuses["workers"].waiting[0].reason == "ReleaseUnresolved"


def test_two_objects_that_want_one_node_leave_it_alone_and_both_say_so():
    decision = decide([os(), os("other")], (node(), staged()))
    assert done(decision, (Cordon, SetOrders)) == []
    for name in ("workers", "other"):
        condition = next(c for c in decision.statuses[name].conditions if c.type == "Conflicting")
        assert condition.status == "True"
        assert reasons(decision, name)["node-1"] == "Conflict"


def test_nothing_begins_before_the_finalizer_is_there():
    decision = decide(replace(os(), finalizer=False), (node(), staged()), (node("node-2"), None))
    assert [type(action) for action in decision.actions] == [SetFinalizer]


def test_a_node_without_an_instance_gets_one():
    decision = decide(os(), (node(), None))
    assert [action.node for action in done(decision, EnsureInstance)] == ["node-1"]


def test_a_silent_proxy_is_not_believed_and_its_node_not_touched():
    decision = decide(os(), (node(), staged(stale_at=NOW - 1)))
    assert done(decision, Cordon) == []
    assert reasons(decision)["node-1"] == "ProxySilent"


def test_evictions_go_out_for_the_pods_that_count():
    decision = draining(pods=[pod("web-1"), pod("logs", controller="DaemonSet")])
    assert [action.pod.name for action in done(decision, Evict)] == ["web-1"]
