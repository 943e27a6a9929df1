"""Judges disks after a power cut: whether each comes up in a verified slot, by the model of the boot loader.

`tests/vm` holds that model against GRUB itself; `replay` boots some of these disks with the real firmware.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.machine.disk import Disk
from testbed.vm.writelog import Crash, Write
from warmroot.disk import layout
from warmroot.disk.bootrecord import SECTOR, Choice, Slot, choose
from warmroot.disk.layout import COPY_OFFSETS, Layout, Partition
from warmroot.release import verity
from warmroot.release.manifest import Manifest
from warmroot.release.verity import BLOCK


@dataclass(frozen=True)
class Verdict:
    """What becomes of one disk: the boot loader's choice, and the release that this slot holds whole."""

    choice: Choice
    release: Manifest | None

    @property
    def broken(self) -> str:
        """Why the machine does not come up in a verified slot; empty if it does."""
        if self.choice.record is None:
            return "both copies of the boot record are garbage"
        return "" if self.release else f"slot {self.choice.slot} is chosen and not whole"


@dataclass
class Verdicts:
    """What was found. `by_slot` counts disks by the slot that they boot, `broken` says what is wrong.

    `copies` are all pairs of copies of the boot record that a disk had. `distinct` counts sets of writes that
    a disk kept; two of them may still make equal disks.
    """

    by_slot: dict[Slot, int] = field(default_factory=lambda: dict.fromkeys(Slot, 0))
    trials: int = 0
    broken: list[str] = field(default_factory=list)
    copies: set[tuple[bytes, bytes]] = field(default_factory=set)
    distinct: int = 0

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
        self._known: dict[tuple[Slot, tuple[tuple[int, int, int], ...]], Manifest | None] = {}

    def judge(self, crashes: Iterable[Crash]) -> Verdicts:
        """Verdicts over many disks."""
        found, kept = Verdicts(), set()
        for crash in crashes:
            verdict = self.verdict(crash)
            choice = verdict.choice
            found.by_slot[choice.slot] += 1
            found.trials += choice.record is not None and choice.record.next is choice.slot
            found.copies.add(self.copies(crash))
            kept.add(hash(crash.kept))
            if verdict.broken:
                found.broken.append(f"after {crash.after} events: {verdict.broken}")
        found.distinct = len(kept)
        return found

    def verdict(self, crash: Crash) -> Verdict:
        """The verdict over one disk."""
        choice = choose(*self.copies(crash))
        return Verdict(choice, self._release(crash, choice.slot))

    def copies(self, crash: Crash) -> tuple[bytes, bytes]:
        """Both copies of the boot record as the boot loader finds them."""
        starts = (self._layout[layout.BOOTSTATE].start + offset for offset in COPY_OFFSETS)
        first, second = (crash.read(self._base.read(at, SECTOR), at) for at in starts)
        return first, second

    def _release(self, crash: Crash, slot: Slot) -> Manifest | None:
        """The release that both partitions of a slot hold, if any. Equal sets of writes are judged once."""
        homes = (self._layout[layout.boot(slot)], self._layout[layout.root(slot)])
        touching = tuple(write for write in crash.kept if any(_touches(write, home) for home in homes))
        key = (slot, tuple((write.offset, len(write.data), hash(write.data)) for write in touching))
        if key not in self._known:
            held = (each for each in self._releases if self._holds(Crash(0, touching), homes, each))
            self._known[key] = next(held, None)
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
