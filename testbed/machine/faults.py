"""What can be made to go wrong with a machine, beyond what the bytes of an image say."""

from __future__ import annotations

import random
from enum import StrEnum
from pathlib import Path

from testbed.machine.boot import load
from testbed.machine.disk import Disk, volume
from warmroot.disk.bootrecord import Slot
from warmroot.disk.layout import BLOCK, root


class Fault(StrEnum):
    """A fault of the machine itself; it strikes when the machine boots a trial."""

    NEVER_COMES_BACK = "never-comes-back"
    NOT_READY = "not-ready"
    SLOW = "slow"
    ROT = "rot"


def rot(path: Path, slot: Slot, *, seed: int) -> int:
    """Flips one bit of a slot's root file system on the disk; gives the block in which it lies.

    Raises:
        ForeignDisk: the disk is not one of ours.
        DiskCorrupt: the slot holds nothing that could be booted.
    """
    chance = random.Random(seed)  # noqa: S311 - the same seed gives the same fault
    with Disk(path) as disk:
        blocks = load(disk, slot).hash_offset // BLOCK
        block = chance.randrange(blocks)
        at = block * BLOCK + chance.randrange(BLOCK)
        part = volume(disk, root(slot))
        part.write(at, bytes([part.read(at, 1)[0] ^ 1 << chance.randrange(8)]))
    return block
