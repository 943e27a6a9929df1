"""Writing a release into a slot: nothing unverified reaches it, and all of it is read back afterwards.

The order is what makes a kill at any moment harmless and cheap. The receipt says `writing` before the first
byte; the verity tree, once it hashes up to the signed root hash, is written first, so the next attempt finds
it in the slot; every block is hashed before it is written, also one that is copied from the other slot; what
is there already is found by hashing it (re-scan). The receipt says `verified` only after the flush and the
full read-back. FEC plays no part: a check that mends hides what it should find (node.md, Transfer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from os_proxy.backends.bootimage import BootImage
from os_proxy.backends.pace import TokenBucket
from os_proxy.backends.readback import RUN, Hashing, check_root, leaves
from os_proxy.backends.transfer import Tally, Target, fetch_ranges
from os_proxy.core.receipts import Receipt, SlotContent, encode
from os_proxy.core.seen import Seen
from os_proxy.core.status import Progress
from os_proxy.core.steps import Write
from os_proxy.ports import BlockDevice, BootState, Clock, Disk, Files, SlotDevices, Wait
from warmroot.disk.bootrecord import Slot
from warmroot.errors import DiskFull, SlotRefused, SlotTooSmall, SourceError
from warmroot.release.blocks import MAX_GAP, MAX_RANGE, BlockRange, BlockSet, Copy, LeafIndex, Plan, plan
from warmroot.release.manifest import Manifest, Root
from warmroot.release.source import Mirrors, ReleaseSource, try_each
from warmroot.release.verity import BLOCK, HASH, Tree, tree_size

SPARE = 4 * 1024 * 1024
"""Bytes that must stay free on the data partition for notes and metadata."""
Observe = Callable[[Progress], None]
"""Is told the progress; raises Superseded to end the work."""


@dataclass(frozen=True)
class Limits:
    """`in_flight` connections or disk reads, 1 for the caller's thread alone; `rate` in bytes per second."""

    in_flight: int = 3
    rate: Callable[[], int | None] = lambda: None


@dataclass(frozen=True)
class Surroundings:
    """The ports that staging stands on."""

    disk: Disk
    boot_state: BootState
    files: Files
    clock: Clock
    wait: Wait
    open_sources: Callable[[tuple[str, ...]], Mirrors]


def stage(step: Write, seen: Seen, ports: Surroundings, limits: Limits, observe: Observe) -> None:
    """Writes `step.release` into `step.slot` and leaves the receipt `verified`.

    Whatever happens on the way, the slot that runs and the good slot are untouched, and what was verified is
    used by the next attempt.

    Raises:
        SlotRefused, SlotTooSmall, DiskFull: before anything was written.
        SourceError, NetworkError: what the sources served.
        ReadOnlyDisk, DiskCorrupt: what the disk did.
        Superseded: `observe` raised it.
    """
    _refuse_used(step.slot, seen, ports.boot_state)
    with ports.disk.exclusive(step.slot) as devices:
        _Staging(step, seen, ports, limits, observe, devices).run()


def _refuse_used(slot: Slot, seen: Seen, boot_state: BootState) -> None:
    """The engine asks for nothing else; this looks at the disk itself, at the last moment (I2, I3)."""
    boot = boot_state.read()
    if slot is seen.booted.slot:
        raise SlotRefused(f"slot {slot} runs")
    if boot.record is None or not boot.intact or boot.record.next is not None or boot.record.good is slot:
        raise SlotRefused(f"the boot record may still name slot {slot}")


class _Staging:
    """One attempt."""

    def __init__(
        self,
        step: Write,
        seen: Seen,
        ports: Surroundings,
        limits: Limits,
        observe: Observe,
        devices: SlotDevices,
    ) -> None:
        self.manifest: Manifest = step.manifest
        self.step, self.seen, self.ports, self.devices = step, seen, ports, devices
        self.sources = ports.open_sources(step.release.sources).sources
        self.tally = Tally(self.manifest.root.size + self.manifest.boot.size, ports.clock)
        self.bucket = TokenBucket(limits.rate, ports.clock, ports.wait)
        self.in_flight = limits.in_flight
        self._observe = observe
        before = seen.receipts.get(step.slot)
        self.resumes = before is None or before.digest == step.release.digest
        """Whether an earlier attempt at this very release may have left its tree."""
        self.scans = before is None or before.content is SlotContent.WRITING
        """Whether the slot holds nobody knows what: then it is hashed to find out."""
        self.before = before

    def run(self) -> None:
        """From the checks to the receipt."""
        self._check_space()
        old = (
            None if self.resumes or self.before is None else self._tree_in(self.step.slot, self.before.digest)
        )
        tree = self._tree()
        self._note(SlotContent.WRITING)
        self.devices.root.write(self.manifest.root.data_size, tree.encode())
        self.tally.add(done=tree_size(tree.data_blocks))
        hashing = Hashing(tree)
        self._fill(hashing, old)
        same = self.ports.disk.slot(self.seen.booted.slot).boot if self._runs else None
        boot = BootImage(self.manifest.boot, self.devices.boot, self.ports.files, same)
        boot.write(self.sources, self.tally, self.bucket, self.observe)
        self.devices.root.flush()
        self.devices.boot.flush()
        check_root(self.devices.root, hashing, threads=self.in_flight, observe=self.observe)
        boot.check()
        self.observe()
        self._note(SlotContent.VERIFIED)

    @property
    def _runs(self) -> bool:
        """Whether it is this very release that runs, and is to be in the other slot as well."""
        return self.seen.booted.root_hash == self.manifest.root.root_hash

    def observe(self) -> None:
        self._observe(self.tally.progress())

    def _check_space(self) -> None:
        wanted, devices = self.manifest, self.devices
        for name, size, device in (
            ("root", wanted.root.size, devices.root),
            ("boot", wanted.boot.size, devices.boot),
        ):
            if size > device.size:
                raise SlotTooSmall(f"the {name} image has {size} bytes, the partition {device.size}")
        if self.ports.files.free() < wanted.boot.size + SPARE:
            raise DiskFull(f"the data partition needs {wanted.boot.size + SPARE} free bytes to stage")

    def _note(self, content: SlotContent) -> None:
        release = self.step.release
        receipt = Receipt(release.digest, release.version, self.manifest.release_seq, content)
        self.ports.files.write(f"receipts/{self.step.slot}.json", encode(receipt))

    def _tree(self) -> Tree:
        """The tree: from the slot if an earlier attempt left it there, from what runs if that is this very
        release, else from the first honest source.
        """
        root = self.manifest.root
        size = tree_size(root.data_blocks)
        if self.resumes and (tree := _decode(self.devices.root.read(root.data_size, size), root)):
            return tree
        if self._runs and (tree := self._running_tree()):
            return tree

        def ask(source: ReleaseSource) -> Tree:
            data = bytearray()
            for piece in source.read_range(root.path, root.data_size, size):
                self.bucket.take(len(piece))
                self.tally.add(fetched=len(piece))
                data += piece
            return Tree.decode(
                bytes(data), data_blocks=root.data_blocks, salt=root.salt, root_hash=root.root_hash
            )

        return try_each(self.sources, ask)

    def _running_tree(self) -> Tree | None:
        """The tree of what runs. The kernel command line names it; no receipt or manifest is needed.

        It is read with the new release's salt: under another one, no block would be comparable anyway.
        """
        booted, salt = self.seen.booted, self.manifest.root.salt
        device = self.ports.disk.slot(booted.slot).root
        blocks = booted.hash_offset // BLOCK
        if blocks < 1 or booted.hash_offset + tree_size(blocks) > device.size:
            return None
        data = device.read(booted.hash_offset, tree_size(blocks))
        return _decode(data, Root(booted.hash_offset + len(data), blocks, salt, booted.root_hash))

    def _tree_in(self, slot: Slot, digest: str | None) -> Tree | None:
        """The tree of what a slot holds, if its manifest is known and its blocks are comparable."""
        manifest = self.seen.manifests.get(digest or "")
        if manifest is None or manifest.root.salt != self.manifest.root.salt:
            return None
        device = self.ports.disk.slot(slot).root
        if manifest.root.size > device.size:
            return None
        data = device.read(manifest.root.data_size, tree_size(manifest.root.data_blocks))
        return _decode(data, manifest.root)

    def _fill(self, hashing: Hashing, old: Tree | None) -> None:
        """Copies what is here, fetches what is not, in the plan's order."""
        target = Target(self.devices.root, hashing)
        planned = self._plan(hashing, old)
        missing = self._copy(planned.reuse, target)
        self._fetch(planned.fetch, target)
        missing += self._copy(planned.repeat, target)
        self._fetch(merged(missing), target)

    def _plan(self, hashing: Hashing, old: Tree | None) -> Plan:
        tree = hashing.tree
        mine, other = self.step.slot, self.seen.booted.slot
        known: dict[str, bytes] = {}
        if running := self._running_tree():
            known[other.value] = running.levels[0]
        present = BlockSet(tree.data_blocks)
        if self.scans:
            root = self.devices.root
            known[mine.value] = leaves(root, hashing, threads=self.in_flight, observe=self.observe)
            for block in range(tree.data_blocks):
                if known[mine.value][block * HASH : (block + 1) * HASH] == tree.leaf(block):
                    present.add(block)
            self.tally.add(done=len(present) * BLOCK, reused=len(present) * BLOCK)
        elif old:
            known[mine.value] = old.levels[0]
        if not known:  # nothing to look anything up in
            starts = range(0, tree.data_blocks, MAX_RANGE)
            ranges = (BlockRange(start, min(MAX_RANGE, tree.data_blocks - start)) for start in starts)
            return Plan(tree.data_blocks, (), tuple(ranges), ())
        return plan(tree.levels[0], LeafIndex(known), target=mine.value, present=present)

    def _copy(self, copies: Iterable[Copy], target: Target) -> list[int]:
        """Carries out copies; returns the blocks whose source was not what its leaf hash said."""
        missing: list[int] = []
        for copy in copies:
            source = self.ports.disk.slot(Slot(copy.slot)).root
            for at in range(0, copy.count, RUN):
                count = min(RUN, copy.count - at)
                missing += self._copy_run(source, copy.src + at, copy.dst + at, count, target)
                self.observe()
        return missing

    def _copy_run(self, source: BlockDevice, src: int, dst: int, count: int, target: Target) -> list[int]:
        missing = []
        view = memoryview(source.read(src * BLOCK, count * BLOCK))
        at, step = 0, count
        while at < count:
            tried = min(step, count - at)
            good = target.put(dst + at, view[at * BLOCK : (at + tried) * BLOCK])
            self.tally.add(done=good * BLOCK, reused=good * BLOCK)
            at += good
            if good < tried:
                missing.append(dst + at)
                at, step = at + 1, 1  # `put` hashes all that it gets: not all of the rest for each bad block
        return missing

    def _fetch(self, ranges: Iterable[BlockRange], target: Target) -> None:
        fetch_ranges(
            ranges,
            sources=self.sources,
            path=self.manifest.root.path,
            target=target,
            tally=self.tally,
            bucket=self.bucket,
            in_flight=self.in_flight,
            observe=self.observe,
        )


def merged(blocks: Iterable[int]) -> list[BlockRange]:
    """Ranges that cover these blocks, with small gaps fetched along rather than asked for separately."""
    ranges: list[BlockRange] = []
    for block in sorted(blocks):
        last = ranges[-1] if ranges else None
        if last and block - last.start - last.count <= MAX_GAP and block - last.start < MAX_RANGE:
            ranges[-1] = BlockRange(last.start, block + 1 - last.start)
        else:
            ranges.append(BlockRange(block, 1))
    return ranges


def _decode(data: bytes, root: Root) -> Tree | None:
    """A tree that was found in a slot; None if the slot does not hold this root's."""
    try:
        return Tree.decode(data, data_blocks=root.data_blocks, salt=root.salt, root_hash=root.root_hash)
    except SourceError:
        return None
