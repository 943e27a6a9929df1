"""What there is to start on one JDK: an application plainly, by archives made by hand, as a pod of ours."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.javastart.archives import TRAINING, Workshop
from jboost_agent.build import agent_jar
from jboost_server.core.outcome import Outcome
from testbed.apps import foreign, spring, traffic
from testbed.apps.application import Layout
from testbed.apps.running import Running, free_port, start
from testbed.demo.java.pod import Pod, Service
from testbed.setup import jdk
from testbed.setup.jdk import Jdk
from warmroot.cache import cache_dir
from warmroot.errors import NotInstalled, ProgramDied

SAMPLES = 5
"""Starts of each kind that the builder measures."""
TRIES = 3
"""Starts of a pod until one is as it has to be."""
_EXPORT_NOTHING = {f"OTEL_{what}_EXPORTER": "none" for what in ("TRACES", "METRICS", "LOGS")}


@dataclass(frozen=True)
class Entry:
    """One JDK's: `options` is what the pod agent wrote at a hit; a later miss replaces the pod's own."""

    workshop: Workshop
    pod: Pod
    options: Path
    misses: list[str] = field(default_factory=list)
    """Why starts with the agent were not served, in its words."""

    @property
    def jdk(self) -> Jdk:
        """What it all runs on."""
        return self.workshop.jdk


def runtimes(*features: int, also: Sequence[int] = ()) -> list[Jdk]:
    """The JDKs of these feature versions, and those of `also` that are there.

    Raises:
        NotInstalled: one of them, the application or the OpenTelemetry agent is missing.
    """
    found = {feature: jdk.find(feature) for feature in sorted({*features, *also})}
    if missing := [str(feature) for feature in features if found[feature] is None]:
        raise NotInstalled(f"Java {' and '.join(missing)} not found", hint="run `make setup`")
    if not spring.ORDERS.files(cache_dir()).exists() or not foreign.opentelemetry(cache_dir()).exists():
        raise NotInstalled("the application or the OpenTelemetry agent is missing", hint="run `make setup`")
    return [one for one in found.values() if one is not None]


@contextmanager
def workplace(bench: str) -> Iterator[Path]:
    """A new folder, gone when the block ends."""
    folder = cache_dir() / "run" / f"bench-{bench}-{time.time_ns()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def workshop(one: Jdk, folder: Path) -> Workshop:
    """Where archives of our application are made by hand; `folder` is made."""
    folder.mkdir(exist_ok=True)
    return Workshop(spring.ORDERS.application(cache_dir()), one, folder)


def entered(service: Service, one: Jdk, folder: Path) -> Entry:
    """The whole loop as a cluster would go through it: learn under requests, build, be served.

    Raises:
        ProgramDied: a step did not come to its end, or the pod is not served.
    """
    print(f"  Java {one.version}: a pod of ours learns, and an archive is built", file=sys.stderr, flush=True)
    shop = workshop(one, folder)
    pod = Pod(shop.application, one, f"bench-{one.feature}", folder / "pod", service, agent_jar())
    _fetched(pod, Outcome.LEARNING, "--record")
    with pod.application_container(signal.SIGTERM) as running:
        traffic.send(pod.application, running.port, seconds=TRAINING)
    pod.record()
    pod.build(SAMPLES)
    _fetched(pod, Outcome.HIT)
    options = Path(shutil.copy(pod.options, folder / "hit.opts"))
    return Entry(shop, pod, options)


def _fetched(pod: Pod, wanted: Outcome, *more: str) -> None:
    """A pod start with this outcome. A start has a budget, which a busy machine may exceed now and then."""
    for _ in range(TRIES):
        decided = pod.fetch(*more)
        if decided.outcome is wanted:
            return
    why = f"{decided.outcome.value} {', '.join(decided.report.why)}"
    raise ProgramDied(f"{TRIES} starts of the bench's pod, and none is {wanted.value}: {why}")


def by_hand(shop: Workshop) -> dict[str, Path]:
    """The archives that a careful person makes: of a start alone, and of a run under requests.

    Raises:
        ProgramDied, StepFailed: see `Workshop`.
    """
    print(f"  Java {shop.jdk.version}: archives are made by hand", file=sys.stderr, flush=True)
    seconds = {"start-trained": 0.0, "traffic-trained": TRAINING}
    return {name: shop.trained(name, seconds=value) for name, value in seconds.items()}


@contextmanager
def plain(
    shop: Workshop,
    *,
    flags: Sequence[str] = (),
    layout: Layout = Layout.EXTRACTED,
    options: Path | None = None,
) -> Iterator[tuple[Running, float]]:
    """The application with these flags, up within this block; nothing runs before it."""
    port = free_port()
    command = shop.application.command(shop.jdk.java, port, flags, layout)
    environment = dict(_EXPORT_NOTHING)
    if options is not None:
        environment["JDK_JAVA_OPTIONS"] = f"@{options}"
    ready, folder = shop.application.ready, shop.folder
    one = start(command, port, ready, log=folder / "log", cwd=folder, environment=environment)
    try:
        yield one, 0.0
    finally:
        one.end(signal.SIGKILL)


@contextmanager
def ours(entry: Entry, *, agent: bool = False, flags: Sequence[str] = ()) -> Iterator[tuple[Running, float]]:
    """With the options that the pod agent wrote; `agent`: it runs before, and its time counts."""
    if not agent:
        with plain(entry.workshop, flags=flags, options=entry.options) as (one, _):
            yield one, 0.0
        return
    decided = entry.pod.fetch()
    if decided.outcome is not Outcome.HIT:
        entry.misses.append(decided.outcome.value)
    with plain(entry.workshop, flags=flags, options=entry.pod.options) as (one, _):
        yield one, decided.seconds
