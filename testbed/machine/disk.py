"""A machine's disk: one file, read and written by byte offset, partitions found by label."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

from warmroot.disk import gpt
from warmroot.disk.bootrecord import SECTOR, BootRecord, newest
from warmroot.disk.layout import BOOTSTATE, COPY_OFFSETS, Layout, Partition
from warmroot.errors import StepFailed


class Disk:
    """An open disk file. The firmware opens it at power-on and closes it when it hands over."""

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self.path = path
        self.writable = writable
        self._fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        self.size = os.fstat(self._fd).st_size

    def __enter__(self) -> Disk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at a byte offset of the disk; fewer at its end."""
        return os.pread(self._fd, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Writes at a byte offset of the disk and makes it durable."""
        os.pwrite(self._fd, data, offset)
        os.fdatasync(self._fd)

    def layout(self) -> Layout:
        """The partitions, from the disk's own table.

        Raises:
            ForeignDisk: the table is not one of ours.
        """
        return gpt.read(self.read, self.size)


class Volume:
    """One partition of a disk; offsets count from its start."""

    def __init__(self, disk: Disk, partition: Partition) -> None:
        self._disk = disk
        self._partition = partition
        self.size = partition.size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at an offset; nothing behind the partition's end."""
        length = max(0, min(length, self.size - offset))
        return self._disk.read(self._partition.start + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Writes at an offset.

        Raises:
            ValueError: the data would reach behind the partition's end.
        """
        if offset + len(data) > self.size:
            raise ValueError(f"{len(data)} bytes at {offset} do not fit into {self._partition.label}")
        self._disk.write(self._partition.start + offset, data)


def volume(disk: Disk, label: str) -> Volume:
    """The partition with this label.

    Raises:
        ForeignDisk: the disk's table is not one of ours.
    """
    return Volume(disk, disk.layout()[label])


def copies(disk: Disk) -> tuple[bytes, bytes]:
    """Both copies of the boot record as they are."""
    state = volume(disk, BOOTSTATE)
    first, second = (state.read(offset, SECTOR) for offset in COPY_OFFSETS)
    return first, second


def copy(disk: Path, target: Path) -> Path:
    """Copies a disk file with its holes; gives the copy.

    Raises:
        StepFailed: there is no room for it.
    """
    done = subprocess.run(
        ["cp", "--sparse=always", disk, target], capture_output=True, text=True, check=False
    )
    if done.returncode:
        free = shutil.disk_usage(target.parent).free // 2**20
        raise StepFailed(
            f"the disk can't be copied: {done.stderr.strip()}",
            hint=f"{free} MiB are free; free some, or work on the disk itself",
        )
    return target


def boot_record(path: Path) -> BootRecord | None:
    """The boot record that counts on a disk file, None if both copies are garbage.

    Raises:
        ForeignDisk: the disk's table is not one of ours.
    """
    with Disk(path, writable=False) as disk:
        return newest(*copies(disk))[1]
