"""How fast a Spring Boot service is ready: plainly, with archives made by hand, and as pods of ours start.

All starts of one figure are interleaved. `WARMROOT_ROUNDS` says how many rounds there are.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from bench.javastart.entry import Entry, by_hand, entered, ours, plain, runtimes, workplace
from bench.javastart.race import ROUNDS, Contestant, Results, circumstances, race
from bench.report import Row
from jboost_agent.build import agent_jar
from jboost_server.core.outcome import Outcome
from testbed.apps.application import Layout
from testbed.demo.java.bed import serving
from testbed.demo.java.pod import Decided
from warmroot.errors import ProgramDied

FAT, EXTRACTED, OURS, WHOLE = "plain fat jar", "plain extracted", "ours", "ours, pod agent included"
GOALS = {17: (2.1, 1.85, 1.7), 25: (2.6, 2.2, 1.9)}
"""By Java, how many times faster: than the fat jar, than extracted, and than that with the agent's time."""
NO_WORSE = 1.02
"""Of the better archive that was made by hand."""
AT_HAND, FETCHED = 0.2, 0.6
"""Seconds that the pod agent may add."""
_NO_VERB = 2
"""The agent's exit code if it was not told what to do."""


def run() -> list[Row]:
    """Trains on each JDK, races the starts, and measures the pod agent alone.

    Raises:
        NotInstalled: set-up is missing something.
        ProgramDied: an application did not get ready.
        StepFailed: a JDK refused to make an archive.
    """
    jdks = runtimes(17, 25, also=(21,))
    with workplace("start") as folder, serving(folder) as service:
        entries = [entered(service, one, folder / str(one.feature)) for one in jdks]
        made = {entry.jdk.feature: by_hand(entry.workshop) for entry in entries}
        results = race([one for entry in entries for one in _contestants(entry, made[entry.jdk.feature])])
        rows = [
            row
            for entry in entries
            for row in starts(entry.jdk.feature, list(made[entry.jdk.feature]), results, len(entry.misses))
        ]
        rows += [_misses(entry) for entry in entries]
        rows += [row for entry in entries for row in _agent(entry)]
        return [*rows, circumstances("start", results, jdks)]


def _contestants(entry: Entry, made: Mapping[str, Path]) -> Iterator[Contestant]:
    name, shop = partial("{1} on {0}".format, entry.jdk.feature), entry.workshop
    yield Contestant(name(FAT), partial(plain, shop, layout=Layout.FAT))
    yield Contestant(name(EXTRACTED), partial(plain, shop))
    for trained, archive in made.items():
        yield Contestant(name(_by_hand(trained)), partial(plain, shop, flags=shop.use(archive)))
    yield Contestant(name(OURS), partial(ours, entry))
    yield Contestant(name(WHOLE), partial(ours, entry, agent=True))


def _by_hand(trained: str) -> str:
    return f"made by hand, {trained}"


def starts(feature: int, made: list[str], results: Results, misses: int) -> Iterator[Row]:
    """Rows of one JDK. `made`: how the archives made by hand were trained; `misses`: starts without a hit."""
    row = partial(Row, "start")
    fat, extracted, ours, whole = (f"{name} on {feature}" for name in (FAT, EXTRACTED, OURS, WHOLE))
    hands = [f"{_by_hand(trained)} on {feature}" for trained in made]
    best = min(hands, key=results.seconds)
    for one in (fat, extracted, *hands, ours, whole):
        yield row(one, results.seconds(one), "s", against=f"{results.cpu(one):.2f} s of processor time")
    goals = GOALS.get(feature, (None, None, None))
    for title, fast, slow, goal, failed in (
        ("ours faster than the fat jar", ours, fat, goals[0], 0),
        ("ours faster than extracted", ours, extracted, goals[1], 0),
        ("with the pod agent faster than extracted", whole, extracted, goals[2], misses),
        ("the best made by hand faster than extracted", best, extracted, None, 0),
    ):
        cpu = f"by processor time {results.lighter(fast, slow):.2f} x"
        figure, faster = f"{title}, {feature}", results.faster(fast, slow)
        yield row(figure, faster, "x", goal, "higher", cpu, failed=failed)
    against = f"{best.rpartition(' on ')[0]}; by processor time {1 / results.lighter(ours, best):.2f} x"
    figure = f"ours against the best archive made by hand, {feature}"
    yield row(figure, 1 / results.faster(ours, best), "x", NO_WORSE, against=against)
    for title, one in (("plainly", extracted), ("with ours", ours)):
        yield row(f"resident when ready {title}, {feature}", results.resident(one), "MiB")


def _misses(entry: Entry) -> Row:
    """A slow machine makes the agent miss its budget; such a start is a plain one, and its time counts."""
    why = ", ".join(sorted(set(entry.misses)))
    figure = f"starts with the pod agent that were not served, {entry.jdk.feature}"
    return Row("start", figure, len(entry.misses), f"of {ROUNDS}", 0, "lower", why)


def _agent(entry: Entry) -> Iterator[Row]:
    """What the pod agent adds, its JVM included, and what its JVM takes that only says how it is used."""
    fetched, at_hand, idle = [], [], []
    for _ in range(max(ROUNDS, 5)):
        shutil.rmtree(entry.pod.folder / "archives", ignore_errors=True)
        fetched.append(entry.pod.fetch())
        at_hand.append(entry.pod.fetch())
        idle.append(_idle(entry))
    yield Row("start", f"agent without a verb, {entry.jdk.feature}", statistics.median(idle), "s")
    yield from added(f"archive at hand, {entry.jdk.feature}", at_hand, AT_HAND)
    yield from added(f"fetched from loopback, {entry.jdk.feature}", fetched, FETCHED)


def _idle(entry: Entry) -> float:
    """Seconds from the start to the end of an agent that has nothing to do."""
    began = time.perf_counter()
    done = subprocess.run([entry.jdk.java, "-jar", agent_jar()], capture_output=True, check=False)
    if done.returncode != _NO_VERB:
        raise ProgramDied(f"the agent without a verb ended with {done.returncode}", hint="report this")
    return time.perf_counter() - began


def added(what: str, runs: list[Decided], goal: float) -> Iterator[Row]:
    """Rows of runs of the pod agent. One without a hit has failed, and how long it took says nothing."""
    hits = [run for run in runs if run.outcome is Outcome.HIT]
    failed = len(runs) - len(hits)
    seconds = statistics.median(run.seconds for run in hits or runs)
    tried = [ms for run in hits if (ms := run.report.steps.get("preflight"))]
    steps = {name: statistics.median(run.report.steps.get(name, 0) for run in hits) for name in _steps(hits)}
    told = ", ".join(f"{name} {ms:.0f}" for name, ms in steps.items())
    against = f"a preflight in {len(tried)} of {len(hits)} hits; ms: {told}"
    yield Row("start", f"agent adds, {what}", seconds, "s", goal, "lower", against, failed)
    if tried:
        yield Row("start", f"preflight of it, {what}", statistics.median(tried), "ms")


def _steps(runs: list[Decided]) -> list[str]:
    """Names of the agent's steps, in its order."""
    return list(dict.fromkeys(name for run in runs for name in run.report.steps))
