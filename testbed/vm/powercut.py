"""Judges disks after a power cut: whether each comes up in a verified slot, by the model of the boot loader.

`tests/vm` holds that model against GRUB itself, and boots some of these disks with the real firmware.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.machine.disk import Disk
from testbed.vm.writelog import Crash, Write
from warmroot.disk import layout
from warmroot.disk.bootrecord import SECTOR, Slot, choose
from warmroot.disk.layout import COPY_OFFSETS, Layout, Partition
from warmroot.release import verity
from warmroot.release.manifest import Manifest
from warmroot.release.verity import BLOCK


@dataclass
class Verdicts:
    """What was found. `by_slot` counts disks by the slot that they boot, `broken` says what is wrong."""

    by_slot: dict[Slot, int] = field(default_factory=lambda: dict.fromkeys(Slot, 0))
    trials: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def judged(self) -> int:
        """How many disks."""
        return sum(self.by_slot.values())


class Judge:
    """Knows the disk before all of the log, and the releases that a slot may hold."""

    def __init__(self, base: Disk, releases: Iterable[Manifest]) -> None:
        """Reads the disk's table.

        Raises:
            ForeignDisk: it is not one of ours.
        """
        self._base = base
        self._layout: Layout = base.layout()
        self._releases = tuple(releases)
        self._known: dict[tuple[Slot, tuple[tuple[int, int, int], ...]], bool] = {}

    def judge(self, crashes: Iterable[Crash]) -> Verdicts:
        """Verdicts over many disks."""
        found = Verdicts()
        for crash in crashes:
            copies = tuple(self._copy(crash, offset) for offset in COPY_OFFSETS)
            choice = choose(copies[0], copies[1])
            found.by_slot[choice.slot] += 1
            found.trials += choice.record is not None and choice.record.next is choice.slot
            if choice.record is None:
                found.broken.append(f"after {crash.after} events: both copies of the boot record are garbage")
            elif not self._whole(crash, choice.slot):
                found.broken.append(f"after {crash.after} events: slot {choice.slot} is chosen and not whole")
        return found

    def _copy(self, crash: Crash, offset: int) -> bytes:
        at = self._layout[layout.BOOTSTATE].start + offset
        return crash.read(self._base.read(at, SECTOR), at)

    def _whole(self, crash: Crash, slot: Slot) -> bool:
        """Whether both partitions of a slot hold one known release. Equal sets of writes are judged once."""
        homes = (self._layout[layout.boot(slot)], self._layout[layout.root(slot)])
        touching = tuple(write for write in crash.kept if any(_touches(write, home) for home in homes))
        key = (slot, tuple((write.offset, len(write.data), hash(write.data)) for write in touching))
        if key not in self._known:
            self._known[key] = any(self._holds(Crash(0, touching), homes, each) for each in self._releases)
        return self._known[key]

    def _holds(self, crash: Crash, homes: tuple[Partition, Partition], release: Manifest) -> bool:
        boot, root = homes
        image = crash.read(self._base.read(boot.start, release.boot.size), boot.start)
        if hashlib.sha256(image).digest() != release.boot.sha256:
            return False
        data_size = release.root.data_blocks * BLOCK
        data = crash.read(self._base.read(root.start, data_size), root.start)
        tree = verity.build(io.BytesIO(data), data_blocks=release.root.data_blocks, salt=release.root.salt)
        at = root.start + data_size
        encoded = tree.encode()
        stored = crash.read(self._base.read(at, len(encoded)), at)
        return tree.root_hash == release.root.root_hash and stored == encoded


def _touches(write: Write, home: Partition) -> bool:
    return write.offset < home.end and home.start < write.offset + len(write.data)
