"""The delta plan: which blocks of a new root are here already, and which must come over the network.

Pure: leaf hashes in, a plan out. Blocks are found by content, anywhere in either slot; by position nothing of
a new EROFS would be found (node.md, Transfer). A found block is a hint: whoever copies it hashes it again.

The inactive slot is source and target at once. A plan stays right there when it is carried out in this order:
`reuse` from first to last, then `fetch` in any order, then `repeat`. A block of the target serves as a source
only for itself or for an earlier place, so no copy reads what an earlier copy has overwritten.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from warmroot.release.verity import HASH

MAX_GAP = 8
"""Unwanted blocks between two wanted ones that are fetched along rather than asked for separately."""
MAX_RANGE = 1024
"""Blocks of the longest range (4 MiB), so that several can be in flight."""


@dataclass(frozen=True, slots=True)
class BlockRange:
    """`count` blocks of the new root from block `start`."""

    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Copy:
    """`count` blocks to `dst` of the target, from block `src` of the slot named `slot`."""

    dst: int
    slot: str
    src: int
    count: int


class BlockSet:
    """A set of block numbers below `size`, one bit each."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._bits = bytearray(-(-size // 8))

    def add(self, block: int) -> None:
        """Puts a block in.

        Raises:
            IndexError: there is no such block.
        """
        if not 0 <= block < self.size:
            raise IndexError(f"block {block} of {self.size}")
        self._bits[block >> 3] |= 1 << (block & 7)

    def __contains__(self, block: object) -> bool:
        return (
            isinstance(block, int)
            and 0 <= block < self.size
            and bool(self._bits[block >> 3] >> (block & 7) & 1)
        )

    def __len__(self) -> int:
        return int.from_bytes(self._bits, "little").bit_count()


class LeafIndex:
    """Finds a leaf hash in the slots' leaf hashes. The first slot and its first such block win.

    An open-addressing table of 4-byte block numbers; a dict would cost about 200 bytes a block, and a proxy
    has 64 MiB for everything.
    """

    def __init__(self, slots: Mapping[str, bytes]) -> None:
        self._names = list(slots)
        self._leaves = b"".join(slots.values())
        ends, total = [], 0
        for leaves in slots.values():
            total += len(leaves) // HASH
            ends.append(total)
        self._ends = ends
        self._mask = (1 << (2 * total).bit_length()) - 1
        self._table = array("I", bytes(4 * (self._mask + 1)))
        for number in range(total):
            leaf = self._leaves[number * HASH : (number + 1) * HASH]
            at, found = self._probe(leaf)
            if not found:
                self._table[at] = number + 1

    def find(self, leaf: bytes) -> tuple[str, int] | None:
        """Slot and block that hold this content, or None."""
        _, found = self._probe(leaf)
        if not found:
            return None
        number = found - 1
        slot = bisect_right(self._ends, number)
        return self._names[slot], number - (self._ends[slot - 1] if slot else 0)

    def _probe(self, leaf: bytes) -> tuple[int, int]:
        table, mask, leaves = self._table, self._mask, self._leaves
        at = int.from_bytes(leaf[:8], "little") & mask
        while (found := table[at]) and leaves[(found - 1) * HASH : found * HASH] != leaf:
            at = (at + 1) & mask
        return at, found


@dataclass(frozen=True)
class Plan:
    """How a target gets its content. Carry out `reuse`, then `fetch`, then `repeat`.

    Every block that is not right yet is in exactly one of the three. A range of `fetch` may cover blocks that
    are right already; writing them again does no harm. `repeat` copies within the target.
    """

    blocks: int
    reuse: tuple[Copy, ...]
    fetch: tuple[BlockRange, ...]
    repeat: tuple[Copy, ...]

    @property
    def fetched(self) -> int:
        """Blocks that come over the network."""
        return sum(wanted.count for wanted in self.fetch)

    @property
    def reused(self) -> int:
        """Blocks that are copied locally."""
        return sum(copy.count for copy in (*self.reuse, *self.repeat))


def plan(
    leaves: bytes,
    index: LeafIndex,
    *,
    target: str,
    present: Container[int] = (),
    max_gap: int = MAX_GAP,
    max_range: int = MAX_RANGE,
) -> Plan:
    """The plan that turns the slot `target` into the root with these leaf hashes.

    `index` holds what the slots contain now, the target included if it is known; `present` are the blocks
    that are already right in the target. Linear in the number of blocks.

    Raises:
        ValueError: not a whole number of hashes.
    """
    if len(leaves) % HASH:
        raise ValueError(f"{len(leaves)} bytes are not hashes of {HASH} bytes")
    blocks = len(leaves) // HASH
    new = LeafIndex({target: leaves})

    def source(block: int) -> tuple[str, int] | None:
        leaf = leaves[block * HASH : (block + 1) * HASH]
        found = index.find(leaf)
        return found if found and (found[0] != target or found[1] >= block) else None

    def first(block: int) -> int:
        found = new.find(leaves[block * HASH : (block + 1) * HASH])
        assert found is not None
        return found[1]

    missing = [block for block in range(blocks) if block not in present and source(block) is None]
    fetch = tuple(_ranges([block for block in missing if first(block) == block], max_gap, max_range))
    covered = BlockSet(blocks)
    for wanted in fetch:
        for block in range(wanted.start, wanted.start + wanted.count):
            covered.add(block)
    local = (
        Copy(block, *found, 1)
        for block in range(blocks)
        if block not in present and block not in covered and (found := source(block))
    )
    repeated = (Copy(block, target, first(block), 1) for block in missing if block not in covered)
    return Plan(blocks, tuple(_joined(local)), fetch, tuple(_joined(repeated)))


def _ranges(wanted: list[int], max_gap: int, max_range: int) -> Iterator[BlockRange]:
    start = end = -1
    for block in wanted:
        if start >= 0 and block - end <= max_gap and block + 1 - start <= max_range:
            end = block + 1
            continue
        if start >= 0:
            yield BlockRange(start, end - start)
        start, end = block, block + 1
    if start >= 0:
        yield BlockRange(start, end - start)


def _joined(copies: Iterable[Copy]) -> Iterator[Copy]:
    """The copies, neighbours made one."""
    joined = None
    for copy in copies:
        if joined and _follows(joined, copy):
            joined = replace(joined, count=joined.count + 1)
            continue
        if joined:
            yield joined
        joined = copy
    if joined:
        yield joined


def _follows(joined: Copy, copy: Copy) -> bool:
    return (
        copy.slot == joined.slot
        and copy.dst == joined.dst + joined.count
        and copy.src == joined.src + joined.count
    )
