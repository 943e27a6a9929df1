"""A node's disk as a file: partition table, BOOTSTATE, a release in each slot, and GRUB in front of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from images import datafs
from warmroot.disk import bootstate, gpt, layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import Layout, Partition
from warmroot.errors import UserError

_CHUNK = 1024 * 1024


class Loaders(Protocol):
    """What firmware starts from a disk."""

    def pieces(self, disk: Layout) -> list[tuple[int, bytes]]:
        """Where its bytes belong, as (byte offset, bytes).

        Raises:
            UserError: they do not fit.
            NotInstalled, StepFailed: a tool is missing or failed.
        """


def install(
    disk: Path,
    planned: Layout,
    releases: Mapping[Slot, tuple[Path, Path]],
    record: BootRecord,
    *,
    grub: Loaders | None,
    notes: Mapping[str, bytes] | None = None,
) -> None:
    """Create `disk` as a sparse file; `releases` gives a slot's (boot.img, root.img).

    A slot without a release stays zero. With `notes` (bytes by path) the data partition gets a file system
    with them. Without, and without `grub`, no firmware can start the disk: enough for a simulated machine.

    Raises:
        UserError: the file exists already, or an image is larger than its partition; nothing is left behind.
        NotInstalled, StepFailed: mke2fs is missing or failed; nothing is left behind.
    """
    try:
        with disk.open("xb") as file:
            file.truncate(planned.disk_size)
            _fill(file, planned, releases, record, grub)
        if notes is not None:
            datafs.make(disk, planned[layout.DATA], notes)
    except FileExistsError:
        raise UserError(f"{disk} exists already", hint="name a new file, or remove this one first") from None
    except BaseException:
        disk.unlink(missing_ok=True)
        raise


def _fill(
    file: BinaryIO,
    planned: Layout,
    releases: Mapping[Slot, tuple[Path, Path]],
    record: BootRecord,
    grub: Loaders | None,
) -> None:
    pieces = gpt.write(planned)
    pieces.append((planned[layout.BOOTSTATE].start, bootstate.image(record)))
    if grub is not None:
        pieces += grub.pieces(planned)
    for offset, data in pieces:
        _write_sparse(file, offset, data)
    for slot, (boot, root) in releases.items():
        _copy(file, boot, planned[layout.boot(slot)])
        _copy(file, root, planned[layout.root(slot)])


def _copy(file: BinaryIO, image: Path, home: Partition) -> None:
    size = image.stat().st_size
    if size > home.size:
        raise UserError(
            f"{image.name} has {size} bytes, partition {home.label} only {home.size}",
            hint="plan the disk with larger slots",
        )
    offset = home.start
    with image.open("rb") as source:
        while chunk := source.read(_CHUNK):
            _write_sparse(file, offset, chunk)
            offset += len(chunk)


def _write_sparse(file: BinaryIO, offset: int, data: bytes) -> None:
    """Write what is not zero: the file is new, so its holes already read as zeros."""
    zeros = bytes(_CHUNK)
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        if chunk != zeros[: len(chunk)]:
            file.seek(offset + start)
            file.write(chunk)
