"""The read-back: whether the medium holds what was meant, read past every cache and hashed whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from os_proxy.ports import BlockDevice
from warmroot.errors import DiskCorrupt
from warmroot.release.manifest import Boot
from warmroot.release.verity import BLOCK, HASH, Tree, block_hash

PIECE = 1024 * 1024


def pieces(device: BlockDevice, offset: int, length: int, *, ahead: bool) -> Iterator[tuple[int, bytes]]:
    """The bytes in pieces, with their offsets; with `ahead`, the next is read while one is worked on."""
    starts = range(offset, offset + length, PIECE)

    def read(start: int) -> tuple[int, bytes]:
        return start, device.read(start, min(PIECE, offset + length - start))

    if not ahead or len(starts) < 2:
        yield from map(read, starts)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        coming = pool.submit(read, starts[0])
        for start in starts[1:]:
            here, coming = coming, pool.submit(read, start)
            yield here.result()
        yield coming.result()


def leaves(device: BlockDevice, tree_like: Tree, *, ahead: bool, observe: Callable[[], None]) -> bytes:
    """The hashes of the blocks that a root partition holds now, in the place of `tree_like`'s data."""
    hash_of = block_hash(tree_like.salt)
    found = bytearray()
    for _, piece in pieces(device, 0, tree_like.data_blocks * BLOCK, ahead=ahead):
        view = memoryview(piece)
        for at in range(0, len(view), BLOCK):
            found += hash_of(view[at : at + BLOCK])
        observe()
    return bytes(found)


def check_root(device: BlockDevice, tree: Tree, *, ahead: bool, observe: Callable[[], None]) -> None:
    """Every data block, and every byte of the tree.

    Raises:
        DiskCorrupt: names the first block that differs.
    """
    hash_of, expected = block_hash(tree.salt), memoryview(tree.levels[0])
    for offset, piece in pieces(device, 0, tree.data_blocks * BLOCK, ahead=ahead):
        view = memoryview(piece)
        for at in range(0, len(view), BLOCK):
            leaf = (offset + at) // BLOCK * HASH
            if hash_of(view[at : at + BLOCK]) != expected[leaf : leaf + HASH]:
                raise DiskCorrupt(f"block {(offset + at) // BLOCK} of the root was not kept by the disk")
        observe()
    encoded = memoryview(tree.encode())
    data_size = tree.data_blocks * BLOCK
    for offset, piece in pieces(device, data_size, len(encoded), ahead=False):
        if piece != encoded[offset - data_size : offset - data_size + len(piece)]:
            raise DiskCorrupt("the verity tree was not kept by the disk")


def holds_boot(device: BlockDevice, boot: Boot, *, ahead: bool) -> bool:
    """Whether a boot partition begins with this image."""
    digest = hashlib.sha256()
    for _, piece in pieces(device, 0, boot.size, ahead=ahead):
        digest.update(piece)
    return digest.digest() == boot.sha256
