"""What all tests share: tiers that skip with a reason, one control plane, and an honest summary."""

from __future__ import annotations

import os
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import hypothesis
import pytest

from testbed.controlplane import build
from testbed.setup import debian, newer_debian
from testbed.setup.debian import Tier
from testbed.setup.gotool import HELM, KSTATUS, S3_SERVER, GoTool
from testbed.workers import cgroups
from tests.java_world import Java
from warmroot.cache import cache_dir
from warmroot.errors import NotInstalled

if TYPE_CHECKING:
    from testbed.controlplane.plane import ControlPlane
    from warmroot.kube.cluster import RestCluster

# A deadline would measure the machine, not the code. In CI a run must be the same each time.
hypothesis.settings.register_profile("warmroot", deadline=None, derandomize="CI" in os.environ)
# For an answer in under a minute; with chance in it, so that many quick runs find what one run does not.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=30)
hypothesis.settings.load_profile("warmroot")

# A shell's background job ignores Ctrl-C, and so would all that tests start and then interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_TALLIES = pytest.StashKey[dict[str, int]]()
_SECONDS: defaultdict[str, float] = defaultdict(float)
_TESTS: Counter[str] = Counter()
_FILES: defaultdict[str, float] = defaultdict(float)


@cache
def _lacking(marker: str) -> str:
    """Why the tests of a marker can't run here; empty if they can."""
    return _LACKING.get(marker, lambda: "")()


def _images() -> str:
    if os.geteuid() != 0:
        return "images of Debian packages need root: their files belong to several users"
    return _tools(lambda package: package.used_for.startswith("machine images")) or newer_debian.lacking()


def _kubelets() -> str:
    if os.geteuid() != 0:
        return "workers in namespaces of their own need root"
    tools = _tools(lambda package: package.used_for.startswith("real kubelets"))
    return tools or cgroups.lacking() or _control_plane()


def _tools(wanted: Callable[[debian.Package], bool]) -> str:
    missing = [package for package in debian.missing(Tier.TEST) if wanted(package)]
    return f"{debian.names(missing)} not installed; {debian.command(missing)}" if missing else ""


def _of_images(package: debian.Package) -> bool:
    return package.tier <= Tier.DEMO and not package.used_for.startswith("Java")


def _control_plane() -> str:
    try:
        build.installed()
    except NotInstalled as error:
        return str(error)
    return ""


def _go_tool(tool: GoTool) -> str:
    there = tool.program(cache_dir()).exists()
    return "" if there else f"{tool.name} {tool.version} is not built (run `make setup`)"


_LACKING: dict[str, Callable[[], str]] = {
    "erofs": lambda: _tools(lambda package: package.name == "erofs-utils"),
    "verity": lambda: _tools(lambda package: package.name == "cryptsetup-bin"),
    "vm": lambda: _tools(lambda package: package.used_for.startswith("firmware")),
    "image": _images,
    "api": _control_plane,
    "jvm": lambda: _tools(lambda package: package.used_for.startswith("Java")),
    "s3": lambda: _go_tool(S3_SERVER),
    "kstatus": lambda: _go_tool(KSTATUS),
    "browser": lambda: _tools(lambda package: package.used_for == "the dashboard in a browser"),
    "helm": lambda: _go_tool(HELM),
    "kubelets": _kubelets,
    "e2e": lambda: _control_plane() or _tools(_of_images),
}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLIES] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what can't run here. In CI that is an error: a tier that did not run must not look green.

    What measures comes last: `make test` has machines under QEMU run beside the others.
    What CI's hour and a half has no room for runs with `make vm` alone, and the summary says so.

    Raises:
        pytest.UsageError: in CI, naming what is missing.
    """
    items.sort(key=lambda item: item.get_closest_marker("measures") is not None)
    for item in items:
        if item.get_closest_marker("long") and "WARMROOT_LONG" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="CI has no time for it: `make vm` runs it"))
        for marker in item.iter_markers():
            if reason := _lacking(marker.name):
                if "CI" in os.environ:
                    raise pytest.UsageError(f"CI runs every tier, and {item.nodeid} can't run: {reason}")
                item.add_marker(pytest.mark.skip(reason=reason))
                break


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    tier = report.nodeid.split("/")[1] if report.nodeid.count("/") > 1 else "tests"
    _SECONDS[tier] += report.duration
    _FILES[report.nodeid.partition("::")[0]] += report.duration
    _TESTS[tier] += report.when == "call" and report.outcome == "passed"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    write = terminalreporter.write_line
    terminalreporter.section("what this run covers")
    for tier, seconds in _SECONDS.items():
        write(f"{tier:<10}{_TESTS[tier]:>6} passed {seconds:>9.1f} s")
    slowest = sorted(_FILES.items(), key=lambda item: item[1], reverse=True)
    for name, seconds in slowest[:10]:
        if seconds < 60:
            break
        write(f"slow: {seconds:>7.1f} s {name}")
    for what, count in config.stash[_TALLIES].items():
        write(f"checked: {count:,} {what}")
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    for reason, count in skipped.items():
        write(f"NOT RUN: {count} tests: {reason}", yellow=True)


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """`tally("crash states of the slot engine", 12_000)`: a count that the run's summary prints."""
    counts = request.config.stash[_TALLIES]

    def add(what: str, count: int) -> None:
        counts[what] = counts.get(what, 0) + count

    return add


@pytest.fixture(scope="session")
def java() -> Java:
    """JDKs and Java applications; what is missing skips the test that asks for it."""
    return Java()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One real control plane for the whole session. Tests keep apart by namespace and by name."""
    from testbed.controlplane.plane import ControlPlane

    if reason := _control_plane():
        pytest.skip(reason)
    with ControlPlane(tmp_path_factory.mktemp("control-plane")).start() as plane:
        yield plane


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> RestCluster:
    """The cluster as its administrator sees it."""
    from testbed.controlplane.clients import admin_cluster

    return admin_cluster(control_plane)
