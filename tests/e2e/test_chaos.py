"""Hundreds of machines, a real API server, everything at once; the audit log says that no promise broke."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from testbed.controlplane import audit
from testbed.controlplane.audit import Change
from testbed.demo.requests import OPERATOR
from testbed.swarm.bed import LABELS, Swarm, SwarmSpec
from testbed.swarm.judge import GRACE, Judge
from testbed.swarm.pods import PodTimes
from testbed.swarm.ports import Times
from tests.e2e.chaos import Chaos

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
MACHINES = 200
SHARE = {"share": "3"}
"""A tenth of them."""
SEED = int(os.environ.get("WARMROOT_CHAOS_SEED", "1"))
QUICK = Times(
    heed=(0.05, 0.3),
    staging=(0.3, 2),
    boot=(1, 3),
    slow_boot=(5, 8),
    panic=(2, 5),
    fallback=(1, 2),
    guard=30,
    after_guard=1,
    grace=3,
    ready=0.3,
    crash=2,
    retry=2,
    heartbeat=20,
)
"""A boot in seconds: everything else takes as long as it takes."""
ROLLOUT = {
    "maxUnavailable": "20%",
    "maxStaging": 60,
    "drain": {"timeout": "2m", "onTimeout": "Wait"},
    "health": {"readySeconds": 1, "timeout": "20s"},
    "failure": {"maxFailed": 100},
}
WAVES = [{"name": "canary", "nodes": 10, "maxFailed": 10}, {"name": "rest", "approval": "Required"}]
WINDOWS = [{"cron": "* * * * *", "duration": "20s"}]
STORY = {
    "kill": 3,
    "silence": 6,
    "crash": 6,
    "cordon": 5,
    "uncordon": 2,
    "recordon": 2,
    "block": 1,
    "pause": 1,
}
LONGER = {what: 3 * number for what, number in STORY.items()} | {"budget": 4}


@pytest.fixture(scope="module")
def swarm(tmp_path_factory):
    """Machines on release 1, in service."""
    spec = SwarmSpec(tmp_path_factory.mktemp("swarm"), MACHINES, times=QUICK, pods=PodTimes(), seed=SEED)
    with Swarm(spec) as running:
        yield running


def stricter(changes: list[Change]) -> list[Change]:
    """The same log, as if a person had asked for less: a judge that reads it finds a lot."""
    asked = {"maxUnavailable": 1, "paused": True}

    def severe(change: Change) -> Change:
        item = change.object
        if change.resource != "oses" or item is None:
            return change
        spec = item["spec"] | {"rollout": item["spec"].get("rollout", {}) | asked}
        return replace(change, object=item | {"spec": spec})

    return [severe(change) for change in changes]


@pytest.fixture
def judged(swarm, tally):
    """Waits for a rollout's end, and gives what is wrong: nothing."""
    begun, before = Judge(OPERATOR), len(swarm.fleet.breaches)
    begun.read(audit.changes(swarm.plane.audit_log))

    def judge(chaos: Chaos, seconds: float) -> list[str]:
        chaos.wait_for_end(seconds)
        swarm.check()
        changes = audit.changes(swarm.plane.audit_log)
        # Where this process comes late to what is due, the operator comes late to what it is told.
        judge = Judge(OPERATOR, grace=GRACE + swarm.time.late)
        judge.read(changes)
        tally("simulated machines in rollouts with chaos", len(chaos.machines))
        tally("SIGKILLs of the operator in rollouts with chaos", chaos.kills)
        tally("cordons judged from the audit log", judge.cordons - begun.cordons)
        tally("reboot orders judged from the audit log", judge.orders - begun.orders)
        tally("writes of the operator judged from the audit log", judge.writes - begun.writes)
        assert judge.cordons - begun.cordons >= len(chaos.machines) / 2
        severe = Judge(OPERATOR)
        severe.read(stricter(changes))
        assert sum("maxUnavailable" in one for one in severe.breaches) > 1
        assert sum("paused" in one for one in severe.breaches) >= len(chaos.machines) / 2
        stays = [f"{name} keeps our note" for name in judge.noted()]
        new = [one for one in judge.breaches if one not in begun.breaches]
        return new + swarm.fleet.breaches[before:] + stays

    return judge


def test_a_rollout_in_waves_keeps_its_promises_whatever_happens(swarm, judged):
    chaos = Chaos(swarm, SEED, 2, ROLLOUT | {"waves": WAVES}, LABELS)
    chaos.doom(5, 2)
    chaos.doom(5, 3)
    chaos.at(2, "budget")
    chaos.at(8, "approve")
    chaos.at(15, "retarget")
    chaos.at(16, "approve")
    chaos.at(24, "recreate")
    chaos.draw(30, STORY)
    chaos.tell()
    assert judged(chaos, 240) == []


def test_a_rollout_in_windows_keeps_its_promises_whatever_happens(swarm, judged):
    chaos = Chaos(swarm, SEED, 10, ROLLOUT | {"maxUnavailable": 6, "windows": WINDOWS}, LABELS | SHARE)
    chaos.doom(1, 10)
    chaos.draw(20, {"kill": 1, "silence": 1, "crash": 1, "cordon": 1})
    chaos.tell()
    assert judged(chaos, 240) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 104))
def test_longer_rollouts_keep_their_promises_too(swarm, judged, seed):
    version = 10 * seed
    gates = {"windows": [{"cron": "* * * * *", "duration": "40s"}]} if seed % 2 else {"waves": WAVES}
    chaos = Chaos(swarm, seed, version, ROLLOUT | gates, LABELS)
    chaos.doom(8, version)
    chaos.doom(8, version + 1)
    for moment in (10, 41, 61):
        chaos.at(moment, "approve")
    chaos.at(40, "retarget")
    chaos.at(60, "recreate")
    chaos.draw(100, LONGER)
    chaos.tell()
    assert judged(chaos, 480) == []
