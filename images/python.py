"""Our own programs and the Python packages that they stand on, in a folder of something that is built.

Our own modules are copied from the installation that builds; the packages are those of the lock file, by hash
(`scripts/requirements`, which lint holds against it), as wheels for the Python that is to run them.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import Distribution
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from images import command
from images.debian.system import Installed

HOME = "usr/lib/warmroot/python"
"""Where the folder is in all that we build."""
# By content, not by time: all files of an image are of one time, and Python would compile at each start.
COMPILE = ("-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash")


def fetch(pinned: Traversable, home: Path, version: str) -> tuple[Installed, ...]:
    """Puts packages into the new folder `home`, for a Python such as 3.13 on amd64; says which they are.

    Raises:
        StepFailed: the index does not answer, gives other bytes than those of the lock, or has none for it.
    """
    import uv

    home.mkdir(parents=True)
    with as_file(pinned) as requirements:
        command.run(
            f"fetching Python packages of {requirements.name}",
            [
                *(uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--link-mode", "copy"),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
                *("--python-version", version, "--python-platform", "x86_64-manylinux_2_28"),
                *("--target", home, "--requirement", requirements),
            ],
            package="uv",
            # What decides which index is asked, and how; the bytes are decided by the hashes.
            environment=command.passed_on("UV_", "HOME", "XDG_CACHE_HOME"),
            hint="see that the Python package index answers; UV_DEFAULT_INDEX names another",
        )
    for leftover in (home / "bin", home / ".lock"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
    for note in home.glob("*.dist-info/uv_cache.json"):
        note.unlink()
    found = [Distribution.at(path) for path in sorted(home.glob("*.dist-info"))]
    return tuple(Installed(one.name, one.version, "all", one.name, one.version, kind="pypi") for one in found)


def copy(modules: Sequence[str], home: Path, without: Sequence[str] = ()) -> None:
    """Puts our own modules beside them, without what is named like `without`."""
    for name in modules:
        with as_file(files(name)) as source:
            shutil.copytree(source, home / name, ignore=shutil.ignore_patterns("__pycache__", *without))
