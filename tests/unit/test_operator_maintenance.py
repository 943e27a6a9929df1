"""Kubernetes' conditions of maintenance: they are true of a node that is moved, where they are wanted."""

from dataclasses import replace

import pytest

from os_operator.core import maintenance
from os_operator.core.actions import SetConditions, Uncordon
from os_operator.core.parse import node_view
from os_operator.core.world import MAINTENANCE
from os_operator.shell.act import CONDITIONS_MANAGER, REFUSED, Actor
from os_operator.shell.cache import Cache
from tests.sim.memory_cluster import NODE, MemoryCluster, Store
from tests.unit.operator_worlds import (
    NOW,
    cordoned,
    current,
    decide,
    done,
    fell_back,
    node,
    ordered,
    os,
    pod,
    staged,
    trial,
)
from warmroot.errors import Forbidden

DRAINED = tuple((kind, kind in ("MaintenancePlanned", "DrainInProgress")) for kind in MAINTENANCE)
RESTARTS = tuple((kind, kind in ("MaintenanceInProgress", "Drained")) for kind in MAINTENANCE)
BUSY = {"pods": {"node-1": (pod("web-1"),)}}


def told(*pair, asked=True, **more):
    decision = decide(os(nodeConditions=asked), pair, **more)
    return {one.node: one.conditions for one in done(decision, SetConditions)}


def test_a_node_that_is_drained_says_so_until_it_restarts():
    assert told(cordoned(), staged(), **BUSY) == {"node-1": DRAINED}
    assert told(cordoned(conditions=DRAINED), staged(), **BUSY) == {}
    assert told(cordoned(conditions=DRAINED), ordered()) == {"node-1": RESTARTS}
    up = cordoned(boot_id="node-1-boot-2", conditions=RESTARTS)
    assert told(up, trial()) == {}


@pytest.mark.parametrize("instance", [current(), fell_back()], ids=["updated", "fell back"])
def test_a_node_keeps_its_conditions_until_it_is_back_in_service(instance):
    assert told(cordoned(conditions=RESTARTS), instance) == {}
    assert told(node(conditions=RESTARTS), instance) == {"node-1": ()}


def test_a_node_that_is_given_back_takes_its_conditions_off_after_its_cordon():
    halted = os(nodeConditions=True, paused=False)
    unwanted = staged(barred=(staged().digest,))
    decision = decide(halted, (cordoned(conditions=DRAINED), unwanted))
    assert (len(done(decision, Uncordon)), done(decision, SetConditions)) == (1, [])


def test_a_node_that_is_empty_at_once_is_spared_a_write():
    """The pass that orders its restart leaves the word to the next one."""
    assert told(cordoned(), staged(), pods={"node-1": ()}) == {}


def test_nothing_is_written_where_nobody_asks_for_it():
    assert told(cordoned(), staged(), asked=False, **BUSY) == {}
    assert told(cordoned(), ordered(), asked=False) == {}


@pytest.mark.parametrize("pair", [(node(), current()), (cordoned(), staged())], ids=["standing", "moved"])
def test_who_asks_no_longer_gets_rid_of_them(pair):
    place, instance = pair
    assert told(replace(place, conditions=DRAINED), instance, asked=False, **BUSY) == {"node-1": ()}


def test_a_node_whose_object_is_gone_carries_none():
    decision = decide([], (cordoned(conditions=RESTARTS), ordered()))
    assert [one.conditions for one in done(decision, SetConditions)] == [()]


def test_what_somebody_else_says_is_left_alone():
    theirs = {"foreign_conditions": ("MaintenancePlanned",)}
    [wanted] = told(cordoned(**theirs), staged(), **BUSY).values()
    assert wanted == DRAINED[1:]
    assert told(cordoned(conditions=DRAINED[1:], **theirs), staged(), **BUSY) == {}
    assert told(node(**theirs), current()) == {}


def test_hundreds_of_nodes_are_not_written_in_one_pass():
    pairs = [(node(f"n{at}", conditions=DRAINED), current(f"n{at}")) for at in range(120)]
    decision = decide(os(nodeConditions=True), *pairs)
    assert len(done(decision, SetConditions)) == maintenance.AT_ONCE


# -- the edge ---------------------------------------------------------------------------------------------


def seen(*conditions):
    meta = {"name": "n1", "uid": "u", "resourceVersion": "1"}
    found = [{"type": kind, "status": state, "reason": reason} for kind, state, reason in conditions]
    return node_view({"metadata": meta, "status": {"conditions": found}})


def test_ours_are_known_by_their_reason():
    view = seen(
        ("Drained", "False", "WarmrootRollout"),
        ("Ready", "True", "KubeletReady"),
        ("MaintenancePlanned", "True", "WarmrootRollout"),
        ("DrainInProgress", "True", "kubectl"),
    )
    assert view.conditions == (("MaintenancePlanned", True), ("Drained", False))
    assert view.foreign_conditions == ("DrainInProgress",)
    assert view.ready


class Applying(MemoryCluster):
    """Takes what is applied, or refuses it."""

    def __init__(self, refuse=False):
        super().__init__(Store(lambda: NOW), "warmroot")
        self.applied, self.refuse = [], refuse

    def apply(self, kind, body, **how):
        self.applied.append((body, how))
        if self.refuse:
            raise Forbidden("nodes/status is forbidden", status=403)
        patch = {
            "status": body["status"],
            "metadata": {"resourceVersion": body["metadata"]["resourceVersion"]},
        }
        return self.patch(kind, body["metadata"]["name"], patch, subresource="status")


def carried_out(api, cache, conditions, actor=None, now=NOW):
    version = api.get(NODE, "n1")["metadata"]["resourceVersion"]
    actor = actor or Actor(api, cache, lambda: True)
    [outcome] = actor.carry_out([SetConditions("n1", version, conditions, "why")], now)
    assert outcome.error is None
    return actor


@pytest.fixture
def cache():
    return Cache()


def on(api, cache):
    cache.put(NODE, api.create(NODE, {"metadata": {"name": "n1"}, "status": {"conditions": []}}))
    return api


def test_they_are_applied_under_a_name_of_their_own_and_only_to_the_version_that_was_seen(cache):
    api = on(Applying(), cache)
    carried_out(api, cache, DRAINED)
    [(body, how)] = api.applied
    assert how == {"manager": CONDITIONS_MANAGER, "subresource": "status"}
    assert body["metadata"]["resourceVersion"]
    first = body["status"]["conditions"][0]
    assert (first["type"], first["status"], first["reason"]) == (
        "MaintenancePlanned",
        "True",
        "WarmrootRollout",
    )
    assert cache.views()[1]["n1"].conditions == DRAINED
    carried_out(api, cache, ())
    assert api.applied[-1][0]["status"] == {"conditions": []}


def test_without_the_right_to_write_them_a_rollout_goes_on_and_it_is_tried_once_a_minute(cache):
    api = on(Applying(refuse=True), cache)
    actor = carried_out(api, cache, DRAINED)
    carried_out(api, cache, DRAINED, actor, NOW + REFUSED - 1)
    assert len(api.applied) == 1
    carried_out(api, cache, DRAINED, actor, NOW + REFUSED)
    assert len(api.applied) == 2
