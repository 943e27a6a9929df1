"""Maven: builds our application and fetches foreign ones, from Maven Central or the mirror it is set to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.setup.process import run
from warmroot.errors import NotInstalled, StepFailed

_HINT = "Maven Central, or the mirror in ~/.m2/settings.xml, must be reachable"


def run_maven(
    words: Sequence[str], java_home: Path, cwd: Path, each_line: Callable[[str], None] = lambda _: None
) -> None:
    """Runs Maven offline, and online where something is missing.

    Raises:
        NotInstalled: there is no Maven.
        StepFailed: Maven failed online as well.
    """
    program = shutil.which("mvn")
    if program is None:
        raise NotInstalled("Maven is missing: Java applications are built and fetched with it")
    env = os.environ | {"JAVA_HOME": str(java_home)}
    command = [program, "--batch-mode", "--strict-checksums", "--no-transfer-progress"]
    try:
        run([*command, "--offline", *words], env=env, cwd=cwd)
    except StepFailed:
        run([*command, *words], env=env, cwd=cwd, each_line=each_line, hint=_HINT)


@dataclass(frozen=True)
class Artifact:
    """One file of a repository. Maven checks its checksum when it fetches it."""

    group: str
    name: str
    version: str

    @property
    def coordinates(self) -> str:
        """As Maven's command line wants them."""
        return f"{self.group}:{self.name}:{self.version}:jar"

    def file(self, folder: Path) -> Path:
        """Where `fetch` puts it."""
        return folder / f"{self.name}-{self.version}.jar"

    def fetch(self, folder: Path, java_home: Path) -> Path:
        """Copies the jar into `folder` unless it is there.

        Raises:
            NotInstalled, StepFailed: see `run_maven`.
        """
        jar = self.file(folder)
        if jar.exists():
            return jar
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{self.name}-{self.version}-{os.getpid()}"
        get = [f"{_PLUGIN}:get", f"-Dartifact={self.coordinates}", "-Dtransitive=false"]
        copy = [f"{_PLUGIN}:copy", f"-Dartifact={self.coordinates}", f"-DoutputDirectory={partial}"]
        try:
            run_maven(get, java_home, folder)
            run_maven(copy, java_home, folder)
            (partial / jar.name).rename(jar)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return jar


_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
