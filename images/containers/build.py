"""Builds the images: one file each, a bill of materials beside it, and what a node will fetch.

Their layers are Debian's Python, the packages of the lock file, and our own modules: a new version of ours is
fetched without the first two.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from images import container, python, sbom
from images.containers import system
from images.debian.system import Installed
from images.timing import Steps
from jboost_agent.build import agent_jar
from warmroot.errors import NotInstalled, UserError

_BUSYBOX = "/bin/busybox"
_LOADER, _BEGINNING = b"/ld-linux", 4096
"""What a program that needs libraries names within its first bytes."""
_LAUNCHER = """#!{interpreter}
import os
import signal
# The first process of a container has no default for it: it would not end before our own handler is there.
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
from {module} import main
main()
"""


@dataclass(frozen=True)
class Part:
    """An image of ours in Python: its modules, and its programs by the module whose `main` each is."""

    name: str
    title: str
    modules: tuple[str, ...]
    without: tuple[str, ...]
    programs: Mapping[str, str]
    agent: bool = False
    """Whether it hands out the pod agent."""


OPERATOR = Part(
    "operator",
    "Rolls releases of the operating system over workers; a page that shows how far they are",
    ("warmroot", "os_operator"),
    (),
    {"warmroot-operator": "os_operator.main", "kubectl-warmroot": "os_operator.plugin.cli"},
)
JBOOST = Part(
    "jboost",
    "The cache service of Java applications, its webhook and its controller",
    ("warmroot", "jboost_server"),
    ("plugin",),
    {"jboost": "jboost_server.cli"},
    agent=True,
)
AGENT = "jboost-agent"
NAMES = (OPERATOR.name, JBOOST.name, AGENT)


@dataclass(frozen=True)
class Built:
    """An image: its whole name, its file and its bill, its digest, and the bytes that a node fetches."""

    name: str
    file: Path
    bill: Path
    written: container.Written


def build(
    folder: Path, steps: Steps, *, prefix: str, version: str, wanted: Sequence[str] = NAMES
) -> list[Built]:
    """Builds the wanted images into the new folder. They are called `PREFIX/NAME:VERSION`.

    Raises:
        UserError: the folder is there already, or can't be made.
        NotInstalled: this machine has no apt, no Debian mirror, no busybox or no Java compiler.
        StepFailed: there is no network, or what came is not what was signed or locked.
    """
    if folder.exists():
        raise UserError(f"{folder} is there already", hint="name another, or remove it")
    partial_folder = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    try:
        partial_folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{folder} can't be made: {error.strerror}", hint="name another folder") from error
    workshop = _Workshop(partial_folder, steps, prefix, version)
    try:
        with ExitStack() as stack:
            built = workshop.python([one for one in (OPERATOR, JBOOST) if one.name in wanted], stack)
            if AGENT in wanted:
                built.append(workshop.agent())
        partial_folder.rename(folder)
    except BaseException:
        shutil.rmtree(partial_folder, ignore_errors=True)
        raise
    return [Built(one.name, folder / one.file.name, folder / one.bill.name, one.written) for one in built]


@dataclass(frozen=True)
class _Workshop:
    folder: Path
    steps: Steps
    prefix: str
    version: str

    def python(self, parts: Sequence[Part], stack: ExitStack) -> list[Built]:
        if not parts:
            return []
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmroot-containers-")))
        with self.steps.step("fetch Debian's Python") as doing:
            tree, debian = system.unpack(scratch, doing)
            base = stack.enter_context(_layer(partial(system.layer, tree)))
        return [self._part(one, base, tree, debian, scratch / one.name) for one in parts]

    def _part(
        self, part: Part, base: IO[bytes], tree: Path, debian: tuple[Installed, ...], scratch: Path
    ) -> Built:
        with self.steps.step(f"image {part.name}"):
            packages, ours = scratch / "packages", scratch / "ours"
            pinned = files("images") / "containers" / f"{part.name}.txt"
            found = python.fetch(pinned, packages / python.HOME, system.VERSION)
            python.copy(part.modules, ours / python.HOME, part.without)
            for root in (packages, ours):
                system.compile_python(tree, root / python.HOME, root)
            for program, module in part.programs.items():
                path = ours / "usr/bin" / program
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_LAUNCHER.format(interpreter=system.INTERPRETER, module=module))
                path.chmod(0o755)
            if part.agent:
                shutil.copyfile(agent_jar(), ours / "agent.jar")
            with _layer(partial(_tree, packages)) as lower, _layer(partial(_tree, ours)) as upper:
                config = _python_config(next(iter(part.programs)))
                return self._write(part.name, part.title, [base, lower, upper], config, (*debian, *found))

    def agent(self) -> Built:
        """/agent.jar, and a `cp` for clusters that can't mount an image as a volume."""
        with self.steps.step(f"image {AGENT}"), _layer(_agent) as only:
            title = "The pod agent of Java applications that start warm"
            config = {"Cmd": ["/bin/cp"], "Env": ["PATH=/bin"], "User": f"{system.USER}:{system.USER}"}
            return self._write(AGENT, title, [only], config, ())

    def _write(
        self,
        name: str,
        title: str,
        layers: Sequence[IO[bytes]],
        config: dict[str, Any],
        packages: Sequence[Installed],
    ) -> Built:
        whole = f"{self.prefix}/{name}:{self.version}"
        labels = {
            "org.opencontainers.image.title": title,
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.licenses": "Apache-2.0",
        }
        target, bill = self.folder / f"{name}.tar", self.folder / f"{name}.cdx.json"
        written = container.write(target, whole, layers, config, labels=labels, compress=True)
        bill.write_text(
            sbom.write_container(f"warmroot/{name}", self.version, written.digest, system.SUITE, packages)
        )
        return Built(whole, target, bill, written)


def _python_config(program: str) -> dict[str, Any]:
    return {
        "Entrypoint": [f"/usr/bin/{program}"],
        "Env": [
            "PATH=/usr/bin",
            f"PYTHONPATH=/{python.HOME}",
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
            "LANG=C.UTF-8",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        ],
        "User": f"{system.USER}:{system.USER}",
        "WorkingDir": "/",
    }


@contextmanager
def _layer(fill: Callable[[container.Layer], None]) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        with container.Layer(file) as layer:
            fill(layer)
        yield file


def _tree(root: Path, into: container.Layer) -> None:
    into.tree("", root)


def busybox() -> Path:
    """A program of this machine that runs in an image without libraries.

    Raises:
        NotInstalled: there is none.
    """
    found = Path(shutil.which("busybox") or _BUSYBOX)
    if not found.exists() or _LOADER in found.read_bytes()[:_BEGINNING]:
        raise NotInstalled("there is no busybox without libraries", hint="install the package busybox-static")
    return found


def _agent(into: container.Layer) -> None:
    into.copy("bin/busybox", busybox())
    into.link("bin/cp", "busybox")
    into.copy("agent.jar", agent_jar())
