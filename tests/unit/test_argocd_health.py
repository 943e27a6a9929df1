"""The health script that we ship for Argo CD, in Lua, on statuses that the planner renders."""

from dataclasses import replace
from pathlib import Path

import lupa
import pytest

from os_operator.core.world import Resolution
from tests.unit.operator_worlds import (
    NEW,
    cordoned,
    current,
    decide,
    failure,
    idle,
    node,
    os,
    pod,
    staged,
)
from warmroot.api.os import OSStatus, WaveStatus

SCRIPT = (Path(__file__).parents[2] / "deploy/argocd/health.lua").read_text()
WAVES = [{"name": "canary", "nodes": 1}, {"name": "rest", "approval": "Required"}]
IN_REST = WaveStatus(name="rest", index=1, since="2027-01-15T07:00:00Z")


def as_tables(lua, value):
    if isinstance(value, dict):
        return lua.table_from({key: as_tables(lua, one) for key, one in value.items() if one is not None})
    return lua.table_from([as_tables(lua, one) for one in value]) if isinstance(value, list) else value


def health(item):
    lua = lupa.LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = as_tables(lua, item)
    told = lua.execute(SCRIPT)
    return told.status, told.message


def judged(asked, *pairs, generation=1, **more):
    status = decide(asked, *pairs, **more).statuses["workers"].wire()
    spec = asked.spec.wire() if asked.spec else {}
    return health({"metadata": {"generation": generation}, "spec": spec, "status": status})


def test_an_object_that_nobody_has_looked_at_is_progressing():
    assert health({"metadata": {"generation": 1}, "spec": {}})[0] == "Progressing"


def test_a_rollout_that_is_done_is_healthy():
    assert judged(os(), (node(), current()))[0] == "Healthy"


def test_a_status_of_the_spec_before_is_no_answer():
    told = judged(os(), (node(), current()), generation=2)
    assert told == ("Progressing", "the operator has not looked at this change yet")


def test_a_rollout_that_moves_is_progressing_and_says_what_it_waits_for():
    told = judged(os(), (cordoned(), staged()), pods={"node-1": (pod("web-1"),)})
    assert told == ("Progressing", "0/1 nodes, waits: Draining: node-1")


def test_a_rollout_that_halted_is_degraded_and_says_why():
    failed = OSStatus(target_digest=NEW, failed=(failure(),))
    told, message = judged(os(status=failed), (node(), idle(barred=(NEW,))))
    assert told == "Degraded"
    assert "failure.maxFailed" in message


def test_a_spec_that_can_not_be_followed_is_degraded():
    broken = replace(os(), spec=None, problem="spec.rollout.windows: no such time zone")
    assert judged(broken, (node(), idle())) == ("Degraded", "spec.rollout.windows: no such time zone")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (os(paused=True), "spec.rollout.paused is true"),
        (
            os(waves=WAVES, status=OSStatus(target_digest=NEW, wave=IN_REST)),
            "wave rest waits for an approval",
        ),
    ],
)
def test_what_waits_for_a_person_is_suspended(asked, message):
    pairs = [(node("node-2"), current("node-2")), (node(), staged())]
    assert judged(asked, *pairs) == ("Suspended", message)


def test_a_release_that_is_not_resolved_is_progressing():
    asked = replace(os(digest=None), resolution=Resolution(None, "NetworkError", "nobody answers"))
    assert judged(asked, (node(), idle()))[0] == "Progressing"
