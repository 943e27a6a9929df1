"""Who begins next: waves by selector, `rollout.order`, `rollout.topologyKey`."""

import pytest

from os_operator.core.actions import Cordon, SetOrders
from tests.unit.operator_worlds import (
    NEW,
    cordoned,
    current,
    decide,
    done,
    idle,
    node,
    ordered,
    os,
    reasons,
    staged,
    trial,
)
from warmroot.api.os import OSStatus
from warmroot.api.osinstance import Goal, InstancePhase

ZONE = "topology.kubernetes.io/zone"
CANARY = {"matchLabels": {"tier": "canary"}}


def labelled(name, make=staged, **labels):
    more = {key.replace("zone", ZONE): value for key, value in labels.items()}
    return node(name, labels={"pool": "workers"} | more), make(name)


def begun(decision):
    return [action.node for action in done(decision, Cordon)]


# -- a wave by selector ------------------------------------------------------------------------------------

NAMED = [{"name": "canary", "selector": CANARY}]


def test_a_wave_by_selector_takes_the_nodes_that_it_names_and_no_others():
    fleet = [labelled("a"), labelled("b", tier="canary"), labelled("c", tier="canary")]
    decision = decide(os(maxUnavailable=9, waves=NAMED), *fleet)
    assert begun(decision) == ["b", "c"]
    assert reasons(decision)["a"] == "Wave"


def test_a_wave_by_selector_waits_for_each_of_its_nodes():
    """A canary that is away is no canary that was passed."""
    fleet = [
        labelled("a"),
        labelled("b", current, tier="canary"),
        (node("c", labels={"pool": "workers", "tier": "canary"}, ready=False), staged("c")),
    ]
    decision = decide(os(maxUnavailable=9, waves=NAMED), *fleet)
    assert begun(decision) == []
    assert reasons(decision) == {"a": "Wave", "c": "NotReady"}


def test_the_others_follow_when_all_that_the_selector_names_were_moved():
    fleet = [labelled("a"), labelled("b", current, tier="canary")]
    assert begun(decide(os(maxUnavailable=9, waves=NAMED), *fleet)) == ["a"]


def test_a_number_after_a_selector_counts_what_the_selector_took():
    waves = [*NAMED, {"name": "two", "nodes": 2}]
    fleet = [labelled("a"), labelled("b", current, tier="canary"), labelled("c")]
    decision = decide(os(maxUnavailable=9, waves=waves), *fleet)
    assert begun(decision) == ["a"]
    assert decision.statuses["workers"].wave.name == "two"


def test_what_no_wave_names_comes_last_even_after_a_wave_for_all():
    waves = [{"name": "all"}, *NAMED]
    decision = decide(os(maxUnavailable=9, waves=waves), labelled("a"), labelled("b", current))
    assert begun(decision) == ["a"]


def test_a_wave_by_selector_soaks_and_asks_like_any_other():
    waves = [*NAMED, {"name": "rest", "approval": "Required"}]
    fleet = [labelled("a"), labelled("b", current, tier="canary")]
    decision = decide(os(maxUnavailable=9, waves=waves), *fleet)
    assert reasons(decision) == {"a": "Approval"}


# -- order ---------------------------------------------------------------------------------------------------


def test_order_comes_before_the_name_and_before_nodes_that_are_down_already():
    down = (node("a", unschedulable=True), staged("a"))
    fleet = [down, labelled("b"), labelled("c", tier="canary")]
    assert begun(decide(os(maxUnavailable=3, order=[CANARY]), *fleet)) == ["c", "a", "b"]


@pytest.mark.parametrize(
    "first",
    [
        lambda: labelled("z", idle, tier="canary"),
        lambda: (labelled("z", tier="canary")[0], staged("z", verified_digest=None, observed=False)),
        lambda: (labelled("z", tier="canary")[0], None),
    ],
    ids=["not asked yet", "downloads", "is new"],
)
def test_a_slower_download_does_not_lose_its_place(first):
    decision = decide(os(maxUnavailable=9, order=[CANARY]), labelled("a"), first())
    assert begun(decision) == []
    assert reasons(decision)["a"] == "Order"


@pytest.mark.parametrize(
    "first",
    [
        lambda z: (node("z", labels=z, ready=False), staged("z")),
        lambda z: (node("z", labels=z), idle("z", stale_at=0.0)),
        lambda z: (node("z", labels=z), idle("z", barred=(NEW,))),
        lambda z: (node("z", labels=z), staged("z", verified_digest=None, phase=InstancePhase.FAILED)),
        lambda z: (node("z", labels=z), current("z")),
    ],
    ids=["not ready", "silent", "barred", "failed to download", "moved"],
)
def test_a_node_that_cannot_come_holds_nobody_up_in_its_order(first):
    other = first({"pool": "workers", "tier": "canary"})
    chosen = os(maxUnavailable=9, order=[CANARY], failure={"maxFailed": 1})
    assert begun(decide(chosen, labelled("a"), other)) == ["a"]


def test_downloads_begin_in_order_too():
    fleet = [labelled("a", idle), labelled("b", idle), labelled("z", idle, tier="canary")]
    decision = decide(os(maxStaging=1, order=[CANARY]), *fleet)
    assert [one.name for one in done(decision, SetOrders) if one.orders.goal is Goal.STAGE] == ["z"]


# -- zones ---------------------------------------------------------------------------------------------------


def test_nodes_of_one_zone_at_a_time():
    fleet = [labelled("a", zone="1"), labelled("b", zone="2"), labelled("c", zone="1")]
    decision = decide(os(maxUnavailable=9, topologyKey=ZONE), *fleet)
    assert begun(decision) == ["a", "c"]
    assert reasons(decision)["b"] == "Topology"


@pytest.mark.parametrize(
    "moving",
    [
        lambda labels: (cordoned("m", labels=labels), staged("m")),
        lambda labels: (cordoned("m", labels=labels), ordered("m")),
        lambda labels: (cordoned("m", labels=labels), trial("m")),
    ],
    ids=["drains", "reboots", "on trial"],
)
def test_no_second_zone_begins_while_a_node_of_the_first_is_in_motion(moving):
    there = moving({"pool": "workers", ZONE: "2"})
    decision = decide(os(maxUnavailable=9, topologyKey=ZONE), labelled("a", zone="1"), there)
    assert begun(decision) == []
    assert reasons(decision)["a"] == "Topology"


def test_a_zone_that_is_begun_is_ended_before_the_next():
    fleet = [labelled("a", zone="1"), labelled("b", current, zone="2"), labelled("c", zone="2")]
    assert begun(decide(os(maxUnavailable=9, topologyKey=ZONE), *fleet)) == ["c"]


def test_a_download_in_the_zone_that_is_begun_is_waited_for():
    fleet = [labelled("a", zone="1"), labelled("b", current, zone="2"), labelled("c", idle, zone="2")]
    decision = decide(os(maxUnavailable=9, topologyKey=ZONE), *fleet)
    assert begun(decision) == []
    assert reasons(decision)["a"] == "Topology"


def test_a_dead_node_does_not_keep_its_zone_open_for_ever():
    dead = (node("c", labels={"pool": "workers", ZONE: "2"}, ready=False), staged("c"))
    fleet = [labelled("a", zone="1"), labelled("b", current, zone="2"), dead]
    assert begun(decide(os(maxUnavailable=9, topologyKey=ZONE), *fleet)) == ["a"]


def test_canaries_of_several_zones_come_one_zone_after_the_other():
    """A wave ends before the zone of its first node does, or it would wait for itself."""
    fleet = [
        labelled("a", current, zone="1", tier="canary"),
        labelled("b", zone="1"),
        labelled("c", zone="2", tier="canary"),
    ]
    decision = decide(os(maxUnavailable=9, topologyKey=ZONE, waves=NAMED), *fleet)
    assert begun(decision) == ["c"]


def test_nodes_without_the_label_are_a_zone_of_their_own():
    fleet = [labelled("a"), labelled("b", zone="1"), labelled("c")]
    assert begun(decide(os(maxUnavailable=9, topologyKey=ZONE), *fleet)) == ["a", "c"]


def test_waves_and_zones_leave_a_status_that_is_written_once():
    fleet = [labelled("a", zone="1"), labelled("b", zone="2")]
    first = decide(os(topologyKey=ZONE), *fleet).statuses["workers"]
    again = decide(os(topologyKey=ZONE, status=first), *fleet).statuses["workers"]
    assert isinstance(first, OSStatus)
    assert again == first
