"""A node's clock may be minutes off the operator's: what is decided about it stays the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from os_operator.core import clocks
from os_operator.core.actions import SetOrders
from os_operator.shell.cache import Cache
from tests.examples import examples
from tests.sim.memory_cluster import OSINSTANCE, MemoryCluster, Store
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    cordoned,
    current,
    decide,
    done,
    fell_back,
    fleet,
    goals,
    idle,
    node,
    ordered,
    os,
    reasons,
    staged,
    trial,
)
from warmroot.api.osinstance import Goal, InstancePhase

WORKERS = os(health={"readySeconds": 60, "timeout": "15m"})
BEHIND, AHEAD = -300.0, 1500.0
SKEWS = st.integers(-7200, 7200)


class Watched:
    """One node and its proxy as an operator sees them that was there from the beginning."""

    def __init__(self, skew: float, deadline: float) -> None:
        self.skew = skew
        self.node = clocks.node(None, cordoned(), NOW - 1000)
        self.instance = clocks.instance(None, ordered(deadline=deadline), NOW - 1000)
        self.beat(NOW - 30)

    def beat(self, at: float, **said) -> None:
        """Its proxy speaks at `at`, by our clock."""
        new = replace(self.instance, heartbeat=at + self.skew, stale_at=at + self.skew + 90, **said)
        self.instance = clocks.instance(self.instance, new, at)

    def up(self, at: float, **said) -> None:
        """Its kubelet says something about Ready at `at`, by our clock."""
        new = replace(self.node, ready_since=at + self.skew, ready_seen=None, **said)
        self.node = clocks.node(self.node, new, at)

    def boots(self, at: float) -> None:
        """It is up again, on the new release."""
        order, stamp = self.instance.order, at + self.skew
        new = replace(trial(booted_at=stamp, since=stamp), order=order, reboot_id=order.id)
        self.instance = clocks.instance(self.instance, replace(new, heartbeat=stamp, stale_at=stamp + 90), at)


def told(skew: float, ready: float, blip: float | None, deadline: float, silent: float) -> list[tuple]:
    """What is ordered of a node on trial, every five seconds after its reboot was ordered."""
    seen = Watched(skew, NOW + deadline)
    orders = []
    for second in range(400):
        now = NOW + second
        if second == 10:
            seen.up(now, ready=False)
        if second == 20:
            seen.boots(now)
        if second > 20 and second % 30 == 0 and second < silent:
            seen.beat(now)
        if second == ready:
            seen.up(now, ready=True, boot_id="node-1-boot-2")
        if blip is not None and second == ready + blip:
            seen.up(now, ready=False)
        if blip is not None and second == ready + blip + 2:
            seen.up(now, ready=True)
        if second % 5 == 0:
            decision = decide(WORKERS, (seen.node, seen.instance), now=now)
            orders += [(second, one.orders.goal) for one in done(decision, SetOrders)]
    return orders


@given(
    SKEWS, st.integers(21, 200), st.none() | st.integers(1, 80), st.integers(60, 390), st.integers(60, 400)
)
@examples(15)  # each is some hundred passes
def test_no_clock_of_a_node_changes_what_is_ordered_of_it_or_when(skew, ready, blip, deadline, silent):
    """But for one kindness: a node that its stamps from behind make look in time is taken back later, or it
    serves its ready seconds in full and is confirmed."""
    honest, skewed = (told(one, ready, blip, deadline, silent)[:1] for one in (0, skew))
    if skewed != honest:
        [(was, taken_back)], [(second, goal)] = honest, skewed
        assert skew < 0
        assert taken_back is Goal.ROLLBACK
        assert second >= was
        assert goal is Goal.ROLLBACK or second >= ready + 60


def test_a_proxy_that_says_two_things_in_one_second_has_the_patience_of_the_second():
    old = clocks.instance(None, replace(trial(), heartbeat=NOW, stale_at=NOW + 60), NOW)
    new = clocks.instance(old, replace(current(), uid=old.uid, heartbeat=NOW, stale_at=NOW + 600), NOW + 0.4)
    assert (old.phase, new.phase) == (InstancePhase.TRIAL, InstancePhase.CONFIRMED)
    assert (old.stale_at, new.stale_at) == (NOW + 60, NOW + 600.4)


def test_a_node_whose_clock_is_behind_serves_its_ready_seconds_in_full():
    seen = Watched(BEHIND, NOW + 600)
    seen.boots(NOW)
    seen.up(NOW + 10, ready=True, boot_id="node-1-boot-2")
    for later, goal in ((11, {}), (69, {}), (70, {"node-1": Goal.CONFIRM})):
        assert goals(decide(os(), (seen.node, seen.instance), now=NOW + later)) == goal


def test_a_healthy_node_whose_clock_is_ahead_is_not_taken_back_for_it():
    seen = Watched(AHEAD, NOW + 600)
    seen.boots(NOW)
    seen.up(NOW + 10, ready=True, boot_id="node-1-boot-2")
    assert goals(decide(os(), (seen.node, seen.instance), now=NOW + 70)) == {"node-1": Goal.CONFIRM}


def test_an_operator_that_was_cut_off_takes_no_node_back_that_was_healthy_in_time():
    seen = Watched(0, NOW + 300)
    seen.boots(NOW)
    late = NOW + 600  # the watch is back, and brings what happened long ago
    new = replace(seen.node, ready=True, boot_id="node-1-boot-2", ready_since=NOW + 30, ready_seen=None)
    seen.node = clocks.node(seen.node, new, late)
    seen.beat(late)
    assert goals(decide(os(), (seen.node, seen.instance), now=late)) == {}
    assert goals(decide(os(), (seen.node, seen.instance), now=late + 60)) == {"node-1": Goal.CONFIRM}


@pytest.mark.parametrize("skew", [BEHIND, AHEAD])
def test_a_proxy_is_believed_for_as_long_as_it_speaks_whatever_its_clock_says(skew):
    def said(at):
        return replace(staged(), heartbeat=at + skew, stale_at=at + skew + 450)

    first = clocks.instance(None, said(NOW - 300), NOW - 300)
    heard = clocks.instance(first, said(NOW), NOW)
    assert reasons(decide(os(), (node(), heard))).get("node-1") != "ProxySilent"
    again = clocks.instance(heard, replace(heard, version="2"), NOW + 449)  # not its word: ours
    assert again.stale_at == NOW + 450
    assert reasons(decide(os(), (node(), replace(again, digest=None)), now=NOW + 451)) == {
        "node-1": "ProxySilent"
    }


def test_a_heartbeat_from_the_future_is_not_believed_for_longer_than_one_of_now():
    seen = clocks.instance(None, replace(idle(), heartbeat=NOW + AHEAD, stale_at=NOW + AHEAD + 450), NOW)
    assert seen.stale_at == NOW + 450


def test_a_node_that_fails_in_a_soak_counts_though_its_clock_is_behind():
    waves = [{"name": "canary", "nodes": 1, "soak": "30m"}, {"name": "rest"}]
    before = clocks.node(None, node("node-0"), NOW)
    pairs = [(before, current("node-0")), *fleet(3)]
    status = decide(os(waves=waves), *pairs).statuses["workers"]
    sick = node("node-0", ready=False, ready_since=NOW + 60 + BEHIND)
    pairs[0] = clocks.node(before, sick, NOW + 60), current("node-0")
    decision = decide(os(waves=waves, status=status), *pairs, now=NOW + 61)
    assert [entry.reason for entry in decision.statuses["workers"].failed] == ["Unhealthy"]


def test_new_settings_settle_for_the_whole_time_though_the_clock_is_behind():
    def proxy(at, **said):
        return replace(
            current(goal=Goal.CONFIGURE, config="rev", **said),
            heartbeat=at + BEHIND,
            stale_at=at + BEHIND + 450,
        )

    before = clocks.instance(None, proxy(NOW - 60, in_force=None, phase=InstancePhase.CONFIGURING), NOW - 60)
    after = clocks.instance(before, proxy(NOW, in_force="rev", since=NOW + BEHIND), NOW)
    assert after.since_seen == NOW
    assert clocks.instance(after, replace(proxy(NOW + 9), since=NOW + BEHIND), NOW + 9).since_seen == NOW


def test_the_cache_keeps_times_by_the_operators_clock():
    now = [NOW]
    api, cache = MemoryCluster(Store(lambda: NOW)), Cache(lambda: now[0])
    owner = [{"kind": "Node", "name": "n1", "uid": "u"}]
    body = {"metadata": {"name": "n1", "ownerReferences": owner}, "spec": {"os": "w", "goal": "None"}}
    cache.put(OSINSTANCE, api.create(OSINSTANCE, body))
    now[0] += 10
    said = {"phase": "Idle", "heartbeat": "2020-01-01T00:00:00Z"}
    cache.put(OSINSTANCE, api.patch(OSINSTANCE, "n1", {"status": said}, subresource="status"))
    assert cache.views()[2]["n1"].stale_at == NOW + 10 + 450


def test_a_fall_back_counts_against_its_wave_though_the_nodes_clock_is_behind():
    waves = [{"name": "canary", "nodes": 1}, {"name": "rest"}]
    status = decide(os(waves=waves), *fleet(3)).statuses["workers"]
    first = clocks.instance(None, staged(barred=()), NOW)
    fell = replace(fell_back(since=NOW + 20 + BEHIND), barred=(NEW,), goal=Goal.NONE, digest=None)
    pairs = fleet(3)
    pairs[0] = node("node-1"), clocks.instance(first, fell, NOW + 20)
    decision = decide(os(waves=waves, status=status), *pairs, now=NOW + 21)
    assert decision.statuses["workers"].phase == "Halted"
    assert "failed" in decision.statuses["workers"].conditions[0].message or done(decision, SetOrders) == []
