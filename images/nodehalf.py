"""The node half of our own parts in an image: the proxy as a service, with the Python packages it stands on.

Our own modules are copied from the installation that builds; the packages are those of the lock file, by hash
(`images/node/requirements.txt`, which lint holds against it), as wheels for the image's own Python.
"""

from __future__ import annotations

import os
import shutil
from importlib.metadata import Distribution
from importlib.resources import as_file, files
from pathlib import Path

from images import command
from images.debian.system import Installed, inside

PACKAGES = ("python3",)
"""Debian packages that it needs."""
UNITS = ("warmroot-config.service", "warmroot-proxy.service")
SCRIPTS = ("configure", "proxy")
HOME = "usr/lib/warmroot/python"
_OURS = ("warmroot", "os_proxy")
_NOT_ON_A_NODE = ("api", "__pycache__")
_PASSED_ON = ("UV_", "HTTP", "http", "SSL_", "HOME", "XDG_CACHE_HOME", "NO_PROXY", "no_proxy")
"""What decides which package index is asked, and how; the bytes are decided by the hashes."""
_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
_COMPILED = ("/usr/lib/python3", f"/{HOME}")


def install(tree: Path) -> tuple[Installed, ...]:
    """Puts the proxy into a tree that has Debian's Python; gives the Python packages that came with it.

    Raises:
        StepFailed: the index does not answer, or gives other bytes than those of the lock.
    """
    version = inside("asking for Python's version", tree, "python3", "-c", _VERSION).strip()
    home = tree / HOME
    home.mkdir(parents=True)
    _fetch(home, version)
    for name in _OURS:
        with as_file(files(name)) as source:
            shutil.copytree(source, home / name, ignore=shutil.ignore_patterns(*_NOT_ON_A_NODE))
    # By content, not by time: all files of an image are of one time, and Python would compile at each start.
    compile_all = ("python3", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash")
    inside("compiling Python", tree, *compile_all, *_COMPILED, f"/usr/lib/python{version}")
    found = [Distribution.at(path) for path in sorted(home.glob("*.dist-info"))]
    return tuple(Installed(one.name, one.version, "all", one.name, one.version, kind="pypi") for one in found)


def _fetch(home: Path, version: str) -> None:
    import uv

    with as_file(files("images") / "node" / "requirements.txt") as pinned:
        command.run(
            "fetching the proxy's Python packages",
            [
                *(uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--link-mode", "copy"),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
                *("--python-version", version, "--python-platform", "x86_64-manylinux_2_28"),
                *("--target", home, "--requirement", pinned),
            ],
            package="uv",
            environment={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)},
            hint="see that the Python package index answers; UV_DEFAULT_INDEX names another",
        )
    for leftover in (home / "bin", home / ".lock"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
    for note in home.glob("*.dist-info/uv_cache.json"):
        note.unlink()
