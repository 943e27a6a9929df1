"""Three pods under different requests on Java 17: an archive of each one's list, and of all of them merged.

`WARMROOT_ROUNDS` says how many rounds of starts there are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from bench.javastart.archives import TRAINING, Loaded, Workshop
from bench.javastart.entry import plain, runtimes, workplace, workshop
from bench.javastart.race import Contestant, Results, circumstances, race
from bench.report import Row
from jboost_server.core.classlist import parse
from jboost_server.core.merge import Merge

FEATURE = 17
PODS = {
    "health": ("health",),
    "reads": ("search", "page", "list", "priced", "prices"),
    "writes": ("order", "invalid", "count"),
}
"""What each pod is asked."""
MERGED = "merged"
REQUESTS = 300
"""Of all kinds, to each start whose classes are counted."""


def run() -> list[Row]:
    """Records three pods, merges, and starts with each archive.

    Raises:
        NotInstalled: set-up is missing something.
        ProgramDied: an application did not get ready.
        StepFailed: the JDK refused to make an archive.
    """
    jdks = runtimes(FEATURE)
    with workplace("class-lists") as folder:
        shop = workshop(jdks[0], folder)
        archives = {name: shop.archive(f"{name}.jsa", path) for name, path in _lists(shop).items()}
        contestants = [
            Contestant(name, partial(plain, shop, flags=shop.use(archive)))
            for name, archive in archives.items()
        ]
        results = race(contestants)
        loaded = {name: shop.loaded(archive, REQUESTS) for name, archive in archives.items()}
        return [*rows(loaded, results), circumstances("class_lists", results, jdks)]


def _lists(shop: Workshop) -> dict[str, Path]:
    lists = {}
    for name, kinds in PODS.items():
        print(f"  a pod is recorded: {name}", file=sys.stderr, flush=True)
        lists[name] = shop.recorded(name, seconds=TRAINING, kinds=kinds)
    merge = Merge(FEATURE)
    for number, path in enumerate(lists.values()):
        merge = merge.fold(f"{number:064x}", parse([path.read_bytes()], feature=FEATURE, class_path=()))
    lists[MERGED] = shop.folder / "merged.lst"
    lists[MERGED].write_bytes(merge.render())
    return lists


def rows(loaded: Mapping[str, Loaded], results: Results) -> Iterator[Row]:
    """The merged archive is to give at least what the best single one does, and to leave no more to jars."""
    row = partial(Row, "class_lists")
    single = [one for name, one in loaded.items() if name != MERGED]
    most, fewest = max(one.shared for one in single), min(one.not_shared for one in single)
    for name, one in loaded.items():
        ready = f"ready after {results.seconds(name):.2f} s, {results.cpu(name):.2f} s of processor time"
        goals = (most, fewest) if name == MERGED else (None, None)
        figure = f"by the archive of {name}, {FEATURE}"
        yield row(f"classes shared {figure}", one.shared, "classes", goals[0], "higher", ready)
        yield row(f"classes read from jars {figure}", one.not_shared, "classes", goals[1], "lower")
