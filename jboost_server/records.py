"""Small objects of the store, read whole and changed by one conditional write each.

Replicas of the service agree through these writes alone: whoever loses one reads again and decides anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from jboost_server.store.port import ObjectStore
from warmroot.errors import NoObject, StoreBroken, StoreUnavailable, WriteLost

T = TypeVar("T")

MAX_RECORD = 64 * 2**20
"""Bytes of one small object; the largest is a merge."""
ROUNDS = 12
"""How often a lost write is decided anew. Writers of one object are few, and one of them wins each round."""


@dataclass(frozen=True)
class Record(Generic[T]):
    """A decoded object and the version that it was read from."""

    value: T
    etag: str


def read(store: ObjectStore, name: str, decode: Callable[[bytes], T]) -> Record[T] | None:
    """The object, None if there is none.

    Raises:
        StoreError: it can't be read, or it is not what was written.
    """
    try:
        with store.get(name) as opened:
            if opened.stat.size > MAX_RECORD:
                raise StoreBroken(f"{name} has {opened.stat.size} bytes, more than we ever write")
            data, etag = b"".join(opened.chunks), opened.stat.etag
    except NoObject:
        return None
    return Record(decode(data), etag)


def write_new(store: ObjectStore, name: str, data: bytes) -> bool:
    """Writes the object unless there is one; says whether it did.

    A write that is lost to another one, which fails itself, is tried again: S3 answers 409 to both.

    Raises:
        StoreError: it can't be written.
    """
    for _ in range(ROUNDS):
        try:
            store.put_new(name, [data], len(data))
        except WriteLost:
            if is_there(store, name):
                return False
            continue
        return True
    raise StoreUnavailable(f"{name} is written by too many at once", hint="ask again in a moment")


def is_there(store: ObjectStore, name: str) -> bool:
    """Whether there is an object of this name.

    Raises:
        StoreError: the store does not say.
    """
    try:
        store.stat(name)
    except NoObject:
        return False
    return True


def upload_new(store: ObjectStore, name: str, chunks: Iterable[bytes], size: int) -> bool:
    """Writes an object whose chunks come only once, unless there is one; says whether it did.

    Raises:
        StoreUnavailable: the write was lost to one that failed itself.
        StoreError: it can't be written. What `chunks` raises passes.
    """
    try:
        store.put_new(name, chunks, size)
    except WriteLost:
        if is_there(store, name):
            return False
        raise StoreUnavailable(
            f"another upload of {name} was first, and failed", hint="send it again"
        ) from None
    return True


def write_over(store: ObjectStore, name: str, data: bytes, etag: str | None) -> None:
    """Writes the object over the version that was read; None for none.

    Raises:
        WriteLost: somebody else wrote first.
        StoreError: it can't be written.
    """
    if etag is None:
        store.put_new(name, [data], len(data))
    else:
        store.put_over(name, [data], len(data), etag)


def change(
    store: ObjectStore,
    name: str,
    decode: Callable[[bytes], T],
    encode: Callable[[T], bytes],
    decide: Callable[[T | None], T | None],
) -> T | None:
    """Reads, decides, writes; again if the write was lost. Returns what stands then.

    `decide` gets what is there, and gives what is to be there, or None to leave it. What it raises passes.

    Raises:
        StoreUnavailable: others wrote first each time.
        StoreError: it can't be read or written.
    """
    for _ in range(ROUNDS):
        found = read(store, name, decode)
        old = found.value if found else None
        new = decide(old)
        if new is None or new == old:
            return old
        try:
            write_over(store, name, encode(new), found.etag if found else None)
        except WriteLost:
            continue
        return new
    raise StoreUnavailable(f"{name} is written by too many at once", hint="ask again in a moment")
