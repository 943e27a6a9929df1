"""The kubelet, compiled from the Go module proxy: every module by the hash in go.sum.

Equal sources, flags and compiler give equal bytes; it takes minutes, so it is kept in the cache.
Set-up runs this before anything is installed: standard library only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from images import command
from warmroot import golang
from warmroot.cache import cache_dir, locked
from warmroot.errors import NotInstalled, StepFailed
from warmroot.golang import Go

VERSION = "1.37.2"
"""What go.mod pins."""
_SOURCES = ("go.mod", "go.sum")
_PACKAGE = "k8s.io/kubernetes/cmd/kubelet"
_FLAGS = ("-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", golang.stamps(f"v{VERSION}"))
_HERE = files(__name__)


def find_go(cache: Path | None = None) -> Go:
    """The Go that compiles it.

    Raises:
        NotInstalled: there is none that is new enough.
    """
    wanted = golang.required((_HERE / "go.mod").read_text())
    found = golang.find(wanted, cache or cache_dir())
    if found is None:
        raise NotInstalled(
            f"Go {'.'.join(map(str, wanted))} or newer is missing; compiling the kubelet needs it",
            hint="run `make setup`, or give a program with kubeletProgram.file",
        )
    return found


def program(go: Go, cache: Path) -> Path:
    """Where the kubelet that this Go makes is kept; it may not exist yet."""
    sources = {name: (_HERE / name).read_bytes() for name in _SOURCES}
    return cache / "kubelet" / golang.key(sources, go.banner, _FLAGS) / "kubelet"


def compiled(cache: Path | None = None, each_line: Callable[[str], None] = lambda _: None) -> Path:
    """The kubelet; made at the first call, and a second caller waits for the first.

    `each_line` hears the name of each package when the compiler begins with it, or that we wait.

    Raises:
        NotInstalled: there is no Go that is new enough.
        StepFailed: a module can't be had, or the compiler failed.
    """
    cache = cache or cache_dir()
    go = find_go(cache)
    kept = program(go, cache)
    with locked(cache / "kubelet" / "lock", lambda: each_line("another process compiles it; this one waits")):
        if not kept.exists():
            for stale in kept.parent.glob("*"):  # of a compile that was killed: we hold the lock
                shutil.rmtree(stale, ignore_errors=True)
            kept.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                _compile(go, cache, Path(folder), each_line).rename(kept)
    return kept


def _compile(go: Go, cache: Path, folder: Path, each_line: Callable[[str], None]) -> Path:
    built, module = folder / "kubelet", folder / "module"
    module.mkdir()
    for name in _SOURCES:
        (module / name).write_bytes((_HERE / name).read_bytes())
    command.run(
        "compiling the kubelet",
        [go.program, "build", "-C", module, "-v", *_FLAGS, "-o", built, _PACKAGE],
        package="golang-go",
        environment=golang.environment(os.environ, cache, folder / "go-build"),
        each_line=each_line,
        hint="see that the Go module proxy answers (GOPROXY) and the cache has 4 GiB free,"
        " or give a program with kubeletProgram.file",
    )
    said = command.run("asking for its version", [built, "--version"], package="golang-go").strip()
    if said != f"Kubernetes v{VERSION}":
        raise StepFailed(f"the compiled kubelet says {said!r}", hint="report this")
    return built
