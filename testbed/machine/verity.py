"""A root partition read as dm-verity reads it: every block against the tree, the tree against the root hash.

The root hash comes from the slot configuration. The superblock is not covered by it, as in the kernel: a
wrong salt there only makes every hash wrong.
"""

from __future__ import annotations

import struct

from testbed.machine.disk import Volume
from warmroot.errors import DiskCorrupt, WarmrootError
from warmroot.release.verity import BLOCK, Tree, block_hash, tree_size

_SALT = struct.Struct("<80xH6x256s")
_CHUNK = 256
"""Blocks read at once."""


class VerifiedRoot:
    """An opened dm-verity device."""

    def __init__(self, volume: Volume, *, hash_offset: int, root_hash: bytes) -> None:
        """Reads and verifies the tree behind the data, which ends at `hash_offset` bytes.

        Raises:
            DiskCorrupt: the tree does not hash up to the root hash.
        """
        if hash_offset <= 0 or hash_offset % BLOCK or hash_offset >= volume.size:
            raise DiskCorrupt(f"verity: hash offset {hash_offset} is not inside the root partition")
        self._volume = volume
        self.blocks = hash_offset // BLOCK
        raw = volume.read(hash_offset, tree_size(self.blocks))
        salt_size, salt = _SALT.unpack_from(raw)
        try:
            self._tree = Tree.decode(
                raw, data_blocks=self.blocks, salt=salt[: min(salt_size, 256)], root_hash=root_hash
            )
        except WarmrootError as error:
            raise DiskCorrupt(f"verity: {error.message}") from error
        self._hash = block_hash(self._tree.salt)

    def read(self, first: int, count: int) -> bytes:
        """`count` blocks from block `first`, each verified.

        Raises:
            DiskCorrupt: a block is not what was signed. The kernel panics here (`panic_on_corruption`).
        """
        data = self._volume.read(first * BLOCK, count * BLOCK)
        for number in range(count):
            block = data[number * BLOCK : (number + 1) * BLOCK]
            if self._hash(block) != self._tree.leaf(first + number):
                raise DiskCorrupt(f"verity: data block {first + number} is corrupted")
        return data

    def chunks(self) -> list[tuple[int, int]]:
        """All blocks as (first, count), for a reader that wants everything."""
        return [(at, min(_CHUNK, self.blocks - at)) for at in range(0, self.blocks, _CHUNK)]
