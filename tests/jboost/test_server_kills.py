"""Replicas are equal, and any may die between any two writes: whoever asks again finishes what was begun."""

import itertools
import os
import signal
import socket
import subprocess
import sys

import pytest

from jboost_server import garbage
from jboost_server.builds import Builds, Result
from jboost_server.catalogue import Catalogue
from jboost_server.core import layout
from jboost_server.core.layout import KeyPlace
from jboost_server.core.manifest import verify
from jboost_server.core.retention import Retention
from jboost_server.settings import Policy
from jboost_server.store.directory import DirectoryStore
from jboost_server.sweep import finish, sweep
from tests.jboost.faulty_store import FaultyStore, Killed, OnlyAt, later, lost
from tests.jboost.server_world import CLASSES, PLAIN, SIGNER, WARM, Clock, digest, process, running
from tests.jboost_world import KEY, SCOPE
from tests.waiting import until
from warmroot.errors import StoreUnavailable

PLACE = KeyPlace(SCOPE, KEY.digest)
ARCHIVE = b"an archive" * 1000
RESULT = Result(digest(ARCHIVE), (), tuple(PLAIN), tuple(WARM))


class Pods:
    """Pods and a builder, who ask again whatever happened, each time another replica."""

    def __init__(self, store, clock):
        self.clock = clock
        self.store = store
        self.lease = None

    def replica(self):
        return Catalogue(self.store, SIGNER, Policy(fresh=0.0), clock=self.clock, monotonic=lambda: 0.0)

    def learn(self):
        if self.lease is None:
            answer = self.replica().lookup(SCOPE, KEY, record=True, pod="pod")
            assert answer.recorder is not None, answer
            self.lease = answer.recorder.lease
        self.replica().record(PLACE, self.lease, digest(CLASSES), len(CLASSES), [CLASSES], run=(60, 10))

    def build(self):
        builds = Builds(self.replica())
        order = builds.order(SCOPE, KEY, "builder")
        if order is None:
            return
        with builds.input(SCOPE.tenant, order.id) as found:
            assert digest(b"".join(found.chunks)) == order.input
        builds.archive(SCOPE.tenant, order.id, digest(ARCHIVE), len(ARCHIVE), [ARCHIVE])
        assert builds.result(SCOPE.tenant, order.id, RESULT).state == "serving"


def is_whole(store):
    """What is proposed can be fetched, and is what was signed."""
    answer = Catalogue(store, SIGNER, Policy(fresh=0.0), clock=lambda: 0.0, monotonic=lambda: 0.0).lookup(
        SCOPE, KEY, record=False, pod="reader"
    )
    for envelope in answer.proposals:
        signed = verify(envelope, SIGNER.publics)
        with store.get(layout.archive(SCOPE.tenant, signed.digest)) as opened:
            assert digest(b"".join(opened.chunks)) == signed.digest
    return bool(answer.proposals)


def life(pods):
    pods.learn()
    pods.build()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_service_that_dies_at_any_write_serves_nothing_half_written_and_the_next_one_finishes(
    tmp_path, after, tally
):
    for number in itertools.count():
        store = DirectoryStore(tmp_path / str(number))
        clock = Clock()
        faulty = FaultyStore(store, die_at=number, after=after)
        pods = Pods(faulty, clock)
        try:
            life(pods)
        except Killed:
            pass
        else:
            break  # it was never reached: all were tried
        is_whole(store)
        if pods.lease is None:
            clock.now += Policy().lease  # whoever took the lease never heard of it; it ends by itself
        pods.store = store
        life(pods)
        assert is_whole(store), f"change {number}"
        assert len(list(pods.replica().recordings(PLACE))) == 1
        assert Builds(pods.replica()).order(SCOPE, KEY, "builder") is None
    assert number == 12
    tally("deaths of a cache service between two writes", number)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_sweep_that_dies_at_any_deletion_is_finished_by_the_next_one(tmp_path, after, tally):
    for number in itertools.count():
        store = DirectoryStore(tmp_path / str(number))
        clock = Clock()
        life(Pods(store, clock))
        long_after = int(clock.now) + 10**9
        try:
            garbage.collect(FaultyStore(store, die_at=number, after=after), Retention(), long_after)
        except Killed:
            is_whole(store)
            garbage.collect(store, Retention(), long_after)
            assert list(store.list()) == [], f"deletion {number}"
        else:
            break
    assert number >= 10
    tally("deaths of a sweep between two deletions", number)


def test_what_is_swept_while_it_is_published_is_not_served(tmp_path):
    """The sweeper has looked, and is about to delete; then the manifest is written."""
    store, clock = DirectoryStore(tmp_path), Clock()
    pods = Pods(store, clock)
    pods.learn()
    builds = Builds(pods.replica())
    order = builds.order(SCOPE, KEY, "builder")
    builds.archive(SCOPE.tenant, order.id, digest(ARCHIVE), len(ARCHIVE), [ARCHIVE])
    store.put_new(layout.doomed(SCOPE.tenant, digest(ARCHIVE)), [b""], 0)
    with pytest.raises(StoreUnavailable, match="swept"):
        builds.result(SCOPE.tenant, order.id, RESULT)
    assert not is_whole(store)
    store.delete(layout.archive(SCOPE.tenant, digest(ARCHIVE)))
    store.delete(layout.doomed(SCOPE.tenant, digest(ARCHIVE)))
    pods.build()
    assert is_whole(store)


def test_of_two_sweepers_of_one_archive_one_deletes_and_what_is_published_meanwhile_is_whole(tmp_path):
    """The first has found that nobody names the archive, and deletes it last of all."""
    store, clock = DirectoryStore(tmp_path), Clock()
    pods = Pods(store, clock)
    pods.learn()
    builds = Builds(pods.replica())
    order = builds.order(SCOPE, KEY, "builder")
    builds.archive(SCOPE.tenant, order.id, digest(ARCHIVE), len(ARCHIVE), [ARCHIVE])

    def meanwhile(method, name):
        if method == "delete" and name == layout.compressed(SCOPE.tenant, digest(ARCHIVE)):
            assert not sweep(store, SCOPE.tenant, digest(ARCHIVE))
            with pytest.raises(StoreUnavailable, match="swept"):
                builds.result(SCOPE.tenant, order.id, RESULT)

    assert sweep(FaultyStore(store, fault=meanwhile), SCOPE.tenant, digest(ARCHIVE))
    assert not is_whole(store)
    pods.build()
    assert is_whole(store)


def test_of_two_who_finish_a_dead_sweepers_work_one_does(tmp_path):
    store = DirectoryStore(tmp_path)
    doomed = layout.doomed(SCOPE.tenant, digest(ARCHIVE))
    store.put_new(doomed, [b"left by a dead one"], 18)
    stat = store.stat(doomed)
    taken = []

    def meanwhile(method, name):
        if method == "delete" and not taken:
            taken.append(finish(store, SCOPE.tenant, digest(ARCHIVE), stat))

    assert finish(FaultyStore(store, fault=meanwhile), SCOPE.tenant, digest(ARCHIVE), stat)
    assert taken == [False]


def test_a_store_that_answers_503_at_any_call_is_asked_again(tmp_path, tally):
    for number in itertools.count():
        store, clock = DirectoryStore(tmp_path / str(number)), Clock()
        fault = OnlyAt(number, later())
        pods = Pods(FaultyStore(store, fault=fault), clock)
        for step in (pods.learn, pods.build):
            try:
                step()
            except StoreUnavailable:
                is_whole(store)
                if pods.lease is None:
                    clock.now += Policy().lease
                step()
        assert is_whole(store), f"call {number}"
        if fault.calls <= number:
            break
    assert number > 30
    tally("calls of the store that failed once", number)


def test_a_write_that_is_lost_is_decided_anew(tmp_path):
    store, writes = DirectoryStore(tmp_path), itertools.count()

    def fault(method, name):
        if method.startswith("put") and name.endswith(".json") and next(writes) % 2:
            raise lost()

    pods = Pods(FaultyStore(store, fault=fault), Clock())
    while pods.lease is None:
        answer = pods.replica().lookup(SCOPE, KEY, record=True, pod="pod")
        pods.lease = answer.recorder and answer.recorder.lease
    pods.learn()
    assert len(list(pods.replica().recordings(PLACE))) == 1


def test_a_store_that_does_not_answer_is_told_to_all_and_forgotten_when_it_does(tmp_path):
    def fault(method, name):
        if broken:
            raise later()

    broken = False
    store = FaultyStore(DirectoryStore(tmp_path), fault=fault)
    with running(store) as client:
        name = client.publish(ARCHIVE)
        broken = True
        for method, path, more in (
            ("POST", "/v1/lookup", {"json": {"group": "orders", "key": KEY.tree(), "record": False}}),
            ("GET", f"/v1/archives/{name}", {}),
            ("GET", "/v1/status", {}),
        ):
            answer = client.ask(method, path, **more)
            assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "StoreUnavailable")
            assert answer.headers["Retry-After"]
        assert client.ask("GET", "/readyz").status_code == 503
        assert client.ask("GET", "/healthz").status_code == 200
        broken = False
        assert client.ask("GET", "/readyz").status_code == 200
        assert client.lookup()["outcome"] == "hit"


def serving(store):
    return process(["-m", "jboost_server.web", "--store", store, "--listen", "127.0.0.1:0"])


def test_a_service_that_is_killed_in_the_middle_of_an_upload_leaves_nothing_half_written(tmp_path):
    store = tmp_path / "store"
    with serving(store) as first:
        lease = first.client.lease()
        path = f"/v1/recordings/{digest(CLASSES)}?group=orders&key={KEY.digest}&lease={lease}"
        with socket.create_connection(first.client.address) as connection:
            head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CLASSES)}\r\n\r\n"
            connection.sendall(head.encode() + CLASSES[:20])
            until(lambda: list((store / ".new").glob("*.part")), what="the upload is being written")
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
    assert list((store / ".new").glob("*.part"))
    with serving(store) as second:
        assert list((store / ".new").glob("*.part")) == []
        assert second.client.record(lease).status_code == 201
        assert second.client.lookup()["outcome"] == "missing"


def test_sigterm_ends_the_service_with_code_0_and_what_was_reported_is_written(tmp_path):
    with serving(tmp_path / "store") as service:
        name = service.client.publish(ARCHIVE)
        service.client.outcome("hit", name, total=1)
        service.client.session.close()
        service.process.terminate()
        assert service.process.wait(timeout=20) == 0
    with serving(tmp_path / "store") as service:
        keys = service.client.ask("GET", "/v1/status").json()["groups"][0]["keys"]
        assert keys[0]["hits"] == 1


def test_the_first_start_makes_a_key_for_agents_and_says_so(tmp_path):
    with serving(tmp_path / "store") as service:
        assert any("made a signing key" in line["message"] for line in service.log)
        mode = (tmp_path / "store/signing.pem").stat().st_mode & 0o777
        lines = (tmp_path / "store/public.keys").read_text().splitlines()
    assert (mode, len(lines), len(lines[0])) == (0o600, 1, 44)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--listen", "0.0.0.0:0"], "one tenant"),
        (["--listen", "nowhere"], "no address"),
        (["--recorders", "100"], "makes no sense"),
        (["--store", "s3://"], "names no bucket"),
        (["--key", "/missing"], "can't be read"),
    ],
)
def test_options_that_can_not_be_are_refused_in_words(tmp_path, more, words):
    command = [sys.executable, "-m", "jboost_server.web", "--store", tmp_path / "store", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert words in done.stderr
