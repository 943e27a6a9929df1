"""The shell's promises: our own writes are seen at once, fences hold, answers become values."""

import subprocess
import sys
from pathlib import Path

import pytest

from os_operator.core.actions import Cordon, Evict, SetOrders, SetTaints, Uncordon, WriteStatus
from os_operator.core.orders import stage
from os_operator.core.parse import cordon_note, cordon_text, instance_view, node_view, os_view
from os_operator.core.world import (
    CLOSED,
    NOT_CURRENT,
    Config,
    CordonNote,
    EvictionAnswer,
    OSView,
    Resolution,
)
from os_operator.shell.act import Actor, spec_of
from os_operator.shell.cache import Cache
from os_operator.shell.gather import Gather
from os_operator.shell.resolve import Resolver
from tests.sim.memory_cluster import NODE, OS, OSINSTANCE, PDB, MemoryCluster, Store
from tests.unit.operator_worlds import NEW, NOW, OLD, os, pod
from warmroot.api.os import OSStatus, ReleaseRef
from warmroot.errors import Conflict, Forbidden, NetworkError, WrongKey
from warmroot.kube.cluster import POD


@pytest.fixture
def api():
    return MemoryCluster(Store(lambda: NOW), "warmroot")


@pytest.fixture
def cache():
    return Cache()


def make_node(api, **spec):
    body = {"metadata": {"name": "n1", "labels": {}}, "spec": spec, "status": {"conditions": []}}
    return api.create(NODE, body)


def actor(api, cache, leading=lambda: True):
    return Actor(api, cache, leading)


NOTE = CordonNote("workers", NEW, NOW, ours=True)


def test_a_cordon_is_in_the_cache_before_any_watch_brings_it(api, cache):
    node = make_node(api)
    cache.put(NODE, node)
    actor(api, cache).carry_out([Cordon("n1", node["metadata"]["resourceVersion"], NOTE)], NOW)
    _, nodes, _ = cache.views()
    assert nodes["n1"].unschedulable
    assert nodes["n1"].note == NOTE
    assert nodes["n1"].cordon_is_ours


def test_an_older_word_of_a_watch_changes_nothing(api, cache):
    old = make_node(api)
    new = api.patch(NODE, "n1", {"spec": {"unschedulable": True}})
    cache.put(NODE, new)
    assert not cache.put(NODE, old)
    assert cache.views()[1]["n1"].unschedulable


def test_a_late_answer_brings_no_deleted_object_back(api, cache):
    node = make_node(api)
    cache.put(NODE, node)
    cache.remove(NODE, "n1", int(node["metadata"]["resourceVersion"]) + 1)
    cache.put(NODE, node)
    assert cache.views()[1] == {}


def test_a_heartbeat_wakes_nobody(api, cache):
    node = make_node(api)
    cache.put(NODE, node)
    assert not cache.put(NODE, api.patch(NODE, "n1", {"metadata": {"annotations": {"x": "y"}}}))
    assert cache.put(NODE, api.patch(NODE, "n1", {"spec": {"unschedulable": True}}))


FOREIGN = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
CLOSED_TAINT = {"key": NOT_CURRENT, "effect": CLOSED}


def test_a_taint_that_somebody_sets_in_between_is_not_lost(api, cache):
    node = make_node(api, taints=[CLOSED_TAINT])
    api.patch(NODE, "n1", {"spec": {"taints": [CLOSED_TAINT, FOREIGN]}})
    view = node_view(node)
    [outcome] = actor(api, cache).carry_out([SetTaints("n1", view.version, view.without_taint(CLOSED))], NOW)
    assert isinstance(outcome.error, Conflict)
    view = node_view(api.get(NODE, "n1"))
    [outcome] = actor(api, cache).carry_out([SetTaints("n1", view.version, view.without_taint(CLOSED))], NOW)
    assert outcome.error is None
    assert api.get(NODE, "n1")["spec"]["taints"] == [FOREIGN]
    assert cache.views()[1]["n1"].taints == (FOREIGN,)


def test_the_last_taint_leaves_no_empty_list(api, cache):
    node = make_node(api, taints=[CLOSED_TAINT])
    actor(api, cache).carry_out([SetTaints("n1", node["metadata"]["resourceVersion"], ())], NOW)
    assert "taints" not in api.get(NODE, "n1")["spec"]


def test_a_cordon_writes_taints_only_where_it_is_told_to(api, cache):
    node = make_node(api, taints=[FOREIGN])
    act = actor(api, cache)
    act.carry_out([Cordon("n1", node["metadata"]["resourceVersion"], NOTE)], NOW)
    assert api.get(NODE, "n1")["spec"]["taints"] == [FOREIGN]
    version = api.get(NODE, "n1")["metadata"]["resourceVersion"]
    act.carry_out([Cordon("n1", version, NOTE, taints=())], NOW)
    assert api.get(NODE, "n1")["spec"] == {"unschedulable": True}


def late_world(api, cache, count):
    """Nodes that joined late and hold another release, in the API and in the cache."""
    for number in range(count):
        name = f"late-{number:02}"
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        spec = {"taints": [CLOSED_TAINT]}
        node = api.create(NODE, {"metadata": {"name": name}, "spec": spec, "status": status})
        owner = [{"kind": "Node", "name": name, "uid": node["metadata"]["uid"]}]
        booted = {"slot": "A", "digest": OLD, "bootID": "b"}
        body = {
            "metadata": {"name": name, "ownerReferences": owner},
            "spec": {"os": "workers", "goal": "Stage", "release": {"version": "2", "digest": NEW}},
            "status": {"phase": "Staged", "booted": booted, "good": "A"},
        }
        cache.put(NODE, node)
        cache.put(OSINSTANCE, api.create(OSINSTANCE, body))


def pod_on(api, node, owner="ReplicaSet"):
    api.store.uids += 1
    meta = {
        "name": f"pod-{api.store.uids}",
        "namespace": "shop",
        "ownerReferences": [{"kind": owner, "controller": True, "name": "x", "uid": "x"}],
    }
    api.create(POD, {"metadata": meta, "spec": {"nodeName": node}})


def test_a_late_node_is_empty_while_only_pods_run_there_that_do_not_count(api, cache):
    late_world(api, cache, 2)
    pod_on(api, "late-00", "DaemonSet")
    pod_on(api, "late-01")
    gather = Gather(api, cache, lambda _: Resolution())
    assert gather.world(NOW).empty == {"late-00"}
    pod_on(api, "late-00")
    assert gather.world(NOW + 100).empty == {"late-00"}, "a quiet pass asks nothing"
    assert gather.world(NOW + 400).empty == frozenset()


def test_hundreds_of_late_nodes_are_looked_at_some_at_a_time(api, cache):
    late_world(api, cache, 50)
    gather = Gather(api, cache, lambda _: Resolution())
    assert [len(gather.world(NOW + later).empty) for later in range(4)] == [20, 40, 50, 50]


def test_pods_of_before_the_cordon_are_never_taken_for_those_of_a_drain(api, cache):
    late_world(api, cache, 1)
    gather = Gather(api, cache, lambda _: Resolution())
    version = gather.world(NOW).nodes["late-00"].version
    pod_on(api, "late-00")
    actor(api, cache).carry_out([Cordon("late-00", version, NOTE)], NOW)
    seen = gather.world(NOW + 0.1)
    assert len(seen.pods["late-00"]) == 1
    assert seen.empty == frozenset()


def test_an_administrator_who_cordons_in_between_wins(api, cache):
    node = make_node(api)
    api.patch(NODE, "n1", {"spec": {"unschedulable": True}})
    [outcome] = actor(api, cache).carry_out([Cordon("n1", node["metadata"]["resourceVersion"], NOTE)], NOW)
    assert isinstance(outcome.error, Conflict)
    assert "annotations" not in api.get(NODE, "n1")["metadata"]


def test_a_cordon_that_was_set_anew_by_a_person_is_not_ours(api, cache):
    node = make_node(api)
    actor(api, cache).carry_out([Cordon("n1", node["metadata"]["resourceVersion"], NOTE)], NOW)
    person = MemoryCluster(api.store, "kubectl-cordon")
    person.patch(NODE, "n1", {"spec": {"unschedulable": None}})
    view = node_view(person.patch(NODE, "n1", {"spec": {"unschedulable": True}}))
    assert not view.cordon_is_ours


def test_taking_our_note_off_leaves_a_cordon_that_is_not_ours(api, cache):
    node = make_node(api, unschedulable=True)
    act = actor(api, cache)
    note = CordonNote("workers", NEW, NOW, ours=False)
    act.carry_out([Cordon("n1", node["metadata"]["resourceVersion"], note)], NOW)
    version = api.get(NODE, "n1")["metadata"]["resourceVersion"]
    act.carry_out([Uncordon("n1", version, lift=False)], NOW)
    left = api.get(NODE, "n1")
    assert left["spec"]["unschedulable"] is True
    assert left["metadata"]["annotations"] == {}


def test_a_lost_lease_stops_the_very_next_write(api, cache):
    node = make_node(api)
    outcomes = actor(api, cache, lambda: False).carry_out(
        [Cordon("n1", node["metadata"]["resourceVersion"], NOTE)], NOW
    )
    assert outcomes == []
    assert not api.get(NODE, "n1")["spec"].get("unschedulable")


def test_a_lost_answer_is_read_again_before_anything_is_decided(api, cache):
    node = make_node(api)
    cache.put(NODE, node)

    class Lossy(MemoryCluster):
        def patch(self, *args, **options):
            super().patch(*args, **options)
            raise NetworkError("no answer")

    lossy = Lossy(api.store, "warmroot")
    Actor(lossy, cache, lambda: True).carry_out(
        [Cordon("n1", node["metadata"]["resourceVersion"], NOTE)], NOW
    )
    assert not cache.views()[1]["n1"].unschedulable
    world = Gather(api, cache, lambda _: Resolution()).world(NOW)
    assert world.nodes["n1"].unschedulable


def test_a_refused_eviction_becomes_a_value_that_names_the_budget(api, cache):
    meta = {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}}
    made = api.create(POD, {"metadata": meta, "spec": {}})
    selector = {"matchLabels": {"app": "web"}}
    api.create(PDB, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": selector}})
    api.create(
        PDB,
        {
            "metadata": {"name": "api", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "api"}}},
        },
    )
    api.store.disruptions = lambda _: False
    target = pod("web-1", uid=made["metadata"]["uid"], labels={"app": "web"})
    [outcome] = actor(api, cache).carry_out([Evict("n1", target)], NOW)
    assert outcome.error is None
    result = cache.evictions[target.uid]
    assert (result.answer, result.detail) == (EvictionAnswer.BLOCKED, "PodDisruptionBudget shop/web")


def test_an_eviction_in_a_namespace_that_ends_is_a_value_of_its_own(api, cache):
    """What the real API server answers is in tests/api/test_operator_drains.py."""

    class Ending(MemoryCluster):
        def create(self, *args, **options):
            raise Forbidden("because it is being terminated", status=403, cause="NamespaceTerminating")

    actor(Ending(api.store), cache).carry_out([Evict("n1", pod("web-1"))], NOW)
    assert cache.evictions["uid-web-1"].answer is EvictionAnswer.NAMESPACE_ENDS


def test_orders_take_away_what_they_do_not_name(api, cache):
    spec = {"os": "workers", "goal": "Activate", "config": "{}", "configRevision": "sha256:0",
            "reboot": {"id": "x", "deadline": "2027-01-15T08:00:00Z"},
            "release": {"version": "2", "digest": NEW, "sources": []}}  # fmt: skip
    owner = [{"kind": "Node", "name": "n1", "uid": "u"}]
    made = api.create(OSINSTANCE, {"metadata": {"name": "n1", "ownerReferences": owner}, "spec": spec})
    release = ReleaseRef(version="3", source="file:///r")
    orders = stage("workers", release, NEW, Config(), 100, ())
    actor(api, cache).carry_out([SetOrders("n1", made["metadata"]["resourceVersion"], orders)], NOW)
    left = api.get(OSINSTANCE, "n1")["spec"]
    assert not {"reboot", "config", "configRevision"} & set(left)
    assert left["stagingBandwidth"] == 100
    assert orders.stand(instance_view(api.get(OSINSTANCE, "n1")))
    assert spec_of(orders)["goal"] == "Stage"


def test_a_status_is_not_written_over_an_edit_that_it_does_not_know(api, cache):
    made = api.create(
        OS, {"metadata": {"name": "workers"}, "spec": {"release": {"version": "2", "source": "file:///r"}}}
    )
    cache.put(OS, made)
    api.patch(OS, "workers", {"spec": {"rollout": {"paused": True}}})
    write = WriteStatus("workers", made["metadata"]["resourceVersion"], OSStatus())
    [outcome] = actor(api, cache).carry_out([write], NOW)
    assert isinstance(outcome.error, Conflict)


def test_a_note_survives_the_annotation_and_a_foreign_one_is_never_ours():
    assert cordon_note(cordon_text(NOTE)) == NOTE
    assert not cordon_note("not json").ours
    assert cordon_note(None) is None


def test_a_spec_that_can_t_be_followed_is_a_problem_that_names_its_field():
    windows = [{"cron": "0 1 * * 6", "duration": "4h", "timeZone": "Europe/Atlantis"}]
    view = os_view(
        {"metadata": {"name": "w", "uid": "u", "resourceVersion": "1"},
         "spec": {"release": {"version": "2", "source": "file:///r"}, "rollout": {"windows": windows}}}
    )  # fmt: skip
    assert view.spec is None
    assert view.problem.startswith("spec.rollout.windows: window '0 1 * * 6' in 'Europe/Atlantis'")


def test_a_version_is_resolved_once_and_a_refusal_is_told():
    asked = []

    def ask(sources, version):
        asked.append((tuple(sources), version))
        if version == "2":
            raise WrongKey("too few signatures")
        return NEW

    import threading

    answered = threading.Event()
    resolver = Resolver(ask, answered.set)
    unpinned: OSView = os(digest=None)
    assert resolver(unpinned) == Resolution()
    assert answered.wait(5)
    assert (resolver(unpinned).reason, resolver(unpinned).digest) == ("WrongKey", None)
    assert asked == [(("https://releases.example",), "2")]
    resolver.close()


def test_a_source_that_never_answers_holds_no_process_up():
    code = """if True:
        import threading
        from os_operator.shell.resolve import Resolver
        from tests.unit.operator_worlds import os

        asked = threading.Event()

        def ask(sources, version):
            asked.set()
            threading.Event().wait()

        resolver = Resolver(ask, lambda: None)
        resolver(os(digest=None))
        asked.wait()
        resolver.close()
    """
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=30, check=False).returncode == 0


def test_a_pinned_release_is_asked_of_nobody():
    assert Resolver(None, lambda: None)(os()) == Resolution()
    assert Resolver(None, lambda: None)(os(digest=None)).reason == "NoTrustedRoot"
