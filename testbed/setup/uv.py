"""uv, which brings the Python packages: the one on PATH, else from PyPI into the cache."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from testbed.setup.process import run
from warmroot.errors import StepFailed

OLDEST = (0, 8)
"""`uv sync --frozen` reads our lock file from here on."""


def version(banner: str) -> tuple[int, int]:
    """The version in `uv --version`'s answer; (0, 0) if it is none."""
    match = re.match(r"uv (\d+)\.(\d+)", banner)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def find(cache: Path) -> Path | None:
    """The first usable uv: on PATH, then in the cache."""
    on_path = shutil.which("uv")
    for program in ([Path(on_path)] if on_path else []) + [_package_dir(cache) / "bin" / "uv"]:
        try:
            answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if version(answer.stdout) >= OLDEST:
            return program
    return None


def install(cache: Path) -> Path:
    """Installs uv into the cache with pip, or with a virtual environment's pip where Debian splits it off.

    Raises:
        StepFailed: neither way works, or what came does not run.
    """
    home = _package_dir(cache)
    shutil.rmtree(home, ignore_errors=True)
    wanted = f"uv>={OLDEST[0]}.{OLDEST[1]}"
    hint = "PyPI must be reachable for pip, and python3-venv or python3-pip be installed"
    try:
        run([sys.executable, "-m", "pip", "install", "--quiet", "--target", home, wanted])
    except StepFailed:
        shutil.rmtree(home, ignore_errors=True)
        run([sys.executable, "-m", "venv", home], hint=hint)
        run([home / "bin" / "python", "-m", "pip", "install", "--quiet", wanted], hint=hint)
    program = find(cache)
    if program is None:
        raise StepFailed(f"the uv that was installed into {home} does not run", hint=hint)
    return program


def _package_dir(cache: Path) -> Path:
    return cache / "uv"
