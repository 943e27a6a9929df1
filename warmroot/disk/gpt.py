"""The partition table as bytes: GUID partition table of UEFI 2.10, chapter 5, in the one shape that is ours.

`write` is deterministic: fixed GUIDs (layout), no attributes, both tables and a protective MBR without boot
code. `read` takes a disk only if it is exactly what `layout.plan` makes from the sizes that it finds: a disk
of another tool, or one that a person repartitioned, is `ForeignDisk` and nothing is ever written to it.
The table of a running node is never written again (node.md, Disk).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from warmroot.disk import layout
from warmroot.disk.bootrecord import Slot
from warmroot.disk.layout import Layout, Partition
from warmroot.errors import ForeignDisk

SECTOR = 512
BOOT_CODE_BYTES = 440
"""Bytes of the first sector that belong to boot code; the table leaves them alone (UEFI 2.10, 5.2.1)."""
_ENTRIES = 128
_ENTRY = struct.Struct("<16s16sQQQ72s")
_TABLE_SECTORS = _ENTRIES * _ENTRY.size // SECTOR
_HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
_SIGNATURE, _REVISION = b"EFI PART", b"\x00\x00\x01\x00"
_MBR_RECORD = struct.Struct("<B3sB3sII")
_MBR_RECORDS_AT = 446
_PROTECTIVE = 0xEE

ReadAt = Callable[[int, int], bytes]
"""Reads `length` bytes at an offset: `read_at(offset, length)`."""


def write(wanted: Layout) -> list[tuple[int, bytes]]:
    """The pieces of a partition table, as (byte offset, bytes), in the order in which to write them."""
    sectors = wanted.disk_size // SECTOR
    entries = _pack_entries(wanted)
    backup_table = sectors - 1 - _TABLE_SECTORS
    return [
        (0, _protective_mbr(sectors)),
        (SECTOR, _pack_header(sectors, entries, mine=1, other=sectors - 1, table=2)),
        (2 * SECTOR, entries),
        (backup_table * SECTOR, entries),
        (
            (sectors - 1) * SECTOR,
            _pack_header(sectors, entries, mine=sectors - 1, other=1, table=backup_table),
        ),
    ]


def read(read_at: ReadAt, disk_size: int) -> Layout:
    """The layout of a disk of `disk_size` bytes, from its first table or, if that is damaged, its backup.

    Raises:
        ForeignDisk: neither table is whole, or anything differs from what `layout.plan` would have made.
    """
    _check_mbr(read_at(0, SECTOR))
    first = _read_table(read_at, 1, disk_size)
    table = first if isinstance(first, _Table) else _read_table(read_at, disk_size // SECTOR - 1, disk_size)
    if not isinstance(table, _Table):
        raise ForeignDisk(f"no whole partition table: first table {first}, backup table {table}")
    return _ours(table)


def _guid(text: str) -> bytes:
    return UUID(text).bytes_le


def _pack_entries(wanted: Layout) -> bytes:
    packed = [
        _ENTRY.pack(
            _guid(partition.type_guid),
            _guid(partition.guid),
            partition.start // SECTOR,
            partition.end // SECTOR - 1,
            0,
            partition.label.encode("utf-16-le"),
        )
        for partition in wanted.partitions
    ]
    return b"".join(packed).ljust(_ENTRIES * _ENTRY.size, b"\0")


def _pack_header(sectors: int, entries: bytes, *, mine: int, other: int, table: int) -> bytes:
    def pack(crc: int) -> bytes:
        return _HEADER.pack(
            _SIGNATURE,
            _REVISION,
            _HEADER.size,
            crc,
            0,
            mine,
            other,
            2 + _TABLE_SECTORS,
            sectors - 2 - _TABLE_SECTORS,
            _guid(layout.DISK_GUID),
            table,
            _ENTRIES,
            _ENTRY.size,
            zlib.crc32(entries),
        )

    return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")


def _protective_mbr(sectors: int) -> bytes:
    record = _MBR_RECORD.pack(
        0, b"\x00\x02\x00", _PROTECTIVE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF)
    )
    return bytes(_MBR_RECORDS_AT) + record.ljust(64, b"\0") + b"\x55\xaa"


def _check_mbr(sector: bytes) -> None:
    if len(sector) != SECTOR or sector[510:] != b"\x55\xaa":
        raise ForeignDisk("the first sector has no boot signature")
    types = [sector[_MBR_RECORDS_AT + 16 * number + 4] for number in range(4)]
    if types != [_PROTECTIVE, 0, 0, 0]:
        raise ForeignDisk(
            f"the first sector is not a protective MBR: partition types {bytes(types).hex(' ')}"
        )


@dataclass(frozen=True)
class _Table:
    disk_size: int
    disk_guid: str
    entries: bytes


def _read_table(read_at: ReadAt, lba: int, disk_size: int) -> _Table | str:
    """A whole table, or why it is none."""
    sector = read_at(lba * SECTOR, SECTOR)
    if len(sector) != SECTOR or not sector.startswith(_SIGNATURE):
        return "has no signature"
    (_, revision, size, crc, _, mine, other, first, last, guid, table, count, entry_size, entries_crc) = (
        _HEADER.unpack_from(sector)
    )
    if size != _HEADER.size or revision != _REVISION:
        return "has an unknown revision or header size"
    if zlib.crc32(sector[:16] + bytes(4) + sector[20:size]) != crc:
        return "has a wrong header checksum"
    sectors = max(mine, other) + 1
    expected_table = 2 if lba == 1 else sectors - 1 - _TABLE_SECTORS
    shape = (mine, min(mine, other), first, last, table, count, entry_size)
    if shape != (
        lba,
        1,
        2 + _TABLE_SECTORS,
        sectors - 2 - _TABLE_SECTORS,
        expected_table,
        _ENTRIES,
        _ENTRY.size,
    ):
        return "is not where or not as large as ours"
    if sectors * SECTOR > disk_size:
        return "describes a larger disk"
    entries = read_at(table * SECTOR, _ENTRIES * _ENTRY.size)
    if zlib.crc32(entries) != entries_crc:
        return "has a wrong checksum over its entries"
    return _Table(sectors * SECTOR, str(UUID(bytes_le=guid)), entries)


def _ours(table: _Table) -> Layout:
    if table.disk_guid != layout.DISK_GUID:
        raise ForeignDisk(f"the disk's GUID is {table.disk_guid}, not {layout.DISK_GUID}")
    found = _unpack_entries(table.entries)
    sizes = {partition.label: partition.size for partition in found}
    try:
        expected = layout.plan(
            boot_size=sizes[layout.boot(Slot.A)],
            root_size=sizes[layout.root(Slot.A)],
            data_size=sizes[layout.DATA],
            esp_size=sizes[layout.ESP],
        )
    except KeyError as missing:
        raise ForeignDisk(f"there is no partition with the label {missing.args[0]}") from None
    except ValueError as error:
        raise ForeignDisk(str(error)) from None
    if len(found) != len(expected.partitions):
        raise ForeignDisk(f"there are {len(found)} partitions, not {len(expected.partitions)}")
    for mine, theirs in zip(expected.partitions, found, strict=True):
        _compare(mine, theirs)
    if table.disk_size != expected.disk_size:
        raise ForeignDisk(
            f"the table is for {table.disk_size} bytes, its partitions for {expected.disk_size}"
        )
    if table.entries != _pack_entries(expected):
        raise ForeignDisk("a partition has attributes or bytes that ours never have")
    return expected


def _compare(expected: Partition, found: Partition) -> None:
    for field in ("label", "number", "type_guid", "guid", "start", "size"):
        want, have = getattr(expected, field), getattr(found, field)
        if want != have:
            raise ForeignDisk(f"partition {found.number} ({found.label}): {field} is {have}, not {want}")


def _unpack_entries(entries: bytes) -> tuple[Partition, ...]:
    partitions = []
    for number, entry in enumerate(_ENTRY.iter_unpack(entries), 1):
        type_guid, guid, first, last, _, label = entry
        if type_guid == bytes(16):
            continue
        partitions.append(
            Partition(
                label.decode("utf-16-le", errors="replace").split("\0")[0],
                number,
                str(UUID(bytes_le=type_guid)),
                str(UUID(bytes_le=guid)),
                first * SECTOR,
                (last - first + 1) * SECTOR,
            )
        )
    return tuple(partitions)
