"""/etc brought in line with a set of files: each whole or as it was, and what is gone is the image's again.

Nothing is written through a link, and nothing that a person wrote is lost: it is kept beside.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from os_proxy.core.configuration import Rendered
from os_proxy.ports import Files
from warmroot.errors import ConfigRefused, NodeError

PLACED = "config/placed.json"
KEPT = "config/replaced"
_BESIDE = ".warmroot-new"


@dataclass(frozen=True)
class _File:
    """A plain file as it lies there."""

    data: bytes
    mode: int
    owner: tuple[int, int] = (0, 0)
    """User and group, by number."""


class Etc:
    """`root` is the running system's root, `image` the same without what was laid over it."""

    def __init__(self, root: Path, image: Path, files: Files) -> None:
        self._root, self._image, self._files = root, image, files

    def bring(self, wanted: Mapping[str, Rendered]) -> list[str]:
        """Makes /etc have these files; gives the paths that changed. Cut off, it is done by doing it again.

        Raises:
            ConfigRefused: a folder on the way is a link or a file.
            NodeError: /etc, or the note of what lies there, can't be written.
        """
        placed = self._placed()
        self._note({**dict.fromkeys(wanted, ""), **placed})
        gone = sorted(set(placed) - set(wanted))
        try:
            changed = [path for path in gone if self._restore(path, placed[path])]
            for path, file in sorted(wanted.items()):
                if self._write(path, file, placed.get(path, "")):
                    changed.append(path)
        except OSError as error:
            raise NodeError(f"{error.filename} can't be brought in line: {error.strerror}") from error
        self._note({path: _digest(file.data) for path, file in wanted.items()})
        return changed

    def _placed(self) -> dict[str, str]:
        """What we put there, by path, with its digest; none is known where the note is lost."""
        try:
            found = json.loads(self._files.read(PLACED) or b"{}")
        except ValueError:
            return {}
        sound = isinstance(found, dict) and all(isinstance(one, str) for one in found.values())
        return found if sound else {}

    def _note(self, placed: Mapping[str, str]) -> None:
        self._files.write(PLACED, json.dumps(placed, sort_keys=True).encode())

    def _write(self, path: str, file: Rendered, ours: str) -> bool:
        with self._folder(path, make=True) as folder:
            name = path.rpartition("/")[2]
            found, original = _read(folder, name), self._original(path)
            # Who reads a file of the image goes on to: it stays whose it was.
            owner = original.owner if original else (os.geteuid(), os.getegid())
            wanted = _File(file.data, file.mode, owner)
            if found == wanted:
                return False
            self._keep(path, found, ours)
            _put(folder, name, wanted)
        return True

    def _restore(self, path: str, ours: str) -> bool:
        """The image's file, or none."""
        try:
            with self._folder(path, make=False) as folder:
                name = path.rpartition("/")[2]
                _drop(folder, name + _BESIDE)  # of a change that was cut off
                found, original = _read(folder, name), self._original(path)
                if found == original:
                    return False
                self._keep(path, found, ours)
                if original is None:
                    os.unlink(name, dir_fd=folder)
                    os.fsync(folder)
                else:
                    _put(folder, name, original)
        except FileNotFoundError:
            return False
        return True

    def _original(self, path: str) -> _File | None:
        try:
            with _opened(self._image, path, make=False) as folder:
                return _read(folder, path.rpartition("/")[2])
        except (FileNotFoundError, ConfigRefused):
            return None

    def _keep(self, path: str, found: _File | None, ours: str) -> None:
        """What somebody else wrote there is kept: neither the image nor we have it."""
        original = self._original(path)
        if found is None or _digest(found.data) == ours or (original and found.data == original.data):
            return
        self._files.write(f"{KEPT}{path}", found.data)

    def _folder(self, path: str, *, make: bool) -> AbstractContextManager[int]:
        return _opened(self._root, path, make=make)


@contextmanager
def _opened(root: Path, path: str, *, make: bool) -> Iterator[int]:
    """The folder of a file, reached without following a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.strip("/").split("/")[:-1]:
            try:
                if make:
                    _make(part, folder)
                below = os.open(part, flags, dir_fd=folder)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise ConfigRefused(f"{path}: {part} on the way to it is a link or a file") from error
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _make(name: str, folder: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        return
    os.chmod(name, 0o755, dir_fd=folder)  # noqa: S103 - as any folder of /etc; a umask may have taken it


def _read(folder: int, name: str) -> _File | None:
    """A plain file; None for anything else."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        about = os.fstat(opened.fileno())
        if not stat.S_ISREG(about.st_mode):
            return None
        return _File(opened.read(), stat.S_IMODE(about.st_mode), (about.st_uid, about.st_gid))


def _put(folder: int, name: str, wanted: _File) -> None:
    beside = name + _BESIDE
    _drop(folder, beside)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, 0o600, dir_fd=folder), "wb") as file:
        file.write(wanted.data)
        file.flush()
        os.fchown(file.fileno(), *wanted.owner)
        os.fchmod(file.fileno(), wanted.mode)
        os.fsync(file.fileno())
    os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def _drop(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
