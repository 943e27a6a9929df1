"""A rollout over 200 simulated machines on a real API server: its time against the ideal one, its requests.

The machines take as long as real ones do: boots of 20 to 40 s, pods that need seconds to end. What the
operator adds to that is what is measured. How late this machine made the simulation itself is told, too.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.report import Row
from bench.rollout import IDLE, SETTLE, Course, idle, schedule, stamp, writes
from testbed.controlplane import audit
from testbed.controlplane.audit import Entry
from testbed.demo import requests
from testbed.demo.scene import Scene
from testbed.demo.timeline import Step
from testbed.swarm.bed import Swarm, SwarmSpec, os_object
from testbed.swarm.pods import PodTimes, Stop
from testbed.swarm.ports import Times
from warmroot.cache import cache_dir
from warmroot.errors import StepFailed
from warmroot.kube.cluster import OS

MACHINES, LANES = 200, 40
READY_SECONDS = 30
TIMES = Times(heed=(0.05, 0.3), staging=(10, 20), boot=(20, 40), ready=2)
PODS = PodTimes(start=(1, 3), stop=(2, 5))
ROLLOUT = {
    "maxUnavailable": LANES,
    "maxStaging": MACHINES,
    "drain": {"timeout": "5m"},
    "health": {"readySeconds": READY_SECONDS, "timeout": "5m"},
}
NAME = "workers"
PATIENCE = 1800.0


def run() -> list[Row]:
    """Takes the machines in, rolls one release out, watches the rest that follows.

    Raises:
        StepFailed: the rollout did not end well.
        NotInstalled: set-up is missing something.
    """
    with _swarm() as swarm, Scene(swarm.plane.kubeconfig, "") as scene:
        swarm.admin.create(OS, os_object(NAME, 1, ROLLOUT))
        _wait_for_end(swarm, scene, 1)
        time.sleep(SETTLE)
        swarm.time.late, seen = 0.0, len(scene.marks)
        since, began = stamp(), time.monotonic()
        swarm.admin.patch(OS, NAME, {"spec": {"release": os_object(NAME, 2, {})["spec"]["release"]}})
        _wait_for_end(swarm, scene, 2)
        took, late = time.monotonic() - began, swarm.time.late
        marks = scene.marks[seen:]
        time.sleep(SETTLE)
        rest = stamp()
        time.sleep(IDLE)
        entries, stops = list(audit.read(swarm.plane.audit_log)), list(swarm.pods.stops)
    course = Course("swarm", marks, began, took, LANES, READY_SECONDS)
    rolling = [entry for entry in entries if since <= entry.at < rest]
    return [
        *schedule(course, f"this machine was up to {late:.2f} s late with what a simulated one did"),
        strict(course, stops),
        writes("swarm", rolling, "operator", MACHINES),
        _events(rolling),
        idle("swarm", [entry for entry in entries if entry.at >= rest], "operator"),
    ]


@contextmanager
def _swarm() -> Iterator[Swarm]:
    directory = cache_dir() / "run" / f"bench-{time.time_ns()}"
    try:
        with Swarm(SwarmSpec(directory, MACHINES, MACHINES, times=TIMES, pods=PODS)) as swarm:
            yield swarm
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for_end(swarm: Swarm, scene: Scene, version: int) -> None:
    wanted = os_object(NAME, version, {})["spec"]["release"]["digest"]

    def over() -> bool:
        seen = scene.os(NAME)
        return seen.observed and seen.target == wanted and seen.phase in ("Complete", "Halted")

    swarm.wait(over, f"the end of release {version}'s rollout", PATIENCE)
    if scene.os(NAME).phase != "Complete":
        raise StepFailed(f"the rollout of release {version} did not complete")


def strict(course: Course, stops: Sequence[Stop]) -> Row:
    """The schedule once more: of a drain only the time in which its pods end is the node's own."""
    at = {(mark.node, mark.step): mark.at for mark in course.marks}
    own, reactions = {}, []
    for node, seconds in course.durations().items():
        begun, over = at[node, Step.CORDONED], at[node, Step.ACTIVATING]
        ended = [one for one in stops if one.node == node and begun <= one.told <= one.gone <= over]
        pods = max(one.gone for one in ended) - min(one.told for one in ended) if ended else 0.0
        reactions.append(over - begun - pods)
        own[node] = seconds - reactions[-1]
    ideal = course.ideal(own)
    mean = sum(reactions) / len(reactions)
    against = (
        f"{ideal:.1f} s: the operator's part of a drain, {mean:.1f} s a node, is no part of the schedule"
    )
    figure = "strict ideal schedule / measured"
    return Row(course.bench, figure, ideal / course.took, "", None, "higher", against)


def _events(entries: Sequence[Entry]) -> Row:
    """Events that the operator made, or told again, a node."""
    mine = [one for one in entries if one.user == requests.OPERATOR and one.resource == "events"]
    stored = sum(one.is_write and one.code < 400 for one in mine)
    against = f"{stored} stored, {len(mine) - stored} that were there already"
    return Row("swarm", "Events per updated node, operator", len(mine) / MACHINES, "Events", against=against)
