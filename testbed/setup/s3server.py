"""The S3 server that tests run against: versitygw, compiled once from the Go module proxy.

Runs before anything is installed: standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

from testbed.controlplane import build
from testbed.setup.process import drop, run
from testbed.setup.progress import Progress
from testbed.setup.repository import REPOSITORY
from warmroot import golang
from warmroot.cache import locked

SOURCE = REPOSITORY / "testbed" / "versitygw"
PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
_FLAGS = ("-p", "2", "-trimpath", build.QUICK, "-ldflags", "-s -w")


def program(cache: Path) -> Path:
    """Where the binary of these module files is; it may not exist yet."""
    files = {name: (SOURCE / name).read_bytes() for name in ("go.mod", "go.sum")}
    return cache / "versitygw" / golang.key(files, PACKAGE, _FLAGS) / "versitygw"


def compile_it(go: golang.Go, cache: Path, progress: Progress) -> Path:
    """Compiles the binary unless it is there; returns its path. A second caller waits for the first.

    Raises:
        StepFailed: a module that can't be had, or a compiler error.
    """
    binary = program(cache)
    with locked(
        cache / "versitygw" / "lock", lambda: progress.say("  another set-up compiles; waiting for it")
    ):
        if binary.exists():
            return binary
        binary.parent.mkdir(exist_ok=True)
        compiled = cache / "versitygw" / "go-build"  # not Kubernetes': another set-up may be at it
        env = golang.environment(os.environ, cache, compiled)
        partial = binary.with_suffix(".part")
        with progress.step(f"Compile versitygw {VERSION}") as report:
            command: list[str | Path] = [go.program, "build", "-v", *_FLAGS, "-o", partial, PACKAGE]
            hint = "the Go module proxy (GOPROXY) must be reachable"
            run(command, env=env, cwd=SOURCE, each_line=lambda line: report(None, line[:80]), hint=hint)
        partial.rename(binary)
        drop(compiled)
    return binary
