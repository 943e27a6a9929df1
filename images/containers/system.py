"""What our images stand on: Debian's Python and the libraries that it loads. No shell, no package manager.

Nothing of it is installed, only unpacked, so this needs neither root nor an engine, and of a package nothing
comes but its files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from images import command, container, python
from images.debian import mirror, packages
from images.debian.system import Installed, package_file

SUITE = "trixie"
VERSION = "3.13"
"""Python's, in `SUITE`."""
INTERPRETER = f"/usr/bin/python{VERSION}"
USER = 65532
"""Whose program it is, by a number: that it is not root can be seen without asking the image."""
_PACKAGES = (
    f"python{VERSION}-minimal",
    f"libpython{VERSION}-minimal",
    f"libpython{VERSION}-stdlib",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "libbz2-1.0",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libssl3t64",
    "libuuid1",
    "libzstd1",
    "zlib1g",
    "ca-certificates",
    "tzdata",
)
_MERGED = ("bin", "lib", "lib64", "sbin")
"""Folders that Debian has in /usr alone."""
_LEFT_OUT = ("usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/bug", "usr/share/perl5")
_NOT_RUN = frozenset({"ensurepip", "idlelib", "turtledemo", "pydoc_data", "gconv"})
_FOLDER_OF_ONE = 4
"""Parts of /usr/share/doc/PACKAGE."""
_AUTHORITIES = "usr/share/ca-certificates/mozilla"
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/\nwarmroot:x:{USER}:{USER}:warmroot:/:/\n",
    "etc/group": f"root:x:0:\nwarmroot:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def unpack(folder: Path, doing: Callable[[str], None] = lambda _: None) -> tuple[Path, tuple[Installed, ...]]:
    """The tree, below a new folder, and what is in it. `doing` hears what apt says.

    Raises:
        NotInstalled: this machine has no apt, or no Debian mirror.
        StepFailed: there is no network, no such package, or a signature that is not Debian's.
    """
    tree = folder / "tree"
    for name in _MERGED:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    apt = packages.Apt(mirror.archives(SUITE), folder / "apt", doing)
    apt.update()
    files = apt.download(_PACKAGES, folder / "fetched")
    for package in files:
        packages.extract(package, tree)
    packages.keep_links_inside(tree)
    for name, content in _FILES.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(content)
    _trust(tree)
    compile_python(tree, tree / f"usr/lib/python{VERSION}", tree)
    return tree, tuple(sorted(package_file(one) for one in files))


def compile_python(tree: Path, sources: Path, seen_from: Path) -> None:
    """Compiles what is in a folder with the tree's own Python, for a program that sees `seen_from` as /.

    Raises:
        StepFailed: one of them is no Python, or the disk is full.
    """
    loader = tree / "usr/lib64/ld-linux-x86-64.so.2"
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    command.run(
        "compiling Python",
        [
            *(loader, "--library-path", libraries, f"{tree}{INTERPRETER}"),
            *(*python.COMPILE, "-s", seen_from, "-p", "/", sources),
        ],
        package="libc6",
        environment={"PYTHONHOME": str(tree / "usr"), "PYTHONHASHSEED": "0"},
    )


def layer(tree: Path, into: container.Layer) -> None:
    """Writes the tree, without what a program does not need.

    Raises:
        OSError: it can't be read.
    """
    into.tree("", tree, _wanted)
    into.folder("tmp", 0o1777)


def _wanted(path: PurePosixPath) -> bool:
    place = str(path)
    if place.startswith("usr/share/doc/"):
        return len(path.parts) == _FOLDER_OF_ONE or path.name == "copyright"
    return not place.startswith(_LEFT_OUT) and not _NOT_RUN & set(path.parts)


def _trust(tree: Path) -> None:
    """Makes the one file that programs read: Debian's script, which would, does not run."""
    bundle = tree / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    found = sorted((tree / _AUTHORITIES).glob("*.crt"))
    bundle.write_text("".join(one.read_text() for one in found))
