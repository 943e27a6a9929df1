"""Pods of the demo: the init container's `fetch`, then the application with the options that it wrote."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from jboost_server.core.outcome import Outcome
from jboost_server.local.agent import Report
from testbed.apps.application import Application
from testbed.apps.running import Running, end, free_port, plain_environment, start
from testbed.setup.jdk import Jdk
from warmroot.errors import ProgramDied

PATIENCE = 180.0
"""Seconds after which a `fetch` or a `record` counts as hanging."""
PATIENT = ("--inspect-ms", "60000", "--lookup-ms", "10000", "--fetch-ms", "30000", "--preflight-ms", "30000")
"""Budgets of a `fetch` that shall not start plainly because the machine has other things to do."""
MORE = (1, 2, 3)
"""On a machine that has other things to do a measurement may be too noisy to sign by: it is made again, with
so many times the starts."""
BUILD_PATIENCE = 900.0
"""Seconds after which a build with its measured starts counts as hanging."""


@dataclass(frozen=True)
class Service:
    """Where pods find the cache service, and the public keys that they believe."""

    url: str
    keys: Path


@dataclass(frozen=True)
class Decided:
    """What an init container decided, and how many seconds all of it took, its JVM's start included."""

    report: Report
    seconds: float

    @property
    def outcome(self) -> Outcome:
        """Its one named reason."""
        return self.report.outcome


class Pod:
    """A pod of one application on one JDK.

    `folder` is its emptyDir, `group` its application group; `flags` are the JVM's in its command.
    """

    def __init__(
        self,
        application: Application,
        jdk: Jdk,
        group: str,
        folder: Path,
        service: Service,
        agent: Path,
        flags: Sequence[str] = (),
    ) -> None:
        self.application = application
        self.jdk = jdk
        self.folder = folder
        self._group = group
        self._service = service
        self._agent = agent
        self._flags = flags
        self._port = free_port()
        self._starts = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def options(self) -> Path:
        """The options file of the application's container."""
        return self.folder / "java.opts"

    @property
    def command(self) -> list[str]:
        """The container's command, which nothing changes."""
        return self.application.command(self.jdk.java, self._port, self._flags)

    def fetch(self, *more: str) -> Decided:
        """The init container.

        Raises:
            ProgramDied: it did not end, ended with another code than 0, or left no report.
        """
        began = time.monotonic()
        words = self._words("fetch", "--keys", str(self._service.keys), *more)
        done = self._run(words, PATIENCE, "fetch.log")
        if done != 0:
            raise ProgramDied(f"the init container ended with code {done}", hint=self._hint("fetch.log"))
        try:
            report = Report.decode((self.folder / "report.json").read_bytes())
        except (OSError, ValueError) as error:
            raise ProgramDied(f"no report: {error}", hint=self._hint("fetch.log")) from error
        return Decided(report, time.monotonic() - began)

    @contextmanager
    def application_container(self, order: signal.Signals = signal.SIGKILL) -> Iterator[Running]:
        """The application, up within this block, and ended by this signal: a recorder writes at SIGTERM.

        Where the block fails or is interrupted nobody wants what it would write.

        Raises:
            ProgramDied: it did not get ready.
        """
        self._starts += 1
        environment = {"JDK_JAVA_OPTIONS": f"@{self.options}"}
        log = self.folder / f"application-{self._starts}.log"
        path = self.application.ready
        one = start(self.command, self._port, path, log=log, cwd=self.folder, environment=environment)
        try:
            yield one
        except BaseException:
            one.end(signal.SIGKILL)
            raise
        one.end(order)

    def record(self) -> None:
        """The recorder's sidecar, after the application ended: uploads what was recorded.

        Raises:
            ProgramDied: it ended with another code than 0.
        """
        words = self._words("record", "--settle", "0", command=False)
        if done := self._run(words, PATIENCE, "record.log"):
            raise ProgramDied(f"the recorder ended with code {done}", hint=self._hint("record.log"))

    def build(self, samples: int) -> list[str]:
        """A builder Job that measures `samples` starts a side or more; what it said, line by line.

        Raises:
            ProgramDied: no archive is served in the end.
        """
        ready = f"http://127.0.0.1:{self._port}{self.application.ready}"
        said = ""
        for times in MORE:
            words = self._words("build", "--ready-url", ready, "--samples", str(samples * times))
            done = self._run(words, BUILD_PATIENCE, "build.log")
            lines = (self.folder / "build.log").read_text(errors="replace").splitlines()
            if any("serving: " in line for line in lines):
                return lines
            if said and done == 0:  # nothing is left to build: what it said before is why
                break
            said = lines[-1] if lines else f"it ended with code {done}"
        raise ProgramDied(f"the builder: {said}", hint=self._hint("build.log"))

    def measured(self) -> tuple[float, float]:
        """What the service signed by: medians in seconds of the builder's plain and warm starts.

        Raises:
            ProgramDied: the service serves no archive to this pod's group.
        """
        url = f"{self._service.url}/v1/status"
        groups = requests.get(url, params={"group": self._group}, timeout=PATIENCE).json()["groups"]
        for key in (key for group in groups for key in group["keys"]):
            if archive := key["archive"]:
                return archive["plain"] / 1000, archive["warm"] / 1000
        raise ProgramDied(f"no archive of {self._group} is served", hint=self._hint("build.log"))

    def _words(self, verb: str, *more: str, command: bool = True) -> list[str]:
        words = [str(self.jdk.java), "-jar", str(self._agent), verb, "--server", self._service.url]
        words += ["--group", self._group, "--dir", str(self.folder), *more]
        return [*words, "--", *self.command] if command else words

    def _run(self, words: Sequence[str], patience: float, log: str) -> int:
        with (self.folder / log).open("wb") as output:
            process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=plain_environment(),
            )
            try:
                return process.wait(patience)
            except subprocess.TimeoutExpired:
                late = f"{words[3]} did not end in {patience:.0f} s"
                raise ProgramDied(late, hint=self._hint(log)) from None
            finally:
                end(process, signal.SIGTERM, 10.0)  # a builder ends the application that it measures

    def _hint(self, log: str) -> str:
        return f"see {self.folder / log}"
