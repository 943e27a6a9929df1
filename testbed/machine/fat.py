"""Files in the root directory of a FAT12 or FAT16 volume: as much of it as a boot loader needs.

Format: Microsoft's FAT specification (fatgen103). Short names only, compared without case.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from warmroot.errors import DiskCorrupt

ReadAt = Callable[[int, int], bytes]
_BOOT = struct.Struct("<11xHBHBHH1xH")
_ENTRY = 32
_LONG_NAME, _VOLUME_LABEL = 0x0F, 0x08
_DELETED, _END = 0xE5, 0x00
_FAT12_CLUSTERS = 4085
"""Fewer clusters than this: FAT12. The specification knows no other sign."""


class Fat:
    """A volume, read through `read_at(offset, length)`."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read = read_at
        sector = read_at(0, 512)
        if sector[510:512] != b"\x55\xaa":
            raise DiskCorrupt("the boot partition has no boot signature")
        self._sector, per_cluster, reserved, fats, self._entries, total, fat_sectors = _BOOT.unpack_from(
            sector
        )
        if not (self._sector and per_cluster and fats and fat_sectors and self._entries):
            raise DiskCorrupt("the boot partition is no FAT12 or FAT16 file system")
        total = total or int.from_bytes(sector[32:36], "little")
        self._cluster = per_cluster * self._sector
        self._root = (reserved + fats * fat_sectors) * self._sector
        self._data = self._root + self._entries * _ENTRY
        self._clusters = (total * self._sector - self._data) // self._cluster
        self._fat = read_at(reserved * self._sector, fat_sectors * self._sector)

    def names(self) -> list[str]:
        """Names in the root directory, in lower case."""
        return [name for name, _, _ in self._directory()]

    def read(self, name: str) -> bytes:
        """The whole file `name` of the root directory.

        Raises:
            DiskCorrupt: there is no such file, or its chain of clusters is broken.
        """
        wanted = name.lstrip("/").lower()
        for found, cluster, size in self._directory():
            if found == wanted:
                return self._chain(wanted, cluster, size)
        raise DiskCorrupt(f"the boot partition has no file {name}")

    def _directory(self) -> list[tuple[str, int, int]]:
        found = []
        raw = self._read(self._root, self._entries * _ENTRY)
        for at in range(0, len(raw), _ENTRY):
            entry = raw[at : at + _ENTRY]
            if entry[0] == _END:
                break
            if entry[0] == _DELETED or entry[11] & _VOLUME_LABEL or entry[11] == _LONG_NAME:
                continue
            stem, extension = (entry[part].decode("latin-1").rstrip() for part in (slice(8), slice(8, 11)))
            name = f"{stem}.{extension}" if extension else stem
            found.append(
                (
                    name.lower(),
                    int.from_bytes(entry[26:28], "little"),
                    int.from_bytes(entry[28:32], "little"),
                )
            )
        return found

    def _chain(self, name: str, cluster: int, size: int) -> bytes:
        data = bytearray()
        for _ in range(-(-size // self._cluster)):
            if not 2 <= cluster < self._clusters + 2:
                raise DiskCorrupt(f"the boot partition's file {name} has a broken chain of clusters")
            data += self._read(self._data + (cluster - 2) * self._cluster, self._cluster)
            cluster = self._next(cluster)
        return bytes(data[:size])

    def _next(self, cluster: int) -> int:
        if self._clusters >= _FAT12_CLUSTERS:
            return int.from_bytes(self._fat[cluster * 2 : cluster * 2 + 2], "little")
        at = cluster + cluster // 2
        pair = int.from_bytes(self._fat[at : at + 2], "little")
        return pair >> 4 if cluster % 2 else pair & 0xFFF
