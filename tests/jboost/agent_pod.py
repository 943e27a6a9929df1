"""A pod with a tiny application, a real JDK, and the agent's `fetch` before its start."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from jboost_agent.build import agent_jar
from jboost_server.core.buildkey import BuildKey
from testbed.setup.jdk import Jdk
from tests.java_world import Java
from tests.jboost.agent_server import GROUP, Server, serving, write_keys

FEATURES = (17, 25)
MTIME = 1_700_000_000
# How long the agent takes is measured in a benchmark. Here no budget may expire by chance.
PATIENT = tuple(f"--{phase}-ms=60000" for phase in ("inspect", "lookup", "fetch", "preflight"))
_MAIN = """
package app;
public final class Main {
  public static void main(String[] arguments) throws Exception {
    System.out.println("hello from " + lib.Greeting.text() + " " + String.join(",", arguments));
  }
}
"""
_GREETING = 'package lib; public final class Greeting { public static String text() { return "%s"; } }'


@dataclass(frozen=True)
class Classes:
    """The application's classes, compiled once: by name, for the two greetings."""

    main: bytes
    greetings: dict[str, bytes]


def java_that(folder: Path, jdk: Jdk, does: str) -> Path:
    """The launcher of a runtime like this one that first does a line of shell with its words in `$*`."""
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").symlink_to(jdk.home / "lib")
    launcher = folder / "bin/java"
    launcher.write_text(f'#!/bin/sh\n{does}\nexec {jdk.java} "$@"\n')
    launcher.chmod(0o755)
    return launcher


def compile_classes(folder: Path, javac: Path) -> Classes:
    """Compiles the application with two greetings of one length."""
    greetings = {}
    for text in ("one", "two"):
        out = folder / text
        (folder / "Main.java").write_text(_MAIN)
        (folder / "Greeting.java").write_text(_GREETING % text)
        files = [folder / "Main.java", folder / "Greeting.java"]
        subprocess.run([javac, "--release", "17", "-d", out, *files], check=True)
        greetings[text] = (out / "lib/Greeting.class").read_bytes()
    return Classes((folder / "one/app/Main.class").read_bytes(), greetings)


def write_jar(path: Path, entries: dict[str, bytes], *, mtime: int = MTIME) -> Path:
    """A jar that has the same bytes each time, with nothing compressed, so that its size tells little."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    os.utime(path, (mtime, mtime))
    return path


@dataclass(frozen=True)
class Decision:
    """What one `fetch` left."""

    code: int
    said: str
    seconds: float
    report: dict[str, Any]
    options: str

    @property
    def outcome(self) -> str:
        return self.report["outcome"]

    @property
    def why(self) -> str:
        return "; ".join(self.report["why"])


@dataclass
class Pod:
    """One pod: `home` has the application, `dir` is the agent's folder."""

    jdk: Jdk
    classes: Classes
    home: Path
    dir: Path
    server: Server
    environment: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def install(self, greeting: str = "one") -> None:
        manifest = b"Manifest-Version: 1.0\r\nMain-Class: app.Main\r\nClass-Path: lib/greeting.jar\r\n\r\n"
        entries = {"META-INF/MANIFEST.MF": manifest, "app/Main.class": self.classes.main}
        write_jar(self.home / "app.jar", entries)
        write_jar(self.home / "lib/greeting.jar", {"lib/Greeting.class": self.classes.greetings[greeting]})

    @property
    def command(self) -> list[str]:
        return [str(self.jdk.java), *self.flags, "-jar", str(self.home / "app.jar"), "a", "-b"]

    @property
    def keys(self) -> Path:
        return write_keys(self.dir.parent / "keys", self.server.signer.publics)

    def environ(self, **more: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("JDK_JAVA", "JAVA_TOOL"))}
        return inherited | self.environment | more

    def agent(
        self, verb: str, *options: str, command: Sequence[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        words = [self.jdk.java, "-Xshare:auto", "-jar", agent_jar(), verb]
        words += ["--server", self.server.url, "--group", GROUP, "--keys", self.keys, "--dir", self.dir]
        command = self.command if command is None else command
        # The environment is the image's: the agent reads it, and its own JVM must not.
        return subprocess.run(
            [*words, *options, "--", *command],
            env=self.environ(),
            cwd=self.home,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
            check=False,
        )

    def fetch(self, *options: str, command: Sequence[str] | None = None, patient: bool = True) -> Decision:
        begin = time.monotonic()
        done = self.agent("fetch", *(PATIENT if patient else ()), *options, command=command)
        seconds = time.monotonic() - begin
        assert done.stdout == ""
        said = [line for line in done.stderr.splitlines() if not line.startswith(("NOTE:", "Picked up"))]
        assert len(said) == 1 or "did not hear" in said[-1], done.stderr
        report = json.loads((self.dir / "report.json").read_text())
        return Decision(
            done.returncode,
            "\n".join(said),
            seconds,
            report,
            (self.dir / "java.opts").read_text(errors="surrogateescape"),
        )

    def start(self, *, command: Sequence[str] | None = None) -> str:
        """What the application prints, started as the pod would start it."""
        done = subprocess.run(
            self.command if command is None else command,
            env=self.environ(JDK_JAVA_OPTIONS=f"'@{self.dir / 'java.opts'}'"),
            cwd=self.home,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shared(self, *names: str) -> set[str]:
        """Which of these classes its start takes from an archive; the application's own if none is named."""
        log = self.home / "classes.log"
        java, *rest = self.command
        self.start(command=[java, f"-Xlog:class+load:file={log}", *rest])
        lines = [line for line in log.read_text().splitlines() if "shared objects file" in line]
        asked = names or ("app.Main", "lib.Greeting")
        return {name for name in asked if any(f" {name} " in line for line in lines)}

    def key(self) -> BuildKey:
        """The pod's build key, as the service gets it."""
        self.server.clear()
        self.fetch()
        return self.server.key

    def archive(self) -> bytes:
        """An archive that this pod's JDK makes for it."""
        recorded = self.dir.parent / "training"
        recorded.mkdir(exist_ok=True)
        pod = replace(self, dir=recorded)
        if self.jdk.feature >= 24:
            return pod._cache(recorded)
        listed, archive = recorded / "list", recorded / "a.jsa"
        java, *rest = self.command
        pod._run([java, f"-XX:DumpLoadedClassList={listed}", *rest])
        dump = ("-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={archive}")
        pod._run([java, *dump, *rest])
        return archive.read_bytes()

    def _cache(self, folder: Path) -> bytes:
        common = ["--add-modules=java.instrument,jdk.jfr,jdk.management.agent"]
        common += ["-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching"]
        java, *rest = self.command
        configuration = f"-XX:AOTConfiguration={folder / 'c'}"
        self._run([java, *common, "-XX:AOTMode=record", configuration, *rest])
        self._run([java, *common, "-XX:AOTMode=create", configuration, f"-XX:AOTCache={folder / 'a'}", *rest])
        return (folder / "a").read_bytes()

    def _run(self, command: Sequence[str]) -> None:
        subprocess.run(
            command, cwd=self.home, env=self.environ(), capture_output=True, timeout=120, check=True
        )


@pytest.fixture(scope="session", params=FEATURES)
def runtime(request: pytest.FixtureRequest, java: Java) -> Jdk:
    """Each JDK that tests of the agent run on."""
    return java.jdk(request.param)


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory, jdk17: Path) -> Classes:
    return compile_classes(tmp_path_factory.mktemp("classes"), jdk17 / "bin/javac")


@pytest.fixture(scope="session")
def trained(
    runtime: Jdk, classes: Classes, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Pod], bytes]:
    """The archive for a pod in the common folder; made once for each JDK."""
    made: dict[str, bytes] = {}

    def archive(pod: Pod) -> bytes:
        name = shlex.join(pod.command)
        if name not in made:
            made[name] = pod.archive()
        return made[name]

    return archive


@pytest.fixture(scope="session")
def home(runtime: Jdk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the application lies: one place, since an archive holds for one."""
    return tmp_path_factory.mktemp(f"home-{runtime.feature}")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def pod(runtime: Jdk, classes: Classes, home: Path, tmp_path: Path, server: Server) -> Pod:
    """A pod whose application is installed and was never started."""
    pod = Pod(runtime, classes, home, tmp_path / "run", server)
    pod.install()
    return pod


@pytest.fixture
def offered(pod: Pod, trained: Callable[[Pod], bytes]) -> bytes:
    """The bytes of an archive that fits the pod and that the service proposes."""
    data = trained(pod)
    pod.server.offer(pod.key(), data)
    return data
