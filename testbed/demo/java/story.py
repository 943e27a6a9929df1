"""The acts of one JDK: a cold start, training under real requests, a build, warm starts; then three refusals.

What is claimed is looked at where it shows: in the files that the JVM has mapped, and in what the application
answers.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import requests

from jboost_server.core.outcome import Outcome
from testbed.apps import traffic
from testbed.apps.running import Running
from testbed.demo.java.bed import JavaBed, read_entries, write_stored
from testbed.demo.java.learning import Learning, claim
from testbed.demo.java.pod import PATIENT, Decided, Pod
from testbed.demo.reporter import Reporter
from testbed.demo.verdict import Finding
from testbed.setup import jdk as jdks
from testbed.setup.jdk import Jdk
from warmroot.errors import NotInstalled, StepFailed

SAMPLES = 5
"""Starts of each kind that the builder measures before the service signs; more on a busy machine."""
NEEDLE, CHANGED = b"article \x01", b"product \x01"
"""A constant of the application that shows in its answers, and another of the same length."""
SHOWS_IT = "/articles/1"


@dataclass(frozen=True)
class Start:
    """One start of the application: the table's row. Seconds; `plain` without an archive."""

    jdk: str
    what: str
    outcome: str
    why: str = ""
    plain: float | None = None
    warm: float | None = None
    fetch: float | None = None


@dataclass
class JavaSummary:
    """What the second half ends with."""

    starts: list[Start] = field(default_factory=list)
    refusals: list[Start] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    built: dict[str, list[str]] = field(default_factory=dict)
    """The builder's words by JDK."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by name."""

    def wire(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        holds = bool(self.findings) and all(finding.holds for finding in self.findings)
        return {"holds": holds, **asdict(self)}


class JavaStory:
    """The second half on a bed."""

    def __init__(self, bed: JavaBed, reporter: Reporter) -> None:
        self.bed = bed
        self.reporter = reporter
        self.summary = JavaSummary()
        self._warm_cpu: dict[Jdk, float] = {}
        """Seconds of processor time of the warm pods' starts."""

    def tell(self, runtimes: list[Jdk], learning: Learning) -> JavaSummary:
        """All acts; what does not hold in the end is in the summary's findings.

        Raises:
            StepFailed, ProgramDied: a step did not come to its end.
            NotInstalled: no second build of a JDK is there.
        """
        told = len(self.reporter.phases)
        self._learn(runtimes, learning)
        for jdk in runtimes:
            self._build(jdk)
            self._warm(jdk)
        self._another_build(runtimes[-1])
        self._flipped_byte(runtimes[-1])
        self._changed_jar(runtimes[0])
        self.summary.phases = {one.name: round(one.seconds, 1) for one in self.reporter.phases[told:]}
        return self.summary

    def _learn(self, runtimes: list[Jdk], learning: Learning) -> None:
        names = " and ".join(jdk.version for jdk in runtimes)
        with self.reporter.phase(f"JDK {names}: started cold, and recorded under real requests"):
            learned = learning.result()
        self.summary.findings += learned.findings
        self.reporter.say(f"    recorded under {learned.requests} requests")

    def _build(self, jdk: Jdk) -> None:
        pod = self.bed.ground.pod(f"{jdk.feature}-builder", jdk)
        with self.reporter.phase(f"JDK {jdk.version}: an archive is built, tried, measured and signed"):
            self.summary.built[jdk.version] = lines = pod.build(SAMPLES)
        for line in lines[-1:]:
            self.reporter.say(f"    {line}")

    def _warm(self, jdk: Jdk) -> None:
        """One start: the builder has measured several of each kind, and the table shows their medians."""
        name = f"JDK {jdk.version}"
        pod = self.bed.ground.pod(f"{jdk.feature}-warm", jdk)
        with self.reporter.phase(f"{name}: the next pod starts warm"):
            decided = pod.fetch(*PATIENT)
            self._claim(decided.outcome is Outcome.HIT, f"{name}: the next pod gets the archive", decided)
            with pod.application_container() as running:
                used = has_mapped(running, decided.report.archive)
            self._claim(used, f"{name}: its JVM has the archive mapped", decided)
        self._warm_cpu[jdk] = running.ready.cpu
        plain, warm = pod.measured()
        what = "medians of the builder's starts"
        row = Start(name, what, decided.outcome, plain=plain, warm=warm, fetch=decided.seconds)
        self.summary.starts.append(row)

    def _another_build(self, jdk: Jdk) -> None:
        other = jdks.other_build()
        if other is None:
            raise NotInstalled(f"no second build of Java {jdk.feature}", hint="run `make setup`")
        pod = self.bed.ground.pod("other-build", other)
        self._refused(pod, f"another build: {other.version}", Outcome.BUILD)

    def _flipped_byte(self, jdk: Jdk) -> None:
        pod = self.bed.ground.pod("flipped-byte", jdk)
        for archive in self._archives(pod):
            flip(archive)
        self._refused(pod, "a byte of the archive flipped in the store", Outcome.SIGNATURE)

    def _archives(self, pod: Pod) -> list[Path]:
        """The stored archive that a pod of this kind gets."""
        report = pod.fetch(*PATIENT).report
        found = list(self.bed.store.rglob(f"{report.archive}~"))
        if not report.archive or not found:
            raise StepFailed(f"no archive of {pod.jdk.version} in the store", hint="see the service's log")
        for local in (pod.folder / "archives").iterdir():
            local.unlink()
        return found

    def _changed_jar(self, jdk: Jdk) -> None:
        """The change shows in an answer: so a class from the archive would give itself away."""
        change(self.bed.ground.application.jar())
        pod = self.bed.ground.pod("changed-jar", jdk)
        body = self._refused(pod, "a changed jar of the same size and time", Outcome.CLASSPATH)
        new = b"product 1" in body and b"article 1" not in body
        self.summary.findings.append(Finding(new, "a changed jar runs its new classes"))

    def _refused(self, pod: Pod, what: str, outcome: Outcome) -> bytes:
        """A start that gets no archive, and what the application then shows."""
        with self.reporter.phase(f"JDK {pod.jdk.version}: {what}"):
            decided = pod.fetch(*PATIENT)
            self._claim(decided.outcome is outcome, f"{what}: the outcome is {outcome.value}", decided)
            untouched = pod.options.read_text().strip() == ""
            self._claim(untouched, f"{what}: no option of ours reaches the JVM", decided)
            with pod.application_container() as running:
                served = traffic.send(pod.application, running.port, count=40)
                body = _get(running, SHOWS_IT)
            self._claim(not served.unexpected, f"{what}: the application answers well", decided)
            if (warm := self._warm_cpu.get(pod.jdk)) is not None:
                less = f"{what}: a warm start takes less of the processor than this one"
                self._claim(warm < running.ready.cpu, less, decided)
        row = Start(
            f"JDK {pod.jdk.version}",
            what,
            decided.outcome,
            "; ".join(decided.report.why),
            plain=running.ready.seconds,
            fetch=decided.seconds,
        )
        self.summary.refusals.append(row)
        self.reporter.say(f"    {row.outcome}: {brief(row.why)}")
        return body

    def _claim(self, holds: bool, what: str, decided: Decided) -> None:
        self.summary.findings.append(claim(holds, what, decided))


def brief(why: str) -> str:
    """A reason with its digests cut to what an eye can compare; the report has them whole."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", why)


def has_mapped(running: Running, digest: str) -> bool:
    """Whether a JVM has the archive of this digest mapped: one that it refuses it unmaps. Without one, no."""
    mapped = Path(f"/proc/{running.process.pid}/maps").read_text()
    return bool(digest) and f"/{digest}." in mapped


def flip(path: Path) -> None:
    """Changes one bit in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def change(jar: Path) -> None:
    """Changes what the application shows; size and time of its jar stay.

    Raises:
        StepFailed: the jar does not hold what is changed, or its size did not stay.
    """
    before = jar.stat()
    entries = [(entry, content.replace(NEEDLE, CHANGED)) for entry, content in read_entries(jar)]
    new = jar.with_suffix(".new")
    write_stored(new, entries)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    if new.read_bytes() == jar.read_bytes() or new.stat().st_size != before.st_size:
        raise StepFailed(f"{jar.name} could not be changed", hint="the application's sources are others now")
    new.replace(jar)


def _get(running: Running, path: str) -> bytes:
    return requests.get(f"http://127.0.0.1:{running.port}{path}", timeout=20).content
