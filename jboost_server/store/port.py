"""What an object store promises. Whatever happens in between, an object is whole or it does not exist.

Bytes stream both ways. Every write names what it expects to find, so that replicas of the service need no
other agreement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from warmroot.canonical import check
from warmroot.errors import TooLarge, UploadCut

CHUNK = 256 * 1024
"""Bytes that are read or written at a time, unless a reader asks for more."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,7}")
_PREFIX = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,127}/){0,8}")


@dataclass(frozen=True)
class Stat:
    """One object: its name, size in bytes and `etag`, which is equal only for equal bytes.

    `modified` in seconds since 1970 by the store's clock; 0 where a write returned this.
    """

    name: str
    size: int
    etag: str
    modified: int = field(default=0, compare=False)


@dataclass(frozen=True)
class InFile:
    """Bytes that are in an open file: `size` of them from `offset` on."""

    descriptor: int
    offset: int
    size: int


@dataclass(frozen=True)
class Content:
    """An opened object, or a range of it: of one version, even if another is written meanwhile.

    `file` is where the same bytes are, for a store of files.
    """

    stat: Stat
    chunks: Iterator[bytes]
    file: InFile | None = None


class ObjectStore(Protocol):
    """Where objects are. Any method may raise StoreUnavailable and StoreBroken; for a wrong name, ValueError.

    A name is one to eight segments of A-Z a-z 0-9 . _ -, each of which begins with a letter or digit.
    Nothing is promised for a name that is the folder of another one: not every S3 server can keep both.
    """

    def stat(self, name: str) -> Stat:
        """What there is of that name.

        Raises:
            NoObject: nothing.
        """

    def get(
        self, name: str, start: int = 0, end: int | None = None, *, chunk: int = CHUNK
    ) -> AbstractContextManager[Content]:
        """Opens the bytes from `start` up to but not including `end`, which may lie behind the object's.

        They come at most `chunk` bytes at a time.

        Raises:
            NoObject: there is nothing of that name.
            BadRange: the range is empty, or begins behind the object.
        """

    def put_new(self, name: str, chunks: Iterable[bytes], size: int) -> Stat:
        """Writes an object of exactly `size` bytes, if there is none of that name.

        Raises:
            WriteLost: there is one.
            UploadCut: fewer bytes came; TooLarge: more. What `chunks` raises passes through.
            StoreFull: no space left.
        """

    def put_over(self, name: str, chunks: Iterable[bytes], size: int, etag: str) -> Stat:
        """Writes an object of exactly `size` bytes over the version with that etag.

        Raises:
            WriteLost: there is another version, or none.
            UploadCut, TooLarge, StoreFull: as for `put_new`.
        """

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Objects whose names begin with a prefix, which is empty or ends with `/`; sorted by name."""

    def delete(self, name: str) -> None:
        """Takes an object away; it is no error if there is none."""


@runtime_checkable
class PresigningStore(Protocol):
    """A store that whoever has an address may read from directly."""

    def presigned(self, name: str) -> str:
        """An address from which the object can be read for a few minutes, without credentials."""


def check_name(name: str) -> None:
    """Raises ValueError unless this is a name of an object."""
    check(bool(_NAME.fullmatch(name)), f"{name!r} is no name of an object")


def check_prefix(prefix: str) -> None:
    """Raises ValueError unless this is empty, or folders that end with `/`."""
    check(bool(_PREFIX.fullmatch(prefix)), f"{prefix!r} is no prefix of names")


def exactly(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The chunks, as long as they make up `size` bytes in all.

    Raises:
        UploadCut: they end before.
        TooLarge: they go on; at most one chunk too much was read.
    """
    left = size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise TooLarge(f"more than the promised {size} bytes")
        yield chunk
    if left:
        raise UploadCut(f"{left} of {size} bytes did not come")
