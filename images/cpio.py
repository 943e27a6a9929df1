"""Archives that the kernel unpacks as its first root: cpio "newc" (Linux, initramfs buffer format).

Python has no writer of it, and those of the system read a folder in whatever order and with whatever owners
it has. Here equal contents give equal bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

_MAGIC = b"070701"
_LAST = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """One file. `name` without a leading slash; `mode` with the type; `device` as (major, minor)."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str, mode: int = 0o755) -> Entry:
    """A folder."""
    return Entry(name, stat.S_IFDIR | mode)


def file(name: str, data: bytes, mode: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(name, stat.S_IFREG | mode, data)


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def character_device(name: str, major: int, minor: int) -> Entry:
    """A character device that only root may use."""
    return Entry(name, stat.S_IFCHR | 0o600, device=(major, minor))


def pack(entries: Iterable[Entry]) -> bytes:
    """An archive of entries sorted by name, with every folder above them; all of root, all of 1970.

    Raises:
        ValueError: a name is there twice.
    """
    by_name: dict[str, Entry] = {}
    for entry in entries:
        if entry.name in by_name:
            raise ValueError(f"{entry.name} is there twice")
        by_name[entry.name] = entry
    for name in list(by_name):
        for parent in PurePosixPath(name).parents:
            if parent.name:
                by_name.setdefault(str(parent), folder(str(parent)))
    out = bytearray()
    for number, entry in enumerate(sorted(by_name.values(), key=lambda entry: entry.name.split("/")), 1):
        out += _one(number, entry)
    return bytes(out + _one(0, Entry(_LAST, 0)))


def _one(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    numbers = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    head = _MAGIC + b"".join(b"%08X" % value for value in numbers) + name
    return _padded(head) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
