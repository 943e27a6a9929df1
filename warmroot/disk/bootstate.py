"""BOOTSTATE: the 1 MiB FAT12 where GRUB reads and writes both copies of the boot record, and reads the kernel
arguments that each slot has besides those of its release.

It is a file system only for GRUB, whose `save_env` wants a file (node.md, Boot record). Linux never mounts
it; the proxy writes the sectors at `layout.COPY_OFFSETS` and `layout.ARGUMENT_OFFSETS`. So its bytes are made
here, once and for ever: one sector of FAT, 512 root entries, clusters of 4 KiB, and from cluster 2 on one for
each of `env1`, `env2`, `argsa` and `argsb`.
"""

from __future__ import annotations

import struct

from warmroot.disk import arguments
from warmroot.disk.bootrecord import SECTOR, BootRecord
from warmroot.disk.gpt import ReadAt
from warmroot.disk.layout import ARGUMENT_OFFSETS, BLOCK, BOOTSTATE_BYTES, COPY_OFFSETS
from warmroot.errors import ForeignDisk

NAMES = ("env1", "env2", "argsa", "argsb")
_ROOT_ENTRIES = 512
_SERIAL = 0x57524253
_FIRST_CLUSTER = 2
_END_OF_CHAIN = 0xFFF
_MEDIA = 0xF8
_DATE = (2020 - 1980) << 9 | 1 << 5 | 1
"""1 January 2020 in FAT's bits: a date that every tool takes, and always the same."""
_FAT_AT, _ROOT_AT = SECTOR, 3 * SECTOR


def image(record: BootRecord) -> bytes:
    """The whole partition with `record` in both copies, and no further arguments for either slot."""
    sectors = bytearray(_frame().ljust(BOOTSTATE_BYTES, b"\0"))
    for offset in COPY_OFFSETS:
        sectors[offset : offset + SECTOR] = record.encode()
    for offset in ARGUMENT_OFFSETS.values():
        sectors[offset : offset + SECTOR] = arguments.encode(())
    return bytes(sectors)


def read(read_at: ReadAt) -> tuple[bytes, bytes]:
    """Both copies as they are, sound or not. `read_at` counts from the start of the partition."""
    first, second = (read_at(offset, SECTOR) for offset in COPY_OFFSETS)
    return first, second


def check(read_at: ReadAt) -> None:
    """Make sure that the copies' offsets are what GRUB reads as `env1` and `env2`.

    Raises:
        ForeignDisk: the file system around the copies is not the one that `image` makes.
    """
    frame = _frame()
    if read_at(0, len(frame)) != frame:
        raise ForeignDisk("the BOOTSTATE partition does not hold the file system that GRUB expects there")


def _frame() -> bytes:
    """Everything in front of the first cluster: boot sector, both FATs, root directory."""
    fat = _fat()
    root = b"".join(_entry(name, _FIRST_CLUSTER + number) for number, name in enumerate(NAMES))
    return _boot_sector() + fat + fat + root.ljust(_ROOT_ENTRIES * 32, b"\0")


def _boot_sector() -> bytes:
    parameters = struct.pack(
        "<3s8sHBHBHHBHHHII",
        b"\xeb\x3c\x90",
        b"WARMROOT",
        SECTOR,
        BLOCK // SECTOR,
        1,
        2,
        _ROOT_ENTRIES,
        BOOTSTATE_BYTES // SECTOR,
        _MEDIA,
        1,
        32,
        2,
        0,
        0,
    )
    extended = struct.pack("<BBBI11s8s", 0x80, 0, 0x29, _SERIAL, b"NO NAME    ", b"FAT12   ")
    return (parameters + extended).ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def _fat() -> bytes:
    entries = [0xF00 | _MEDIA, _END_OF_CHAIN, *(_END_OF_CHAIN for _ in NAMES)]
    packed = bytearray()
    for low, high in zip(entries[::2], entries[1::2], strict=True):
        packed += (low | high << 12).to_bytes(3, "little")
    return bytes(packed).ljust(SECTOR, b"\0")


def _entry(name: str, cluster: int) -> bytes:
    """A directory entry; bit 3 of the 13th byte shows the short name in lower case."""
    return struct.pack(
        "<11sBBBHHHHHHHI",
        name.upper().encode().ljust(11),
        0x20,
        0x08,
        0,
        0,
        _DATE,
        _DATE,
        0,
        0,
        _DATE,
        cluster,
        SECTOR,
    )
