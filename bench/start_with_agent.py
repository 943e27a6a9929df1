"""What a Java agent that rewrites classes, as OpenTelemetry's does, leaves of the gain.

All starts are interleaved. `WARMROOT_ROUNDS` says how many rounds there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.javastart.archives import count
from bench.javastart.entry import Entry, entered, ours, plain, runtimes, workplace
from bench.javastart.race import Contestant, Results, circumstances, race
from bench.report import Row
from testbed.apps import foreign
from testbed.demo.java.bed import serving
from warmroot.cache import cache_dir

PLAIN, OURS, DYNAMIC, WITH = "plain", "ours", "dynamic by hand", " with the agent"
KEPT = 0.8
"""The share of the saved seconds that is to be saved with the agent as well."""
DYNAMIC_UNTIL = 23
"""The last Java on which a dynamic archive is what one makes by hand."""


def run() -> list[Row]:
    """Races starts with the agent and without.

    Raises:
        NotInstalled: set-up is missing something.
        ProgramDied: an application did not get ready.
    """
    jdks = runtimes(17, 25)
    with workplace("start-with-agent") as folder, serving(folder) as service:
        entries = [entered(service, one, folder / str(one.feature)) for one in jdks]
        dynamic = {
            entry.jdk.feature: entry.workshop.dynamic("dynamic")
            for entry in entries
            if entry.jdk.feature <= DYNAMIC_UNTIL
        }
        ways = [one for entry in entries for one in _ways(entry, dynamic.get(entry.jdk.feature))]
        results = race(ways)
        rows = [row for entry in entries for row in _shared(entry, dynamic.get(entry.jdk.feature))]
        rows += [row for entry in entries for row in kept(entry.jdk.feature, results)]
        return [*rows, circumstances("start_with_agent", results, jdks)]


def _ways(entry: Entry, dynamic: Path | None, *more: str) -> Iterator[Contestant]:
    """Each way to start without the agent and with it; `more` flags go to all of them."""
    shop = entry.workshop
    for title, flags in (("", more), (WITH, (f"-javaagent:{foreign.opentelemetry(cache_dir())}", *more))):
        name = f"{{}}{title} on {entry.jdk.feature}".format
        yield Contestant(name(PLAIN), partial(plain, shop, flags=flags))
        yield Contestant(name(OURS), partial(ours, entry, flags=flags))
        if dynamic is not None:
            yield Contestant(name(DYNAMIC), partial(plain, shop, flags=[*shop.use(dynamic), *flags]))


def _shared(entry: Entry, dynamic: Path | None) -> Iterator[Row]:
    """Classes that a start up to its first answer takes from archives, and what the JVM says about it."""
    log = entry.workshop.folder / "classes.log"
    for one in _ways(entry, dynamic, f"-Xlog:class+load:file={log}"):
        with one.start() as (running, _):
            said = running.log.read_text(errors="replace")
        loaded = count(log.read_text(errors="replace"))
        warnings = "".join(f"; the JVM: {text}" for text in re.findall(r"VM warning: (.*)", said))
        against = f"{loaded.not_shared} read from jars{warnings}"
        figure = f"classes shared, {one.name}"
        yield Row("start_with_agent", figure, loaded.shared, "classes", None, "higher", against)


def kept(feature: int, results: Results) -> Iterator[Row]:
    """Rows of one JDK: the share of the saved seconds that is still saved with the agent."""
    for name in (OURS, DYNAMIC):
        parts = (PLAIN, name, PLAIN + WITH, name + WITH)
        names = [f"{part} on {feature}" for part in parts]
        if names[1] not in results.samples:
            continue
        without, ours, without_agent, ours_agent = map(results.seconds, names)
        cpu = list(map(results.cpu, names))
        against = (
            f"{without_agent:.2f} -> {ours_agent:.2f} s, without {without:.2f} -> {ours:.2f} s;"
            f" by processor time {_part(cpu[2] - cpu[3], cpu[0] - cpu[1]):.2f}"
        )
        share = _part(without_agent - ours_agent, without - ours)
        goal = KEPT if name == OURS else None
        yield Row("start_with_agent", f"gain kept, {name}, {feature}", share, "", goal, "higher", against)


def _part(kept: float, gained: float) -> float:
    """Of a gain; nothing is kept where there was none, or two losses would make a share."""
    return kept / gained if gained > 0 else 0.0
