"""Archives as a careful person makes them by hand: the peer that ours are measured against."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.apps import traffic
from testbed.apps.application import Application, Layout
from testbed.apps.running import free_port, plain_environment, start
from testbed.setup.jdk import Jdk
from testbed.setup.process import run

_AOT_FROM = 24
TRAINING = 10.0
"""Seconds of requests to a run that is recorded."""


@dataclass(frozen=True)
class Loaded:
    """How many classes a start under all kinds of requests took from its archives, and how many from jars."""

    shared: int
    not_shared: int


@dataclass(frozen=True)
class Workshop:
    """Trains an application on a JDK and makes archives of what was learned, below `folder`."""

    application: Application
    jdk: Jdk
    folder: Path

    def use(self, archive: Path) -> list[str]:
        """The flags that use an archive."""
        option = "AOTCache" if self.jdk.feature >= _AOT_FROM else "SharedArchiveFile"
        return [f"-XX:{option}={archive}"]

    def trained(self, name: str, *, seconds: float) -> Path:
        """An archive of one run that was asked requests for some seconds after it was ready.

        Raises:
            ProgramDied, StepFailed: see `recorded` and `archive`.
        """
        return self.archive(name, self.recorded(name, seconds=seconds))

    def dynamic(self, name: str) -> Path:
        """An archive over the JDK's own, written by a run at its end (13 to 23; for us 17).

        Raises:
            ProgramDied: it did not get ready, or broke off.
        """
        path = self.folder / f"{name}.jsa"
        self._run(name, [f"-XX:ArchiveClassesAtExit={path}"], seconds=TRAINING, kinds=None)
        return path

    def recorded(self, name: str, *, seconds: float, kinds: Sequence[str] | None = None) -> Path:
        """What one run learned that was asked requests for some seconds after it was ready.

        Raises:
            ProgramDied: it did not get ready, or broke off.
        """
        path = self.folder / f"{name}.recording"
        if self.jdk.feature >= _AOT_FROM:
            record = ["-XX:AOTMode=record", f"-XX:AOTConfiguration={path}"]
        else:
            record = [f"-XX:DumpLoadedClassList={path}"]
        self._run(name, record, seconds=seconds, kinds=kinds)
        return path

    def _run(self, name: str, flags: list[str], *, seconds: float, kinds: Sequence[str] | None) -> None:
        port = free_port()
        command = self.application.command(self.jdk.java, port, flags, Layout.EXTRACTED)
        log = self.folder / f"{name}.log"
        one = start(command, port, self.application.ready, log=log, cwd=self.folder)
        try:
            if seconds:
                traffic.send(self.application, port, seconds=seconds, kinds=kinds)
        finally:
            one.end()  # a recording JVM writes now

    def archive(self, name: str, recording: Path) -> Path:
        """An archive of a recording.

        Raises:
            StepFailed: the JDK refused.
        """
        path = self.folder / name
        if self.jdk.feature >= _AOT_FROM:
            make = ["-XX:AOTMode=create", f"-XX:AOTConfiguration={recording}", f"-XX:AOTCache={path}"]
        else:
            make = ["-Xshare:dump", f"-XX:SharedClassListFile={recording}", f"-XX:SharedArchiveFile={path}"]
        jar = self.application.jar(Layout.EXTRACTED)
        run([self.jdk.java, *make, "-jar", jar], env=plain_environment(), cwd=self.folder)
        return path

    def loaded(self, archive: Path, requests: int) -> Loaded:
        """Where a start under all kinds of requests has its classes from.

        Raises:
            ProgramDied: it did not get ready, or broke off.
        """
        log = self.folder / "classes.log"
        port = free_port()
        flags = [*self.use(archive), f"-Xlog:class+load:file={log}"]
        command = self.application.command(self.jdk.java, port, flags, Layout.EXTRACTED)
        one = start(command, port, self.application.ready, log=self.folder / "run.log", cwd=self.folder)
        try:
            traffic.send(self.application, port, count=requests)
        finally:
            one.end(signal.SIGKILL)
        return count(log.read_text(errors="replace"))


def count(log: str) -> Loaded:
    """What a JVM's log of loaded classes says; classes that were made while it ran are neither."""
    shared = len(re.findall(r" source: shared objects file", log))
    return Loaded(shared, len(re.findall(r" source: (?:file|jrt):", log)))
