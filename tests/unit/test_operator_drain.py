"""Which pods go when, and what is said about the rest."""

import pytest

from os_operator.core.actions import DeletePod, Evict, SetOrders
from os_operator.core.drain import SYSTEM_CRITICAL, DrainState, assess
from os_operator.core.world import EvictionAnswer, EvictionResult
from tests.unit.operator_worlds import NOW, cordoned, decide, done, os, pod, reasons, staged
from warmroot.api.os import Drain
from warmroot.api.reasons import WaitReason


def names(pods):
    return [one.name for one in pods]


def look(pods, results=None, since=NOW - 5, now=NOW, attachments=(), **rules):
    return assess(pods, attachments, results or {}, Drain.model_validate(rules), since, now)


def test_daemonset_mirror_and_finished_pods_do_not_count():
    pods = [pod("a", controller="DaemonSet"), pod("b", mirror=True), pod("c", finished=True)]
    assert look(pods).state is DrainState.DRAINED


def test_pods_go_by_rising_priority_and_system_critical_ones_last():
    critical = pod("dns", priority=SYSTEM_CRITICAL)
    both = look([pod("b", priority=5), critical, pod("a", priority=1)])
    assert names(both.evict) == ["a", "b"]
    assert names(look([critical, pod("a", deleted_at=NOW + 9)]).evict) == []
    assert names(look([critical]).evict) == ["dns"]


def test_a_terminating_pod_is_waited_for_not_evicted_again():
    outcome = look([pod("a", deleted_at=NOW + 9)])
    assert outcome.evict == ()
    assert outcome.text() == "terminating: shop/a"


def test_a_refused_eviction_is_repeated_with_growing_pauses():
    def due(attempts, after):
        result = EvictionResult(EvictionAnswer.BLOCKED, NOW - after, attempts, "PodDisruptionBudget shop/web")
        return bool(look([pod("a")], {"uid-a": result}).evict)

    assert [due(1, 0.9), due(1, 1), due(3, 3.9), due(3, 4), due(50, 29), due(50, 30)] == [
        False, True, False, True, False, True,
    ]  # fmt: skip


def test_a_pod_with_data_or_without_a_controller_is_refused_by_name_and_no_other_pod_is_moved():
    pods = [pod("web"), pod("cache", empty_dir=True)]
    kept = look(pods, deleteEmptyDir=False)
    assert (kept.state, kept.evict) == (DrainState.BLOCKED, ())
    assert "shop/cache" in kept.text() and "deleteEmptyDir" in kept.text()
    alone = look([pod("alone", controller="")], unmanagedPods="Refuse")
    assert "unmanagedPods" in alone.text()
    assert names(look([pod("alone", controller=""), *pods]).evict) == ["alone", "cache", "web"]


def test_force_deletes_after_the_timeout_and_does_not_wait_for_what_hangs():
    rules = {"timeout": "1m", "onTimeout": "Force"}
    late = look([pod("a"), pod("b", deleted_at=NOW - 5)], since=NOW - 61, **rules)
    assert (names(late.delete), names(late.waiting)) == (["a"], ["b"])
    hung = look([pod("b", deleted_at=NOW - 31)], since=NOW - 61, **rules)
    assert hung.state is DrainState.DRAINED


def test_a_text_names_the_first_few():
    pods = [pod(f"w{n}", deleted_at=NOW + 1) for n in range(5)]
    assert look(pods).text() == "terminating: shop/w0, shop/w1, shop/w2 and 2 more"


# -- pod rules --------------------------------------------------------------------------------------------


def rule(action, **labels):
    return {"selector": {"matchLabels": labels}, "action": action}


BATCH = {"podRules": [rule("WaitCompleted", app="batch")]}
AGENT = {"podRules": [rule("Skip", app="agent")]}


def batch(name="batch-1", **changes):
    return pod(name, labels={"app": "batch"}, **changes)


def agent(name="agent-1", **changes):
    return pod(name, labels={"app": "agent"}, **changes)


def test_the_first_rule_that_matches_counts_and_pods_without_a_rule_are_evicted():
    rules = [rule("Drain", app="batch", tier="spare"), rule("WaitCompleted", app="batch"), rule("Skip")]
    spare = pod("spare", labels={"app": "batch", "tier": "spare"})
    outcome = look([spare, batch(), pod("web")], podRules=rules)
    assert (names(outcome.evict), names(outcome.completing)) == (["spare"], ["batch-1"])
    assert names(look([pod("web"), batch()], podRules=rules[:2]).evict) == ["web"]


def test_a_rule_selects_by_expressions_too():
    selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["batch", "agent"]}]}
    rules = [{"selector": selector, "action": "Skip"}]
    assert names(look([batch(), agent(), pod("web")], podRules=rules).evict) == ["web"]


def test_a_skipped_pod_is_not_evicted_and_does_not_hold_the_drain():
    assert look([agent()], **AGENT).state is DrainState.DRAINED
    assert names(look([agent(), pod("web")], **AGENT).evict) == ["web"]
    assert look([agent(deleted_at=NOW + 900)], **AGENT).state is DrainState.DRAINED


def test_a_pod_that_may_finish_is_not_evicted_and_holds_the_drain_by_name():
    outcome = look([batch()], **BATCH)
    assert (outcome.state, outcome.evict) == (DrainState.COMPLETING, ())
    assert outcome.text() == "may finish by drain.podRules: shop/batch-1"


def test_the_wait_for_a_pod_ends_when_it_has_finished_though_its_object_stays_and_when_it_is_gone():
    assert look([batch(finished=True)], **BATCH).state is DrainState.DRAINED
    assert look([], **BATCH).state is DrainState.DRAINED


def test_a_pod_that_may_finish_and_is_being_deleted_by_somebody_holds_until_it_is_gone():
    outcome = look([batch(deleted_at=NOW + 9)], **BATCH)
    assert outcome.state is DrainState.EVICTING
    assert outcome.text() == "terminating: shop/batch-1"


def test_other_pods_are_evicted_while_one_may_finish():
    outcome = look([batch(), pod("web")], **BATCH)
    assert (outcome.state, names(outcome.evict)) == (DrainState.EVICTING, ["web"])
    assert outcome.text() == "evicting: shop/web; may finish by drain.podRules: shop/batch-1"


def test_system_critical_pods_stay_for_a_pod_that_may_finish_and_not_for_one_that_is_skipped():
    dns = pod("dns", priority=SYSTEM_CRITICAL)
    held = look([dns, batch()], **BATCH)
    assert (held.state, held.evict) == (DrainState.COMPLETING, ())
    assert names(look([dns, agent()], **AGENT).evict) == ["dns"]


@pytest.mark.parametrize("action", ["Drain", "WaitCompleted", "Skip"])
@pytest.mark.parametrize("kind", [{"controller": "DaemonSet"}, {"mirror": True}])
def test_no_rule_moves_a_pod_of_a_daemonset_or_a_static_pod(action, kind):
    outcome = look([pod("here", **kind)], podRules=[rule(action)])
    assert outcome.state is DrainState.DRAINED


def test_a_pod_that_is_not_evicted_is_not_refused_and_a_rule_that_drains_refuses_as_ever():
    keep = {"deleteEmptyDir": False, "unmanagedPods": "Refuse"}
    kept = {"controller": "", "empty_dir": True}
    assert look([agent(**kept)], **AGENT, **keep).state is DrainState.DRAINED
    assert look([batch(**kept)], **BATCH, **keep).state is DrainState.COMPLETING
    drains = look([batch(**kept)], podRules=[rule("Drain")], **keep)
    assert (drains.state, drains.evict) == (DrainState.BLOCKED, ())


@pytest.mark.parametrize(
    ("then", "state", "deleted"),
    [
        ("Wait", DrainState.COMPLETING, []),
        ("Skip", DrainState.TIMED_OUT, []),
        ("Abort", DrainState.TIMED_OUT, []),
        ("Force", DrainState.EVICTING, ["batch-1"]),
    ],
)
def test_a_pod_that_does_not_finish_in_time_is_waited_for_given_up_or_deleted_as_told(then, state, deleted):
    rules = {"timeout": "1m", "onTimeout": then}
    early = look([batch()], since=NOW - 59, **BATCH, **rules)
    assert (early.state, early.delete, early.look_again) == (DrainState.COMPLETING, (), NOW + 1)
    late = look([batch()], since=NOW - 60, **BATCH, **rules)
    assert (late.state, names(late.delete), late.evict) == (state, deleted, ())
    assert "shop/batch-1" in late.text()


def test_force_deletes_neither_what_is_skipped_nor_what_is_refused():
    late = {"since": NOW - 61, "timeout": "1m", "onTimeout": "Force"}
    assert look([agent()], **AGENT, **late).state is DrainState.DRAINED
    data = look([pod("cache", empty_dir=True), pod("web")], deleteEmptyDir=False, **late)
    assert (data.state, data.delete) == (DrainState.BLOCKED, ())
    alone = look([pod("alone", controller="")], unmanagedPods="Refuse", **late)
    assert (alone.state, alone.delete) == (DrainState.BLOCKED, ())


# -- what others got wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", list(EvictionAnswer))
def test_no_answer_to_an_eviction_makes_a_pod_that_is_there_a_drained_one(answer):
    for age in (0.5, 50):
        outcome = look([pod("a")], {"uid-a": EvictionResult(answer, NOW - age, 1, "why")})
        assert outcome.state is not DrainState.DRAINED
        assert "shop/a" in outcome.text()


def test_between_two_tries_the_pod_is_named_as_before():
    for answer in (EvictionAnswer.THROTTLED, EvictionAnswer.ACCEPTED):
        resting = look([pod("a")], {"uid-a": EvictionResult(answer, NOW - 0.5)})
        assert (resting.evict, resting.text()) == ((), "evicting: shop/a")


def test_a_failed_eviction_is_named_once():
    failed = look([pod("a")], {"uid-a": EvictionResult(EvictionAnswer.FAILED, NOW - 5, 1, "two budgets")})
    assert failed.text() == "eviction failed, two budgets: shop/a"


def test_a_pod_whose_namespace_ends_is_waited_for_with_growing_pauses_and_blocks_nothing():
    def tried(attempts, after):
        result = EvictionResult(EvictionAnswer.NAMESPACE_ENDS, NOW - after, attempts, "is being terminated")
        return look([pod("a"), pod("b")], {"uid-a": result})

    assert names(tried(4, 7.9).evict) == ["b"]
    assert names(tried(4, 8).evict) == ["a", "b"]
    assert tried(4, 7.9).state is DrainState.EVICTING
    assert tried(4, 7.9).text() == "deleted with their namespace: shop/a; evicting: shop/b"


def draining(*pods, node=None, results=None, **drain):
    pairs = (node or cordoned(since=NOW - 10), staged())
    return decide(os(drain=drain), pairs, pods={"node-1": pods}, evictions=results or {})


def test_a_pod_that_may_finish_is_a_reason_of_its_own_and_no_order_is_given_before():
    decision = draining(batch(), **BATCH)
    assert done(decision, SetOrders) == done(decision, Evict) == []
    [row] = decision.statuses["workers"].waiting
    assert (row.reason, row.message) == (
        WaitReason.PODS_RUNNING,
        "may finish by drain.podRules: shop/batch-1",
    )
    assert len(done(draining(batch(finished=True), **BATCH), SetOrders)) == 1


@pytest.mark.parametrize("then", ["Skip", "Abort"])
def test_the_time_of_a_drain_runs_on_through_a_restart_of_the_operator(then):
    """A process that starts anew knows no answer to any eviction; since when, the node says."""
    late = cordoned(since=NOW - 60)
    decision = draining(pod("web"), node=late, timeout="1m", onTimeout=then)
    assert [entry.reason for entry in decision.statuses["workers"].failed] == [WaitReason.DRAIN_FAILED]
    forced = draining(pod("web"), node=late, timeout="1m", onTimeout="Force")
    assert [one.pod.name for one in done(forced, DeletePod)] == ["web"]


def test_a_pod_in_deletion_on_a_dead_node_blames_the_node_and_is_given_up_in_time():
    hung = pod("web", deleted_at=NOW - 500)
    [row] = draining(hung, node=cordoned(ready=False)).statuses["workers"].waiting
    assert row.reason is WaitReason.NOT_READY
    assert row.message.endswith("terminating: shop/web")
    late = cordoned(ready=False, since=NOW - 61)
    for then in ("Skip", "Abort"):
        failed = draining(hung, node=late, timeout="1m", onTimeout=then).statuses["workers"].failed
        assert [entry.reason for entry in failed] == [WaitReason.DRAIN_FAILED]
    forced = draining(hung, node=late, timeout="1m", onTimeout="Force")
    assert (reasons(forced), done(forced, SetOrders)) == ({"node-1": "NotReady"}, [])


def test_a_blocked_eviction_on_a_dead_node_is_still_named_as_blocked():
    results = {"uid-web": EvictionResult(EvictionAnswer.BLOCKED, NOW - 1, 1, "PodDisruptionBudget shop/web")}
    assert reasons(draining(pod("web"), node=cordoned(ready=False), results=results)) == {
        "node-1": "DrainBlocked"
    }
