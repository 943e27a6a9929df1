"""`testbed demo`."""

from __future__ import annotations

import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from testbed.demo import summary as shown
from testbed.demo.bed import Bed, BedSpec, foreign_kubeconfig
from testbed.demo.cluster import story as cluster
from testbed.demo.java import show as java_shown
from testbed.demo.java.bed import JavaBed, jdks
from testbed.demo.java.learning import Learning
from testbed.demo.java.story import JavaStory, JavaSummary
from testbed.demo.keep import end_kept, hand_over, outlive
from testbed.demo.objects import Pace, Run
from testbed.demo.reporter import PLAIN_WIDTH, Reporter
from testbed.demo.story import Bad, Story, Summary, judge
from testbed.kubelet.simulated import Pace as NodePace
from testbed.setup.jdk import Jdk
from warmroot.cache import cache_dir
from warmroot.cli import Output, OutputOption, print_result
from warmroot.errors import WarmrootError

BRISK = NodePace(node_ready=0.3, pod_start=0.2, pod_stop=0.2)
"""Pods that are small and whose images are there: nobody should wait for our simulation to sleep."""


class Half(StrEnum):
    """What the demo shows."""

    NODES = "nodes"
    JAVA = "java"
    CLUSTER = "cluster"


def register(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command()(demo)


def demo(
    bad: Annotated[Bad, typer.Option(help="How release 3 is bad.")] = Bad.PANIC,
    machines: Annotated[int, typer.Option(min=2, max=50, help="How many machines.")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up, in the background.")] = False,
    end: Annotated[bool, typer.Option("--end", help="End what --keep left up, and do nothing else.")] = False,
    only: Annotated[
        Half | None,
        typer.Option(
            help="One half alone: machines, or Java pods. Or, as root, a JavaCache on real kubelets: minutes,"
            " and shown only when it is named."
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Roll a good release over machines, and see a bad one taken back; then start Java pods warm.

    With KUBECONFIG set, the machines are in that cluster; nothing is touched there but what the demo makes.
    """
    _check(keep, only)
    runs = cache_dir() / "run"
    if end:
        end_kept(runs)
        return
    if keep and not outlive():
        return
    run = Run(_name(), machines)
    directory = runs / run.os
    reporter = Reporter(_console(output))
    if only is Half.CLUSTER:
        _tell_cluster(directory, reporter, output)
        return
    spec = BedSpec(directory=directory, run=run, kubeconfig=foreign_kubeconfig(), pace=BRISK)
    with _ended_by_signals(), _kept_on_failure(directory, reporter), ExitStack() as up, ExitStack() as nodes:
        told: dict[str, object] = {}
        try:
            if only is not Half.NODES:
                java = up.enter_context(_java_half(directory / "java", reporter))
            if only is not Half.JAVA:
                bed = nodes.enter_context(Bed(spec, reporter))
                summary = _tell_nodes(bed, bad, reporter)
                told |= summary.wire()
                judge(summary.findings)
                if not keep:
                    with reporter.phase("machines and control plane are ended"):
                        nodes.close()  # what they still do would be in the Java pods' figures
            if only is not Half.NODES:
                pods = java.tell()
                told["java"] = pods.wire()
                judge(pods.findings)
                up.close()
            reporter.show_phases()
        finally:
            if told:
                print_result(told, output, str)
        if keep:
            _hold(bed, directory)


def _check(keep: bool, only: Half | None) -> None:
    if keep and only not in (None, Half.NODES):
        raise typer.BadParameter(f"it keeps machines up; leave out --only {only}, or --keep")


def _tell_cluster(directory: Path, reporter: Reporter, output: Output) -> None:
    with _ended_by_signals(), _kept_on_failure(directory, reporter):
        summary = cluster.tell(directory, reporter)
        cluster.show(summary, reporter.console)
        print_result(summary.wire(), output, str)
        judge(summary.findings)
        reporter.show_phases()


def _tell_nodes(bed: Bed, bad: Bad, reporter: Reporter) -> Summary:
    summary = Story(bed, Pace()).tell(bad)
    shown.show(summary, reporter.console)
    return summary


@dataclass(frozen=True)
class _Java:
    """The second half: its first pods start and are recorded already."""

    bed: JavaBed
    learning: Learning
    runtimes: list[Jdk]
    reporter: Reporter

    def tell(self) -> JavaSummary:
        summary = JavaStory(self.bed, self.reporter).tell(self.runtimes, self.learning)
        java_shown.show(summary, self.reporter.console)
        return summary


@contextmanager
def _java_half(folder: Path, reporter: Reporter) -> Iterator[_Java]:
    runtimes = jdks()
    folder.mkdir(parents=True)
    with ExitStack() as up:
        with reporter.phase("cache service"):
            bed = up.enter_context(JavaBed(folder))
        learning = up.enter_context(Learning(bed.ground, runtimes))
        names = " and ".join(jdk.version for jdk in runtimes)
        reporter.say(f"    beside all that follows: a service starts cold on JDK {names}, and is recorded")
        yield _Java(bed, learning, runtimes, reporter)


def _name() -> str:
    """Four consonants: digits would make some names numbers to a YAML reader, vowels words."""
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(4))


def _console(output: Output) -> Console:
    if output is not Output.TEXT:
        return Console(stderr=True, width=None if sys.stderr.isatty() else PLAIN_WIDTH)
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def _hold(bed: Bed, directory: Path) -> None:
    console = bed.reporter.console
    console.print("\nEverything stays up. To look around, and to end it:", highlight=False)
    console.print(f"  export KUBECONFIG={bed.kubectl.kubeconfig}", highlight=False, soft_wrap=True)
    console.print(f"  {bed.kubectl.program} get os,osinstances,nodes", highlight=False, soft_wrap=True)
    console.print("  testbed demo --end", highlight=False)
    hand_over(directory)
    signal.pause()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does: with everything cleaned up."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print("ended; everything is cleaned up", file=sys.stderr)  # noqa: T201
        sys.exit(130)


@contextmanager
def _kept_on_failure(directory: Path, reporter: Reporter) -> Iterator[None]:
    """The run's folder goes when all went well; its logs stay when something failed."""
    try:
        yield
    except WarmrootError as error:
        logs = sorted(path for path in directory.rglob("*.log") if path.stat().st_size)
        reporter.console.print(f"\nlogs of this run are below {directory}:", highlight=False, soft_wrap=True)
        for path in logs:
            reporter.console.print(f"  {path.relative_to(directory)}", highlight=False)
        raise error
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)
