"""A data partition without space, made on the disk's file: a node that logged and stored too much."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from images import command
from warmroot.disk.layout import Partition
from warmroot.errors import StepFailed

_STEP = "filling the data partition"
_FREE = re.compile(r"^Free blocks:\s+(\d+)$", re.MULTILINE)
_OF_THE_MAP = 2
"""Blocks that the file system needs to say where a large file is."""


def fill(disk: Path, home: Partition) -> int:
    """Gives every free block of the file system in `home` to one file; gives how many are free after that.

    Raises:
        NotInstalled: e2fsprogs is missing.
        StepFailed: there is no file system in it, or it could not be filled.
    """
    image = f"{disk}?offset={home.start}"
    free = _free(image)
    with tempfile.TemporaryDirectory() as work:
        orders = Path(work) / "orders"
        orders.write_text(f"write /dev/null filler\nfallocate filler 0 {max(free - 1 - _OF_THE_MAP, 0)}\n")
        command.run(_STEP, ["debugfs", "-w", "-f", orders, image], package="e2fsprogs")
    left = _free(image)
    if left > _OF_THE_MAP:
        raise StepFailed(f"{disk} has {left} free blocks on its data partition after all", hint="report it")
    return left


def _free(image: str) -> int:
    said = command.run(_STEP, ["debugfs", "-R", "stats -h", image], package="e2fsprogs")
    found = _FREE.search(said)
    if found is None:
        raise StepFailed(f"there is no file system of ours at {image}: {said.strip()}", hint="build it again")
    return int(found[1])
