"""The boot record on its partition: GRUB's backend of the five verbs.

One state change is one 512-byte write per copy; copy 1 is durable and read again before copy 2 is touched,
and the generation rises with every change (I4). So at any moment at least one copy is a whole record.

A repair begins with the copy that does not decide: the only whole copy is never the one at stake. With
copy 1 always first, the crash enumeration found a torn copy 2 whose repair tore copy 1 too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from os_proxy.core.seen import BootView
from os_proxy.ports import BlockDevice
from warmroot.disk import arguments
from warmroot.disk.bootrecord import SECTOR, TRIES, BootRecord, Slot, Source, decode, newest
from warmroot.disk.layout import ARGUMENT_OFFSETS, COPY_OFFSETS
from warmroot.errors import Bug, ReadOnlyDisk

log = logging.getLogger(__name__)


class GrubBootState:
    """Reads and writes both copies."""

    def __init__(self, partition: BlockDevice) -> None:
        self._partition = partition

    def read(self) -> BootView:
        """What the firmware would decide from."""
        first, second = self._copies()
        _, record = newest(first, second)
        added = {slot: self._partition.read(offset, SECTOR) for slot, offset in ARGUMENT_OFFSETS.items()}
        return BootView(
            record,
            record is not None and decode(first) == decode(second),
            {slot: arguments.revision(sector) for slot, sector in added.items()},
        )

    def repair(self, good: Slot, next: Slot | None, left: int) -> None:
        """Both copies anew, whatever they were."""
        source, record = newest(*self._copies())
        repaired = BootRecord(record.gen + 1 if record else 1, good, next, left)
        self._write(repaired, COPY_OFFSETS[::-1] if source is Source.COPY1 else COPY_OFFSETS)

    def disarm(self) -> None:
        """Nothing is tried."""
        self._write(self._known().succeed(next=None))

    def activate(self, slot: Slot) -> None:
        """`slot` is tried at the next boots."""
        self._write(self._known().succeed(next=slot, left=TRIES))

    def confirm(self, slot: Slot) -> None:
        """`slot` is good."""
        self._write(self._known().succeed(good=slot, next=None))

    def add_arguments(self, slot: Slot, words: Sequence[str]) -> None:
        """One sector; nothing starts from it before the slot is activated."""
        self._put(ARGUMENT_OFFSETS[slot], arguments.encode(words), "the kernel arguments")

    def _known(self) -> BootRecord:
        record = self.read().record
        if record is None:
            raise Bug("a boot record that is garbage was to be changed")
        return record

    def _copies(self) -> tuple[bytes, bytes]:
        first, second = (self._partition.read(offset, SECTOR) for offset in COPY_OFFSETS)
        return first, second

    def _write(self, record: BootRecord, order: tuple[int, ...] = COPY_OFFSETS) -> None:
        sector = record.encode()
        for offset in order:
            self._put(offset, sector, "a boot record")
        tried = record.next.value if record.next else "-"
        fields = {"gen": record.gen, "good": record.good.value, "next": tried, "left": record.left}
        log.info("the boot record is written", extra=fields)

    def _put(self, offset: int, sector: bytes, what: str) -> None:
        self._partition.write_through(offset, sector)
        if self._partition.read(offset, SECTOR) != sector:
            raise ReadOnlyDisk(f"{what} written at {offset} of BOOTSTATE: the disk did not keep it")
