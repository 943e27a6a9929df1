"""Which pods go when, and what is said about the rest."""

from os_operator.core.drain import SYSTEM_CRITICAL, DrainState, assess
from os_operator.core.world import EvictionAnswer, EvictionResult
from tests.unit.operator_worlds import NOW, pod
from warmroot.api.os import Drain


def names(pods):
    return [one.name for one in pods]


def look(pods, results=None, since=NOW - 5, now=NOW, **rules):
    return assess(pods, results or {}, Drain.model_validate(rules), since, now)


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
