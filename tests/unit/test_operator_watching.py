"""Informers and the loop: gaps in a watch, an API server that is away or wants to be left alone."""

import json
import threading
import time
import tracemalloc

import pytest

from os_operator.core.actions import Cordon, Uncordon
from os_operator.core.plan import Decision
from os_operator.core.world import CordonNote
from os_operator.shell.act import Actor, Outcome
from os_operator.shell.cache import Cache
from os_operator.shell.loop import Engine
from tests.sim.memory_cluster import NODE, MemoryCluster, Store
from tests.unit.operator_worlds import NEW, NOW
from tests.waiting import until
from warmroot.errors import Forbidden, Gone, NetworkError, TooManyRequests
from warmroot.kube import informer, passes
from warmroot.kube.cluster import RestCluster, WatchEvent
from warmroot.kube.informer import Informer
from warmroot.kube.passes import Loop
from warmroot.kube.transport import Response

NOTE = CordonNote("workers", NEW, NOW, ours=True)


class Scripted(MemoryCluster):
    """Each watch is the next of `watches`: a list of what it brings, an error among it is raised."""

    def begin(self, *watches):
        self.watches, self.versions, self.lists = list(watches), [], 0
        self.idle = threading.Event()
        return self

    def list(self, kind, **options):
        self.lists += 1
        return super().list(kind, **options)

    def watch(self, kind, resource_version, **_):
        self.versions.append(resource_version)
        if not self.watches:
            self.idle.wait(10)
            return
        for step in self.watches.pop(0):
            event = step() if callable(step) else step
            if isinstance(event, Exception):
                raise event
            if event is not None:
                yield event


@pytest.fixture
def api():
    store = Store(lambda: NOW)
    cluster = Scripted(store, "warmroot")
    for name in ("n1", "n2"):
        cluster.create(NODE, {"metadata": {"name": name, "labels": {}}, "spec": {}, "status": {}})
    return cluster


@pytest.fixture
def watching(api):
    running = []

    def start(*watches, guard=None):
        cache, woken = Cache(lambda: NOW), []
        watcher = Informer(api.begin(*watches), NODE, cache.of(NODE), lambda: woken.append(1))
        running.append(watcher)
        work = (guard, [watcher.run]) if guard else (watcher.run, [])
        threading.Thread(target=work[0], args=work[1], daemon=True).start()
        return cache, woken

    yield start
    for watcher in running:
        watcher.stop()
        api.idle.set()


def test_what_was_deleted_and_changed_while_the_version_was_forgotten_is_known_after_the_next_list(
    api, watching
):
    def meanwhile():
        api.delete(NODE, "n2")
        api.patch(NODE, "n1", {"spec": {"unschedulable": True}})
        return Gone("too old resource version", status=410)

    cache, woken = watching([meanwhile])
    until(lambda: len(api.versions) == 2)
    nodes = cache.views()[1]
    assert list(nodes) == ["n1"]
    assert nodes["n1"].unschedulable
    assert len(woken) == 2
    assert api.versions[1] == str(api.store.version), "it watches on from the list"


def test_a_watch_that_breaks_goes_on_from_the_last_version_without_a_list(api, watching, monkeypatch):
    monkeypatch.setattr(informer, "RETRY", 0.01)
    bookmark = WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "900"}})
    watching([bookmark, NetworkError("reset")])
    until(lambda: len(api.versions) == 2)
    assert api.versions[1] == "900"
    assert api.lists == 1


def test_a_refused_watch_lists_again_and_never_waits_longer_than_seconds(api, watching, monkeypatch):
    monkeypatch.setattr(informer, "RETRY", 0.01)
    monkeypatch.setattr(informer, "LAST_RETRY", 0.02)
    began = time.monotonic()
    watching(*[[Forbidden("not now", status=403)] for _ in range(8)])
    until(lambda: len(api.versions) == 9)
    assert api.lists == 9
    assert time.monotonic() - began < 2


def test_an_object_that_can_not_be_read_ends_the_process_and_not_just_its_watch(api, watching):
    ended = []

    def guard(run):
        try:
            run()
        except KeyError as error:
            ended.append(error)

    watching([WatchEvent("ADDED", {"metadata": {"name": "odd", "resourceVersion": "901"}})], guard=guard)
    until(lambda: ended)


def busy(seconds):
    error = TooManyRequests("the server is overloaded", status=429)
    error.retry_after = seconds
    return error


def test_an_informer_waits_as_long_as_the_api_server_asks(api, watching, monkeypatch):
    monkeypatch.setattr(informer, "RETRY", 0.01)
    began = time.monotonic()
    watching([busy(0.3)])
    until(lambda: len(api.versions) == 2)
    assert time.monotonic() - began >= 0.3


class Scripting(Engine):
    """Each pass comes to the next answer."""

    def __init__(self, *answers):
        self.answers, self.at = list(answers), []

    def one_pass(self, now):
        self.at.append(time.monotonic())
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        return Decision((), {}, None), answer


@pytest.mark.parametrize(
    "answer", [busy(0.5), [Outcome(Uncordon("n1", "1", lift=True), busy(0.5))]], ids=["a read", "a write"]
)
def test_no_pass_comes_before_the_time_that_the_api_server_asked_for_whatever_happens(answer, monkeypatch):
    monkeypatch.setattr(passes, "RETRY", 0.01)
    engine = Scripting(answer)
    running = Loop(engine, lambda: True)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    until(lambda: engine.at)
    running.wake()
    until(lambda: running.wake() or len(engine.at) >= 2)
    running.stop()
    thread.join(10)
    assert engine.at[1] - engine.at[0] >= 0.5


def test_a_pass_that_is_told_to_wait_sends_nothing_more():
    class Overloaded(MemoryCluster):
        sent = 0

        def patch(self, *args, **options):
            self.sent += 1
            raise busy(1.0)

    api, cache = Overloaded(Store(lambda: NOW)), Cache(lambda: NOW)
    outcomes = Actor(api, cache, lambda: True).carry_out(
        [Cordon("n1", "1", NOTE), Cordon("n2", "1", NOTE)], NOW
    )
    assert len(outcomes) == api.sent == 1


def test_a_refusal_of_one_object_that_names_no_time_holds_no_other_up():
    class Webhook(MemoryCluster):
        sent = 0

        def patch(self, *args, **options):
            self.sent += 1
            raise busy(0.0)

    api = Webhook(Store(lambda: NOW))
    Actor(api, Cache(lambda: NOW), lambda: True).carry_out(
        [Cordon("n1", "1", NOTE), Cordon("n2", "1", NOTE)], NOW
    )
    assert api.sent == 2


def test_a_step_of_the_wall_clock_neither_stops_passes_nor_looks_like_a_standstill():
    engine, wall = Scripting(), [NOW]
    running = Loop(engine, lambda: True, clock=lambda: wall[0])
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    for step in (-86400.0, 86400.0, 300.0):
        before = len(engine.at)
        wall[0] += step
        running.wake()
        until(lambda before=before: len(engine.at) > before)
        assert running.quiet < 60
    running.stop()
    thread.join(10)


class Large:
    """A transport to a fleet of nodes as kubelets write them: most of each is what nobody needs here."""

    def __init__(self, count):
        self.count, self.pages = count, 0

    def request(self, method, path, *, query, **_):
        self.pages += 1
        begin = int(query.get("continue", 0))
        end = min(self.count, begin + int(query["limit"]))
        meta = {"resourceVersion": "1000"} | ({"continue": str(end)} if end < self.count else {})
        items = [self.node(number) for number in range(begin, end)]
        return Response(200, json.dumps({"items": items, "metadata": meta}).encode())

    def node(self, number):
        meta = {"name": f"n{number}", "uid": f"u{number}", "resourceVersion": "7"}
        images = [{"names": [f"registry.example/{number}/{one}"], "sizeBytes": one} for one in range(20)]
        return {"metadata": meta, "spec": {}, "status": {"images": images, "conditions": []}}

    def stream(self, path, *, query, timeout):
        raise NetworkError("no watch here")


def peak(page):
    """Bytes that a list of a fleet takes at its height."""
    transport, cache = Large(200), Cache(lambda: NOW)
    watcher = Informer(RestCluster(transport, page=page), NODE, cache.of(NODE), lambda: None)
    tracemalloc.start()
    try:
        threading.Thread(target=watcher.run, daemon=True).start()
        assert watcher.synced.wait(20)
        highest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        watcher.stop()
    assert len(cache.views()[1]) == 200
    assert transport.pages == 200 // page
    return highest


def test_a_list_of_a_large_fleet_takes_the_memory_of_one_page():
    assert peak(10) < peak(200) / 5
