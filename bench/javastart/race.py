"""Starts contestants in turns, in an order that changes each round: a slow minute hits all of them."""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from testbed.apps.running import Running


@dataclass(frozen=True)
class Sample:
    """One start."""

    seconds: float
    """From the first process to the first 200, whatever ran before the application's JVM included."""
    cpu: float
    """Seconds of processor time of the application's JVM up to then."""
    resident: float
    """MiB."""


@dataclass(frozen=True)
class Contestant:
    """One way to start an application. `start` gives a running one, and the seconds spent before it."""

    name: str
    start: Callable[[], AbstractContextManager[tuple[Running, float]]]


@dataclass
class Results:
    """Samples by contestant."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)
    """The machine's load average after each start: what else ran makes walls long."""

    def seconds(self, name: str) -> float:
        """The median."""
        return statistics.median(one.seconds for one in self.samples[name])

    def cpu(self, name: str) -> float:
        """The median."""
        return statistics.median(one.cpu for one in self.samples[name])

    def resident(self, name: str) -> float:
        """The median."""
        return statistics.median(one.resident for one in self.samples[name])

    def faster(self, name: str, than: str) -> float:
        """How many times faster a contestant is than another: the median of the rounds' own ratios.

        A ratio within one round compares starts that were minutes apart at most.
        """
        pairs = zip(self.samples[than], self.samples[name], strict=True)
        return statistics.median(slow.seconds / fast.seconds for slow, fast in pairs)

    def lighter(self, name: str, than: str) -> float:
        """As `faster`, by processor time: what it says on a machine that others use as well."""
        pairs = zip(self.samples[than], self.samples[name], strict=True)
        return statistics.median(slow.cpu / fast.cpu for slow, fast in pairs)


def race(contestants: Sequence[Contestant], rounds: int, seed: int = 7) -> Results:
    """Each contestant once a round.

    Raises:
        ProgramDied: one did not get ready.
    """
    results = Results({one.name: [] for one in contestants})
    dice = random.Random(seed)
    for number in range(rounds):
        order = list(contestants)
        dice.shuffle(order)
        for one in order:
            with one.start() as (running, before):
                ready = running.ready
                running.end(signal.SIGKILL)
            results.samples[one.name].append(Sample(before + ready.seconds, ready.cpu, ready.resident))
            results.load.append(os.getloadavg()[0])
        said = ", ".join(f"{one.name} {results.samples[one.name][-1].seconds:.1f}" for one in contestants)
        print(f"  round {number + 1} of {rounds}, seconds: {said}", file=sys.stderr, flush=True)
    return results


def machine(jdks: Mapping[int, str]) -> str:
    """Processor, cores, kernel and JDKs: figures mean nothing without."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")),
        "unknown CPU",
    )
    versions = ", ".join(jdks.values())
    return f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}, Java {versions}"


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()
