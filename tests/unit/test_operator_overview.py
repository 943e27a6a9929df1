"""The look at everything: each node is counted once, and what it says of one is what `why` says of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from os_operator.core.explain import explain
from os_operator.core.overview import NAMED, SHOWN, overview, wire
from os_operator.core.world import Failure
from os_operator.plugin.top import screen
from tests.unit.operator_worlds import (
    NEW,
    NOW,
    cordoned,
    current,
    fell_back,
    idle,
    node,
    os,
    staged,
    trial,
    world,
)
from warmroot.api.os import OSStatus, WaveStatus
from warmroot.api.osinstance import InstancePhase
from warmroot.api.reasons import NodePhase

WAVES = [{"name": "canary", "nodes": 1, "soak": "30m"}, {"name": "rest", "approval": "Required"}]


def mixed(**rollout):
    """Nodes in each kind of place."""
    pairs = [
        (node("a-current"), current("a-current")),
        (node("b-idle"), idle("b-idle")),
        (node("c-staged"), staged("c-staged")),
        (cordoned("d-drains"), staged("d-drains")),
        (cordoned("e-trial", boot_id="e-trial-boot-2"), trial("e-trial")),
        (node("f-fell"), fell_back("f-fell")),
        (node("g-new"), None),
        (node("h-silent"), replace(idle("h-silent"), stale_at=NOW - 1)),
    ]
    return world(os(**rollout), pairs)


def test_each_node_is_counted_once_and_only_those_that_want_an_eye_are_listed():
    found = mixed(maxUnavailable=3)
    (seen,) = overview(found, (), NOW).rollouts
    assert sum(count for _, count in seen.phases) == seen.total == len(found.nodes)
    named = [name for group in seen.groups for name in group.nodes]
    assert sorted(named) == sorted(set(found.nodes) - {"a-current"})
    assert seen.groups[0].phase is NodePhase.FAILED


@pytest.mark.parametrize("rollout", [{}, {"waves": WAVES}, {"paused": True}, {"maxUnavailable": 5}])
def test_it_says_of_a_node_what_why_says_of_it(rollout):
    found = mixed(**rollout)
    (seen,) = overview(found, (), NOW).rollouts
    for one in seen.groups:
        for name in one.nodes:
            told = explain(name, found, NOW)
            assert (one.phase, one.reason) == (told.phase, told.reason.value if told.reason else ""), name
            assert (one.message, one.deadline) == (told.message, told.deadline)
        assert one.next == explain(one.nodes[0], found, NOW).next


def test_many_that_wait_for_the_same_are_one_line_which_names_the_first_of_them():
    names = [f"n-{number:04}" for number in range(500)]
    found = world(os(), [(node(name), idle(name, stale_at=NOW - 1)) for name in names])
    (seen,) = overview(found, (), NOW).rollouts
    (group,) = seen.groups
    assert (group.count, group.reason, group.nodes) == (500, "ProxySilent", tuple(names[:NAMED]))


def test_of_many_reasons_the_first_are_shown_and_how_many_nodes_are_left_out():
    pairs = []
    for name in (f"n-{number:04}" for number in range(SHOWN + 50)):
        why = Failure("Tampered", f"block {name}", NOW + 60)
        failed = staged(name, phase=InstancePhase.FAILED, verified_digest=None, failure=why)
        pairs.append((node(name), failed))
    (seen,) = overview(world(os(maxStaging=1000), pairs), (), NOW).rollouts
    assert (len(seen.groups), seen.more, seen.total) == (SHOWN, 50, SHOWN + 50)


def test_the_wave_that_runs_and_its_approval_are_named():
    status = OSStatus(wave=WaveStatus(name="rest", index=1, since="2027-01-15T07:00:00Z", approved=False))
    one = os(waves=WAVES, status=status.model_copy(update={"target_digest": NEW}))
    (seen,) = overview(world(one, [(node(), idle()), (node("b"), current("b"))]), (), NOW).rollouts
    assert [wave.name for wave in seen.waves] == ["canary", "rest"]
    assert seen.waves[0].ended
    assert seen.approve == "kubectl warmroot approve workers rest"


def cache(**status):
    return {"metadata": {"namespace": "shop", "name": "orders"}, "status": status}


def test_a_cache_is_shown_by_its_best_key_and_one_that_nobody_wrote_about_too():
    keys = [
        {"reason": "Serving", "startSeconds": {"without": 8.0, "with": 6.0}},
        {"reason": "Serving", "startSeconds": {"without": 8.0, "with": 3.5}},
        {"reason": "Learning"},
    ]
    best, new = overview(
        world(os(), []),
        [
            cache(state="Serving", serving="2/3", coverage=97, keys=keys),
            {"metadata": {"namespace": "a", "name": "b"}},
        ],
        NOW,
    ).caches[::-1]
    assert (best.state, best.without, best.with_, best.coverage) == ("Serving", 8.0, 3.5, 97)
    assert (new.namespace, new.state, new.without, new.serving) == ("a", "", None, "")


def test_a_terminal_shows_what_there_is_in_as_many_lines_as_it_may():
    seen = overview(mixed(waves=WAVES), [cache(state="Serving", keys=[])], NOW)
    printed = Console(file=io.StringIO(), width=120)
    printed.print(screen(seen, rows=2))
    text = printed.file.getvalue()
    assert "OS workers: release 2" in text
    assert "f-fell" in text
    assert (
        f"and {sum(one.count for one in seen.rollouts[0].groups[2:])} more: kubectl warmroot status workers"
        in text
    )
    assert "shop/orders" in text
    assert "wave canary, 1 of 2" in text


def test_what_nodes_say_can_not_steer_a_terminal():
    seen = overview(mixed(), (), NOW)
    (rollout,) = seen.rollouts
    evil = replace(rollout.groups[0], message="\x1b]0;gone\x07\x1b[2J[red]x[/red]\nroot# ")
    printed = Console(file=io.StringIO(), width=200)
    printed.print(screen(replace(seen, rollouts=(replace(rollout, groups=(evil,)),))))
    text = printed.file.getvalue()
    assert "\x1b" not in text
    assert "[red]x[/red]" in text


def test_all_of_it_can_be_written_as_json():
    told = json.loads(json.dumps(wire(overview(mixed(), [cache()], NOW), "no right")))
    assert told["unread"] == "no right"
    assert {"rollouts", "caches", "at"} <= set(told)
    assert "soakUntil" in told["rollouts"][0]
    assert "with" in told["caches"][0]


def test_a_terminal_says_when_what_it_shows_may_be_old():
    printed = Console(file=io.StringIO(), width=120)
    printed.print(screen(overview(mixed(), (), NOW), old="the API server is not reached"))
    assert "may be old. the API server is not reached" in printed.file.getvalue()
