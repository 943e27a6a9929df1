"""Packages of a Debian release as files, whatever release the machine has: nothing of the machine changes.

apt fetches and verifies them with lists, cache and sources of its own, so it needs no rights. What mirror and
proxy it uses is what the machine's apt uses. The standard library is enough: set-up uses this before anything
is installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from images import command
from images.debian import mirror

_STEP = "fetching Debian packages"


class Apt:
    """An apt of its own below the new folder `scratch`, which knows these archives alone.

    `doing` hears what it says.

    Raises:
        NotInstalled: there is no apt, or no keys of Debian's.
    """

    def __init__(
        self, archives: Sequence[mirror.Archive], scratch: Path, doing: Callable[[str], None] = lambda _: None
    ) -> None:
        self._doing = doing
        self._environment = command.passed_on() | {"APT_CONFIG": str(_configure(archives, scratch))}
        self._hint = f"this needs Debian's apt and a mirror that has {archives[0].suite}"

    def update(self) -> None:
        """Reads what there is.

        Raises:
            StepFailed: there is no network, or a signature that is not Debian's.
        """
        self._run("update", Path.cwd())

    def download(self, packages: Sequence[str], folder: Path) -> list[Path]:
        """Package files in the new folder, sorted by name.

        Raises:
            StepFailed: there is no such package, or no network.
        """
        folder.mkdir(parents=True)
        self._run("download", folder, *packages)
        return sorted(folder.glob("*.deb"))

    def _run(self, verb: str, folder: Path, *words: str) -> None:
        command.run(
            _STEP,
            ["apt-get", "-q", verb, *words],
            package="apt",
            environment=self._environment,
            folder=folder,
            each_line=self._doing,
            hint=self._hint,
        )


def extract(package: Path, tree: Path) -> None:
    """Unpacks a package file into a tree. None of its scripts runs.

    Raises:
        NotInstalled: dpkg is missing.
        StepFailed: it is no package, or the disk is full.
    """
    command.run("unpacking a Debian package", ["dpkg-deb", "--extract", package, tree], package="dpkg")


def keep_links_inside(tree: Path) -> None:
    """Turns absolute links into relative ones, where what they mean came along."""
    for path in tree.rglob("*"):
        if path.is_symlink() and (target := path.readlink()).is_absolute():
            inside = tree / target.relative_to("/")
            if inside.exists():
                path.unlink()
                path.symlink_to(os.path.relpath(inside, path.parent))


def _configure(archives: Sequence[mirror.Archive], scratch: Path) -> Path:
    """Writes apt's configuration. Read first of all, it also decides that no other is read."""
    for name in ("state/lists/partial", "cache/archives/partial", "sources", "none"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()
    signed = mirror.keyring()
    (scratch / "sources" / "ours.list").write_text(
        "".join(f"deb [signed-by={signed}] {one.address} {one.suite} main\n" for one in archives)
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
        # Else an index that can't be had is left out, and its packages seem not to exist.
        "APT::Update::Error-Mode": "any",
        "Acquire::Retries": "5",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "APT::Sandbox::User": "root",  # another could not write below a private cache folder
    }
    path = scratch / "apt.conf"
    path.touch(0o600)  # a proxy's address may hold a password
    path.write_text(mirror.network() + "".join(f'{name} "{value}";\n' for name, value in ours.items()))
    return path
