"""Packages of a newer Debian release, unpacked beside the machine's own: nothing of the machine changes.

Programs run with that release's C library, which comes along.
Runs before anything is installed: standard library only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from images.debian import mirror
from images.debian import packages as debian
from testbed.setup.process import run
from warmroot.errors import MachineError, StepFailed

SUITE = "trixie"
C_LIBRARY = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g")
"""What a Java runtime links to."""
_HINT = f"this needs Debian's apt and a mirror that has {SUITE}"


def unpack(packages: Sequence[str], tree: Path, each_line: Callable[[str], None] = lambda _: None) -> None:
    """Fetches packages of `SUITE` and unpacks them, and the C library into `tree/c`.

    Raises:
        NotInstalled: there is no apt, no Debian mirror, or no keys of Debian's.
        StepFailed: there is no network, or a signature that is not Debian's.
    """
    scratch = tree / "apt"
    apt = debian.Apt([mirror.main_archive(SUITE)], scratch, each_line)
    apt.update()
    for target, names in ((tree, packages), (tree / "c", C_LIBRARY)):
        target.mkdir(exist_ok=True)
        for package in apt.download(names, scratch / "fetched" / target.name):
            debian.extract(package, target)
        debian.keep_links_inside(target)
    shutil.rmtree(scratch)


def lacking() -> str:
    """Why this machine can't have such packages; empty if it can."""
    try:
        if shutil.which("dpkg-deb") is None:
            return "dpkg-deb is missing"
        mirror.main_archive(SUITE)
        mirror.keyring()
    except MachineError as error:
        return error.message
    return ""


def use_its_c_library(programs: Sequence[Path], tree: Path, patchelf: Path) -> None:
    """Points programs at the C library in `tree/c`. They run only from where they are now.

    Raises:
        StepFailed: patchelf failed, or there is no C library.
    """
    loader = next(tree.glob("c/usr/lib/*/ld-linux-*.so.*"), None)
    if loader is None:
        raise StepFailed(f"no C library was unpacked into {tree / 'c'}", hint=_HINT)
    for program in programs:
        libraries = f"$ORIGIN/../lib:$ORIGIN:{loader.parent}"
        points = ["--set-interpreter", str(loader), "--force-rpath", "--set-rpath", libraries]
        run([patchelf, *points, program])


def executables(folder: Path) -> Iterator[Path]:
    """Programs in machine code in a folder; libraries and scripts are none."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.is_symlink() and os.access(path, os.X_OK) and ".so" not in path.name:
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path
