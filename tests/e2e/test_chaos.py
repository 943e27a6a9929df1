"""Hundreds of machines, a real API server, everything at once; the audit log says that no promise broke."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

import pytest

from testbed.controlplane import audit
from testbed.controlplane.audit import Change
from testbed.demo.requests import OPERATOR
from testbed.swarm.bed import FEW, MOST, Swarm, SwarmSpec
from testbed.swarm.judge import GRACE, Judge
from testbed.swarm.ports import Times
from tests.e2e.chaos import Chaos, Rollout

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
MACHINES, PODS = 200, 60
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
    grace=2,
    ready=0.3,
    crash=6,
    retry=2,
    heartbeat=60,
)
"""A boot in seconds: everything else takes as long as it takes."""
ROLLOUT = {
    "maxUnavailable": "20%",
    "maxStaging": 60,
    "drain": {"timeout": "2m", "onTimeout": "Wait"},
    "health": {"readySeconds": 1, "timeout": "20s"},
    "failure": {"maxFailed": 100},
}
WAVES = {
    "waves": [
        {"name": "canary", "nodes": 10, "maxFailed": 100},
        {"name": "rest", "maxFailed": 100, "approval": "Required"},
    ]
}
WINDOWS = {"maxUnavailable": 8, "windows": [{"cron": "* * * * *", "duration": "30s"}]}
STORY = {
    "kill": 3,
    "silence": 6,
    "crash": 6,
    "cordon": 6,
    "uncordon": 2,
    "recordon": 2,
    "block": 1,
    "pause": 1,
}
LONGER = {what: 3 * number for what, number in STORY.items()} | {"budget": 4}
FIRST, SECOND = 2, 50
"""Releases to begin with, of the many and of the few."""


@pytest.fixture
def swarm(tmp_path):
    """Machines on release 1, in service."""
    with Swarm(SwarmSpec(tmp_path, MACHINES, PODS, times=QUICK, seed=SEED)) as running:
        yield running


def chaos(swarm: Swarm, seed: int) -> Chaos:
    """Two OS objects side by side: one in waves that people edit, and one in windows."""
    many = Rollout(swarm, "many", FIRST, ROLLOUT | WAVES, MOST)
    few = Rollout(swarm, "few", SECOND, ROLLOUT | WINDOWS, FEW)
    story = Chaos(seed, [many, few])
    for version in (FIRST, FIRST + 1):
        many.doom(story.random, 5, version)
    few.doom(story.random, 1, SECOND)
    return story


def judged(chaos: Chaos, tally) -> list[str]:
    """What is wrong; that the judge saw what it had to see is asserted."""
    swarm = chaos.swarm
    swarm.check()
    changes = audit.changes(swarm.plane.audit_log)
    # Where this process comes late to what is due, the operator comes late to what it is told.
    judge = Judge(OPERATOR, grace=GRACE + swarm.time.late)
    log.warning("what others did counts after %.1f s", judge.grace)
    judge.read(changes)
    tally("simulated machines in rollouts with chaos", len(chaos.machines))
    tally("SIGKILLs of the operator in rollouts with chaos", chaos.kills)
    tally("cordons judged from the audit log", judge.cordons)
    tally("reboot orders judged from the audit log", judge.orders)
    tally("writes of the operator judged from the audit log", judge.writes)
    assert judge.cordons >= len(chaos.machines) / 2
    severe = Judge(OPERATOR)
    severe.read(stricter(changes))
    assert sum("maxUnavailable" in one for one in severe.breaches) >= len(chaos.machines) / 4
    assert sum("paused" in one for one in severe.breaches) >= len(chaos.machines) / 2
    stays = [f"{name} keeps our note" for name in judge.noted()]
    return judge.breaches + swarm.fleet.breaches + stays


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


def test_rollouts_keep_their_promises_whatever_happens(swarm, tally):
    story = chaos(swarm, SEED)
    story.at(2, "budget")
    story.at(4, "retarget")
    story.at(6, "approve")
    story.at(14, "recreate")
    story.draw(20, STORY)
    story.tell()
    story.wait_for_end(400)
    assert judged(story, tally) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 104))
def test_longer_rollouts_keep_their_promises_too(swarm, tally, seed):
    story = chaos(swarm, seed)
    for moment in (10, 41, 61):
        story.at(moment, "approve")
    story.at(40, "retarget")
    story.at(60, "recreate")
    story.draw(100, LONGER)
    story.tell()
    story.wait_for_end(600)
    assert judged(story, tally) == []
