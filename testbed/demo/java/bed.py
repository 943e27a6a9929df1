"""What the second half runs on: the cache service, an application's own copy, JDKs, the pod agent."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from jboost_agent.build import agent_jar
from jboost_server import signing
from testbed.apps import spring
from testbed.apps.application import Application, Layout
from testbed.apps.running import answers, free_port
from testbed.controlplane.processes import POLL, Program
from testbed.demo.java.pod import Pod, Service
from testbed.setup import jdk
from testbed.setup.jdk import Jdk
from warmroot.cache import cache_dir
from warmroot.errors import NotInstalled, ProgramDied

FLAGS = ("-XX:TieredStopAtLevel=1",)
"""The service's own: Spring's Maven plugin starts services so, too. With two processors or fewer the second
compiler takes its time from the start itself, and the demo has more than two dozen of them."""
START_SECONDS = 60.0


@dataclass(frozen=True)
class Ground:
    """What pods need, in a form that another process can be given. `folder` is the demo's own."""

    folder: Path
    service: Service
    agent: Path

    @property
    def application(self) -> Application:
        """The application with a jar of its own."""
        cached = spring.PAGES.application(cache_dir())
        name = cached.jar(Layout.EXTRACTED).name
        return replace(cached, jars={Layout.EXTRACTED: self.folder / "app" / name})

    def pod(self, name: str, jdk: Jdk) -> Pod:
        """A pod of the application; pods of one JDK are of one group."""
        folder = self.folder / "pods" / name
        group = f"pages-{jdk.feature}"
        return Pod(self.application, jdk, group, folder, self.service, self.agent, FLAGS)


class JavaBed:
    """A context manager: the service is up within its block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        _copy(spring.PAGES.application(cache_dir()), self._folder / "app")
        service = self._stack.enter_context(serving(self._folder))
        self.ground = Ground(self._folder, service, agent_jar())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def store(self) -> Path:
        """The service's object store."""
        return self._folder / "store"


def jdks() -> list[Jdk]:
    """The JDKs of the demo: 17 and 25.

    Raises:
        NotInstalled: one of them is missing.
    """
    found = {feature: jdk.find(feature) for feature in (17, 25)}
    if missing := [str(feature) for feature, one in found.items() if one is None]:
        raise NotInstalled(f"Java {' and '.join(missing)} not found", hint="run `make setup`")
    return [one for one in found.values() if one is not None]


def _copy(application: Application, folder: Path) -> None:
    """The extracted layout with a jar of our own to change; its libraries are the cache's.

    Entries of that jar are stored as they are, so that changed content can keep its size.
    """
    cached = application.jar(Layout.EXTRACTED)
    shutil.copytree(cached.parent / "lib", folder / "lib", copy_function=_link)
    jar = folder / cached.name
    write_stored(jar, read_entries(cached))
    shutil.copystat(cached, jar)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def read_entries(jar: Path) -> list[tuple[zipfile.ZipInfo, bytes]]:
    """The entries of a jar in their order."""
    with zipfile.ZipFile(jar) as file:
        return [(entry, file.read(entry)) for entry in file.infolist()]


def write_stored(jar: Path, entries: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    """Writes a jar whose entries are not compressed."""
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_STORED) as file:
        for entry, content in entries:
            file.writestr(zipfile.ZipInfo(entry.filename, entry.date_time), content)


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[Service]:
    """The real cache service as a process of its own, with a fresh key; up within this block.

    Raises:
        ProgramDied: it ended, or it did not get ready.
    """
    port = free_port()
    signing.create(folder / "signing.key")
    python = sys.executable  # its own first word tells an interpreter where its packages are
    command = [python, "-m", "jboost_server.web", "--store", str(folder / "store")]
    command += ["--key", str(folder / "signing.key"), "--listen", f"127.0.0.1:{port}"]
    command += ["--public-keys", str(folder / "public.keys"), *options]
    program = Program.start(
        command,
        executable=Path(python),
        log=folder / "jboost-server.log",
        pid_file=folder / "jboost-server.pid",
        dies_with_us=True,
        env=os.environ,
    )
    try:
        _await(port, program)
        yield Service(f"http://127.0.0.1:{port}", folder / "public.keys")
    finally:
        program.end(10.0)


def _await(port: int, program: Program) -> None:
    end = time.monotonic() + START_SECONDS
    while not answers(port, "/readyz"):
        program.check()
        if time.monotonic() > end:
            late = f"the cache service is not ready after {START_SECONDS:.0f} s"
            raise ProgramDied(late, hint=f"see {program.log}")
        time.sleep(POLL)
