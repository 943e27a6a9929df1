"""The read-back: whether the medium holds what was meant, read past every cache and hashed whole.

It begins when everything is written and flushed, so it also sees what a late write did to an early block.
Reading behind the writers was measured: a disk that is busy writing gains nothing by it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Lock
from typing import TypeVar

from os_proxy.ports import BlockDevice
from warmroot.errors import DiskCorrupt
from warmroot.release.blocks import BlockRange
from warmroot.release.manifest import Boot
from warmroot.release.verity import BLOCK, HASH, Tree, agreeing, block_hashes

PIECE = 1024 * 1024
"""Bytes of one read."""
RUN = PIECE // BLOCK
A = TypeVar("A")
B = TypeVar("B")


def side_by_side(work: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """The results in order, of so many threads; one thread is the caller's own."""
    if threads == 1:
        yield from map(work, items)
        return
    waiting = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        running = deque(pool.submit(work, item) for item in islice(waiting, 2 * threads))
        try:
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(work, item) for item in islice(waiting, 1))
        finally:
            for future in running:
                future.cancel()


class Hashing:
    """The hashes of blocks under the tree's salt, and whether they are the tree's.

    One thread hashes at a time. Two would not be faster: each lets go of the interpreter lock for a few
    microseconds per block, and handing it over at every block costs more than the second core gives.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._hashes = block_hashes(tree.salt)
        self._turn = Lock()

    def hashes(self, blocks: bytes | memoryview) -> bytes:
        """Of whole blocks, joined."""
        with self._turn:
            return self._hashes(blocks)

    def right(self, start: int, data: bytes | memoryview) -> int:
        """How many whole blocks from the first on are those that belong at block `start` and after."""
        whole = len(data) // BLOCK
        found = self.hashes(memoryview(data)[: whole * BLOCK])
        return agreeing(found, self.tree.levels[0][start * HASH : (start + whole) * HASH])


def leaves(device: BlockDevice, hashing: Hashing, *, threads: int, observe: Callable[[], None]) -> bytes:
    """The hashes of the blocks that a root partition holds now, in the place of the tree's data."""

    def one(run: BlockRange) -> bytes:
        return hashing.hashes(device.read(run.start * BLOCK, run.count * BLOCK))

    found = bytearray()
    for hashes in side_by_side(one, _runs(hashing.tree.data_blocks), threads):
        found += hashes
        observe()
    return bytes(found)


def check_root(device: BlockDevice, hashing: Hashing, *, threads: int, observe: Callable[[], None]) -> None:
    """Every data block, and every byte of the tree.

    Raises:
        DiskCorrupt: names the first block that differs.
    """
    tree = hashing.tree

    def one(run: BlockRange) -> None:
        good = hashing.right(run.start, device.read(run.start * BLOCK, run.count * BLOCK))
        if good < run.count:
            raise DiskCorrupt(f"block {run.start + good} of the root was not kept by the disk")

    for _ in side_by_side(one, _runs(tree.data_blocks), threads):
        observe()
    encoded, data_size = tree.encode(), tree.data_blocks * BLOCK
    for at in range(0, len(encoded), PIECE):
        wanted = encoded[at : at + PIECE]
        if device.read(data_size + at, len(wanted)) != wanted:
            raise DiskCorrupt("the verity tree was not kept by the disk")


def _runs(count: int) -> Iterator[BlockRange]:
    """So many blocks in runs of one read each."""
    return (BlockRange(at, min(RUN, count - at)) for at in range(0, count, RUN))


def holds_boot(device: BlockDevice, boot: Boot) -> bool:
    """Whether a boot partition begins with this image."""
    digest = hashlib.sha256()
    for at in range(0, boot.size, PIECE):
        digest.update(device.read(at, min(PIECE, boot.size - at)))
    return digest.digest() == boot.sha256
