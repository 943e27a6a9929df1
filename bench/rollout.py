"""A rollout over real machines: its time against the ideal schedule of the same run, and its API requests.

The ideal schedule knows no reaction time: it takes the phases that each node was measured to need (staging of
the first node, drain, restart until Ready for `readySeconds` and reported on trial, confirm), and packs them
into as many lanes as the budget has, in the order in which the nodes moved.
"""

from __future__ import annotations

import heapq
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console

from bench.report import Row
from testbed.controlplane import audit
from testbed.controlplane.audit import Entry
from testbed.demo import requests
from testbed.demo.bed import Bed, BedSpec
from testbed.demo.objects import Pace, Run
from testbed.demo.reporter import PLAIN_WIDTH, Reporter
from testbed.demo.story import Story
from testbed.demo.timeline import Mark, Step
from warmroot.cache import cache_dir
from warmroot.errors import StepFailed

MACHINES = 6
PACE = Pace(max_unavailable=2, ready_seconds=30, health_timeout="90s")
"""Half of the default readySeconds, so that a run ends in minutes and reaction times weigh double."""
SETTLE, IDLE = 5.0, 20.0
"""Seconds after a rollout until it counts as idle, and seconds for which idleness is watched."""
SCHEDULE = 0.95
PARTS = {"operator": (requests.OPERATOR, 12), "proxies": (requests.PROXY, 15)}
"""Who is counted, and the goal for writes a node."""


def run() -> list[Row]:
    """Brings a bed up, takes its nodes in as they are, rolls one release out, watches it rest.

    The nodes are taken in first because that happens once in a node's life, and an update again and again.

    Raises:
        StepFailed: the rollout did not end well.
        NotInstalled: set-up is missing something.
    """
    with _bed() as bed:
        story = Story(bed, PACE)
        _take_in(story, bed)
        release = bed.shelf.make("2")
        since, began, seen = stamp(), time.monotonic(), len(bed.scene.marks)
        story.apply(release)
        story.wait_for_end(release, 300)
        took = time.monotonic() - began
        if bed.scene.os(bed.run.os).phase != "Complete":
            raise StepFailed("the rollout did not complete", hint=bed.hint)
        marks = bed.scene.marks[seen:]
        time.sleep(SETTLE)
        rest = stamp()
        time.sleep(IDLE)
        assert bed.plane is not None
        entries = list(audit.read(bed.plane.audit_log))
    course = Course("rollout", marks, began, took, PACE.max_unavailable, PACE.ready_seconds)
    rolling = [entry for entry in entries if since <= entry.at < rest]
    resting = [entry for entry in entries if entry.at >= rest]
    return [
        *schedule(course),
        *(writes("rollout", rolling, part, MACHINES) for part in PARTS),
        *(idle("rollout", resting, part) for part in PARTS),
    ]


def _take_in(story: Story, bed: Bed) -> None:
    story.apply(bed.installed)
    story.wait_for_end(bed.installed, 60)


@contextmanager
def _bed() -> Iterator[Bed]:
    run = Run("bench", MACHINES)
    directory = cache_dir() / "run" / f"bench-{time.time_ns()}"
    console = Console(stderr=True, width=None if sys.stderr.isatty() else PLAIN_WIDTH)
    try:
        with Bed(BedSpec(directory, run), Reporter(console)) as bed:
            yield bed
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def stamp() -> str:
    """The time as the audit log writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def node_seconds(node: str, marks: Iterable[Mark], ready_seconds: float) -> float:
    """What one node was measured to need from cordon to the end, reaction times left out.

    Raises:
        StepFailed: the node was not seen to take every step.
    """
    at = {mark.step: mark.at for mark in marks if mark.node == node}
    wanted = (Step.CORDONED, Step.ACTIVATING, Step.READY, Step.TRIAL, Step.CONFIRMING, Step.CONFIRMED)
    missing = [step for step in wanted if step not in at]
    if missing:
        raise StepFailed(f"{node} was not seen to be {missing[0]}")
    drain = at[Step.ACTIVATING] - at[Step.CORDONED]
    proven = max(at[Step.READY] + ready_seconds, at[Step.TRIAL]) - at[Step.ACTIVATING]
    confirm = at[Step.CONFIRMED] - at[Step.CONFIRMING]
    return drain + proven + confirm


def ideal_seconds(durations: Sequence[float], lanes: int) -> float:
    """Seconds of the schedule that starts the next node the moment a lane is free."""
    free = [0.0] * min(lanes, len(durations))
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


@dataclass(frozen=True)
class Course:
    """One rollout that was watched: `began` on the marks' clock, `took` in seconds, `lanes` nodes at once."""

    bench: str
    marks: Sequence[Mark]
    began: float
    took: float
    lanes: int
    ready_seconds: int

    @property
    def staged(self) -> float:
        """Seconds until the first node was staged."""
        return min(mark.at for mark in self.marks if mark.step is Step.STAGED) - self.began

    def durations(self) -> dict[str, float]:
        """Seconds that each node needed, in the order in which they were begun.

        Raises:
            StepFailed: a node was not seen to take every step.
        """
        order = [mark.node for mark in self.marks if mark.step is Step.CORDONED]
        return {node: node_seconds(node, self.marks, self.ready_seconds) for node in order}

    def ideal(self, durations: Mapping[str, float]) -> float:
        """Seconds of the schedule that knows no reaction times."""
        return self.staged + ideal_seconds(list(durations.values()), self.lanes)


def schedule(course: Course, limits: str = "") -> list[Row]:
    """The rollout against its ideal schedule. `limits`: what else took time, for the reader.

    Raises:
        StepFailed: a node was not seen to take every step.
    """
    took, staged, durations = course.took, course.staged, course.durations()
    ideal = course.ideal(durations)
    against = f"ideal schedule of this run: {ideal:.1f} s ({staged:.1f} s of it until the first is staged)"
    nodes, rounds = len(durations), -(-len(durations) // course.lanes)
    mean = sum(durations.values()) / nodes
    told = "; ".join(part for part in (against, limits) if part)
    size = f"{nodes} nodes, {course.lanes} at once, readySeconds {course.ready_seconds}"
    reaction = (took - ideal) / rounds
    return [
        Row(course.bench, size, took, "s", against=against),
        Row(course.bench, "ideal schedule / measured", ideal / took, "", SCHEDULE, "higher", told),
        Row(course.bench, "one node, reaction times left out", mean, "s"),
        Row(course.bench, "reaction times, a round", reaction, "s", against=f"{rounds} rounds"),
    ]


def writes(bench: str, entries: Sequence[Entry], part: str, nodes: int) -> Row:
    """API writes of one of `PARTS`, a node."""
    user, goal = PARTS[part]
    found = requests.writes(entries, user)
    named = ", ".join(f"{count} {what}" for what, count in found.most_common())
    figure = f"API writes per updated node, {part}"
    return Row(bench, figure, found.total() / nodes, "writes", goal, against=named)


def idle(bench: str, entries: Sequence[Entry], part: str) -> Row:
    """Requests of one of `PARTS` while there was nothing to do, for `IDLE` seconds."""
    found = requests.busy(entries, PARTS[part][0])
    named = ", ".join(f"{count} {what}" for what, count in found.items())
    against = f"Lease and watches left out; {named or 'none'}"
    return Row(
        bench, f"requests in {IDLE:g} s of rest, {part}", found.total(), "requests", 0, against=against
    )
