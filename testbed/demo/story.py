"""The demo's acts: a good release moves every machine, a bad one is taken back, and why is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from testbed.controlplane import audit
from testbed.demo import objects, requests, verdict
from testbed.demo.bed import Bed
from testbed.demo.objects import Pace
from testbed.demo.releases import Release
from testbed.demo.timeline import Passage, passage
from testbed.demo.verdict import Finding
from testbed.demo.view import OSView
from testbed.machine.faults import Fault
from warmroot.errors import StepFailed

ROLLOUT_SECONDS = 150.0
ENDED = ("Complete", "Halted")


class Bad(StrEnum):
    """How release 3 is bad."""

    PANIC = "panic"
    NOT_READY = "not-ready"
    ROT = "rot"


@dataclass(frozen=True)
class Refusal:
    """One node on which the bad release failed: why, and what the machine's console said."""

    node: str
    digest: str
    reason: str
    message: str
    console: list[str]


@dataclass(frozen=True)
class Moved:
    """One node's update. Seconds and bytes."""

    node: str
    seconds: float | None
    parts: Passage
    fetched: int
    reused: int


@dataclass
class Summary:
    """What the demo ends with."""

    releases: dict[str, str] = field(default_factory=dict)
    nodes: list[Moved] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    workload_wanted: int = 0
    workload_least_ready: int | None = None
    server_requests: int = 0
    server_bytes: int = 0
    api: dict[str, requests.Traffic] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether everything that the demo claims is true."""
        return bool(self.findings) and all(finding.holds for finding in self.findings)

    def wire(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        return {"holds": self.holds, **asdict(self)}


class Story:
    """One demo on a bed."""

    def __init__(self, bed: Bed, pace: Pace) -> None:
        self.bed = bed
        self.pace = pace
        self.summary = Summary(workload_wanted=bed.run.replicas)

    def tell(self, bad: Bad) -> Summary:
        """All acts; what does not hold in the end is in the summary's findings.

        Raises:
            StepFailed: a step did not come to its end.
        """
        second = self._good_release()
        self._bad_release(second, bad)
        self._show_cluster()
        self._count()
        return self.summary

    def _good_release(self) -> Release:
        bed, reporter = self.bed, self.bed.reporter
        with reporter.phase("release 2 is built, signed and published"):
            second = self._make("2")
        with reporter.phase("release 2 rolls out"):
            self.apply(second)
            self.wait_for_end(second, ROLLOUT_SECONDS)
        self._note_nodes()
        system = bed.scene.os(bed.run.os)
        self.summary.findings += verdict.complete(system, second)
        self.summary.findings += self._all_serve(second)
        return second

    def _bad_release(self, second: Release, bad: Bad) -> None:
        bed, reporter = self.bed, self.bed.reporter
        with reporter.phase(f"release 3 is built, signed and published; {_DESCRIPTION[bad]}"):
            third = self._make("3", behaviour="ok" if bad is Bad.ROT else bad.value)
        if bad is Bad.ROT:
            for machine in bed.fleet:
                machine.faults.add(Fault.ROT)
        seen = {machine.name: len(self._console(machine.name)) for machine in bed.fleet}
        with reporter.phase("release 3 is tried, falls back, and the rollout halts"):
            self.apply(third)
            self.wait_for_end(third, ROLLOUT_SECONDS)
        with reporter.phase("every machine serves release 2"):
            self.wait_for(lambda: self._back_on(second), "every machine back in service", ROLLOUT_SECONDS)
        views = bed.scene.nodes()
        system = bed.scene.os(bed.run.os)
        self.summary.findings += verdict.refused(system, third, views.values())
        self.summary.findings += self._all_serve(second)
        self._note_refusals(system, third, seen)

    def _make(self, version: str, *, behaviour: str = "ok") -> Release:
        release = self.bed.shelf.make(version, behaviour=behaviour)
        self.summary.releases[version] = release.digest
        return release

    def apply(self, release: Release) -> None:
        """`kubectl apply` of the OS object for a release, as a person would.

        On the server's side: for a merge of its own kubectl asks for the schema of everything that a cluster
        has, and a fresh API server takes seconds to put that together.
        """
        bed = self.bed
        body = objects.os_object(
            bed.run,
            version=release.version,
            source=bed.server.url,
            digest=release.digest,
            pace=self.pace,
        )
        path = bed.spec.directory / f"os-{release.version}.yaml"
        path.write_text(objects.manifest([body]))
        said = bed.kubectl.run("apply", "--server-side", "-f", str(path), hint=bed.hint).strip()
        bed.reporter.say(f"    kubectl apply --server-side -f {path.name}: {said}")

    def wait_for_end(self, release: Release, seconds: float) -> None:
        """Until the OS object says that this release's rollout is over, one way or the other.

        Raises:
            StepFailed: it is not over after `seconds`.
        """

        def over() -> bool:
            system = self.bed.scene.os(self.bed.run.os)
            return system.observed and system.target == release.digest and system.phase in ENDED

        self.wait_for(over, f"end of the rollout of release {release.version}", seconds)

    def wait_for(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        """Shows the machines until something holds.

        Raises:
            StepFailed: it does not hold after `seconds`.
            ProgramDied: the operator can't live.
        """
        bed = self.bed

        with bed.reporter.watching(bed.scene, bed.run.os) as watching:

            def meanwhile() -> None:
                watching.refresh()
                bed.operator.check()

            bed.scene.wait(holds, what=what, seconds=seconds, hint=bed.hint, meanwhile=meanwhile)

    def _back_on(self, release: Release) -> bool:
        views = self.bed.scene.nodes().values()
        ready = self.bed.scene.ready_replicas(objects.WORKLOAD) == self.bed.run.replicas
        return ready and all(view.settled and view.booted_digest == release.digest for view in views)

    def _all_serve(self, release: Release) -> list[Finding]:
        disks = {machine.name: machine.paths.disk for machine in self.bed.fleet}
        return verdict.all_serve(release, self.bed.scene.nodes(), disks, self.bed.run.machines)

    def _note_nodes(self) -> None:
        for name, view in self.bed.scene.nodes().items():
            parts = passage(name, self.bed.scene.marks)
            self.summary.nodes.append(
                Moved(name, parts.out_of_service, parts, view.fetched_bytes, view.reused_bytes)
            )

    def _note_refusals(self, system: OSView, bad: Release, seen: dict[str, int]) -> None:
        for row in system.failed:
            if row.digest == bad.digest:
                lines = self._console(row.node)[seen[row.node] :]
                told = [line for line in lines if any(word in line for word in _TELLING)]
                refusal = Refusal(row.node, row.digest, row.reason, row.message, told)
                self.summary.refusals.append(refusal)

    def _console(self, node: str) -> list[str]:
        return self.bed.fleet[node].paths.console.read_text().splitlines()

    def _show_cluster(self) -> None:
        bed = self.bed
        for command in (("get", "os,osinstances"), ("describe", "os", bed.run.os)):
            bed.reporter.block(f"\n$ kubectl {' '.join(command)}")
            bed.reporter.block(bed.kubectl.run(*command, hint=bed.hint).rstrip())

    def _count(self) -> None:
        summary, bed = self.summary, self.bed
        summary.workload_least_ready = bed.scene.least_ready
        counters = bed.server.counters
        summary.server_requests, summary.server_bytes = counters.requests, counters.body_bytes
        if bed.plane is not None:
            entries = list(audit.read(bed.plane.audit_log))
            for part, user in (("operator", requests.OPERATOR), ("proxies", requests.PROXY)):
                summary.api[part] = requests.traffic(entries, user)
        summary.phases = {phase.name: round(phase.seconds, 1) for phase in bed.reporter.phases}
        summary.seconds = round(bed.reporter.elapsed, 1)


_DESCRIPTION = {
    Bad.PANIC: "its kernel panics",
    Bad.NOT_READY: "its node never gets Ready",
    Bad.ROT: "a bit of its slot will flip after it was verified",
}
_TELLING = ("kernel: panic", "flips", "no tries left", "never comes up", "boot-guard:", "as the proxy asked")
"""Words in a console's lines that say why a release was given up."""


def judge(findings: Sequence[Finding]) -> None:
    """Nothing if all claims hold.

    Raises:
        StepFailed: names the claims that do not.
    """
    broken = [f"{finding.claim} ({finding.detail})" for finding in findings if not finding.holds]
    if broken or not findings:
        raise StepFailed(f"the outcome is not what the demo claims: {'; '.join(broken) or 'nothing checked'}")
