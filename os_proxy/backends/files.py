"""The small files of the data partition: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

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
            _sync_folder(target.parent)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(f"no space for {name} in {self.folder}") from error
            raise ReadOnlyDisk(f"{name} can't be kept in {self.folder}: {error.strerror}") from error

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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
