"""The swarm's clock and its hands on an API server, without one."""

from __future__ import annotations

import threading

import pytest

from testbed.swarm.clock import RealTime
from testbed.swarm.live import LiveRecords
from tests.waiting import until
from warmroot.errors import Bug, NetworkError
from warmroot.kube import kubeconfig
from warmroot.kube.cluster import NODE, OSINSTANCE


@pytest.fixture
def time():
    clock = RealTime("test")
    clock.start()
    yield clock
    clock.end()


def test_what_is_due_is_done_in_order_and_in_one_thread(time):
    done = []
    for delay in (0.03, 0.01, 0.02):
        time.after(delay, lambda delay=delay: done.append((delay, threading.current_thread().name)))
    until(lambda: len(done) == 3)
    assert done == [(0.01, "test"), (0.02, "test"), (0.03, "test")]


def test_the_clock_knows_how_late_it_was(time):
    held = threading.Event()
    time.after(0, lambda: held.wait(0.2))
    time.after(0, held.clear)
    until(lambda: time.late > 0.1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_fails_is_not_swallowed(time):
    time.check()
    time.after(0, lambda: 1 / 0)

    def failed():
        try:
            time.check()
        except Bug as error:
            return "ZeroDivisionError" in str(error)
        return False

    until(failed)


# -- writes ------------------------------------------------------------------------------------------------


class Time:
    """Keeps what is due until it is asked to do it."""

    now = 0.0

    def __init__(self):
        self.due = []

    def after(self, delay, what):
        self.due.append(what)

    def run(self):
        due, self.due = self.due, []
        for what in due:
            what()


class Server:
    """Stores what is patched; `down` answers nothing."""

    def __init__(self):
        self.down, self.version, self.said = False, 10, []

    def patch(self, kind, name, body, *, subresource):
        if self.down:
            raise NetworkError("nobody there")
        self.version += 1
        self.said.append(body["status"])
        meta = {"name": name, "uid": "u", "resourceVersion": str(self.version), "generation": 7}
        return {"metadata": meta, "status": body["status"]}


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(kubeconfig, "load", lambda _: kubeconfig.KubeConfig("https://server"))
    path = tmp_path / "kubeconfig"
    time, server = Time(), Server()
    records = LiveRecords(time, path, path)
    monkeypatch.setattr(records, "_writers", {OSINSTANCE: server, NODE: server})
    yield records, time, server
    records.end()


def item(version, **status):
    meta = {"name": "n", "uid": "u", "resourceVersion": str(version), "generation": 7}
    return {"metadata": meta, "status": status}


def test_a_node_that_says_it_already_is_not_written(world):
    records, _, server = world
    standing = {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": None}], "images": []}
    records.tell(item(1, **standing), {"conditions": [{"type": "Ready", "status": "True"}]})
    assert server.said == []
    records.tell(item(1, **standing), {"conditions": [{"type": "Ready", "status": "False"}]})
    assert len(server.said) == 1


def test_a_write_that_failed_is_repeated_unless_something_newer_was_said(world):
    records, time, server = world
    server.down = True
    records.report(item(1), {"phase": "Staging"})
    records.report(item(1), {"phase": "Staged"})
    server.down = False
    time.run()
    assert server.said == [{"phase": "Staged"}]
    assert records.failed == 2


def test_what_an_answer_brought_first_is_told_when_the_watch_brings_it_later(world):
    records, time, _ = world
    heard = []
    records._heard = heard.append
    records.report(item(1), {"phase": "Staged"})
    records._noter(OSINSTANCE)(False, item(5))
    time.run()
    assert heard == [records.instance("n")]
    assert records.instance("n")["metadata"]["resourceVersion"] == "11"
