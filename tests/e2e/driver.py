"""One bed for all end-to-end tests, and the rollouts that they ask of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from testbed.demo import objects, verdict
from testbed.demo.bed import Bed
from testbed.demo.objects import Pace
from testbed.demo.releases import Release
from testbed.demo.verdict import Finding
from testbed.demo.view import OSView
from testbed.machine.machine import Power
from testbed.releases.server import Manner
from warmroot.kube.cluster import Object
from warmroot.nodeconfig import of_target

ENDED = ("Complete", "Halted")
"""Phases in which a rollout is over."""
PACE = Pace(max_unavailable=2, ready_seconds=1, health_timeout="12s")


class Driver:
    """Rolls releases over the bed's machines. `current` is the release that all of them serve."""

    def __init__(self, bed: Bed, first: Release) -> None:
        self.bed = bed
        self.current = first
        self._numbers = itertools.count(2)

    def make(self, behaviour: str = "ok") -> Release:
        """The next release."""
        return self.bed.shelf.make(str(next(self._numbers)), behaviour=behaviour)

    def apply(self, release: Release, pace: Pace = PACE, config: Object | None = None) -> None:
        """`kubectl apply` of the OS object."""
        body = objects.os_object(
            self.bed.run,
            version=release.version,
            source=self.bed.server.url,
            digest=release.digest,
            pace=pace,
            config=config,
        )
        self.bed.kubectl.run("apply", "-f", "-", text=objects.manifest([body]))

    def roll(
        self, release: Release, seconds: float = 120, pace: Pace = PACE, config: Object | None = None
    ) -> OSView:
        """Applies, and waits until the rollout is over."""
        self.apply(release, pace, config)
        return self.wait_for_end(release, seconds)

    def wait_for_end(self, release: Release, seconds: float = 120) -> OSView:
        """Until the OS object says that this release's rollout is over."""

        def over() -> bool:
            system = self.system
            return (system.observed, of_target(system.target)[0]) == (True, release.digest) and (
                system.phase in ENDED
            )

        self.wait(over, f"the end of release {release.version}'s rollout", seconds)
        return self.system

    def wait(self, holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Until something holds."""
        self.bed.scene.wait(holds, what=what, seconds=seconds, hint=self.bed.hint)

    @property
    def system(self) -> OSView:
        """The OS object."""
        return self.bed.scene.os(self.bed.run.os)

    def settle(self, seconds: float = 120) -> None:
        """Everything honest, everything on, every machine in service with `current`.

        Nothing is mended before the operator has judged it. The failure of one machine halts a rollout, the
        others finish their trials: one that is mended in time passes, and then rightly keeps the release.
        """
        self.wait(self._judged, "every machine in service, or failed", seconds)
        self._calm()
        self.wait(
            lambda: self._systems() == {self.current.system},
            f"every machine in service with release {self.current.version}",
            seconds,
        )

    def rest(self, seconds: float = 120) -> None:
        """As `settle`, with whatever release the test before left on all of them."""
        self._calm()
        self.wait(lambda: len(self._systems()) == 1, "every machine in service with one release", seconds)
        served = self._systems().pop()
        self.current = next(one for one in self.bed.shelf.made.values() if one.system == served)

    def _judged(self) -> bool:
        system = self.system
        failed = {row.node for row in system.failed if row.digest == system.target}
        return all(view.settled or view.name in failed for view in self.bed.scene.nodes().values())

    def _calm(self) -> None:
        self.bed.server.behave(Manner.HONEST)
        for machine in self.bed.fleet:
            machine.faults.clear()
            if machine.power is Power.DARK:
                machine.power_off()
                machine.power_on()

    def _systems(self) -> set[str]:
        """The systems that the machines serve; of one that is not in service nobody knows."""
        views = self.bed.scene.nodes().values()
        pods = self.bed.scene.ready_replicas(objects.WORKLOAD)
        whole = pods == self.bed.run.replicas
        return {view.system if view.settled and whole else f"? on {view.name}" for view in views}

    def all_serve(self, release: Release) -> list[Finding]:
        """What cluster and disks say about it."""
        disks = {machine.name: machine.paths.disk for machine in self.bed.fleet}
        return verdict.all_serve(release, self.bed.scene.nodes(), disks, self.bed.run.machines)

    def story(self) -> str:
        """What `kubectl describe` tells about the OS object."""
        return self.bed.kubectl.run("describe", "os", self.bed.run.os)


def broken(findings: list[Finding]) -> list[str]:
    """The claims that do not hold: an assertion against `[]` shows them all."""
    return [f"{finding.claim}: {finding.detail}" for finding in findings if not finding.holds]
