"""From a tree of Debian packages to the root of a node: read-only, nothing in it that changes.

What a node writes is elsewhere: `/var` and the upper half of `/etc` are on the data partition (node.md,
Disk), `/run` and `/tmp` in memory. What only this machine or this moment knows is taken out, so that equal
packages give equal bytes.
"""

from __future__ import annotations

import itertools
import json
import lzma
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from images import command
from images.debian import bootstrap
from images.parts import Units
from warmroot.errors import StepFailed, UserError

_EMPTY = ("var", "run", "tmp", "dev", "proc", "sys", "boot")
_FOLDERS = ("data", "sysroot", "usr/share/warmroot", "usr/lib/systemd/system-preset")
_OF_THE_BUILD = (
    "etc/apt",
    "etc/dpkg",
    "etc/*-",
    "etc/ssh/ssh_host_*",
    "etc/hostname",
    "root/.[a-z]*",
    "etc/.pwd.lock",
)
_ROOTS_OWN = ("usr/bin/mount", "usr/bin/su", "usr/bin/umount")
"""Programs that run as root whoever starts them, which nobody but root needs on a node."""
_PRESET = "usr/lib/systemd/system-preset/00-warmroot.preset"
PACKAGES = "usr/share/warmroot/packages.json"
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_OFFLINE": "1",
    "SOURCE_DATE_EPOCH": str(command.EPOCH),  # useradd notes the day
}


@dataclass(frozen=True, order=True)
class Installed:
    """A package in the image, as dpkg, the kernel's package file or Python's metadata says.

    `kind` is `deb`, `pypi` or `golang`; a package from PyPI is its own source, a Go program's is its module.
    """

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    kind: str = "deb"


@dataclass(frozen=True)
class Kernel:
    """The kernel that came with the packages.

    `image` is its bytes, `version` what `uname -r` says, `options` what it was built with.
    """

    version: str
    image: bytes
    options: str


def inside(step: str, tree: Path, *words: str, hint: str = command.NEXT) -> str:
    """Runs a program of the tree, with the tree as its root, and gives what it printed.

    Raises:
        StepFailed: it failed.
    """
    return command.run(
        step,
        ["chroot", tree, *words],
        package="coreutils",
        environment=_ENVIRONMENT,
        hint=hint,
    )


def packages(tree: Path, *files: Path) -> tuple[Installed, ...]:
    """All packages of the tree, and those in `files`, of which the boot image is made; sorted by name.

    Raises:
        StepFailed: dpkg failed.
    """
    wanted = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
    said = inside("listing the packages", tree, "dpkg-query", "-W", "-f", wanted)
    found = [Installed(*line.split("\t")) for line in said.splitlines()]
    return tuple(sorted((*found, *map(package_file, files))))


def package_file(path: Path) -> Installed:
    """The package of a file.

    Raises:
        StepFailed: it is none.
    """
    of = bootstrap.fields(path, "Package", "Version", "Architecture", "Source")
    source, _, rest = of.get("Source", of["Package"]).partition(" ")
    return Installed(
        of["Package"], of["Version"], of["Architecture"], source, rest.strip("()") or of["Version"]
    )


def as_json(suite: str, listed: Iterable[Installed]) -> str:
    """The list that goes into the image and beside it. `suite` is the Debian release that packages are of."""
    return json.dumps({"suite": suite, "packages": [asdict(one) for one in listed]}, indent=1) + "\n"


def unpack_kernel(tree: Path, package: Path) -> Kernel:
    """Puts a kernel's modules into the tree, uncompressed (EROFS compresses better), and gives the kernel.

    Raises:
        StepFailed: the package holds no kernel.
    """
    command.run("unpacking the kernel", ["dpkg-deb", "--extract", package, tree], package="dpkg")
    found = sorted((tree / "boot").glob("vmlinuz-*"))
    if len(found) != 1:
        raise StepFailed(f"{package.name} has {len(found)} kernels", hint="check kernel.package")
    version = found[0].name.removeprefix("vmlinuz-")
    for packed in (tree / "usr/lib/modules" / version).rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    return Kernel(version, found[0].read_bytes(), (tree / "boot" / f"config-{version}").read_text())


def set_units(tree: Path, units: Units) -> None:
    """Only what is named starts, and what is masked never does.

    Raises:
        StepFailed: a unit that is to be enabled does not exist.
    """
    # Where a unit has one of these besides, systemctl asks a program of packaging that no node has.
    for path in (*tree.glob("etc/init.d"), *tree.glob("etc/rc?.d")):
        _delete(path)
    lines = [*(f"enable {unit}" for unit in units.enable), "disable *"]
    preset = tree / _PRESET
    preset.parent.mkdir(parents=True, exist_ok=True)
    preset.write_text("\n".join(lines) + "\n")
    inside("setting units", tree, "systemctl", "preset-all")
    if units.enable:
        inside("enabling units", tree, "systemctl", "enable", *units.enable)
    for unit in units.mask:
        link = tree / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    link = tree / "usr/lib/systemd/system/default.target"
    link.unlink(missing_ok=True)
    link.symlink_to("multi-user.target")


def remove(tree: Path, patterns: Iterable[str]) -> None:
    """Takes paths out of the tree.

    Raises:
        UserError: nothing matches a pattern: a name is misspelt, or a package no longer has it.
    """
    found = {pattern: sorted(tree.glob(pattern.removeprefix("/"))) for pattern in patterns}
    lost = [pattern for pattern, paths in found.items() if not paths]
    if lost:
        raise UserError(f"remove: not in the image: {', '.join(lost)}", hint="take them out of remove")
    for path in itertools.chain.from_iterable(found.values()):
        _delete(path)


def index_modules(tree: Path, kernel: Kernel) -> None:
    """Indexes the modules that are left.

    Raises:
        StepFailed: depmod failed.
    """
    inside("indexing kernel modules", tree, "depmod", kernel.version)


def settle(tree: Path, suite: str, listed: tuple[Installed, ...]) -> None:
    """Takes out what changes, what the build left and what belongs to one machine.

    Raises:
        StepFailed: the libraries can't be indexed.
        UserError: a file has capabilities, which the image does not keep.
    """
    inside("indexing libraries", tree, "ldconfig", "-X")
    for pattern in _OF_THE_BUILD:
        for path in tree.glob(pattern):
            _delete(path)
    for name in _EMPTY:
        folder = tree / name
        for path in folder.iterdir() if folder.is_dir() else ():
            _delete(path)
        folder.mkdir(exist_ok=True)
    (tree / "tmp").chmod(0o1777)
    for name in _ROOTS_OWN:
        if (tree / name).exists():
            (tree / name).chmod(0o755)
    for name in _FOLDERS:
        (tree / name).mkdir(parents=True, exist_ok=True)
    # Name servers as the network gave them, without the local stub, which pods could not reach.
    names = tree / "etc/resolv.conf"
    names.unlink(missing_ok=True)
    names.symlink_to("../run/systemd/resolve/resolv.conf")
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/fstab").write_text("")
    (tree / PACKAGES).write_text(as_json(suite, listed))
    _refuse_capabilities(tree)


def _refuse_capabilities(tree: Path) -> None:
    """The image is made without extended attributes: those of the building machine must not get into it."""
    for path in _files(tree):
        if not path.is_symlink() and "security.capability" in os.listxattr(path):
            raise UserError(
                f"/{path.relative_to(tree)} has file capabilities, which an image does not keep",
                hint="leave its package out, or give the capability in the unit that runs it",
            )


def _files(tree: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(tree):
        yield from (Path(folder, name) for name in names)


def _delete(path: Path) -> None:
    """Whatever is there; a pattern may have taken the folder above it already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
