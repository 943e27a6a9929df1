"""What the operator tells Prometheus: each name of docs/metrics.md, bounded, and only while it leads."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from os_operator.core.actions import SetFinalizer
from os_operator.core.world import EvictionAnswer, EvictionResult
from os_operator.shell import metrics as module
from os_operator.shell.act import Actor, Outcome
from os_operator.shell.cache import Cache
from os_operator.shell.gather import Gather
from os_operator.shell.loop import Engine
from os_operator.shell.metrics import Metrics
from os_operator.shell.requests import CountedTransport, resource_of
from tests.sim.memory_cluster import MemoryCluster, Store
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    cordoned,
    current,
    decide,
    failure,
    fleet,
    idle,
    node,
    ordered,
    os,
    pod,
    staged,
)
from warmroot.api.os import HistoryEntry, OSStatus
from warmroot.api.reasons import NodePhase
from warmroot.errors import Conflict
from warmroot.kube.cluster import OSINSTANCE, RestCluster
from warmroot.kube.passes import Loop
from warmroot.kube.transport import Response

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()
STATES = {"total", "updated", "staged", "in_progress", "failed", "unavailable"}


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def told(registry):
    return Metrics(registry)


def series(registry, name):
    """Values by their labels' values."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def seen(told, *pairs, now=NOW, asked=None, **more):
    decision = decide(asked or os(), *pairs, now=now, **more)
    told.observe(decision, [], 0.001, now)
    return decision


# -- the page --------------------------------------------------------------------------------


def declared(monkeypatch):
    """Name, kind and labels of each metric that the operator has."""
    found = {}

    def watched(kind, make):
        def made(name, about, labels=(), **options):
            exported = f"{name}_total" if kind == "counter" else name
            found[exported] = (kind, tuple(labels))
            return make(name, about, labels, **options)

        return made

    for kind, make in (("gauge", Gauge), ("counter", Counter), ("histogram", Histogram)):
        monkeypatch.setattr(module, kind.capitalize(), watched(kind, make))
    Metrics(CollectorRegistry())
    return found


def test_the_page_names_each_metric_with_its_kind_and_labels_and_no_other(monkeypatch):
    rows = re.findall(r"^\| `(warmroot_\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
    assert {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows} == declared(
        monkeypatch
    )


# -- what they say -----------------------------------------------------------------------------------------


def test_nodes_are_counted_by_state(told, registry):
    seen(told, (node("node-1"), current("node-1")), (cordoned("node-2"), staged("node-2")))
    found = series(registry, "warmroot_os_nodes")
    assert {labels[1] for labels in found} == STATES
    assert found["workers", "total"] == 2
    assert found["workers", "updated"] == 1
    assert found["workers", "in_progress"] == 1


def test_a_large_fleet_makes_few_series_and_what_is_over_is_shown_no_more(told, registry):
    seen(told, *fleet(500, idle))
    many = series(registry, "warmroot_node_waiting_seconds")
    assert len(many) == 20
    seen(told, *[(one, replace(two, booted_digest=NEW)) for one, two in fleet(500, idle)], now=NOW + 1)
    assert series(registry, "warmroot_node_waiting_seconds") == {}


def test_a_wait_is_as_long_as_its_row_says(told, registry):
    seen(told, (cordoned(since=NOW - 90), staged()), pods={"node-1": (pod("web-1"),)})
    assert series(registry, "warmroot_node_waiting_seconds") == {("workers", "node-1", "Draining"): 90.0}


def test_an_object_that_is_gone_is_shown_no_more(told, registry):
    seen(told, (node(), idle()))
    told.observe(decide([], (node(), idle())), [], 0.001, NOW)
    assert series(registry, "warmroot_os_nodes") == {}


def phases(registry):
    return {
        labels[1]: (count, series(registry, "warmroot_node_phase_seconds_sum")[labels])
        for labels, count in series(registry, "warmroot_node_phase_seconds_count").items()
    }


def test_each_phase_of_a_node_is_measured_when_it_ends(told, registry):
    web = {"node-1": (pod("web-1"),)}
    steps = [
        (0, (node(), staged()), {}),
        (10, (cordoned(since=NOW + 10), staged()), {"pods": web}),
        (70, (cordoned(since=NOW + 10), ordered(phase="Activating")), {}),
        (100, (node(), current()), {}),
    ]
    seen(told, now=NOW - 1)
    for at, pair, more in steps:
        seen(told, pair, now=NOW + at, **more)
    assert phases(registry) == {"Cordoned": (1, 10.0), "Draining": (1, 60.0), "Rebooting": (1, 30.0)}


def test_a_phase_that_began_before_this_process_is_not_guessed(told, registry):
    seen(told, (cordoned(), ordered(phase="Activating")))
    seen(told, (node(), current()), now=NOW + 30)
    assert phases(registry) == {}


def test_the_time_that_is_left_is_told_where_it_was_measured_and_something_is_left(told, registry):
    times = {"started": "2027-01-01T00:00:00Z", "finished": "2027-01-01T00:10:00Z"}
    before = HistoryEntry(digest="sha256:" + "9" * 64, version="1", result="Complete", **times)
    asked = os(status=OSStatus(history=(before,)))
    half = [(node("node-1"), current("node-1")), (node("node-2"), idle("node-2"))]
    seen(told, *half, asked=asked)
    assert series(registry, "warmroot_rollout_eta_seconds") == {("workers",): 300.0}
    seen(told, half[0], asked=asked)
    assert series(registry, "warmroot_rollout_eta_seconds") == {}


def test_a_refused_eviction_counts_against_its_budget_until_it_is_over(told, registry):
    refused = EvictionResult(EvictionAnswer.BLOCKED, NOW, 1, "PodDisruptionBudget shop/web")
    throttled = EvictionResult(EvictionAnswer.THROTTLED, NOW, 1, "later")
    told.evictions({"a": refused, "b": refused, "c": throttled})
    assert series(registry, "warmroot_drain_blocked") == {("shop", "web"): 2.0}
    told.evictions({})
    assert series(registry, "warmroot_drain_blocked") == {}


def test_a_fallback_is_counted_once_and_those_before_the_process_not_at_all(told, registry):
    def status(*names):
        return os(status=OSStatus(target_digest=NEW, failed=tuple(failure(name) for name in names)))

    for names in (("node-1",), ("node-1", "node-2"), ("node-1", "node-2")):
        seen(told, *fleet(2), asked=status(*names))
    assert series(registry, "warmroot_fallbacks_total") == {("workers",): 1.0}


def test_an_action_is_counted_with_what_came_of_it(told, registry):
    action = SetFinalizer("workers", "1", present=True)
    told.observe(decide(os()), [Outcome(action), Outcome(action, Conflict("late", status=409))], 0.001, NOW)
    assert series(registry, "warmroot_actions_total") == {
        ("SetFinalizer", "Done"): 1.0,
        ("SetFinalizer", "Conflict"): 1.0,
    }
    assert series(registry, "warmroot_plan_seconds_count") == {(): 1.0}


def download(api, name, fetched, reused):
    staging = {"bytesFetched": fetched, "bytesReused": reused}
    return api.patch(OSINSTANCE, name, {"status": {"staging": staging}}, subresource="status")


def test_bytes_are_counted_as_they_come_and_a_download_that_begins_anew_adds_up(told, registry):
    api, cache = MemoryCluster(Store(lambda: NOW)), Cache()
    owner = [{"kind": "Node", "name": "n1", "uid": "u"}]
    body = {"metadata": {"name": "n1", "ownerReferences": owner}, "spec": {"os": "w", "goal": "Stage"}}
    cache.put(OSINSTANCE, api.create(OSINSTANCE, body))
    told.staged(cache.staged_bytes())
    for fetched, reused in ((100, 10), (300, 40), (50, 5)):
        assert not cache.put(OSINSTANCE, download(api, "n1", fetched, reused)), "progress wakes nobody"
        told.staged(cache.staged_bytes())
    assert series(registry, "warmroot_staging_bytes_total") == {("fetched",): 350.0, ("reused",): 45.0}


def test_every_request_is_counted_by_verb_and_resource(told, registry):
    class Answers:
        def request(self, method, path, **_):
            return Response(200, b'{"items": [], "metadata": {"resourceVersion": "1"}}')

    cluster = RestCluster(CountedTransport(Answers(), told.request))
    cluster.list(OSINSTANCE)
    cluster.get(OSINSTANCE, "n1")
    cluster.patch(OSINSTANCE, "n1", {}, subresource="status")
    cluster.patch(OSINSTANCE, "n1", {}, subresource="status")
    assert series(registry, "warmroot_api_requests_total") == {
        ("list", "osinstances"): 1.0,
        ("get", "osinstances"): 1.0,
        ("patch", "osinstances/status"): 2.0,
    }


@pytest.mark.parametrize(
    ("path", "resource", "named"),
    [
        ("/api/v1/nodes", "nodes", False),
        ("/api/v1/nodes/n1", "nodes", True),
        ("/api/v1/namespaces/shop/pods/web-1/eviction", "pods/eviction", True),
        ("/api/v1/pods", "pods", False),
        ("/apis/coordination.k8s.io/v1/namespaces/x/leases/y", "leases", True),
        ("/apis/warmroot.io/v1alpha1/oses/workers/status", "oses/status", True),
        ("/apis/events.k8s.io/v1/namespaces/default/events", "events", False),
    ],
)
def test_a_path_is_known_by_its_resource_and_never_by_a_name(path, resource, named):
    assert resource_of(path) == (resource, named)


def test_a_process_that_does_not_lead_shows_no_node(told, registry):
    api, cache = MemoryCluster(Store(lambda: NOW)), Cache()
    engine = Engine(Gather(api, cache, lambda _: None), Actor(api, cache, lambda: False), told)
    loop = Loop(engine, leading=lambda: loop.stop() or False)
    seen(told, (cordoned(), staged()))
    assert series(registry, "warmroot_os_nodes")
    loop.run()
    assert series(registry, "warmroot_os_nodes") == {}
    assert series(registry, "warmroot_node_waiting_seconds") == {}


def test_every_phase_that_is_measured_is_on_the_page():
    [row] = [line for line in PAGE.splitlines() if line.startswith("| `warmroot_node_phase_seconds`")]
    from os_operator.core.plan import UNDER_WAY

    named = {phase for phase in NodePhase if f"`{phase.value}`" in row}
    assert named == UNDER_WAY
