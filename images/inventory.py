"""Every file of a root file system, in a form that two releases can be compared by."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from warmroot.errors import UserError

NAME = "contents.jsonl"
"""The list's name in a release's folder: one file a line, sorted by path."""


@dataclass(frozen=True)
class Entry:
    """One file.

    `kind` is file, folder, link or other; `mode` octal, with the bits for set-user-id, set-group-id and
    sticky; `size` in bytes; `content` the sha256 (hex) of a file's bytes, the target of a link, else empty.
    """

    path: str
    kind: str
    mode: str
    uid: int
    gid: int
    size: int
    content: str


def take(tree: Path, *, owned_by_root: bool) -> tuple[Entry, ...]:
    """All files of a tree, sorted by path. `owned_by_root`: the image will say that root owns all of them.

    Raises:
        OSError: something in it can't be read.
    """
    return tuple(
        sorted((_entry(tree, path, owned_by_root) for path in _below(tree)), key=lambda entry: entry.path)
    )


def write(entries: tuple[Entry, ...], path: Path) -> None:
    """Writes a list.

    Raises:
        OSError: it can't be written.
    """
    path.write_text("".join(json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in entries))


def read(path: Path) -> tuple[Entry, ...]:
    """The list in a file.

    Raises:
        UserError: it is not there, or no such list.
    """
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
        return tuple(Entry(**line) for line in lines)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}", hint="name a folder that `warmroot image build` made"
        ) from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is no list of files: {error}", hint="build the release again") from error


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _entry(tree: Path, path: Path, owned_by_root: bool) -> Entry:
    info = path.lstat()
    kind, size, content = "other", 0, ""
    if stat.S_ISLNK(info.st_mode):
        kind, content = "link", str(path.readlink())
    elif stat.S_ISDIR(info.st_mode):
        kind = "folder"
    elif stat.S_ISREG(info.st_mode):
        kind, size = "file", info.st_size
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    uid, gid = (0, 0) if owned_by_root else (info.st_uid, info.st_gid)
    mode = f"{stat.S_IMODE(info.st_mode):04o}"
    return Entry(f"/{path.relative_to(tree)}", kind, mode, uid, gid, size, content)
