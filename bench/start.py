"""How fast a Spring Boot service is ready: plainly, with an archive made by hand, and as pods of ours start.

All starts of one figure are interleaved. `WARMROOT_ROUNDS` says how many rounds there are.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from bench.javastart.archives import Workshop
from bench.javastart.race import Contestant, Results, machine, race
from bench.javastart.service import serving
from bench.report import Row
from jboost_agent.build import agent_jar
from jboost_server.core.classlist import parse
from jboost_server.core.merge import Merge
from jboost_server.core.outcome import Outcome
from testbed.apps import foreign, spring, traffic
from testbed.apps.application import Application, Layout
from testbed.apps.running import Running, free_port, start
from testbed.demo.java.pod import Pod, Service
from testbed.setup import jdk
from testbed.setup.cache import cache_dir
from testbed.setup.jdk import Jdk
from warmroot.errors import NotInstalled, ProgramDied

ROUNDS = int(os.environ.get("WARMROOT_ROUNDS", "3"))
TRAINING, WATCHED = 10.0, 10.0
"""Seconds of requests for training, and those that are watched after a start."""
FAT, EXTRACTED, BY_HAND, OURS = "plain fat jar", "plain extracted", "made by hand", "ours"
WHOLE, OTEL_PLAIN, OTEL_OURS = (
    "ours, pod agent included",
    "plain with OpenTelemetry",
    "ours with OpenTelemetry",
)
GOALS = {17: (2.1, 1.85, 1.7), 25: (2.6, 2.2, 1.9)}
"""By Java, how many times faster: than the fat jar, than extracted, and than that with the agent's time."""
NO_WORSE, KEPT = 1.02, 0.8
KINDS = {"reads": ("search", "page", "list", "priced", "prices"), "writes": ("order", "invalid", "count")}
_EXPORT_NOTHING = {f"OTEL_{what}_EXPORTER": "none" for what in ("TRACES", "METRICS", "LOGS")}


@dataclass(frozen=True)
class Entry:
    """What there is to start on one JDK."""

    application: Application
    jdk: Jdk
    folder: Path
    by_hand: Workshop
    start_trained: Path
    traffic_trained: Path
    pod: Pod
    options: Path
    """What the pod agent wrote at a hit: a later miss replaces the pod's own file."""
    misses: list[str]
    """Why starts with the agent were not served, in its words."""


def run() -> list[Row]:
    """Trains on each JDK, races the starts, and watches the first seconds of requests.

    Raises:
        NotInstalled: set-up is missing something.
        ProgramDied: an application did not get ready.
        StepFailed: a JDK refused to make an archive.
    """
    jdks = _jdks()
    folder = cache_dir() / "run" / f"bench-start-{time.time_ns()}"
    folder.mkdir(parents=True)
    print("  " + machine({one.feature: one.version for one in jdks}), file=sys.stderr, flush=True)
    try:
        with serving(folder) as service:
            entries = [_entry(service, one, folder / str(one.feature)) for one in jdks]
            results = race([one for entry in entries for one in _contestants(entry)], ROUNDS)
            rows = [row for entry in entries for row in _starts(entry.jdk.feature, results)]
            rows += [_misses(entry) for entry in entries]
            rows += [row for entry in entries for row in _agent(entry)]
            rows += [row for entry in entries if entry.jdk.feature == 25 for row in _requests(entry)]
            rows += [row for entry in entries if entry.jdk.feature == 17 for row in _merged(entry)]
            load = statistics.median(results.load)
            return [*rows, Row("start", "load average of the machine while racing", load, "")]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _jdks() -> list[Jdk]:
    found = [one for feature in (17, 21, 25) if (one := jdk.find(feature)) is not None]
    if {17, 25} - {one.feature for one in found}:
        raise NotInstalled("Java 17 and 25 are needed")
    if not spring.files(cache_dir()).exists() or not foreign.opentelemetry(cache_dir()).exists():
        raise NotInstalled("the application or the OpenTelemetry agent is missing")
    return found


def _entry(service: Service, one: Jdk, folder: Path) -> Entry:
    print(f"  training on Java {one.version}", file=sys.stderr, flush=True)
    folder.mkdir()
    application = spring.application(cache_dir())
    shop = Workshop(application, one, folder)
    trained = {
        name: shop.archive(name, shop.recorded(name, seconds=seconds))
        for name, seconds in (("start-trained", 0.0), ("traffic-trained", TRAINING))
    }
    pod = Pod(application, one, f"bench-{one.feature}", folder / "pod", service, agent_jar())
    _teach(pod)
    options = Path(shutil.copy(pod.options, folder / "hit.opts"))
    start_trained, traffic_trained = trained["start-trained"], trained["traffic-trained"]
    return Entry(application, one, folder, shop, start_trained, traffic_trained, pod, options, [])


def _teach(pod: Pod) -> None:
    """The whole loop as a cluster would go through it: learn under requests, build, be served."""
    pod.fetch("--record")
    with pod.application_container() as one:
        traffic.send(pod.application, one.port, seconds=TRAINING)
    pod.record()
    pod.build(samples=5)
    if (decided := pod.fetch()).outcome is not Outcome.HIT:
        raise ProgramDied(f"the bench's pod is not served: {decided.report.why}", hint="report this")


def _contestants(entry: Entry) -> Iterator[Contestant]:
    name = partial("{1} on {0}".format, entry.jdk.feature)
    plain, by_hand = partial(_plain, entry), entry.by_hand.use(entry.traffic_trained)
    otel = [f"-javaagent:{foreign.opentelemetry(cache_dir())}"]
    yield Contestant(name(FAT), partial(plain, layout=Layout.FAT))
    yield Contestant(name(EXTRACTED), plain)
    yield Contestant(name(BY_HAND), partial(plain, flags=by_hand))
    yield Contestant(name(OURS), partial(_ours, entry))
    yield Contestant(name(WHOLE), partial(_ours, entry, agent=True))
    if entry.jdk.feature in GOALS:
        yield Contestant(name(OTEL_PLAIN), partial(plain, flags=otel))
        yield Contestant(name(OTEL_OURS), partial(_ours, entry, flags=otel))


@contextmanager
def _plain(
    entry: Entry, *, flags: Sequence[str] = (), layout: Layout = Layout.EXTRACTED, options: Path | None = None
) -> Iterator[tuple[Running, float]]:
    port = free_port()
    command = entry.application.command(entry.jdk.java, port, flags, layout)
    environment = dict(_EXPORT_NOTHING)
    if options is not None:
        environment["JDK_JAVA_OPTIONS"] = f"@{options}"
    ready, folder = entry.application.ready, entry.folder
    one = start(command, port, ready, log=folder / "log", cwd=folder, environment=environment)
    try:
        yield one, 0.0
    finally:
        one.end()


@contextmanager
def _ours(entry: Entry, *, agent: bool = False, flags: Sequence[str] = ()) -> Iterator[tuple[Running, float]]:
    """With the options that the pod agent wrote; `agent`: it runs before, and its time counts."""
    if not agent:
        with _plain(entry, flags=flags, options=entry.options) as (one, _):
            yield one, 0.0
        return
    decided = entry.pod.fetch()
    if decided.outcome is not Outcome.HIT:
        entry.misses.append(decided.outcome.value)
    with _plain(entry, flags=flags, options=entry.pod.options) as (one, _):
        yield one, decided.seconds


def _starts(feature: int, results: Results) -> Iterator[Row]:
    fat, extracted, by_hand, ours, whole = (
        f"{name} on {feature}" for name in (FAT, EXTRACTED, BY_HAND, OURS, WHOLE)
    )
    for one in (fat, extracted, by_hand, ours, whole):
        cpu = f"{results.cpu(one):.2f} s of processor time"
        yield Row("start", one, results.seconds(one), "s", None, "lower", cpu)
    goals = GOALS.get(feature, (None, None, None))
    for title, fast, slow, goal in (
        ("ours faster than the fat jar", ours, fat, goals[0]),
        ("ours faster than extracted", ours, extracted, goals[1]),
        ("with the pod agent faster than extracted", whole, extracted, goals[2]),
        ("by hand faster than extracted", by_hand, extracted, None),
    ):
        cpu = f"by processor time {results.lighter(fast, slow):.2f} x"
        figure = f"{title}, {feature}"
        yield Row("start", figure, results.faster(fast, slow), "x", goal, "higher", cpu)
    cpu = f"by processor time {1 / results.lighter(ours, by_hand):.2f} x"
    figure = f"ours against the archive made by hand, {feature}"
    yield Row("start", figure, 1 / results.faster(ours, by_hand), "x", NO_WORSE, "lower", cpu)
    resident = f"plain {results.resident(extracted):.0f} MiB"
    grown = results.resident(ours) / results.resident(extracted)
    yield Row("start", f"resident when ready, {feature}", grown, "x", None, "lower", resident)
    if feature in GOALS:
        yield _kept(feature, results)


def _kept(feature: int, results: Results) -> Row:
    """The share of the saved seconds that is still saved when an agent rewrites classes.

    Java 17 shares none of the application's classes once an agent has appended to the bootstrap class path.
    """
    names = [f"{name} on {feature}" for name in (EXTRACTED, OURS, OTEL_PLAIN, OTEL_OURS)]
    plain, ours, plain_agent, ours_agent = map(results.seconds, names)
    cpu = list(map(results.cpu, names))
    kept = (plain_agent - ours_agent) / (plain - ours)
    against = (
        f"{plain_agent:.2f} -> {ours_agent:.2f} s, without {plain:.2f} -> {ours:.2f} s;"
        f" by processor time {(cpu[2] - cpu[3]) / (cpu[0] - cpu[1]):.2f}"
    )
    return Row("start", f"gain kept with OpenTelemetry, {feature}", kept, "", KEPT, "higher", against)


def _misses(entry: Entry) -> Row:
    """A slow machine makes the agent miss its budget; such a start is a plain one, and its time counts."""
    why = ", ".join(sorted(set(entry.misses)))
    figure = f"starts with the pod agent that were not served, {entry.jdk.feature}"
    return Row("start", figure, len(entry.misses), f"of {ROUNDS}", 0, "lower", why)


def _agent(entry: Entry) -> Iterator[Row]:
    """What the pod agent adds, its JVM included."""
    at_hand, fetched, tried = [], [], []
    for _ in range(max(ROUNDS, 5)):
        shutil.rmtree(entry.pod.folder / "archives", ignore_errors=True)
        first, second = entry.pod.fetch(), entry.pod.fetch()
        if first.outcome is second.outcome is Outcome.HIT:
            fetched.append(first.seconds)
            at_hand.append(second.seconds)
            tried.append(first.report.steps.get("preflight", 0) / 1000)
    if not fetched:
        raise ProgramDied("no fetch of the pod agent kept its budget", hint="measure on a quieter machine")
    feature, preflight = entry.jdk.feature, statistics.median(tried)
    against = f"preflight {preflight:.2f} s of it" if preflight else "no preflight was asked for"
    yield Row(
        "start", f"agent adds, archive at hand, {feature}", statistics.median(at_hand), "s", 0.2, "lower"
    )
    figure = f"agent adds, fetched from loopback, {feature}"
    yield Row("start", figure, statistics.median(fetched), "s", 0.6, "lower", against)


def _requests(entry: Entry) -> Iterator[Row]:
    """The first seconds of requests, plain against both trainings."""
    shop = entry.by_hand
    flags = {
        "plain": [],
        "start-trained": shop.use(entry.start_trained),
        "traffic-trained": shop.use(entry.traffic_trained),
    }
    slowest: dict[str, list[float]] = {name: [] for name in flags}
    p99: dict[str, list[float]] = {name: [] for name in flags}
    served: dict[str, list[int]] = {name: [] for name in flags}
    for number in range(ROUNDS):
        window = 0.0
        for name, chosen in flags.items():  # plain first: its ready time decides the window of this round
            with _plain(entry, flags=chosen) as (one, _):
                window = window or one.ready.seconds + WATCHED
                answers = traffic.send(
                    entry.application, one.port, seconds=window - one.ready.seconds, seed=number
                )
            early = answers.first(WATCHED)
            slowest[name].append(early.slowest)
            p99[name].append(early.percentile(0.99))
            served[name].append(len(answers.latencies))
    figures: tuple[tuple[str, Mapping[str, Sequence[float]], float, Literal["lower", "higher"], str], ...] = (
        ("slowest request in the first 10 s", slowest, 0.5, "lower", "ms"),
        ("p99 in the first 10 s", p99, 0.6, "lower", "ms"),
        ("served since the process began", served, 1.5, "higher", "requests"),
    )
    for name in ("start-trained", "traffic-trained"):
        for figure, values, goal, better, unit in figures:
            ours, plain = statistics.median(values[name]), statistics.median(values["plain"])
            against = f"{ours:.0f} against {plain:.0f} {unit}"
            title = f"{figure}, {name}, {entry.jdk.feature}"
            yield Row("start", title, ours / plain, "x", goal, better, against)


def _merged(entry: Entry) -> Iterator[Row]:
    """Three pods of different traffic, each one's list alone and all merged, under all kinds of requests."""
    shop, feature = entry.by_hand, entry.jdk.feature
    kinds = {"health": ("health",), **KINDS}
    lists = {name: shop.recorded(name, seconds=TRAINING, kinds=chosen) for name, chosen in kinds.items()}
    merge = Merge(feature)
    for number, path in enumerate(lists.values()):
        merge = merge.fold(f"{number:064x}", parse([path.read_bytes()], feature=feature, class_path=()))
    lists["merged"] = entry.folder / "merged.lst"
    lists["merged"].write_bytes(merge.render())
    archives = {name: shop.archive(f"{name}.jsa", path) for name, path in lists.items()}
    contestants = [
        Contestant(name, partial(_plain, entry, flags=shop.use(archive)))
        for name, archive in archives.items()
    ]
    results = race(contestants, ROUNDS)
    for name, archive in archives.items():
        seconds = f"ready after {results.seconds(name):.2f} s, {results.cpu(name):.2f} s of processor time"
        missed = shop.not_shared(archive, 300)
        yield Row(
            "start", f"classes not in the archive of {name}, {feature}", missed, "classes", against=seconds
        )
