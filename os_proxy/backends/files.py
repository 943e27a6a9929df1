"""The small files of the data partition: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warmroot.durable import sync_folder
from warmroot.errors import DiskFull, ReadOnlyDisk


class DataFolder:
    """A folder on the data partition."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        """See `Files.read`. A file that can't be read is unknown, like one that is lost."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """See `Files.write`."""
        target = self.folder / name
        beside = target.with_name(target.name + ".new")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(target)
            sync_folder(target.parent)
        except OSError as error:
            raise _refused(target, error) from error

    def names(self, folder: str) -> list[str]:
        """See `Files.names`."""
        try:
            return sorted(f"{folder}/{entry.name}" for entry in (self.folder / folder).iterdir())
        except OSError:
            return []

    def free(self) -> int:
        """See `Files.free`."""
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize

    @contextmanager
    def spool(self, name: str) -> Iterator[FileSpool]:
        """See `Files.spool`. The file has no name, so that a killed proxy leaves nothing behind."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder, prefix=name) as file:
                yield FileSpool(self.folder / name, file.fileno())
        except OSError as error:
            raise _refused(self.folder / name, error) from error


class FileSpool:
    """A file without a name."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def put(self, offset: int, data: bytes) -> None:
        """See `Spool.put`."""
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._descriptor, data[done:], offset + done)
        except OSError as error:
            raise _refused(self._path, error) from error

    def get(self, offset: int, length: int) -> bytes:
        """See `Spool.get`."""
        return os.pread(self._descriptor, length, offset)


def _refused(path: Path, error: OSError) -> DiskFull | ReadOnlyDisk:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space for {path}")
    return ReadOnlyDisk(f"{path} can't be kept: {error.strerror}")
