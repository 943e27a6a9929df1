"""The boot image: kernel, initrd and slot configuration, checked as a whole before a byte reaches the slot.

It has one hash and no tree. So it is spooled on the data partition, hashed there, and only then copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from os_proxy.backends.pace import TokenBucket
from os_proxy.backends.readback import holds_boot
from os_proxy.backends.transfer import Tally
from os_proxy.ports import BlockDevice, Files, Spool
from warmroot.errors import DiskCorrupt, Tampered
from warmroot.release.manifest import Boot
from warmroot.release.source import ReleaseSource, try_each
from warmroot.release.verity import BLOCK

SPOOL = "boot.part"
PIECE = 1024 * 1024


class BootImage:
    """One boot image on its way into its partition."""

    def __init__(self, boot: Boot, device: BlockDevice, files: Files, same: BlockDevice | None) -> None:
        """`same` is a partition that should hold this very image already."""
        self._boot, self._device, self._files, self._same = boot, device, files, same

    def write(
        self,
        sources: Sequence[ReleaseSource],
        tally: Tally,
        bucket: TokenBucket,
        observe: Callable[[], None],
    ) -> None:
        """Makes the partition begin with the image.

        Raises:
            SourceError, NetworkError: no source served it rightly.
            DiskFull, ReadOnlyDisk: it can't be kept.
        """
        if holds_boot(self._device, self._boot):
            tally.add(done=self._boot.size, reused=self._boot.size)
            return
        if self._same and self._same.size >= self._boot.size and holds_boot(self._same, self._boot):
            self._copy(self._same.read, "the boot partition of what runs")
            tally.add(done=self._boot.size, reused=self._boot.size)
            return
        with self._files.spool(SPOOL) as spool:

            def ask(source: ReleaseSource) -> None:
                self._spool(source, spool, tally, bucket, observe)

            try_each(sources, ask)
            self._copy(spool.get, "the data partition")
        tally.add(done=self._boot.size)

    def check(self) -> None:
        """The read-back.

        Raises:
            DiskCorrupt: the partition does not hold the image.
        """
        if not holds_boot(self._device, self._boot):
            raise DiskCorrupt("the boot image was not kept by the disk")

    def _spool(
        self,
        source: ReleaseSource,
        spool: Spool,
        tally: Tally,
        bucket: TokenBucket,
        observe: Callable[[], None],
    ) -> None:
        digest, at = hashlib.sha256(), 0
        for piece in source.read_range(self._boot.path, 0, self._boot.size):
            bucket.take(len(piece))
            tally.add(fetched=len(piece))
            digest.update(piece)
            spool.put(at, piece)
            at += len(piece)
            observe()
        if digest.digest() != self._boot.sha256:
            raise Tampered(f"{source.describe}/{self._boot.path} is not the boot image that was signed")

    def _copy(self, read: Callable[[int, int], bytes], where: str) -> None:
        """Hashed once more on the way: what is written is what was signed, also if its copy rotted (I6)."""
        digest = hashlib.sha256()
        for at in range(0, self._boot.size, PIECE):
            digest.update(read(at, min(PIECE, self._boot.size - at)))
        if digest.digest() != self._boot.sha256:
            raise DiskCorrupt(f"{where} did not keep the boot image")
        for at in range(0, self._boot.size, PIECE):
            piece = read(at, min(PIECE, self._boot.size - at))
            whole = piece.ljust(-(-len(piece) // BLOCK) * BLOCK, b"\0")
            self._device.write(at, whole)
