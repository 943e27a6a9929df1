"""The control plane's programs as one binary, compiled once from the Go module proxy and kept in the cache.

Runs before anything is installed: standard library only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.setup.process import drop, run
from testbed.setup.progress import Progress
from testbed.setup.repository import REPOSITORY
from warmroot import golang
from warmroot.cache import cache_dir, locked
from warmroot.errors import NotInstalled, StepFailed

SOURCE = REPOSITORY / "testbed" / "kubernetes"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
VERSION = "v1.37.2"
QUICK = "-gcflags=all=-dwarf=false -l"
"""Without inlining, and without the debugging data that linking with -w drops anyway, a compiler needs little
more than half of the processor time. The programs answer a little slower for it, which a test bed hardly
feels and a first user's waiting time does."""
FLAGS = ("-p", "2", "-trimpath", QUICK, "-ldflags", golang.stamps(VERSION))
DISK = 6 * 2**30
"""Bytes free that a compile needs: its build cache, its modules and the binary."""
LINK_SHARE = 0.04
"""Share of the time that linking takes, after the last package."""


@dataclass(frozen=True)
class Workload:
    """What a compile has to do: packages with the bytes of their sources, which the time follows."""

    packages: dict[str, int]

    def fraction(self, compiled: set[str]) -> float:
        """Share of the whole compile that is done, linking included."""
        total = sum(self.packages.values())
        done = sum(size for name, size in self.packages.items() if name in compiled)
        return (1 - LINK_SHARE) * done / total if total else 0.0


def _go_build(cache: Path) -> Path:
    return cache / "go-build"


def wanted_go() -> golang.Version:
    """The Go version that go.mod asks for."""
    return golang.required((SOURCE / "go.mod").read_text())


def home(go: golang.Go, cache: Path) -> Path:
    """The folder of the binary that this Go makes of these sources; it may not exist yet."""
    files = {name: (SOURCE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go")}
    return cache / "kube" / golang.key(files, go.banner, FLAGS)


def installed(cache: Path | None = None) -> Path:
    """The folder that holds the built programs, one name each.

    Raises:
        NotInstalled: there is no Go, or nothing was built for these sources yet.
    """
    cache = cache or cache_dir()
    go = golang.find(wanted_go(), cache)
    folder = home(go, cache) if go else None
    if folder is None or not (folder / "kube").exists():
        raise NotInstalled(f"the embedded control plane (Kubernetes {VERSION}) is not built")
    return folder


def build(go: golang.Go, cache: Path, progress: Progress) -> Path:
    """Compiles the binary unless it is there; returns its folder. A second caller waits for the first.

    Raises:
        StepFailed: too little disk, a module that can't be had, or a compiler error.
    """
    folder = home(go, cache)
    with locked(cache / "kube" / "lock", lambda: progress.say("  another set-up compiles; waiting for it")):
        if (folder / "kube").exists():
            return folder
        for stale in folder.parent.glob("*.*"):  # of a compile that was killed: we hold the lock
            shutil.rmtree(stale, ignore_errors=True)
        _check_disk(cache)
        env = golang.environment(os.environ, cache, _go_build(cache))
        with progress.step(f"List what Kubernetes {VERSION} consists of, and fetch its modules") as report:
            work = _list(go, env, lambda count: report(None, f"{count} modules fetched"))
        with progress.step(f"Compile it: {len(work.packages)} packages with {go.banner}") as report:
            partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
            try:
                _compile(go, env, work, partial / "kube", report)
                _publish(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        drop(_go_build(cache))
    return folder


def _check_disk(cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if free < DISK:
        raise StepFailed(
            f"{cache} has {free / 2**30:.1f} GiB free, a compile needs {DISK / 2**30:.0f}",
            hint="free some space, or name another folder in WARMROOT_CACHE",
        )


def _list(go: golang.Go, env: Mapping[str, str], fetched: Callable[[int], None]) -> Workload:
    """Every package of the binary, by `go list`, which also downloads the modules."""
    template = '{{.ImportPath}}\t{{.Dir}}\t{{join .GoFiles "\t"}}'
    packages: dict[str, int] = {}
    downloads = 0

    def read(line: str) -> None:
        nonlocal downloads
        if line.startswith("go: "):
            downloads += 1
            fetched(downloads)
        elif "\t" in line:
            name, folder, *files = line.split("\t")
            packages[name] = sum((Path(folder) / file).stat().st_size for file in files if file)

    hint = "the Go module proxy (GOPROXY) must be reachable"
    run([go.program, "list", "-deps", "-f", template, "."], env=env, cwd=SOURCE, each_line=read, hint=hint)
    return Workload(packages)


def _compile(
    go: golang.Go,
    env: Mapping[str, str],
    work: Workload,
    binary: Path,
    report: Callable[[float | None, str], None],
) -> None:
    """One `go build`. It names each package when it begins with it; the names are kept beside the compiler's
    cache, so that a compile that was interrupted goes on counting where it was.
    """
    journal = Path(env["GOCACHE"]) / "warmroot-compiled"
    journal.parent.mkdir(parents=True, exist_ok=True)
    compiled = set(journal.read_text().split()) if journal.exists() else set()
    program = next(reversed(work.packages))  # `go list -deps` names a package after what it imports
    with journal.open("a") as seen:

        def read(line: str) -> None:
            if line not in work.packages:
                return
            compiled.add(line)
            print(line, file=seen, flush=True)
            last = ", linking" if line == program else ""
            report(work.fraction(compiled), f"{len(compiled)} of {len(work.packages)} packages{last}")

        command: list[str | Path] = [go.program, "build", "-v", *FLAGS, "-o", binary, "."]
        run(command, env=env, cwd=SOURCE, each_line=read, hint="run it again; it goes on where it stopped")


def _publish(partial: Path, folder: Path) -> None:
    """Checks a binary, gives it its names, and puts it where others look, at once and whole."""
    for program in PROGRAMS:
        (partial / program).symlink_to("kube")
    answer = run([partial / "kube-apiserver", "--version"])
    if VERSION not in answer:
        raise StepFailed(f"the new binary says {answer.strip()!r} instead of {VERSION}")
    partial.chmod(0o755)
    partial.rename(folder)
