"""The dm-verity hash tree: format 1, sha256, blocks of 4096 bytes, byte-identical to `veritysetup format`.

Format: the kernel's Documentation/admin-guide/device-mapper/verity.rst and cryptsetup's DMVerity page. After
the data come one superblock block and the levels, top first. A node of the tree is `sha256(salt + block)`;
a block holds 128 of them, the last one is padded with zeros. One data block has no tree: its hash is the
root.

Speed comes from one pre-salted sha256 object that is copied for each block, from memoryviews, and from loops
that call no Python function per block.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from warmroot.errors import Endless, Tampered, Truncated

BLOCK = 4096
"""Bytes of a data block and of a hash block."""
HASH = 32
PER_BLOCK = BLOCK // HASH
MAX_SALT = 256
FIXED = UUID("7761726d-726f-4f74-8000-000000000001")
"""Same inputs, same bytes: the superblock's UUID never varies."""
_SUPERBLOCK = struct.Struct("<8sII16s32sIIQH6x256s168x")
_CHUNK = 1024 * 1024

Buffer = bytes | bytearray | memoryview
File = io.BufferedIOBase | io.RawIOBase


def block_hash(salt: bytes) -> Callable[[Buffer], bytes]:
    """The function that hashes one block under this salt."""
    salted = hashlib.sha256(salt)

    def hash_of(block: Buffer) -> bytes:
        one = salted.copy()
        one.update(block)
        return one.digest()

    return hash_of


def block_hashes(salt: bytes) -> Callable[[Buffer], bytes]:
    """The function that hashes each of some whole blocks under this salt, and gives the hashes joined."""
    copy = hashlib.sha256(salt).copy

    def hashes_of(blocks: Buffer) -> bytes:
        view = memoryview(blocks)
        hashes = []
        for at in range(0, len(view), BLOCK):
            one = copy()
            one.update(view[at : at + BLOCK])
            hashes.append(one.digest())
        return b"".join(hashes)

    return hashes_of


def agreeing(found: bytes, wanted: bytes) -> int:
    """How many of some joined hashes agree, up to the first that does not."""
    if found == wanted:
        return len(found) // HASH
    for at in range(0, len(found), HASH):
        if found[at : at + HASH] != wanted[at : at + HASH]:
            return at // HASH
    return len(found) // HASH


def tree_size(data_blocks: int) -> int:
    """Bytes that follow `data_blocks` blocks of data: superblock and tree.

    Raises:
        ValueError: there is no data.
    """
    if data_blocks < 1:
        raise ValueError(f"a tree over {data_blocks} blocks")
    blocks, level = 1, data_blocks
    while level > 1:
        level = -(-level // PER_BLOCK)
        blocks += level
    return blocks * BLOCK


@dataclass(frozen=True, repr=False)
class Tree:
    """The tree over some data. `levels[0]` holds the leaf hashes, the last level fits into one block."""

    data_blocks: int
    salt: bytes
    root_hash: bytes
    levels: tuple[bytes, ...]
    uuid: UUID = FIXED

    def leaf(self, block: int) -> bytes:
        """The hash that a data block must have.

        Raises:
            IndexError: there is no such block.
        """
        if not 0 <= block < self.data_blocks:
            raise IndexError(f"block {block} of {self.data_blocks}")
        return self.levels[0][block * HASH : (block + 1) * HASH]

    def encode(self) -> bytes:
        """Superblock and levels, `tree_size(data_blocks)` bytes: what is appended to the data."""
        superblock = _SUPERBLOCK.pack(
            b"verity",
            1,
            1,
            self.uuid.bytes,
            b"sha256",
            BLOCK,
            BLOCK,
            self.data_blocks,
            len(self.salt),
            self.salt,
        )
        levels = self.levels if self.data_blocks > 1 else ()
        return b"".join([superblock.ljust(BLOCK, b"\0"), *(_padded(level) for level in reversed(levels))])

    @classmethod
    def of_leaves(cls, leaves: bytes, *, salt: bytes, uuid: UUID = FIXED) -> Tree:
        """The tree above these leaf hashes, one after another.

        Raises:
            ValueError: no leaves, or not a whole number of them; a salt longer than `MAX_SALT` bytes.
        """
        if not leaves or len(leaves) % HASH:
            raise ValueError(f"{len(leaves)} bytes are not one or more hashes of {HASH} bytes")
        if len(salt) > MAX_SALT:
            raise ValueError(f"the salt has {len(salt)} bytes; {MAX_SALT} are allowed")
        levels = [leaves]
        hashes_of = block_hashes(salt)
        while len(levels[-1]) > BLOCK:
            levels.append(hashes_of(_padded(levels[-1])))
        root_hash = leaves if len(leaves) == HASH else hashes_of(_padded(levels[-1]))
        return cls(len(leaves) // HASH, salt, root_hash, tuple(levels), uuid)

    @classmethod
    def decode(
        cls, data: bytes, *, data_blocks: int, salt: bytes, root_hash: bytes, uuid: UUID = FIXED
    ) -> Tree:
        """The tree in bytes that nobody has vouched for.

        Superblock and padding must be the expected ones too: no byte of a slot is unverified.

        Raises:
            Truncated: too short.
            Endless: too long.
            Tampered: it does not hash up to `root_hash`, or something around it is odd.
        """
        size = tree_size(data_blocks)
        if len(data) < size:
            raise Truncated(f"the verity tree has {len(data)} bytes, {size} were promised")
        if len(data) > size:
            raise Endless(f"the verity tree has {len(data)} bytes, {size} were promised")
        if data_blocks == 1:
            leaves = root_hash
        else:
            leaf_blocks = -(-data_blocks // PER_BLOCK)
            leaves = data[size - leaf_blocks * BLOCK :][: data_blocks * HASH]
        tree = cls.of_leaves(leaves, salt=salt, uuid=uuid)
        if not hmac.compare_digest(tree.root_hash, root_hash):
            raise Tampered(f"the verity tree does not hash up to {root_hash.hex()}")
        if tree.encode() != data:
            raise Tampered("the verity superblock or the padding of the tree is not the expected one")
        return tree


def build(data: File | Iterable[Buffer], *, data_blocks: int, salt: bytes, uuid: UUID = FIXED) -> Tree:
    """The tree over the first `data_blocks` blocks of a binary file, or over a stream of whole blocks.

    A stream may yield pieces of any whole number of blocks.

    Raises:
        Truncated: fewer blocks came.
        Endless: the stream yields more.
        ValueError: no data, or a piece that is not whole blocks.
    """
    if data_blocks < 1:
        raise ValueError(f"a tree over {data_blocks} blocks")
    left = data_blocks
    hashes_of = block_hashes(salt)
    leaves = bytearray()
    for piece in _read(data, data_blocks) if isinstance(data, File) else data:
        if len(piece) % BLOCK:
            raise ValueError(f"a piece of {len(piece)} bytes is not whole blocks")
        left -= len(piece) // BLOCK
        if left < 0:
            raise Endless(f"more than the {data_blocks} blocks that were promised")
        leaves += hashes_of(piece)
    if left:
        raise Truncated(f"{data_blocks - left} blocks came, {data_blocks} were promised")
    return Tree.of_leaves(bytes(leaves), salt=salt, uuid=uuid)


def _read(file: File, data_blocks: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_CHUNK))
    left = data_blocks * BLOCK
    while left:
        wanted, got = min(_CHUNK, left), 0
        while got < wanted:
            count = file.readinto(buffer[got:wanted])
            if not count:
                break
            got += count
        yield buffer[: got - got % BLOCK]
        if got < wanted:
            return
        left -= got


def _padded(level: bytes) -> bytes:
    return level.ljust(-(-len(level) // BLOCK) * BLOCK, b"\0")
