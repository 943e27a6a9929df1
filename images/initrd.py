"""The initrds: busybox, dmsetup and the kernel's own modules, all out of the tree that they start.

`images/boot/init` starts a node, `images/boot/install` installs one. dmsetup makes the verity device from a
table, so that no cryptography but the kernel's takes part: veritysetup would bring a library of it, and GRUB
reads an initrd sector by sector.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

import zstandard

from images import cpio
from images.debian.system import inside
from warmroot.errors import StepFailed, UserError

BASE = ("dm-verity", "sha256-ssse3", "sha256-generic", "erofs", "overlay", "ext4")
"""Modules that every image needs to find its root. What is built into the kernel needs no file."""
_TO_ASK_FOR_AN_ADDRESS = ("af_packet",)
_LEVEL = 19
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x[0-9a-f]+\)")
_INDEX = ("modules.alias", "modules.dep", "modules.softdep")


def build(tree: Path, kernel: str, drivers: Iterable[str]) -> bytes:
    """The initrd, compressed, for the kernel version `kernel`; loads `drivers` where it meets their hardware.

    Raises:
        UserError: the kernel has no such module.
        StepFailed: the tree lacks busybox, dmsetup, or a library of it.
    """
    base = _modules(tree, kernel, BASE)
    wanted = {**base, **_modules(tree, kernel, drivers)}
    programs = [
        cpio.file("sbin/dmsetup", _program(tree, "usr/sbin/dmsetup"), 0o755),
        *(
            cpio.file(name, (tree / name).read_bytes(), 0o755)
            for name in _libraries(tree, "usr/sbin/dmsetup")
        ),
        *(cpio.folder(name) for name in ("dev", "proc", "sys", "run", "sysroot")),
        cpio.link("lib64", "usr/lib64"),
    ]
    return _packed(tree, kernel, "init", programs, base, wanted)


def installer(tree: Path, kernel: str, drivers: Iterable[str], cards: Iterable[str]) -> bytes:
    """The initrd that installs a machine, compressed, but for the list of what it writes (`images.pxe`).

    Raises:
        UserError: the kernel has no such module.
        StepFailed: the tree lacks busybox.
    """
    base = _modules(tree, kernel, _TO_ASK_FOR_AN_ADDRESS)
    wanted = {**base, **_modules(tree, kernel, drivers)}
    wanted |= _modules(tree, kernel, cards, field="networkModules")
    programs = [
        cpio.file("bin/lease", (files("images") / "boot" / "lease").read_bytes(), 0o755),
        *(cpio.folder(name) for name in ("dev", "etc", "proc", "sys", "run")),
    ]
    return _packed(tree, kernel, "install", programs, base, wanted)


def _packed(
    tree: Path,
    kernel: str,
    program: str,
    more: Iterable[cpio.Entry],
    base: Mapping[str, str],
    wanted: Mapping[str, str],
) -> bytes:
    """An archive whose init is a program of `images/boot`. `base` is loaded by it, `wanted` by need."""
    entries = [
        cpio.file("init", (files("images") / "boot" / program).read_bytes(), 0o755),
        cpio.file("modules", "".join(f"/{path}\n" for path in base.values()).encode()),
        cpio.file("bin/busybox", _program(tree, "usr/bin/busybox"), 0o755),
        cpio.link("bin/sh", "busybox"),
        *more,
        *(cpio.file(path, (tree / path).read_bytes()) for path in wanted.values()),
        *_index(tree, kernel, wanted.values()),
        cpio.character_device("dev/console", 5, 1),
        cpio.link("lib", "usr/lib"),
    ]
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False).compress(cpio.pack(entries))


def _modules(tree: Path, kernel: str, names: Iterable[str], field: str = "initrdModules") -> dict[str, str]:
    """Modules and what they need, by name, in the order in which to load them: paths from the root."""
    found: dict[str, str] = {}
    for name in names:
        try:
            said = inside(f"finding {name}", tree, "modprobe", "-S", kernel, "--show-depends", name)
        except StepFailed as error:
            raise UserError(
                f"kernel {kernel} has no module {name}", hint=f"correct kernel.{field}"
            ) from error
        for line in said.splitlines():
            kind, _, path = line.strip().partition(" ")
            if kind == "insmod":
                inner = path.split()[0].removeprefix("/")
                inner = inner if inner.startswith("usr/") else f"usr/{inner}"
                found.setdefault(Path(inner).stem, inner)
    return found


def _program(tree: Path, name: str) -> bytes:
    try:
        return (tree / name).read_bytes()
    except OSError as error:
        raise StepFailed(f"the tree has no {name}", hint="add its package to debian.packages") from error


def _libraries(tree: Path, program: str) -> list[str]:
    """What a program loads, its loader too: paths from the root, as the loader will look for them."""
    loaders = sorted((tree / "usr/lib64").glob("ld-linux-*.so.*"))
    if not loaders:
        raise StepFailed("the tree has no program loader", hint="add libc6 to debian.packages")
    loader = f"usr/lib64/{loaders[0].name}"
    said = inside("finding libraries", tree, f"/{loader}", "--list", f"/{program}")
    paths = {match.group(1).removeprefix("/") for match in _LIBRARY.finditer(said)}
    return sorted({loader, *(path if path.startswith("usr/") else f"usr/{path}" for path in paths)})


def _index(tree: Path, kernel: str, paths: Iterable[str]) -> Iterator[cpio.Entry]:
    """What modprobe looks a device's driver up in, made for these modules alone."""
    scratch = tree / "run" / "initrd"
    shutil.rmtree(scratch, ignore_errors=True)
    for path in paths:
        target = scratch / path.removeprefix("usr/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tree / path).read_bytes())
    folder = scratch / "lib/modules" / kernel
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (folder / name).write_bytes((tree / "usr/lib/modules" / kernel / name).read_bytes())
    inside("indexing the initrd's modules", tree, "depmod", "-b", "/run/initrd", kernel)
    for name in _INDEX:
        yield cpio.file(f"usr/lib/modules/{kernel}/{name}", (folder / name).read_bytes())
