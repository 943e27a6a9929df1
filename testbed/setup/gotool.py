"""A program that is compiled once from the Go module proxy and kept in the cache.

Runs before anything is installed: standard library only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from testbed.controlplane import build
from testbed.setup.process import drop, run
from testbed.setup.progress import Progress
from testbed.setup.repository import REPOSITORY
from warmroot import golang
from warmroot.cache import locked

_FLAGS = ("-p", "2", "-trimpath", build.QUICK, "-ldflags", "-s -w")


@dataclass(frozen=True)
class GoTool:
    """A program by its name, which is also its folder in `testbed/`: module files, and main.go where ours."""

    name: str
    version: str
    package: str
    what: str
    tags: str = ""

    @property
    def source(self) -> Path:
        """The folder of its module files."""
        return REPOSITORY / "testbed" / self.name

    def program(self, cache: Path) -> Path:
        """Where the binary of these sources is; it may not exist yet."""
        paths = (self.source / name for name in ("go.mod", "go.sum", "main.go"))
        files = {path.name: path.read_bytes() for path in paths if path.exists()}
        return cache / self.name / golang.key(files, self.package, self._flags()) / self.name

    def compile_it(self, go: golang.Go, cache: Path, progress: Progress) -> Path:
        """Compiles the binary unless it is there; returns its path. A second caller waits for the first.

        Raises:
            StepFailed: a module that can't be had, or a compiler error.
        """
        binary = self.program(cache)
        with locked(
            cache / self.name / "lock", lambda: progress.say("  another set-up compiles; waiting for it")
        ):
            if binary.exists():
                return binary
            binary.parent.mkdir(exist_ok=True)
            compiled = cache / self.name / "go-build"  # not Kubernetes': another set-up may be at it
            env = golang.environment(os.environ, cache, compiled)
            partial = binary.with_suffix(".part")
            with progress.step(f"Compile {self.name} {self.version}") as report:
                command: list[str | Path] = [go.program, "build", "-v", *self._flags()]
                command += ["-o", partial, self.package]
                hint = "the Go module proxy (GOPROXY) must be reachable"
                run(
                    command,
                    env=env,
                    cwd=self.source,
                    each_line=lambda line: report(None, line[:80]),
                    hint=hint,
                )
            partial.rename(binary)
            drop(compiled)
        return binary

    def _flags(self) -> tuple[str, ...]:
        return (*_FLAGS, *(("-tags", self.tags) if self.tags else ()))


S3_SERVER = GoTool("versitygw", "v1.8.0", "github.com/versity/versitygw/cmd/versitygw", "an S3 server")
"""The S3 server that tests run against."""
KSTATUS = GoTool("kstatus", "v0.37.2", ".", "what Flux reads off an object")
"""The judgement of sigs.k8s.io/cli-utils, which Flux and others wait by."""
PROMTOOL = GoTool(
    "promtool",
    "v3.16.0",
    "github.com/prometheus/prometheus/cmd/promtool",
    "Prometheus' tests of rules",
    tags="remove_all_sd",
)
"""Not a part of set-up: it takes minutes to compile, so only a test with the marker `long` does."""
ALERTMANAGER = GoTool("alertmanager", "v0.34.1", ".", "Alertmanager's silences")
"""The same holds for it."""
HELM = GoTool("helm", "v4.3.2", "helm.sh/helm/v4/cmd/helm", "what installs our chart")
TOOLS = (S3_SERVER, KSTATUS, HELM)
"""What tests need beside the control plane."""


def missing(cache: Path) -> tuple[GoTool, ...]:
    """Those that are not in the cache."""
    return tuple(tool for tool in TOOLS if not tool.program(cache).exists())
