"""The first seconds of requests on Java 25: plainly, with archives made by hand, and as a pod of ours.

`WARMROOT_ROUNDS` says how many rounds there are; in each every way to start is watched once.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from bench.javastart.entry import by_hand, entered, ours, plain, runtimes, workplace
from bench.javastart.race import ROUNDS, machine
from bench.report import Row
from testbed.apps import traffic
from testbed.apps.application import Application
from testbed.apps.running import Running
from testbed.apps.threads import Spent, Threads
from testbed.demo.java.bed import serving

FEATURE = 25
WATCHED = 10.0
"""Seconds of requests after a start."""
PLAIN = "plain"
BEHIND = "ours, compilers behind"
_BEHIND = ("-XX:ThreadPriorityPolicy=1", "-XX:CompilerThreadPriority=10")
"""Whether it is compilers that make requests wait: at nice 10 they get a tenth of a request's share."""
HANDLERS = "http-nio"
"""How Tomcat names the threads that answer."""
Way = Callable[[], AbstractContextManager[tuple[Running, float]]]


@dataclass
class Seen:
    """One way to start, round by round: milliseconds, and requests since the process began."""

    slowest: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    unexpected: int = 0
    """Rounds with an answer that was another than it should."""
    slow: list[tuple[float, Spent]] = field(default_factory=list)
    """The slowest hundredth of the first 10 s, all rounds: milliseconds, and what of it whoever asks and
    whoever answers spent on a core or waiting for one."""
    busy: list[float] = field(default_factory=list)
    """How much of the machine's cores the application took while it was asked, 0 to 1."""


def run() -> list[Row]:
    """Trains, and watches.

    Raises:
        NotInstalled: set-up is missing something.
        ProgramDied: an application did not get ready, or stopped answering.
        StepFailed: the JDK refused to make an archive.
    """
    jdks = runtimes(FEATURE)
    with workplace("first-requests") as folder, serving(folder) as service:
        entry = entered(service, jdks[0], folder / str(FEATURE))
        shop = entry.workshop
        ways: dict[str, Way] = {PLAIN: partial(plain, shop)}
        for trained, archive in by_hand(shop).items():
            ways[f"made by hand, {trained}"] = partial(plain, shop, flags=shop.use(archive))
        ways["ours"] = partial(ours, entry)
        ways[BEHIND] = partial(ours, entry, flags=_BEHIND)
        seen, load = _watched(shop.application, ways)
        against = f"{ROUNDS} rounds; {machine(jdks)}"
        figure = "load average of the machine while watching"
        return [*compared(seen), *explained(seen), Row("first_requests", figure, load, "", against=against)]


def _watched(application: Application, ways: Mapping[str, Way]) -> tuple[dict[str, Seen], float]:
    """Plain first: its ready time decides the window of a round. The second value is the load average."""
    seen, load = {name: Seen() for name in ways}, []
    for number in range(ROUNDS):
        window = 0.0
        for name, way in ways.items():
            with way() as (one, _):
                window = window or one.ready.seconds + WATCHED
                left = window - one.ready.seconds
                cpu, began = one.cpu, time.perf_counter()
                with Threads((one.process.pid, HANDLERS), (os.getpid(), "")) as both:
                    answers = traffic.send(application, one.port, seconds=left, seed=number, watched=both)
                cores = (time.perf_counter() - began) * (os.cpu_count() or 1)
                seen[name].busy.append((one.cpu - cpu) / cores)
            early = answers.first(WATCHED)
            tail = early.slow(0.99)
            seen[name].slow += zip(tail.latencies, tail.spent, strict=True)
            seen[name].slowest.append(early.slowest)
            seen[name].p99.append(early.percentile(0.99))
            seen[name].served.append(len(answers.latencies))
            seen[name].unexpected += bool(answers.unexpected)
            for answer in answers.unexpected[:3]:
                print(f"  {name}: {answer}", file=sys.stderr, flush=True)
            load.append(os.getloadavg()[0])
        said = ", ".join(f"{name} {one.served[-1]:.0f}" for name, one in seen.items())
        print(f"  round {number + 1} of {ROUNDS}, requests served: {said}", file=sys.stderr, flush=True)
    return seen, statistics.median(load)


def compared(seen: Mapping[str, Seen]) -> Iterator[Row]:
    """Rows: each way's median over the plain one's."""
    figures: tuple[tuple[str, str, float, Literal["lower", "higher"], str], ...] = (
        ("slowest request in the first 10 s", "slowest", 0.5, "lower", "ms"),
        ("p99 in the first 10 s", "p99", 0.6, "lower", "ms"),
        ("served since the process began", "served", 1.5, "higher", "requests"),
    )
    base = seen[PLAIN]
    for name, one in seen.items():
        if name == PLAIN:
            continue
        for figure, part, promised, better, unit in figures:
            goal = promised if name != BEHIND else None
            here, there = (statistics.median(getattr(which, part)) for which in (one, base))
            against = f"{here:.0f} against {there:.0f} {unit}"
            failed = one.unexpected + base.unexpected
            title = f"{figure}, {name}, {FEATURE}"
            yield Row("first_requests", title, here / there, "x", goal, better, against, failed)


def explained(seen: Mapping[str, Seen]) -> Iterator[Row]:
    """What the slowest hundredth of requests waited for, and how busy the machine was."""
    for name, one in seen.items():
        total = sum(latency for latency, _ in one.slow)
        spent = sum((spent for _, spent in one.slow), Spent())
        title = f"of the slowest 1 %, waiting for a core, {name}, {FEATURE}"
        against = f"on one {spent.ran / total:.2f}, mean {total / len(one.slow):.0f} ms of {len(one.slow)}"
        yield Row("first_requests", title, spent.waited / total, "", against=against)
        title = f"cores that the application took while it was asked, {name}, {FEATURE}"
        yield Row("first_requests", title, statistics.median(one.busy), f"of {os.cpu_count()}")
