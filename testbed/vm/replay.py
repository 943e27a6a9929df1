"""Real power cuts: a disk is made into what a cut could have left, and a machine boots it with real firmware.

The machine comes up if its kernel has opened a verity root and the initrd hands over to systemd. What it
writes on the way is forgotten, so that the next disk differs from the last one by the log alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import re
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from testbed.machine.disk import Disk, copy
from testbed.vm.hardware import Hardware
from testbed.vm.machine import VirtualMachine
from testbed.vm.powercut import Verdict
from testbed.vm.writelog import Crash, Event, Write, extents
from warmroot.errors import ProgramDied

SECONDS = 150
"""Until the initrd hands over, on a busy machine."""
SIDE_BY_SIDE = 2
"""Machines at a time: one boot keeps one core busy."""
_UP = "hands over to systemd"
_DECIDED = re.compile(r"^warmroot: slot=(\S*) source=(\S*) record=(\S*)$", re.MULTILINE)
_ROOT = re.compile(r"warmroot-initrd: \S+ slot=(\S*) hash=(\S*)$", re.MULTILINE)
_CHUNK = 1 << 20


class ReplayedDisk:
    """A copy of the disk before all of a log. It becomes one crash after another; what differs is written."""

    def __init__(self, base: Path, path: Path, events: list[Event]) -> None:
        """Copies the disk `base` to `path`.

        Raises:
            StepFailed: there is no room.
        """
        self.path = copy(base, path)
        self._base = base
        self._extents = extents(events)
        self._kept: tuple[Write, ...] = ()

    def become(self, crash: Crash) -> None:
        """Makes it the disk that this power cut leaves."""
        pairs = enumerate(zip(self._kept, crash.kept, strict=False))
        shorter = min(len(self._kept), len(crash.kept))
        same = next((number for number, (old, new) in pairs if old != new), shorter)
        settled = Crash(0, crash.kept[:same])
        with Disk(self._base, writable=False) as base, self.path.open("r+b", buffering=0) as disk:
            for lost in self._kept[same:]:
                before = settled.read(base.read(lost.offset, len(lost.data)), lost.offset)
                os.pwrite(disk.fileno(), before, lost.offset)
            for write in crash.kept[same:]:
                os.pwrite(disk.fileno(), write.data, write.offset)
        self._kept = crash.kept

    def digest(self) -> bytes:
        """Equal for equal disks, and for no others."""
        found = hashlib.sha256()
        with self.path.open("rb", buffering=0) as disk:
            for begin, end in self._extents:
                for at in range(begin, end, _CHUNK):
                    found.update(os.pread(disk.fileno(), min(_CHUNK, end - at), at))
        return found.digest()


@dataclass(frozen=True)
class Boot:
    """What a machine said of its boot; empty where it said nothing. `seconds` from power-on."""

    slot: str
    source: str
    record: str
    root_slot: str
    root_hash: str
    up: bool
    data_lost: bool
    seconds: float

    @classmethod
    def of(cls, console: str, seconds: float) -> Boot:
        """Reads a console."""
        decided, root = _DECIDED.search(console), _ROOT.search(console)
        slot, source, record = decided.groups() if decided else ("", "", "")
        root_slot, root_hash = root.groups() if root else ("", "")
        lost = "DATA_LOST" in console or "DATA_READ_ONLY" in console
        return cls(slot, source, record, root_slot, root_hash, _UP in console, lost, seconds)

    def differs(self, verdict: Verdict) -> str:
        """What is not as the model says; empty if all is."""
        choice, release = verdict.choice, verdict.release
        if verdict.broken or choice.record is None or release is None:
            return f"the model says: {verdict.broken}"
        if not self.up:
            return f"it does not come up; {self}"
        said = (self.slot, self.source, self.record, self.root_slot, self.root_hash)
        slot = choice.slot.value
        model = (slot, choice.source.value, choice.record.end, slot, release.root.root_hash.hex())
        return "" if said == model else f"the machine says {said}, the model {model}"


def boots(
    base: Path, events: list[Event], crashes: Iterable[Crash], folder: Path
) -> Iterator[tuple[Crash, Boot | None]]:
    """Boots each distinct disk, some side by side; None for a disk that is equal to one booted before.

    Crashes that follow one another in the log are cheapest in that order. `folder` takes copies of the disk.

    Raises:
        NotInstalled: QEMU is missing.
        StepFailed: there is no room for the copies.
    """
    seen: set[bytes] = set()
    lock = threading.Lock()
    free: queue.SimpleQueue[tuple[ReplayedDisk, Path]] = queue.SimpleQueue()
    for number in range(SIDE_BY_SIDE):
        home = folder / f"replay-{number}"
        home.mkdir()
        free.put((ReplayedDisk(base, home / "disk.raw", events), home))

    def one(crash: Crash) -> tuple[Crash, Boot | None]:
        disk, home = free.get()
        try:
            disk.become(crash)
            digest = disk.digest()
            with lock:
                known = digest in seen
                seen.add(digest)
            return crash, None if known else _boot(disk.path, home)
        finally:
            free.put((disk, home))

    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    try:
        yield from pool.map(one, crashes)
    finally:
        pool.shutdown(cancel_futures=True)


def _boot(disk: Path, home: Path) -> Boot:
    began = time.monotonic()
    with VirtualMachine(Hardware(disk, forgetful=True), home / "vm") as machine:
        with contextlib.suppress(ProgramDied):  # what it said until it ended tells how far it came
            machine.wait_for(_UP, SECONDS)
        return Boot.of(machine.console(), time.monotonic() - began)
