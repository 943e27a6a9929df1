"""R1, R3, R6 of one pass, for any mixture of nodes (the simulated fleet has them over time)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from os_operator.core.actions import Cordon, SetOrders, SetTaints, Uncordon, WriteStatus
from os_operator.core.budget import budget
from os_operator.core.explain import explain
from os_operator.core.forecast import forecast
from os_operator.core.node_way import late
from os_operator.core.plan import plan
from os_operator.core.world import NOT_CURRENT
from tests.examples import examples
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    cordoned,
    current,
    fell_back,
    idle,
    node,
    ordered,
    os,
    pod,
    staged,
    trial,
    world,
)
from warmroot.api.osinstance import Goal
from warmroot.api.reasons import WaitReason

FOREIGN = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
AVOID = {"key": NOT_CURRENT, "effect": "PreferNoSchedule"}
CLOSED = {"key": NOT_CURRENT, "effect": "NoSchedule"}
MAKERS = [
    lambda name: (node(name), idle(name)),
    lambda name: (node(name), staged(name)),
    lambda name: (node(name), current(name)),
    lambda name: (node(name), None),
    lambda name: (node(name, ready=False), staged(name)),
    lambda name: (node(name, unschedulable=True), staged(name)),
    lambda name: (node(name), staged(name, stale_at=NOW - 1)),
    lambda name: (node(name), idle(name, barred=(NEW,))),
    lambda name: (cordoned(name), staged(name)),
    lambda name: (cordoned(name, ours=False), current(name)),
    lambda name: (cordoned(name), ordered(name)),
    lambda name: (cordoned(name), ordered(name, deadline=NOW - 1)),
    lambda name: (cordoned(name, boot_id=f"{name}-boot-2", ready_since=NOW - 300), trial(name)),
    lambda name: (cordoned(name), trial(name, deadline=NOW - 1)),
    lambda name: (cordoned(name), trial(name, goal=Goal.CONFIRM)),
    lambda name: (cordoned(name), fell_back(name)),
    lambda name: (node(name, uid="new machine"), staged(name)),
    lambda name: (node(name, taints=(FOREIGN, AVOID)), staged(name)),
    lambda name: (node(name, taints=(AVOID,)), current(name)),
    lambda name: (node(name, taints=(CLOSED,)), staged(name)),
    lambda name: (node(name, taints=(FOREIGN, CLOSED)), current(name)),
    lambda name: (cordoned(name, taints=(AVOID, FOREIGN)), staged(name)),
]
SHARE = st.one_of(st.integers(1, 9), st.integers(1, 100).map(lambda n: f"{n}%"))


@st.composite
def fleets(draw):
    makers = draw(st.lists(st.sampled_from(MAKERS), min_size=1, max_size=24))
    pairs = [make(f"node-{index:02}") for index, make in enumerate(makers)]
    waves = draw(st.sampled_from([[], [{"name": "canary", "nodes": 1}, {"name": "half", "nodes": "50%"}]]))
    chosen = os(
        maxUnavailable=draw(SHARE),
        maxStaging=draw(st.integers(1, 4)),
        waves=waves,
        paused=draw(st.booleans()),
        failure={"maxFailed": draw(st.sampled_from([0, 3, 100]))},
    )
    emptied = draw(st.sets(st.sampled_from([one.name for one, _ in pairs])))
    pods = {name: draw(st.sampled_from([(), (pod("web-1"),)])) for name in emptied}
    return chosen, pairs, pods


@examples(60)
@given(fleets())
def test_r1_no_pass_takes_more_nodes_than_the_budget_has_left(fleet):
    chosen, pairs, pods = fleet
    decision = plan(world(chosen, pairs, pods=pods), NOW)
    nodes = {one.name: one for one, _ in pairs}
    begun = {action.node for action in decision.actions if isinstance(action, Cordon)}
    down = {name for name, one in nodes.items() if one.unschedulable or not one.ready}
    down |= {
        one.name for one, instance in pairs if instance and instance.goal in (Goal.ACTIVATE, Goal.CONFIRM)
    }
    allowed = budget(chosen.spec.rollout.max_unavailable, len(pairs), len(down)).allowed
    assert not (begun - down) or len(begun | down) <= allowed


@examples(60)
@given(fleets(), st.data())
def test_only_nodes_without_workloads_are_taken_past_the_budget(fleet, data):
    chosen, pairs, pods = fleet
    seen = world(chosen, pairs, pods=pods)
    empty = frozenset(data.draw(st.sets(st.sampled_from([*late(seen.nodes, seen.instances), "none"]))))
    free = {action.node for action in plan(replace(seen, empty=empty), NOW).actions if _begins(action)}
    paid = {action.node for action in plan(seen, NOW).actions if _begins(action)}
    assert len(free - empty) <= len(paid)
    notes = [action.note for action in plan(replace(seen, empty=empty), NOW).actions if _begins(action)]
    assert sum(note.empty for note in notes) == len(free & empty)


def _begins(action):
    return isinstance(action, Cordon) and action.happening is not None


@examples(60)
@given(fleets())
def test_no_pass_touches_a_taint_of_somebody_else_or_writes_a_node_twice(fleet):
    chosen, pairs, pods = fleet
    nodes = {one.name: one for one, _ in pairs}
    decision = plan(world(chosen, pairs, pods=pods), NOW)
    writes = [action for action in decision.actions if isinstance(action, Cordon | Uncordon | SetTaints)]
    assert len({action.node for action in writes}) == len(writes)
    for action in writes:
        left = getattr(action, "taints", None)
        if left is not None:
            before = [one for one in nodes[action.node].taints if one["key"] != NOT_CURRENT]
            assert [one for one in left if one["key"] != NOT_CURRENT] == before


@examples(60)
@given(fleets())
def test_r6_taints_that_were_written_are_written_no_more(fleet):
    chosen, pairs, pods = fleet
    seen = world(chosen, pairs, pods=pods)
    changes = {one.node: one.taints for one in plan(seen, NOW).actions if isinstance(one, SetTaints)}
    nodes = {name: replace(one, taints=changes.get(name, one.taints)) for name, one in seen.nodes.items()}
    again = plan(replace(seen, nodes=nodes), NOW)
    assert not any(isinstance(action, SetTaints) for action in again.actions)


@examples(60)
@given(fleets())
def test_r3_no_pass_orders_a_barred_release(fleet):
    chosen, pairs, pods = fleet
    decision = plan(world(chosen, pairs, pods=pods), NOW)
    barred = {instance.name: instance.barred for _, instance in pairs if instance}
    for action in decision.actions:
        if isinstance(action, SetOrders) and action.orders.goal in (Goal.STAGE, Goal.ACTIVATE):
            assert action.orders.digest not in barred[action.name]


@examples(60)
@given(fleets(), st.integers(0, 3600))
def test_r6_a_status_that_was_written_is_written_no_more(fleet, later):
    chosen, pairs, pods = fleet
    seen = world(chosen, pairs, pods=pods)
    first = plan(seen, NOW)
    known = replace(chosen, status=first.statuses["workers"])
    again = plan(replace(seen, oses={"workers": known}), NOW + later % 2)
    third = plan(
        replace(seen, oses={"workers": replace(known, status=again.statuses["workers"])}), NOW + later % 2
    )
    assert not any(isinstance(action, WriteStatus) for action in third.actions)


@examples(60)
@given(fleets())
def test_why_and_plan_say_of_each_node_what_the_status_says(fleet):
    chosen, pairs, pods = fleet
    seen = world(chosen, pairs, pods=pods)
    status = plan(seen, NOW).statuses[chosen.name]
    for row in status.waiting:
        told = explain(row.node, seen, NOW)
        # A bar is told as what it came of, which only the status knows.
        if row.reason is not WaitReason.BARRED and told.reason is not WaitReason.BARRED:
            assert (told.phase, told.reason) == (row.phase, row.reason), row.node
    ahead = forecast(chosen, seen, NOW)
    waits = [name for row in ahead.waits for name in row.nodes]
    assert {row.node for row in status.waiting} <= set(waits)
    assert len(waits) == len(set(waits)), "nobody waits for two things"
    assert f"{ahead.updated}/{ahead.total}" == status.ready
