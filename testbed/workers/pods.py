"""Images of containers that tests start, made of what this computer has: no registry is asked."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path, PurePosixPath

from images import container, pause
from images.containers.build import busybox
from testbed.setup.jdk import Jdk
from testbed.setup.process import run

AGENT = "localhost/warmroot/jboost-agent:1"
JAVA = "/opt/java"
"""Where an image of Java has it."""
_BUSYBOX, _PAUSE = "/bin/busybox", "/usr/bin/catatonit"
_TOOLS = ("sh", "cat", "cp", "ls", "sleep", "env", "kill")
_NOT_TO_RUN = frozenset({"jmods", "man", "include", "demo", "legal", "docs", "src.zip", "ct.sym"})
"""Of a JDK: for whoever compiles."""
_PATH = "PATH=/opt/java/bin:/bin"


def lacking() -> str:
    """What to install before images can be made; empty if all is there."""
    missing = [path for path in (_BUSYBOX, _PAUSE) if not Path(path).exists()]
    return f"{', '.join(missing)} missing (run `make setup`)" if missing else ""


def write_pause(folder: Path) -> None:
    """The image that each pod has a container of."""
    pause.write(Path(_PAUSE), folder / "pause.tar")


def write_agent(jar: Path, folder: Path) -> str:
    """The image that brings the pod agent: /agent.jar, and a `cp`. Gives its name."""
    with tempfile.TemporaryFile() as file:
        with container.Layer(file) as layer:
            _tools(layer)
            layer.copy("agent.jar", jar)
        container.write(folder / "agent.tar", AGENT, [file], {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]})
    return AGENT


def write_java(jdk: Jdk, application: Path, name: str, folder: Path) -> str:
    """An image of a Java runtime and an application's folder, at /app. Gives its name.

    Raises:
        StepFailed: it can't be seen what libraries the runtime needs.
    """
    image = f"localhost/{name}:1"
    with (
        tempfile.TemporaryFile() as system,
        tempfile.TemporaryFile() as java,
        tempfile.TemporaryFile() as app,
    ):
        with container.Layer(system) as layer:
            _tools(layer)
            layer.folder("tmp", 0o1777)
            layer.data("etc/passwd", b"root:x:0:0:root:/:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n")
            layer.data("etc/nsswitch.conf", b"hosts: files dns\n")
            for library in _libraries(jdk.home):
                layer.copy(str(library).lstrip("/"), library)
        with container.Layer(java) as layer:
            layer.tree(JAVA.lstrip("/"), jdk.home, _runs)
        with container.Layer(app) as layer:
            layer.tree("app", application)
        config = {"Cmd": ["/bin/sh"], "Env": [_PATH], "User": "1000:1000", "WorkingDir": "/app"}
        container.write(folder / f"{name.replace('/', '-')}.tar", image, [system, java, app], config)
    return image


def _tools(layer: container.Layer) -> None:
    layer.copy("bin/busybox", busybox())
    for tool in _TOOLS:
        layer.link(f"bin/{tool}", "busybox")


def _runs(path: PurePosixPath) -> bool:
    return not _NOT_TO_RUN & set(path.parts)


def _libraries(home: Path) -> list[Path]:
    """The libraries of the system that a Java runtime is linked to, and their loader, each by all names that
    it is asked for by.
    """
    programs = [home / "bin" / "java", *sorted(home.glob("lib/**/*.so"))]
    printed = run(["ldd", *programs])
    found = {Path(one) for one in re.findall(r"(?:=>\s|^\s)(/\S+) \(0x", printed, re.MULTILINE)}
    return sorted(one for one in found if not one.resolve().is_relative_to(home.resolve()))
