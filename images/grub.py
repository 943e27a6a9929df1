"""GRUB for our disks: core image for BIOS, EFI program for UEFI, and where their bytes go on a disk.

Both carry `images/boot/*.cfg` in a memdisk: what decides which slot starts is in the same sectors as the
loader itself and is read from no file system. Built by `grub-mkimage` from the distribution's modules.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from images import command
from images.command import EPOCH
from warmroot.disk import layout
from warmroot.disk.gpt import BOOT_CODE_BYTES, SECTOR
from warmroot.disk.layout import Layout
from warmroot.errors import UserError

MODULES = Path("/usr/lib/grub")
SCRIPTS = ("grub.cfg", "decide.cfg")
_PREFIX = "(memdisk)/boot/grub"
_DISK_AND_FILES = ("part_gpt", "fat", "memdisk", "tar")
_SCRIPTING = ("normal", "configfile", "loadenv", "test", "regexp", "echo", "serial", "terminal")
_STARTING = ("hashsum", "gcry_sha256", "linux", "boot", "reboot", "sleep")
_TOOLS = {
    "grub-mkimage": "grub-common",
    "mcopy": "mtools",
    "mkfs.fat": "dosfstools",
    "mmd": "mtools",
    "tar": "tar",
}
_ESP_SERIAL = "57524553"
_CORE_SEGMENT = 0x820
_BLOCKLIST_AT = 500
_KERNEL_SECTOR_AT = 0x5C
_DRIVE_CHECK_AT = 0x66
_NOP2 = b"\x90\x90"


@dataclass(frozen=True)
class GrubImages:
    """What firmware loads: `boot_sector` (BIOS, one sector), `core` (BIOS), `efi` (UEFI)."""

    boot_sector: bytes
    core: bytes
    efi: bytes


def scripts() -> dict[str, str]:
    """The shipped GRUB scripts by file name."""
    folder = files("images") / "boot"
    return {name: (folder / name).read_text() for name in SCRIPTS}


def build(
    contents: Mapping[str, str] | None = None, *, modules: Path = MODULES, extra_modules: tuple[str, ...] = ()
) -> GrubImages:
    """GRUB with `contents` (file name to script; default: `scripts()`) in its memdisk.

    `extra_modules` are for tests, which end a virtual machine by writing to a port.

    Raises:
        UserError: GRUB's modules are missing.
        NotInstalled, StepFailed: GRUB's tools are missing or failed.
    """
    contents = scripts() if contents is None else contents
    names = [*_DISK_AND_FILES, *_SCRIPTING, *_STARTING, *extra_modules]
    with tempfile.TemporaryDirectory() as work:
        memdisk = _memdisk(Path(work), contents)
        core = _mkimage("i386-pc", [*names, "biosdisk"], memdisk, modules)
        efi = _mkimage("x86_64-efi", names, memdisk, modules)
    return GrubImages((modules / "i386-pc" / "boot.img").read_bytes()[:SECTOR], core, efi)


def bios_pieces(grub: GrubImages, disk: Layout) -> list[tuple[int, bytes]]:
    """GRUB's bytes for BIOS, as (byte offset on the disk, bytes).

    The first sector gets only boot code, never the partition records behind it. Offsets are those that
    GRUB's own installer patches: the sector of the core in `boot.img`, the block list in the core's first
    sector (what follows it, load segment), and the jump around the mending of a drive number that a BIOS
    passed wrongly, which is right for floppies only.

    Raises:
        UserError: the core does not fit.
    """
    home = disk[layout.BIOS_GRUB]
    core = bytearray(grub.core.ljust(-(-len(grub.core) // SECTOR) * SECTOR, b"\0"))
    if len(core) > home.size:
        raise UserError(f"GRUB's core has {len(core)} bytes, its partition {home.size}")
    first = home.start // SECTOR
    struct.pack_into("<QHH", core, _BLOCKLIST_AT, first + 1, len(core) // SECTOR - 1, _CORE_SEGMENT)
    code = bytearray(grub.boot_sector[:BOOT_CODE_BYTES])
    struct.pack_into("<Q", code, _KERNEL_SECTOR_AT, first)
    code[_DRIVE_CHECK_AT : _DRIVE_CHECK_AT + len(_NOP2)] = _NOP2
    return [(0, bytes(code)), (home.start, bytes(core))]


def esp_image(grub: GrubImages, size: int) -> bytes:
    """An EFI system partition of `size` bytes with GRUB as the removable-media loader, which needs no NVRAM.

    Raises:
        NotInstalled: mkfs.fat or mtools is missing.
        StepFailed: GRUB does not fit.
    """
    with tempfile.TemporaryDirectory() as work:
        image, program = Path(work) / "esp.img", Path(work) / "BOOTX64.EFI"
        image.touch()
        os.truncate(image, size)
        program.write_bytes(grub.efi)
        os.utime(program, (EPOCH, EPOCH))
        _run("mkfs.fat", "--invariant", "-i", _ESP_SERIAL, "-n", "ESP", str(image))
        _run("mmd", "-i", str(image), "::/EFI", "::/EFI/BOOT")
        _run("mcopy", "-m", "-i", str(image), str(program), "::/EFI/BOOT/BOOTX64.EFI")
        return image.read_bytes()


def _memdisk(work: Path, contents: Mapping[str, str]) -> Path:
    folder, archive = work / "boot" / "grub", work / "memdisk.tar"
    folder.mkdir(parents=True)
    for name, text in contents.items():
        (folder / name).write_text(text)
    owner = ("--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX")
    _run("tar", "--sort=name", *owner, f"--mtime=@{EPOCH}", "-C", str(work), "-cf", str(archive), "boot")
    return archive


def _mkimage(target: str, modules: list[str], memdisk: Path, library: Path) -> bytes:
    if not (library / target).is_dir():
        raise UserError(
            f"GRUB's modules for {target} are not in {library}",
            hint="install grub-pc-bin and grub-efi-amd64-bin",
        )
    out = memdisk.with_name(target)
    options = ("-O", target, "-d", str(library / target), "-m", str(memdisk), "-p", _PREFIX, "-o", str(out))
    _run("grub-mkimage", *options, *modules)
    return out.read_bytes()


def _run(tool: str, *arguments: str) -> None:
    command.run(
        "building the boot loader",
        [tool, *arguments],
        package=_TOOLS[tool],
        environment={"SOURCE_DATE_EPOCH": str(EPOCH), "MTOOLS_SKIP_CHECK": "1"},
    )
