"""What a guest wrote to its disk, in order, with its flushes; and the disks that a power cut could have left.

The log is QEMU's `blklogwrites` (its format is that of Linux's dm-log-writes). Between two flushes a disk may
keep any of the writes, in any order, and of a write any of its sectors; a flush makes all before it durable,
and a write with FUA makes itself durable.
"""

from __future__ import annotations

import mmap
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from warmroot.errors import StepFailed

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""
_MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_FLUSH, _FUA, _DISCARD = 1, 2, 4
_KNOWN = _FLUSH | _FUA | _DISCARD


@dataclass(frozen=True)
class Write:
    """One write. `offset` in bytes from the disk's beginning; `durable` if it had to be kept at once."""

    offset: int
    data: bytes
    durable: bool = False


@dataclass(frozen=True)
class Flush:
    """Everything before it is durable."""


Event = Write | Flush


@dataclass(frozen=True)
class Crash:
    """A disk after a power cut: what of the log it has, in the order in which the writes were made.

    `after` events were logged before the power went.
    """

    after: int
    kept: tuple[Write, ...]

    def read(self, base: bytes, offset: int) -> bytes:
        """The bytes at `offset` of the disk, where they were `base` before all of the log."""
        out = bytearray(base)
        for write in self.kept:
            begin, end = max(write.offset, offset), min(write.offset + len(write.data), offset + len(base))
            if begin < end:
                out[begin - offset : end - offset] = write.data[begin - write.offset : end - write.offset]
        return bytes(out)


def length(path: Path) -> int:
    """How many entries a log has, flushes and discards as well; it may still be written to."""
    with path.open("rb") as file:
        head = file.read(_SUPER.size)
    magic, _, count, _ = _SUPER.unpack(head) if len(head) == _SUPER.size else (0, 0, 0, 0)
    return int(count) if magic == _MAGIC else 0


def read(path: Path) -> list[Event]:
    """The events of a log that nobody writes any more, to the end of its file.

    How many entries its first sector counts is a lower bound: before QEMU 9.1 writes of that sector overtake
    each other, and an older count may stay (`super_update_queue` in its block/blklogwrites.c is the mend).
    Discards are left out: a disk need not do anything for them. A logged disk has no command for zeros, which
    QEMU would log wrongly (`hardware`).

    Raises:
        StepFailed: this is no such log, or it has fewer entries than it counts, or one that says nothing.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
        magic, _, count, sector = _SUPER.unpack_from(log) if len(log) >= _SUPER.size else (0, 0, 0, 0)
        if magic != _MAGIC:
            raise StepFailed(f"{path} is no log of writes", hint="give the disk a blklogwrites node")
        events: list[Event] = []
        at, number = sector, 0
        while entry := _entry(log, at, sector):
            first, size, flags = entry
            at += sector
            number += 1
            if flags & _DISCARD:
                continue
            if flags & _FLUSH:
                events.append(Flush())
            if size:
                events.append(Write(first * sector, bytes(log[at : at + size]), bool(flags & _FUA)))
                at += size
    if number < count:
        raise StepFailed(f"{path} ends or makes no sense at byte {at}, after entry {number} of {count}")
    return events


def _entry(log: mmap.mmap, at: int, sector: int) -> tuple[int, int, int] | None:
    """The first sector, bytes and flags of the entry at `at`; None if no whole one is there."""
    if at + _ENTRY.size > len(log):
        return None
    first, sectors, flags, _ = _ENTRY.unpack_from(log, at)
    size = sectors * sector
    if flags & ~_KNOWN or not (sectors or flags & _FLUSH):
        return None
    if not flags & _DISCARD and at + sector + size > len(log):
        return None
    return first, size, flags


def prefixes(events: list[Event]) -> Iterator[Crash]:
    """The disks of a controller that keeps writes in order: one for each number of writes that it kept."""
    kept: tuple[Write, ...] = ()
    yield Crash(0, kept)
    for number, event in enumerate(events, 1):
        if isinstance(event, Write):
            kept = (*kept, event)
            yield Crash(number, kept)


def reordered(events: list[Event], chance: random.Random) -> Iterator[Crash]:
    """For ever: disks that kept anything of what was not flushed, some writes torn between two sectors."""
    while True:
        yield some(events, chance.randint(0, len(events)), chance)


def some(events: list[Event], after: int, chance: random.Random) -> Crash:
    """A disk that kept anything of what was not flushed within the first `after` events."""
    settled = max((n for n, event in enumerate(events[:after], 1) if isinstance(event, Flush)), default=0)
    kept = [event for event in events[:settled] if isinstance(event, Write)]
    kept += [
        event if event.durable else _perhaps_torn(event, chance)
        for event in events[settled:after]
        if isinstance(event, Write) and (event.durable or chance.random() < 0.5)
    ]
    return Crash(after, tuple(kept))


def extents(events: list[Event]) -> list[tuple[int, int]]:
    """Where a log writes at all: (first byte, first byte behind it), in order, none touching the next."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(
        (one.offset, one.offset + len(one.data)) for one in events if isinstance(one, Write)
    ):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _perhaps_torn(write: Write, chance: random.Random) -> Write:
    sectors = len(write.data) // SECTOR
    if sectors < 2 or chance.random() < 0.5:
        return write
    first, last = sorted(chance.sample(range(sectors + 1), 2))
    return Write(write.offset + first * SECTOR, write.data[first * SECTOR : last * SECTOR])
