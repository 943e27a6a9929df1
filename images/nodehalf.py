"""The node half of our own parts in an image: the proxy as a service, with the packages it stands on."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from images import python
from images.debian.system import Installed, inside

PACKAGES = ("python3",)
"""Debian packages that it needs."""
UNITS = ("warmroot-config.service", "warmroot-proxy.service")
SCRIPTS = ("configure", "proxy")
_OURS = ("warmroot", "os_proxy")
_NOT_ON_A_NODE = ("api",)
_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
_COMPILED = ("/usr/lib/python3", f"/{python.HOME}")


def install(tree: Path) -> tuple[Installed, ...]:
    """Puts the proxy into a tree that has Debian's Python; gives the Python packages that came with it.

    Raises:
        StepFailed: the index does not answer, or gives other bytes than those of the lock.
    """
    version = inside("asking for Python's version", tree, "python3", "-c", _VERSION).strip()
    home = tree / python.HOME
    found = python.fetch(files("images") / "node" / "requirements.txt", home, version)
    python.copy(_OURS, home, _NOT_ON_A_NODE)
    inside("compiling Python", tree, "python3", *python.COMPILE, *_COMPILED, f"/usr/lib/python{version}")
    return found
