"""The judge of the audit log catches each broken promise, and nothing else: logs written by hand."""

from __future__ import annotations

import json
from itertools import count

import pytest

from testbed.controlplane.audit import Change
from testbed.swarm.judge import CORDON, Judge
from testbed.swarm.ports import stamp

OPERATOR, ADMIN, KUBELET, PROXY = "operator", "admin", "kubelet", "proxy"
OLD, NEW, OTHER = "sha256:old", "sha256:new", "sha256:other"
START = 1_800_000_000.0
"""A full minute."""
NODES = ("a", "b", "c", "d")


class Log:
    """An audit log that is written line by line. `at` is the time of the next line."""

    def __init__(self, **rollout) -> None:
        self.at = START
        self.changes = []
        self._versions = count(1)
        self._objects = {}
        self._last = {}
        for name in NODES:
            self.node(KUBELET, name, ready=True)
            self.instance(PROXY, name, status=runs(OLD))
        self.os(**rollout)
        self.at += 60

    def _write(self, user, resource, name, item) -> None:
        item["metadata"] |= {"name": name, "resourceVersion": str(next(self._versions))}
        copy = json.loads(json.dumps(item))
        self.changes.append(Change(self.at, self.at, user, resource, name, copy))

    def _object(self, resource, name):
        return self._objects.setdefault((resource, name), {"metadata": {}, "spec": {}, "status": {}})

    def node(self, user, name, cordoned=None, ready=None, note=None, pool="workers") -> None:
        item = self._object("nodes", name)
        item["metadata"]["labels"] = {"pool": pool}
        if cordoned is not None:
            item["spec"]["unschedulable"] = cordoned
        if ready is not None:
            item["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
        if note is not None:
            item["metadata"]["annotations"] = {CORDON: note} if note else {}
        self._write(user, "nodes", name, item)

    def begin(self, name, digest=NEW) -> None:
        """The operator cordons a node, and notes why."""
        self.node(OPERATOR, name, cordoned=True, note=json.dumps({"os": "workers", "digest": digest}))

    def end(self, name, digest=NEW) -> None:
        """The node came back with it, and serves again."""
        self.instance(PROXY, name, status=runs(digest))
        self.node(OPERATOR, name, cordoned=False, note="")

    def os(self, user=ADMIN, digest=NEW, notes=None, deleted=False, **rollout) -> None:
        item = {
            "metadata": {"annotations": notes or {}} | ({"deletionTimestamp": "now"} if deleted else {}),
            "spec": {
                "nodeSelector": {"matchLabels": {"pool": "workers"}},
                "release": {"digest": digest},
                "rollout": rollout,
            },
        }
        self._write(user, "oses", "workers", item)

    def instance(self, user, name, status=None, **spec) -> None:
        item = self._object("osinstances", name)
        item["spec"] = spec or item["spec"]
        item["status"] = status or item["status"]
        self._write(user, "osinstances", name, item)

    def order(self, name, id="1", goal="Activate", digest=NEW, lasts=600.0) -> None:
        reboot = {"id": id, "deadline": stamp(self.at + lasts)}
        self.instance(OPERATOR, name, goal=goal, release={"digest": digest}, reboot=reboot)

    def judged(self):
        judge = Judge(OPERATOR)
        judge.read(self.changes)
        return [text.split(": ", 1)[1] for text in judge.breaches]


def runs(digest, slot="A", good="A", **more):
    return {"booted": {"slot": slot, "digest": digest}, "good": good, **more}


def fell_back(order="1"):
    return runs(OLD, phase="FellBack", rebootID=order)


# -- the budget --------------------------------------------------------------------------------------------


def test_one_node_after_another_breaks_nothing():
    log = Log(maxUnavailable=1)
    for name in NODES:
        log.begin(name)
        log.at += 10
        log.end(name)
    assert log.judged() == []


def test_a_node_too_many_is_caught_at_once():
    log = Log(maxUnavailable=1)
    log.begin("a")
    log.begin("b")
    assert log.judged() == ["is taken as the node 2 that is down, 1 may be (maxUnavailable)"]


@pytest.mark.parametrize("down", [{"ready": False}, {"cordoned": True}])
def test_a_node_that_is_down_for_any_reason_counts(down):
    log = Log(maxUnavailable=1)
    log.node(KUBELET, "a", **down)
    log.at += 3
    log.begin("b")
    assert len(log.judged()) == 1


def test_what_the_operator_could_not_know_yet_does_not_count():
    log = Log(maxUnavailable=1)
    log.node(KUBELET, "a", ready=False)
    log.at += 1
    log.begin("b")
    assert log.judged() == []


def test_a_budget_that_was_lowered_a_moment_ago_still_allows():
    log = Log(maxUnavailable=2)
    log.begin("a")
    log.os(maxUnavailable=1)
    log.at += 1
    log.begin("b")
    assert log.judged() == []
    log.at += 3
    log.begin("c")
    assert len(log.judged()) == 1


def test_a_percentage_rounds_down_to_one_node_at_the_least():
    log = Log(maxUnavailable="49%")
    log.begin("a")
    assert log.judged() == []
    log.begin("b")
    assert len(log.judged()) == 1


def test_a_percentage_is_of_the_nodes_that_the_operator_may_still_know():
    log = Log(maxUnavailable="50%")
    log.begin("a")
    log.node(ADMIN, "d", pool="other")
    log.at += 1
    log.begin("b")
    assert log.judged() == []
    log.changes.pop()
    log.at += 3
    log.begin("b")
    assert len(log.judged()) == 1


def test_a_node_that_is_down_already_costs_nothing():
    log = Log(maxUnavailable=1)
    log.begin("a")
    log.node(ADMIN, "b", cordoned=True)
    log.at += 5
    log.begin("b")
    assert log.judged() == []


def test_a_node_that_was_uncordoned_on_its_way_is_taken_again_within_the_budget_only():
    log = Log(maxUnavailable=1)
    log.begin("a")
    log.node(ADMIN, "a", cordoned=False)
    log.node(KUBELET, "b", ready=False)
    log.at += 5
    log.node(OPERATOR, "a", cordoned=True)
    assert len(log.judged()) == 1


# -- gates -------------------------------------------------------------------------------------------------


def test_a_node_that_begins_while_paused_is_caught():
    log = Log()
    log.os(paused=True)
    log.at += 1
    log.begin("a")
    assert log.judged() == []
    log.end("a")
    log.at += 3
    log.begin("b")
    assert log.judged() == ["is begun while the rollout is paused"]


def test_a_node_that_begins_outside_its_windows_is_caught():
    log = Log(windows=[{"cron": "*/5 * * * *", "duration": "90s"}])
    log.at = START + 299
    log.begin("a")
    log.end("a")
    assert log.judged() == ["is begun outside its windows"]
    log.changes = log.changes[:-3]
    log.at = START + 300
    log.begin("b")
    log.end("b")
    log.at = START + 391
    log.begin("c")
    assert log.judged() == [], "it was open a second ago"


def test_a_node_that_begins_before_its_wave_is_approved_is_caught():
    log = Log(
        maxUnavailable=4, waves=[{"name": "first", "nodes": 2}, {"name": "rest", "approval": "Required"}]
    )
    log.begin("a")
    log.begin("b")
    assert log.judged() == []
    log.begin("c")
    assert log.judged() == ["is begun in a wave that nobody approved"]
    log.changes.pop()
    log.os(notes={"warmroot.io/approve": f"rest@{NEW}"}, maxUnavailable=4)
    log.begin("c")
    assert log.judged() == []


def test_nodes_that_moved_count_in_their_wave_and_nodes_that_only_began_and_went_back_do_not():
    waves = [{"name": "first", "nodes": 1}, {"name": "rest", "approval": "Required"}]
    log = Log(waves=waves)
    log.begin("a")
    log.node(OPERATOR, "a", cordoned=False, note="")
    log.at += 5
    log.begin("b")
    log.end("b")
    assert log.judged() == []
    log.at += 5
    log.begin("c")
    assert len(log.judged()) == 1


def test_a_node_that_begins_for_an_object_that_is_gone_is_caught():
    log = Log()
    log.os(deleted=True)
    log.at += 3
    log.begin("a")
    assert log.judged() == ["is begun for OS workers, which is not there"]


# -- cordons of others -------------------------------------------------------------------------------------


def test_an_administrator_s_cordon_that_the_operator_lifts_is_caught():
    log = Log()
    log.begin("a")
    log.node(ADMIN, "a", cordoned=False)
    log.node(ADMIN, "a", cordoned=True)
    log.end("a")
    assert log.judged() == ["an administrator cordoned it, and the operator uncordoned it"]


def test_the_operator_lifts_its_own_cordon_and_an_administrator_any():
    log = Log()
    log.begin("a")
    log.end("a")
    log.node(ADMIN, "b", cordoned=True)
    log.node(ADMIN, "b", cordoned=False)
    log.begin("b")
    log.end("b")
    assert log.judged() == []


# -- orders ------------------------------------------------------------------------------------------------


def test_an_order_that_was_carried_out_and_is_given_again_is_caught():
    log = Log()
    log.order("a")
    log.instance(PROXY, "a", status=runs(NEW, "B", rebootID="1"))
    log.instance(OPERATOR, "a", goal="Confirm", release={"digest": NEW})
    log.order("a")
    assert log.judged() == ["order 1 was carried out, and is given again"]


def test_another_order_while_one_stands_is_caught():
    log = Log()
    log.order("a", "1")
    log.order("a", "2", digest=OTHER)
    assert log.judged() == ["order 2 is given while 1 stands"]


def test_an_order_that_was_carried_out_or_ran_out_makes_room_for_another_one():
    log = Log()
    log.order("a", "1")
    log.instance(PROXY, "a", status=runs(NEW, "B", rebootID="1"))
    log.order("a", "2", goal="Rollback")
    log.order("b", "3", lasts=10)
    log.at += 20
    log.order("b", "4")
    assert log.judged() == []


def test_a_release_that_fell_back_and_is_asked_for_again_is_caught():
    log = Log()
    log.order("a")
    log.instance(PROXY, "a", status=fell_back())
    log.at += 5
    log.instance(OPERATOR, "a", goal="Stage", release={"digest": NEW})
    assert log.judged() == ["sha256:new fell back there, and Stage asks for it again"]


def test_a_bar_holds_when_a_later_write_forgets_it():
    log = Log()
    log.instance(OPERATOR, "a", goal="None", barred=[NEW])
    log.instance(OPERATOR, "a", goal="None")
    log.order("a")
    assert log.judged() == ["sha256:new fell back there, and Activate asks for it again"]


def test_another_release_may_be_asked_for_and_the_same_one_after_a_person_forgave():
    log = Log()
    log.order("a")
    log.instance(PROXY, "a", status=fell_back())
    log.at += 5
    log.instance(OPERATOR, "a", goal="Stage", release={"digest": OTHER}, barred=[NEW])
    log.os(notes={"warmroot.io/clear-failed": "*@now"})
    log.instance(OPERATOR, "a", goal="Stage", release={"digest": NEW})
    assert log.judged() == []


def test_what_a_person_forgave_is_not_held_against_the_operator_because_a_proxy_speaks_before_it():
    log = Log()
    log.order("a")
    log.instance(PROXY, "a", status=fell_back())
    log.at += 5
    log.instance(OPERATOR, "a", goal="None", release={"digest": NEW}, reboot={"id": "1"}, barred=[NEW])
    log.at += 60
    log.os(notes={"warmroot.io/clear-failed": "*@now"})
    log.instance(PROXY, "a", status=fell_back())
    log.at += 60
    log.instance(OPERATOR, "a", goal="Stage", release={"digest": NEW})
    assert log.judged() == []


def test_it_counts_what_it_judged():
    log = Log()
    log.begin("a")
    log.order("a")
    log.end("a")
    judge = Judge(OPERATOR)
    judge.read(log.changes)
    assert (judge.cordons, judge.orders, judge.writes) == (1, 1, 3)
    assert judge.noted() == []
