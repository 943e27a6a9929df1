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
SCRIPTS = ("grub.cfg", "decide.cfg", "start.cfg")
_SIGNED_START = "start-signed.cfg"
_PREFIX = "(memdisk)/boot/grub"
_DISK_AND_FILES = ("part_gpt", "fat", "memdisk", "tar")
_SCRIPTING = ("normal", "configfile", "loadenv", "test", "regexp", "echo", "serial", "terminal")
_STARTING = ("hashsum", "gcry_sha256", "boot", "reboot", "sleep")
_LINUX, _PROGRAM = "linux", "chain"
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

    def pieces(self, disk: Layout) -> list[tuple[int, bytes]]:
        """What belongs on a disk, as (byte offset, bytes).

        Raises:
            UserError: the core does not fit.
            NotInstalled, StepFailed: the tools of FAT are missing or failed.
        """
        esp = disk[layout.ESP]
        return [*bios_pieces(self, disk), (esp.start, esp_image({"BOOTX64.EFI": self.efi}, esp.size))]


def scripts(*, signed: bool = False) -> dict[str, str]:
    """The GRUB scripts by file name. With `signed` they start a unified kernel image."""
    folder = files("images") / "boot"
    found = {name: (folder / name).read_text() for name in SCRIPTS}
    return found | ({"start.cfg": (folder / _SIGNED_START).read_text()} if signed else {})


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
    names = [*_DISK_AND_FILES, *_SCRIPTING, *_STARTING, _LINUX, *extra_modules]
    with tempfile.TemporaryDirectory() as work:
        memdisk = _memdisk(Path(work), contents)
        core = _mkimage("i386-pc", [*names, "biosdisk"], memdisk, modules)
        efi = _mkimage("x86_64-efi", names, memdisk, modules)
    return GrubImages((modules / "i386-pc" / "boot.img").read_bytes()[:SECTOR], core, efi)


def signed_program(sbat: str, *, modules: Path = MODULES) -> bytes:
    """GRUB for UEFI that starts unified kernel images and, without `linux`, no others. It is still unsigned.

    `sbat` are the lines by which shim tells which holes it no longer has.

    Raises:
        UserError: GRUB's modules are missing.
        NotInstalled, StepFailed: GRUB's tools are missing or failed.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        memdisk, level = _memdisk(work, scripts(signed=True)), work / "sbat.csv"
        level.write_text(sbat)
        names = [*_DISK_AND_FILES, *_SCRIPTING, *_STARTING, _PROGRAM]
        return _mkimage("x86_64-efi", names, memdisk, modules, "--sbat", str(level))


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


def esp_image(programs: Mapping[str, bytes], size: int) -> bytes:
    """An EFI system partition of `size` bytes with programs where firmware looks on removable media.

    `BOOTX64.EFI` is the one that it starts, without an entry in its own memory.

    Raises:
        NotInstalled: mkfs.fat or mtools is missing.
        StepFailed: they do not fit.
    """
    with tempfile.TemporaryDirectory() as work:
        image = Path(work) / "esp.img"
        image.touch()
        os.truncate(image, size)
        _run("mkfs.fat", "--invariant", "-i", _ESP_SERIAL, "-n", "ESP", str(image))
        _run("mmd", "-i", str(image), "::/EFI", "::/EFI/BOOT")
        for name, data in programs.items():
            program = Path(work) / name
            program.write_bytes(data)
            os.utime(program, (EPOCH, EPOCH))
            _run("mcopy", "-m", "-i", str(image), str(program), f"::/EFI/BOOT/{name}")
        return image.read_bytes()


def _memdisk(work: Path, contents: Mapping[str, str]) -> Path:
    folder, archive = work / "boot" / "grub", work / "memdisk.tar"
    folder.mkdir(parents=True)
    for name, text in contents.items():
        (folder / name).write_text(text)
    owner = ("--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX")
    _run("tar", "--sort=name", *owner, f"--mtime=@{EPOCH}", "-C", str(work), "-cf", str(archive), "boot")
    return archive


def _mkimage(target: str, modules: list[str], memdisk: Path, library: Path, *more: str) -> bytes:
    if not (library / target).is_dir():
        raise UserError(
            f"GRUB's modules for {target} are not in {library}",
            hint="install grub-pc-bin and grub-efi-amd64-bin",
        )
    out = memdisk.with_name(target)
    options = ("-O", target, "-d", str(library / target), "-m", str(memdisk), "-p", _PREFIX, "-o", str(out))
    _run("grub-mkimage", *options, *more, *modules)
    return out.read_bytes()


def _run(tool: str, *arguments: str) -> None:
    command.run(
        "building the boot loader",
        [tool, *arguments],
        package=_TOOLS[tool],
        environment={"SOURCE_DATE_EPOCH": str(EPOCH), "MTOOLS_SKIP_CHECK": "1"},
    )
