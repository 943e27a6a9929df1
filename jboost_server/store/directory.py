"""Objects in a directory: the embedded default, for one machine or a shared file system with locks.

An object is a file `NAME~`: content, then its sha256 and a mark. The tail makes an etag that survives copies
of the directory, and tells a whole object from whatever a crash of the machine left. Bytes go to a file in
`.new` first and are on disk before the object gets its name, by link (which never overwrites) or by rename.
A killed writer leaves its file there, unlocked: nobody reads it, and `sweep` takes it away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from jboost_server.store.port import CHUNK, Content, InFile, Stat, check_name, check_prefix, exactly
from warmroot.durable import sync_folder
from warmroot.errors import BadRange, NoObject, StoreBroken, StoreFull, WriteLost

_MARK = b"warmroot-object1"
_TAIL = hashlib.sha256().digest_size + len(_MARK)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DirectoryStore:
    """An `ObjectStore` below one folder, which it makes. Threads and processes may share it."""

    def __init__(self, root: Path) -> None:
        """Opens the store.

        Raises:
            StoreBroken: the folder can't be made.
        """
        self._root = root
        self._new = root / ".new"
        with _named_errors(f"the store {root}"):
            self._make_folder(self._new)

    def stat(self, name: str) -> Stat:
        """As the port says."""
        with self._open(name) as (_, found):
            return found

    @contextmanager
    def get(
        self, name: str, start: int = 0, end: int | None = None, *, chunk: int = CHUNK
    ) -> Iterator[Content]:
        """As the port says."""
        with self._open(name) as (handle, found):
            stop = found.size if end is None else min(end, found.size)
            whole = start == 0 and end is None
            if not whole and not 0 <= start < stop:
                raise BadRange(f"{name} has {found.size} bytes, none from {start} to {end}")
            handle.seek(start)
            file = InFile(handle.fileno(), start, stop - start)
            yield Content(found, _read(handle, stop - start, name, chunk), file)

    def put_new(self, name: str, chunks: Iterable[bytes], size: int) -> Stat:
        """As the port says."""
        check_name(name)
        path = self._path(name)
        with self._written(name, chunks, size) as (new, stat):
            self._make_folder(path.parent)
            try:
                os.link(new, path)
            except FileExistsError:
                raise WriteLost(f"{name} exists") from None
            sync_folder(path.parent)
        return stat

    def put_over(self, name: str, chunks: Iterable[bytes], size: int, etag: str) -> Stat:
        """As the port says."""
        check_name(name)
        path = self._path(name)
        with self._written(name, chunks, size) as (new, stat), self._changing():
            try:
                current = self.stat(name).etag
            except NoObject:
                raise WriteLost(f"{name} was deleted") from None
            if current != etag:
                raise WriteLost(f"{name} was written by somebody else")
            new.replace(path)
            sync_folder(path.parent)
        return stat

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """As the port says."""
        check_prefix(prefix)
        with _named_errors(f"the store {self._root}"):
            names = sorted(self._names(self._root / prefix))
        for name in names:
            with contextlib.suppress(NoObject):  # deleted meanwhile
                yield self.stat(name)

    def delete(self, name: str) -> None:
        """As the port says."""
        check_name(name)
        path = self._path(name)
        with (
            _named_errors(name),
            self._changing(),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
        ):
            path.unlink()
            sync_folder(path.parent)

    def sweep(self) -> int:
        """Takes away what killed writers left; returns how many files. Living writers are not disturbed."""
        count = 0
        with _named_errors(f"the store {self._root}"):
            for path in self._new.glob("*.part"):
                with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as handle:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    count += 1
        return count

    def _path(self, name: str) -> Path:
        return self._root / f"{name}~"  # no name has a ~, so that nothing foreign is taken for an object

    def _names(self, folder: Path) -> Iterator[str]:
        for path in folder.rglob("*~"):
            relative = path.relative_to(self._root)
            if relative.parts[0] != self._new.name and path.is_file():
                with contextlib.suppress(ValueError):  # a file that is no object of ours
                    check_name(name := relative.as_posix().removesuffix("~"))
                    yield name

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[BinaryIO, Stat]]:
        check_name(name)
        with contextlib.ExitStack() as stack:
            with _named_errors(name):
                try:
                    handle = stack.enter_context(self._path(name).open("rb", buffering=0))
                except (FileNotFoundError, NotADirectoryError):
                    raise NoObject(f"there is no {name}") from None
                found = Stat(name, *_tail(handle, name))
            yield handle, found

    @contextmanager
    def _written(self, name: str, chunks: Iterable[bytes], size: int) -> Iterator[tuple[Path, Stat]]:
        """A file with the whole object, on disk, in a folder that nobody reads."""
        digest = hashlib.sha256()
        with self._part(name) as (path, handle):
            for chunk in exactly(chunks, size):  # its own errors are the sender's, not the store's
                digest.update(chunk)
                with _named_errors(name):
                    _write(handle, chunk)
            with _named_errors(name):
                _write(handle, digest.digest() + _MARK)
                os.fsync(handle.fileno())
                yield path, Stat(name, size, digest.hexdigest())

    @contextmanager
    def _part(self, name: str) -> Iterator[tuple[Path, RawIOBase]]:
        """A new file, locked as long as its writer lives."""
        with contextlib.ExitStack() as stack:
            while True:
                with _named_errors(name):
                    path = self._new / f"{uuid.uuid4().hex}.part"
                    handle = stack.enter_context(path.open("xb", buffering=0))
                    fcntl.flock(handle, fcntl.LOCK_EX)
                if path.exists():  # or else it was swept between open and lock
                    break
            try:
                yield path, handle
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Holds the lock under which versions are compared and changed. Bytes are never written under it."""
        with (self._new / "lock").open("wb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self._root:
            self._make_folder(folder.parent)
        folder.mkdir(parents=folder == self._root, exist_ok=True)
        sync_folder(folder.parent)


def _tail(handle: BinaryIO, name: str) -> tuple[int, str, int]:
    """Size, etag and time of an object's file."""
    found = os.fstat(handle.fileno())
    size = found.st_size - _TAIL
    if size >= 0:
        tail = os.pread(handle.fileno(), _TAIL, size)
        if tail.endswith(_MARK):
            return size, tail[: -len(_MARK)].hex(), int(found.st_mtime)
    raise StoreBroken(f"the file of {name} is no whole object")


def _read(handle: BinaryIO, left: int, name: str, most: int) -> Iterator[bytes]:
    with _named_errors(name):
        while left:
            chunk = handle.read(min(left, most))
            if not chunk:
                raise StoreBroken(f"the file of {name} became shorter")
            left -= len(chunk)
            yield chunk


def _write(handle: RawIOBase, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[handle.write(view) or 0 :]


@contextmanager
def _named_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = StoreFull if error.errno in _FULL else StoreBroken
        raise kind(f"{what}: {error.strerror or error}") from error
