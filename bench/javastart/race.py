"""Starts contestants in turns, in an order that changes each round: a slow minute hits all of them."""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.report import Row
from testbed.apps.running import Running
from testbed.setup.jdk import Jdk

ROUNDS = int(os.environ.get("WARMROOT_ROUNDS", "3"))
"""Each has every contestant once."""


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


def race(contestants: Sequence[Contestant], rounds: int = ROUNDS, seed: int = 7) -> Results:
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


def circumstances(bench: str, results: Results, jdks: Sequence[Jdk]) -> Row:
    """What the figures of a race were measured on: they mean nothing without."""
    rounds = max(map(len, results.samples.values()))
    figure = "load average of the machine while racing"
    against = f"{rounds} rounds in changing order; {machine(jdks)}"
    return Row(bench, figure, statistics.median(results.load), "", against=against)


def machine(jdks: Sequence[Jdk]) -> str:
    """Processor, cores, kernel and JDKs."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")),
        "unknown CPU",
    )
    versions = ", ".join(one.version for one in jdks)
    return f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}, Java {versions}"


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()
