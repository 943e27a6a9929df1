"""Thousands of boot record states on one disk: a FAT32 with two files per state that GRUB can write."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from images.disk import install
from images.grub import GrubImages
from tests.vm.states import State
from warmroot.disk import layout
from warmroot.disk.bootrecord import SECTOR, BootRecord, Slot
from warmroot.disk.layout import MIB

FANOUT = 16
"""Entries of a folder: exactly one sector of them, because GRUB reads a folder entry by entry."""
UNIT = FANOUT**2
"""States come in whole units. State n has the folders `n / 256`, `n / 16 % 16`, `n % 16`, in hexadecimal."""
_RESERVED, _ROOT, _END = 32, 2, 0x0FFFFFFF
_CLUSTERS = 65_536
"""More than a FAT16 may have; fewer would make it a FAT16 (Microsoft's FAT specification)."""


@dataclass(frozen=True)
class StatesDisk:
    """A bootable disk whose data partition holds states; `where` are the byte offsets of their copies."""

    path: Path
    where: list[tuple[int, int]]

    def copies(self) -> list[tuple[bytes, bytes]]:
        """The copies of every state as they are on the disk now."""
        with self.path.open("rb") as disk:

            def sector(offset: int) -> bytes:
                disk.seek(offset)
                return disk.read(SECTOR)

            return [(sector(first), sector(second)) for first, second in self.where]


def build(path: Path, states: Sequence[State], grub: GrubImages) -> StatesDisk:
    """Write a disk with our own layout and GRUB, and `states` in its data partition, by number."""
    image, where = _volume(states)
    planned = layout.plan(boot_size=MIB, root_size=MIB, data_size=len(image), esp_size=8 * MIB)
    install(path, planned, {}, BootRecord(1, Slot.A), grub=grub)
    start = planned[layout.DATA].start
    with path.open("r+b") as disk:
        disk.seek(start)
        disk.write(image)
    return StatesDisk(path, [(start + first, start + second) for first, second in where])


def _volume(states: Sequence[State]) -> tuple[bytes, list[tuple[int, int]]]:
    """A FAT32 with clusters of one sector, and where each state's copies are in it.

    Folders of all levels first, then every copy 1, then every copy 2: GRUB forgets 32 KiB of its cache
    around a sector that it writes, and so keeps the folders.
    """
    count = len(states)
    assert count % UNIT == 0
    units = count // UNIT
    unit = _ROOT + -(-units // FANOUT)
    group = unit + units
    folder = group + count // FANOUT
    first = folder + count
    second = first + count
    clusters = [
        *_folders([f"{n:02X}" for n in range(units)], unit),
        *_folders([f"{n % FANOUT:X}" for n in range(count // FANOUT)], group),
        *_folders([f"{n % FANOUT:X}" for n in range(count)], folder),
        *(
            (_entry("ENV1", 0x20, first + n, SECTOR) + _entry("ENV2", 0x20, second + n, SECTOR)).ljust(
                SECTOR, b"\0"
            )
            for n in range(count)
        ),
        *(state.copy1 for state in states),
        *(state.copy2 for state in states),
    ]
    fat_sectors = -(-(_CLUSTERS + 2) * 4 // SECTOR)
    root = [_ROOT + n + 1 for n in range(unit - _ROOT - 1)]
    chain = [0x0FFFFFF8, _END, *root, *[_END] * (len(clusters) - len(root))]
    fat = struct.pack(f"<{len(chain)}I", *chain).ljust(fat_sectors * SECTOR, b"\0")
    data_at = _RESERVED + 2 * fat_sectors
    head = _boot_sector(data_at + _CLUSTERS, fat_sectors).ljust(_RESERVED * SECTOR, b"\0")
    where = [((data_at + first - 2 + n) * SECTOR, (data_at + second - 2 + n) * SECTOR) for n in range(count)]
    return head + fat + fat + b"".join(clusters).ljust(_CLUSTERS * SECTOR, b"\0"), where


def _folders(names: Sequence[str], start: int) -> list[bytes]:
    """Sectors of entries for folders whose contents are one cluster each, from `start` on."""
    entries = b"".join(_entry(name, 0x10, start + n, 0) for n, name in enumerate(names))
    padded = entries.ljust(-(-len(entries) // SECTOR) * SECTOR, b"\0")
    return [padded[at : at + SECTOR] for at in range(0, len(padded), SECTOR)]


def _entry(name: str, attributes: int, cluster: int, size: int) -> bytes:
    date = (2020 - 1980) << 9 | 1 << 5 | 1
    return struct.pack(
        "<11sB8xHHHHI", name.encode().ljust(11), attributes, cluster >> 16, 0, date, cluster & 0xFFFF, size
    )


def _boot_sector(sectors: int, fat_sectors: int) -> bytes:
    head = struct.pack(
        "<3s8sHBHBHHBHHHII",
        b"\xeb\x58\x90",
        b"STATES  ",
        SECTOR,
        1,
        _RESERVED,
        2,
        0,
        0,
        0xF8,
        0,
        32,
        2,
        0,
        sectors,
    )
    tail = struct.pack(
        "<IHHIHH12xBBBI11s8s", fat_sectors, 0, 0, _ROOT, 0, 0, 0x80, 0, 0x29, 1, b"STATES     ", b"FAT32   "
    )
    return (head + tail).ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
