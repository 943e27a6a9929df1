"""Tiny disks for tests of the machine: two real slots, made with the file systems' own tools."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from images.build import sums
from images.disk import install
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import MIB
from warmroot.release.verity import BLOCK, build

TOOLS = ("mkfs.erofs", "fsck.erofs", "mkfs.fat", "mcopy")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
PLAN = layout.plan(boot_size=2 * MIB, root_size=2 * MIB, data_size=MIB, esp_size=MIB)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def make_root(work: Path, name: str) -> tuple[Path, bytes, int]:
    """A root image; with its root hash and hash offset."""
    tree = work / f"tree-{name}"
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/os-release").write_text(f'NAME=Stub\nPRETTY_NAME="Stub OS {name}"\n')
    (tree / "usr/lib/filler").write_bytes(bytes(range(256)) * 256)
    image = work / f"root-{name}.img"
    run("mkfs.erofs", "--quiet", str(image), str(tree))
    data = image.read_bytes()
    verity = build([data], data_blocks=len(data) // BLOCK, salt=b"salt")
    image.write_bytes(data + verity.encode())
    return image, verity.root_hash, len(data)


def make_boot(work: Path, behaviour: str, root_hash: bytes, offset: int) -> Path:
    """A boot image whose stub kernel behaves so."""
    (work / "slot.cfg").write_text(f'set slotargs="wr.hash={root_hash.hex()} wr.off={offset}"\n')
    (work / "vmlinuz").write_text(f"WARMROOT-STUB-KERNEL\nbehaviour={behaviour}\nboot_seconds=0.1\n")
    (work / "initrd").write_bytes(b"stub")
    names = ("slot.cfg", "vmlinuz", "initrd")
    (work / "sums").write_bytes(sums({name: (work / name).read_bytes() for name in names}))
    image = work / "boot.img"
    with image.open("wb") as file:
        file.truncate(MIB)
    run("mkfs.fat", "--invariant", str(image))
    run("mcopy", "-i", str(image), *(str(work / name) for name in (*names, "sums")), "::/")
    return image


@functools.cache
def _slot(name: str, behaviour: str) -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        root, root_hash, offset = make_root(work, name)
        return make_boot(work, behaviour, root_hash, offset).read_bytes(), root.read_bytes()


def make_disk_at(path: Path, record: BootRecord, *, a: str = "ok", b: str = "ok") -> Path:
    """A new disk at `path` whose slots hold kernels that behave like `a` and `b`."""
    releases = {}
    for slot, behaviour in ((Slot.A, a), (Slot.B, b)):
        boot, root = path.with_name(f"boot-{slot}"), path.with_name(f"root-{slot}")
        for image, data in zip((boot, root), _slot(slot.value, behaviour), strict=True):
            image.write_bytes(data)
        releases[slot] = boot, root
    install(path, PLAN, releases, record, grub=None)
    return path
