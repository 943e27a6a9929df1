"""Packages of a newer Debian release, unpacked beside the machine's own: nothing of the machine changes.

apt fetches and verifies them with lists, cache and sources of its own, so it needs no rights. What mirror and
proxy it uses is what the machine's apt uses. Programs run with that release's C library, which comes along.
Runs before anything is installed: standard library only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from images.debian import mirror
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
    apt: list[str | Path] = [_program("apt-get"), "-q"]
    environment = os.environ | {"APT_CONFIG": str(_configure(scratch))}
    run([*apt, "update"], env=environment, each_line=each_line, hint=_HINT)
    for target, names in ((tree, packages), (tree / "c", C_LIBRARY)):
        fetched = scratch / "fetched" / target.name
        fetched.mkdir(parents=True)
        run([*apt, "download", *names], env=environment, cwd=fetched, each_line=each_line, hint=_HINT)
        for package in sorted(fetched.glob("*.deb")):
            run([_program("dpkg-deb"), "--extract", package, target])
        keep_links_inside(target)
    shutil.rmtree(scratch)


def lacking() -> str:
    """Why this machine can't have such packages; empty if it can."""
    try:
        _program("dpkg-deb")
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


def _configure(scratch: Path) -> Path:
    """Writes apt's configuration. Read first of all, it also decides that no other is read."""
    for name in ("state/lists/partial", "cache/archives/partial", "sources", "none"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()
    (scratch / "sources" / "newer.sources").write_text(
        f"Types: deb\nURIs: {mirror.main_archive(SUITE).address}\nSuites: {SUITE}\nComponents: main\n"
        f"Signed-By: {mirror.keyring()}\n"
    )
    ours = {
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::parts": scratch / "none",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": scratch / "sources",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": scratch / "none",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "APT::Sandbox::User": "root",  # another could not write below a private cache folder
    }
    path = scratch / "apt.conf"
    path.write_text(mirror.network() + "".join(f'{name} "{value}";\n' for name, value in ours.items()))
    path.chmod(0o600)  # a proxy's address may hold a password
    return path


def _program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise StepFailed(f"{name} is missing", hint=_HINT)
    return program


def keep_links_inside(tree: Path) -> None:
    """Turns absolute links into relative ones, where what they mean came along."""
    for path in tree.rglob("*"):
        if path.is_symlink() and (target := path.readlink()).is_absolute():
            inside = tree / target.relative_to("/")
            if inside.exists():
                path.unlink()
                path.symlink_to(os.path.relpath(inside, path.parent))
