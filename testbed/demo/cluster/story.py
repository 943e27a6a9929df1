"""A team applies one JavaCache and one Deployment. Three generations of pods, and a drained node."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from testbed.apps import spring, traffic
from testbed.apps.application import Layout
from testbed.demo.reporter import Reporter
from testbed.demo.verdict import Finding
from testbed.setup import debian
from testbed.setup.debian import Tier
from testbed.setup.jdk import find
from testbed.workers import cgroups, pods
from testbed.workers.bed import Bed, bed
from testbed.workers.java import JavaCaches
from testbed.workers.shop import PORT, Shop
from warmroot.cache import cache_dir
from warmroot.errors import NotInstalled
from warmroot.kube.cluster import Object

FEATURE = 17
TRAINING = 10.0
"""Seconds of requests that the first pod serves; it goes on to record for the rest of a minute."""
T = TypeVar("T")


@dataclass(frozen=True)
class Generation:
    """One pod: where it ran, how it started, and the milliseconds that this took the agent."""

    name: str
    node: str
    outcome: str
    agent: int


@dataclass
class ClusterSummary:
    """What this part ends with. Seconds of a start as the builder measured it."""

    generations: list[Generation] = field(default_factory=list)
    without: float | None = None
    having: float | None = None
    findings: list[Finding] = field(default_factory=list)

    def wire(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def lacking() -> str:
    """Why it can't be shown on this machine; empty if it can."""
    if os.geteuid() != 0:
        return "workers in namespaces of their own need root"
    missing = [one for one in debian.missing(Tier.TEST) if one.used_for.startswith("real kubelets")]
    return f"{debian.names(missing)} not installed" if missing else cgroups.lacking() or pods.lacking()


def tell(folder: Path, reporter: Reporter) -> ClusterSummary:
    """Plays it; everything has ended when it returns.

    Raises:
        NotInstalled: set-up is missing something, or this machine can't have workers.
        ProgramDied: something ended, or did not come.
        StepFailed: the kernel, or the API server, refused something.
    """
    jdk = find(FEATURE)
    if reason := lacking() or ("" if jdk else f"Java {FEATURE} is not installed"):
        raise NotInstalled(reason, hint="run `scripts/setup --tier test` as root, then the demo again")
    assert jdk is not None
    folder.mkdir(parents=True)
    summary = ClusterSummary()
    with bed(folder) as kubelets:
        application = spring.PAGES.application(cache_dir()).jar(Layout.EXTRACTED).parent
        image = pods.write_java(jdk, application, "shop/pages", kubelets.images)
        first, second = kubelets.workers
        with first, second:
            with reporter.phase("two workers with real kubelets"):
                for worker in kubelets.workers:
                    worker.until_ready(kubelets.cluster)
            with reporter.phase("cache service, webhook and controller"):
                caches = JavaCaches(folder / "java", kubelets.plane).start()
            try:
                _acts(_Stage(kubelets, caches, image, reporter, summary))
            finally:
                caches.stop()
    return summary


class _Stage:
    """What the acts share."""

    def __init__(
        self, kubelets: Bed, caches: JavaCaches, image: str, reporter: Reporter, summary: ClusterSummary
    ) -> None:
        self.kubelets, self.caches, self.reporter, self.summary = kubelets, caches, reporter, summary
        caches.takes_part("shop")
        self.shop = Shop(kubelets.cluster, kubelets.kubectl, "shop", image)

    def until(self, holds: Callable[[], T | None], what: str) -> T:
        return self.shop.until(holds, what, self.caches.said)

    def generation(self, name: str, before: Object | None = None) -> Object:
        """The next pod, once it is Ready; it is noted."""
        old = before["metadata"]["name"] if before else ""

        def there() -> Object | None:
            one = self.shop.only_pod()
            return one if one and one["metadata"]["name"] != old else None

        with self.reporter.phase(name):
            found = self.until(there, "a Ready pod")
        report = self.shop.report(found)
        made = Generation(name, found["spec"]["nodeName"], str(report["outcome"]), _took(report))
        self.summary.generations.append(made)
        self.reporter.say(f"    {found['metadata']['name']} on {made.node}: {made.outcome}")
        return found


def _took(report: Mapping[str, Any]) -> int:
    return int(report["ms"]["total"])


def _acts(stage: _Stage) -> None:
    shop, reporter = stage.shop, stage.reporter
    reporter.say("kubectl apply: one JavaCache, one Deployment")
    shop.apply(shop.cache(), shop.deployment())
    first = stage.generation("the first pod starts, and records")
    with reporter.phase("it serves, and what it loaded is sent"):
        traffic.send(
            spring.PAGES.application(cache_dir()), PORT, seconds=TRAINING, host=first["status"]["podIP"]
        )
        stage.until(lambda: shop.status().get("state") in ("Building", "Serving") or None, "a recording")
    with reporter.phase("a Job builds the archive, tries and measures it"):
        stage.until(lambda: shop.status().get("state") == "Serving" or None, "an archive")
    (row,) = shop.status()["keys"]
    measured = row["startSeconds"]
    stage.summary.without, stage.summary.having = measured["without"], measured["with"]
    shop.restart()
    second = stage.generation("the second pod starts", first)
    shop.restart()
    third = stage.generation("the third pod starts", second)
    node = third["spec"]["nodeName"]
    stage.kubelets.kubectl.run("drain", node, "--pod-selector=app=pages", "--delete-emptydir-data")
    last = stage.generation(f"{node} is drained, and a pod starts elsewhere", third)
    reporter.block(stage.kubelets.kubectl.run("-n", shop.namespace, "get", "jcache"))
    outcomes = [one.outcome for one in stage.summary.generations]
    stage.summary.findings += [
        Finding(outcomes[0] == "learning", "the first pod recorded", outcomes[0]),
        Finding(outcomes[2] == "hit", "the third generation started from the archive", outcomes[2]),
        Finding(
            outcomes[3] == "hit" and last["spec"]["nodeName"] != node,
            "the pod of the drained node started from it elsewhere",
            f"{outcomes[3]} on {last['spec']['nodeName']}",
        ),
        Finding(
            measured["with"] < measured["without"],
            "the builder measured it to be faster",
            f"{measured['without']} s, then {measured['with']} s",
        ),
    ]


def show(summary: ClusterSummary, console: Console) -> None:
    """Prints the generations."""
    table = Table(title="Pods on real kubelets", title_justify="left")
    for column in ("pod", "node", "outcome"):
        table.add_column(column)
    table.add_column("ms of the agent", justify="right")
    for one in summary.generations:
        table.add_row(one.name, one.node, one.outcome, str(one.agent))
    console.print()
    console.print(table)
    if summary.without is not None and summary.having is not None:
        console.print(
            f"A start as the builder measured it: {summary.without:.2f} s plain, {summary.having:.2f} s warm."
        )
