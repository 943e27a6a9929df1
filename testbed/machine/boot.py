"""One slot, loaded as the boot loader and the kernel load it: from the disk's bytes, verified before use."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from testbed.machine.disk import Disk, volume
from testbed.machine.fat import Fat
from testbed.machine.verity import VerifiedRoot
from warmroot.disk import arguments, layout
from warmroot.disk.bootrecord import SECTOR, Slot
from warmroot.errors import DiskCorrupt, NotInstalled

SUMS, SLOT_CONFIGURATION, KERNEL, INITRD = "sums", "slot.cfg", "vmlinuz", "initrd"
"""What `images/boot/grub.cfg` loads from a boot partition."""
_STUB = b"WARMROOT-STUB-KERNEL\n"
_SLOT_ARGUMENTS = re.compile(r'^\s*set slotargs="?([^"\n]*)"?\s*$', re.MULTILINE)
_OS_RELEASE = ("usr/lib/os-release", "etc/os-release")


class Behaviour(StrEnum):
    """What a stub kernel does once it is started."""

    OK = "ok"
    PANIC = "panic"
    NOT_READY = "not-ready"
    HANG = "hang"


_ASKED = re.compile(rf"\bstub\.behaviour=({'|'.join(Behaviour)})(?!\S)")


@dataclass(frozen=True)
class Kernel:
    """A stub kernel: what it does, and how many seconds after."""

    behaviour: Behaviour
    boot_seconds: float


@dataclass(frozen=True)
class LoadedSlot:
    """What the boot loader has in memory: a kernel and its command line."""

    slot: Slot
    kernel: Kernel
    root_hash: bytes
    hash_offset: int
    command_line: str


def load(disk: Disk, slot: Slot) -> LoadedSlot:
    """Reads slot configuration, kernel and initrd from the slot's boot partition.

    Raises:
        DiskCorrupt: something there can't be loaded.
    """
    files = Fat(volume(disk, layout.boot(slot)).read)
    _check_sums(files, slot)
    text = files.read(SLOT_CONFIGURATION).decode("utf-8", errors="replace")
    own = _SLOT_ARGUMENTS.search(text)
    if own is None:
        raise DiskCorrupt(f"{SLOT_CONFIGURATION} of slot {slot} sets no slotargs")
    files.read(INITRD)
    root_hash, hash_offset = _verity_arguments(own[1])
    added = arguments.words(volume(disk, layout.BOOTSTATE).read(layout.ARGUMENT_OFFSETS[slot], SECTOR))
    line = f"wr.slot={slot} {own[1]} {added}".rstrip()
    return LoadedSlot(slot, _told(kernel(files.read(KERNEL)), line), root_hash, hash_offset, line)


def _told(stub: Kernel, line: str) -> Kernel:
    """The stub kernel, behaving as its command line asks: kernel arguments can be wrong, too."""
    asked = _ASKED.search(line)
    return replace(stub, behaviour=Behaviour(asked[1])) if asked else stub


def _check_sums(files: Fat, slot: Slot) -> None:
    for line in files.read(SUMS).decode("utf-8", errors="replace").splitlines():
        wanted, _, name = line.partition("  ")
        if hashlib.sha256(files.read(name)).hexdigest() != wanted:
            raise DiskCorrupt(f"{name} of slot {slot} is not what {SUMS} says")


def _verity_arguments(line: str) -> tuple[bytes, int]:
    found = dict(argument.split("=", 1) for argument in line.split() if "=" in argument)
    try:
        root_hash, hash_offset = bytes.fromhex(found["wr.hash"]), int(found["wr.off"])
    except (KeyError, ValueError) as error:
        raise DiskCorrupt(
            f"the slot's kernel arguments name no root hash and hash offset: {error}"
        ) from error
    return root_hash, hash_offset


def kernel(data: bytes) -> Kernel:
    """The stub kernel in these bytes.

    Raises:
        DiskCorrupt: they are not a stub kernel; a machine without a processor can't run another.
    """
    if not data.startswith(_STUB):
        raise DiskCorrupt("the kernel is not one that this machine can run")
    lines = data[len(_STUB) :].decode("ascii", errors="replace").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    try:
        return Kernel(Behaviour(values["behaviour"]), float(values.get("boot_seconds", "0")))
    except (KeyError, ValueError) as error:
        raise DiskCorrupt(f"the stub kernel is damaged: {error}") from error


def mount(disk: Disk, loaded: LoadedSlot, *, at: Path) -> str:
    """Puts the slot's root file system at `at`, every block verified; gives the system's name.

    The whole file system is read, so a corrupt block anywhere in it is met.

    Raises:
        DiskCorrupt: a block is not what the root hash stands for; the kernel panics.
    """
    verified = VerifiedRoot(
        volume(disk, layout.root(loaded.slot)),
        hash_offset=loaded.hash_offset,
        root_hash=loaded.root_hash,
    )
    image = at.with_name(f"{at.name}.erofs")
    try:
        with image.open("wb") as copy:
            for first, count in verified.chunks():
                copy.write(verified.read(first, count))
        extract(image, at)
    finally:
        image.unlink(missing_ok=True)
    return system_name(at)


def extract(image: Path, at: Path) -> None:
    """Unpacks an EROFS image into the directory `at`, which is emptied first. Needs no root.

    Raises:
        NotInstalled: `fsck.erofs` is not installed.
        DiskCorrupt: the image is not a sound EROFS.
    """
    tool = shutil.which("fsck.erofs")
    if tool is None:
        raise NotInstalled("fsck.erofs is missing", hint="run `make setup`, or install erofs-utils")
    shutil.rmtree(at, ignore_errors=True)
    done = subprocess.run(
        [tool, f"--extract={at}", "--no-preserve", str(image)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DiskCorrupt(f"the root file system can't be read: {done.stderr.strip()[-300:]}")


def system_name(root: Path) -> str:
    """`PRETTY_NAME` of the os-release file below `root`; empty where there is none."""
    for name in _OS_RELEASE:
        path = root / name
        if path.is_file() and not path.is_symlink():
            match = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', path.read_text(), re.MULTILINE)
            return match[1] if match else ""
    return ""
