"""Disks as the engine wants them: past the page cache, and never outside of a partition.

O_DIRECT is what makes a boot record write one sector (a buffered one reaches the disk as eight) and a
read-back a read of the medium; O_DSYNC is what keeps copy 1 before copy 2 (node.md, Boot record). Where a
file system refuses O_DIRECT, as tmpfs does on older kernels, plain O_DSYNC and POSIX_FADV_DONTNEED stand in.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from os_proxy.ports import BlockDevice, SlotDevices
from warmroot.disk import bootstate, gpt, layout
from warmroot.disk.bootrecord import SECTOR, Slot
from warmroot.errors import Bug, DiskCorrupt, DiskFull, NodeError, ReadOnlyDisk, SlotRefused, UserError
from warmroot.release.verity import Buffer

ALIGN = 4096
PIECE = 1024 * 1024
"""Bytes of one transfer, and of each thread's aligned buffer."""
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


class FileDevice:
    """A file or block device. Threads may share it: every transfer names its offset."""

    def __init__(self, path: Path, *, exclusive: bool = False) -> None:
        """Opens it; a medium that can't be written is opened to read.

        Raises:
            UserError: there is no such file.
            SlotRefused: `exclusive` and somebody has the block device open.
        """
        self.path = path
        flags = os.O_CLOEXEC | (os.O_EXCL if exclusive and path.is_block_device() else 0)
        self.writable, self._buffered = _open_best(path, flags)
        access = flags & ~os.O_EXCL | (os.O_RDWR if self.writable else os.O_RDONLY)
        self._direct = _try_open(path, access | os.O_DIRECT)
        synced = access | os.O_DSYNC
        self._synced = _try_open(path, synced | os.O_DIRECT)
        if self._synced is None:
            self._synced = os.open(path, synced)
        self._size = os.lseek(self._buffered, 0, os.SEEK_END)
        self._local = threading.local()

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def lock(self) -> None:
        """Makes this process the only proxy on the disk, as long as it lives.

        Raises:
            UserError: another one has it.
        """
        try:
            fcntl.flock(self._buffered, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another proxy works on {self.path}", hint="end that one first") from error

    def read(self, offset: int, length: int) -> bytes:
        """See `BlockDevice.read`."""
        start = offset - offset % ALIGN
        end = min(-(-(offset + length) // ALIGN) * ALIGN, self._size)
        out = bytearray()
        try:
            if end - start <= PIECE:
                return bytes(self._read_piece(start, end - start)[offset - start : offset - start + length])
            while start + len(out) < end:
                out += self._read_piece(start + len(out), min(PIECE, end - start - len(out)))
        except OSError as error:
            raise DiskCorrupt(f"{self.path} can't be read at {offset}: {error.strerror}") from error
        return bytes(memoryview(out)[offset - start : offset - start + length])

    def _read_piece(self, offset: int, length: int) -> memoryview:
        buffer = self._aligned()[:length]
        got = _direct_or_none(self._direct, os.preadv, buffer, offset)
        if got is None:
            os.posix_fadvise(self._buffered, offset, length, os.POSIX_FADV_DONTNEED)
            got = os.preadv(self._buffered, [buffer], offset)
        if got == 0:
            raise DiskCorrupt(f"{self.path} ends at {offset}")
        return buffer[:got]

    def write(self, offset: int, data: Buffer) -> None:
        """See `BlockDevice.write`."""
        view = memoryview(data)
        with _written(self.path):
            for at in range(0, len(view), PIECE):
                self._write_piece(offset + at, view[at : at + PIECE])

    def _write_piece(self, offset: int, data: memoryview) -> None:
        buffer = self._aligned()[: len(data)]
        buffer[:] = data
        done = 0
        if offset % ALIGN == 0 and len(data) % ALIGN == 0:
            done = _direct_or_none(self._direct, os.pwritev, buffer, offset) or 0
        while done < len(data):
            done += os.pwrite(self._buffered, buffer[done:], offset + done)

    def write_through(self, offset: int, sector: bytes) -> None:
        """See `BlockDevice.write_through`."""
        if len(sector) != SECTOR or offset % SECTOR:
            raise Bug(f"a write of {len(sector)} bytes at {offset} is not one sector")
        buffer = self._aligned()[:SECTOR]
        buffer[:] = sector
        with _written(self.path):
            written = _direct_or_none(self._synced, os.pwritev, buffer, offset)
            if written is None:  # a medium of 4096-byte sectors takes no smaller direct write
                written = os.pwrite(self._buffered, buffer, offset)
                os.fsync(self._buffered)
        if written != SECTOR:
            raise ReadOnlyDisk(f"only {written} of {SECTOR} bytes were written at {offset} of {self.path}")

    def flush(self) -> None:
        """See `BlockDevice.flush`."""
        with _written(self.path):
            os.fsync(self._buffered)

    def close(self) -> None:
        """Gives the file and its locks back."""
        for descriptor in (self._buffered, self._direct, self._synced):
            if descriptor is not None:
                os.close(descriptor)

    def _aligned(self) -> memoryview:
        """The page-aligned buffer of the calling thread; O_DIRECT takes no other."""
        buffer: memoryview | None = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = memoryview(mmap.mmap(-1, PIECE))
        return buffer


class Window:
    """A part of a device. Nothing outside of it can be reached."""

    def __init__(self, device: BlockDevice, start: int, size: int) -> None:
        self._device, self._start, self._size = device, start, size

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """See `BlockDevice.read`."""
        return self._device.read(self._inside(offset, length), length)

    def write(self, offset: int, data: Buffer) -> None:
        """See `BlockDevice.write`."""
        self._device.write(self._inside(offset, len(data)), data)

    def write_through(self, offset: int, sector: bytes) -> None:
        """See `BlockDevice.write_through`."""
        self._device.write_through(self._inside(offset, len(sector)), sector)

    def flush(self) -> None:
        """See `BlockDevice.flush`."""
        self._device.flush()

    def _inside(self, offset: int, length: int) -> int:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise Bug(f"bytes {offset}..{offset + length} are outside of a partition of {self._size}")
        return self._start + offset


class LaidOutDisk:
    """A device with our partition table. Checked once; the table of a running node never changes."""

    def __init__(self, device: BlockDevice, *, path: Path | None = None) -> None:
        """Reads the table.

        Raises:
            ForeignDisk: it is not ours, or BOOTSTATE is not what GRUB expects. Nothing was written.
        """
        self._device = device
        self._path = path
        self.layout = gpt.read(device.read, device.size)
        self.bootstate: BlockDevice = self._window(layout.BOOTSTATE)
        bootstate.check(self.bootstate.read)

    def slot(self, slot: Slot) -> SlotDevices:
        """See `Disk.slot`."""
        return SlotDevices(self._window(layout.root(slot)), self._window(layout.boot(slot)))

    @contextmanager
    def exclusive(self, slot: Slot) -> Iterator[SlotDevices]:
        """See `Disk.exclusive`. Partitions of a block device are opened on their own: so a mount is seen."""
        if self._path is None or not self._path.is_block_device():
            yield self.slot(slot)
            return
        root = FileDevice(partition_node(self._path, self.layout[layout.root(slot)].number), exclusive=True)
        try:
            boot = FileDevice(
                partition_node(self._path, self.layout[layout.boot(slot)].number), exclusive=True
            )
            try:
                yield SlotDevices(root, boot)
            finally:
                boot.close()
        finally:
            root.close()

    def _window(self, label: str) -> Window:
        partition = self.layout[label]
        return Window(self._device, partition.start, partition.size)


def partition_node(disk: Path, number: int) -> Path:
    """The device node of a partition, as the kernel's sysfs names it.

    Raises:
        NodeError: the kernel knows no such partition.
    """
    device = disk.stat().st_rdev
    folder = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    for entry in folder.glob("*/partition"):
        if entry.read_text().strip() == str(number):
            return Path("/dev") / entry.parent.name
    raise NodeError(f"the kernel knows no partition {number} of {disk}", hint="run partprobe, or reboot")


def _open_best(path: Path, flags: int) -> tuple[bool, int]:
    try:
        return True, os.open(path, flags | os.O_RDWR)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise SlotRefused(f"{path} is in use", hint="unmount it; only the proxy writes slots") from error
        if error.errno not in _REFUSED:
            hint = "name the disk with --disk"
            raise UserError(f"{path} can't be opened: {error.strerror}", hint=hint) from error
    try:
        return False, os.open(path, flags | os.O_RDONLY)
    except OSError as error:
        hint = "the proxy needs to read and write the disk"
        raise UserError(f"{path} can't be opened: {error.strerror}", hint=hint) from error


def _try_open(path: Path, flags: int) -> int | None:
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) and not stat.S_ISBLK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path} is neither a file nor a block device", hint="name the disk with --disk")
    return descriptor


def _direct_or_none(
    descriptor: int | None, transfer: Callable[..., int], buffer: memoryview, offset: int
) -> int | None:
    """The transfer through O_DIRECT; None where it is not to be had for this size."""
    if descriptor is None:
        return None
    try:
        return transfer(descriptor, [buffer], offset)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{path} has no space for a write") from error
        raise ReadOnlyDisk(f"a write to {path} was refused: {error.strerror}") from error
