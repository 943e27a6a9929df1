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

    def recorded(
        self,
        name: str,
        *,
        seconds: float,
        kinds: Sequence[str] | None = None,
    ) -> Path:
        """What one run learned that was asked requests for some seconds after it was ready.

        Raises:
            ProgramDied: it did not get ready, or broke off.
        """
        path = self.folder / f"{name}.recording"
        if self.jdk.feature >= _AOT_FROM:
            record = ["-XX:AOTMode=record", f"-XX:AOTConfiguration={path}"]
        else:
            record = [f"-XX:DumpLoadedClassList={path}"]
        port = free_port()
        command = self.application.command(self.jdk.java, port, record, Layout.EXTRACTED)
        log = self.folder / f"{name}.log"
        one = start(command, port, self.application.ready, log=log, cwd=self.folder)
        try:
            if seconds:
                traffic.send(self.application, port, seconds=seconds, kinds=kinds)
        finally:
            one.end()  # a recording JVM writes now
        return path

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

    def not_shared(self, archive: Path, requests: int) -> int:
        """Classes that a start under all kinds of requests reads from jars although there is an archive."""
        log = self.folder / "classes.log"
        port = free_port()
        flags = [*self.use(archive), f"-Xlog:class+load:file={log}"]
        command = self.application.command(self.jdk.java, port, flags, Layout.EXTRACTED)
        one = start(command, port, self.application.ready, log=self.folder / "run.log", cwd=self.folder)
        try:
            traffic.send(self.application, port, count=requests)
        finally:
            one.end(signal.SIGKILL)
        return len(re.findall(r" source: (?:file|jrt):", log.read_text(errors="replace")))
