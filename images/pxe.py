"""What a network starts to install a machine: kernel, initrd with the installer, and the disk in chunks.

Chunks are named by their sha256, and the list of them is in the initrd: whoever trusts kernel and initrd need
not trust where the chunks come from (ADR 20). Zeros are not sent. The program is `images/boot/install`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from images import cpio
from warmroot.disk.gpt import SECTOR
from warmroot.disk.layout import MIB
from warmroot.release.manifest import Manifest, digest

NAME = "pxe"
CHUNK = 4
"""MiB; the installer takes no more of one answer."""
_LIST = "disk.list"
_SCRIPT = """\
#!ipxe
# Starts the installer of {release}. Correct the address: it is where this folder is served.
set base http://SERVER/pxe
kernel ${{base}}/vmlinuz initrd=initrd wr.source=${{base}} console=tty0 console=ttyS0
initrd ${{base}}/initrd
boot
"""


@dataclass(frozen=True)
class Piece:
    """Part of a disk: `count` MiB from MiB `first`; `digest` is its sha256 in hex, None where it is zero."""

    first: int
    count: int
    digest: str | None

    def __str__(self) -> str:
        """As the installer reads it."""
        kind, *rest = ("zero",) if self.digest is None else ("data", self.digest)
        return " ".join((kind, str(self.first), str(self.count), *rest))


def write(built: Path, manifest: Manifest, vmlinuz: bytes, installer: bytes) -> None:
    """Makes the set beside the disk in a release's folder; `installer` is the initrd without its list.

    Raises:
        OSError: the disk can't be read, or the set not written.
    """
    disk, folder = built / "disk.raw", built / NAME
    chunks = folder / "chunks"
    chunks.mkdir(parents=True)
    pieces = joined(_pieces(disk, chunks))
    release = f"{manifest.product} {manifest.version}"
    head = [f"release {release} {digest(manifest.encode())}", f"sectors {disk.stat().st_size // SECTOR}"]
    listed = "".join(f"{line}\n" for line in (*head, *pieces))
    (folder / "vmlinuz").write_bytes(vmlinuz)
    # The kernel unpacks one archive after the other, as it does with microcode.
    (folder / "initrd").write_bytes(cpio.pack([cpio.file(_LIST, listed.encode())]) + installer)
    (folder / "install.ipxe").write_text(_SCRIPT.format(release=release))


def joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same, with zeros that follow one another as one piece."""
    last: Piece | None = None
    for piece in pieces:
        if last and last.digest is None and piece.digest is None and last.first + last.count == piece.first:
            last = Piece(last.first, last.count + piece.count, None)
            continue
        if last:
            yield last
        last = piece
    if last:
        yield last


def _pieces(disk: Path, chunks: Path) -> Iterator[Piece]:
    """In the order in which they are written: the first MiB, with partition table and boot code, last."""
    size = disk.stat().st_size // MIB
    spans = [*((at, min(CHUNK, size - at)) for at in range(1, size, CHUNK)), (0, 1)]
    with disk.open("rb") as file:
        for first, count in spans:
            file.seek(first * MIB)
            data = file.read(count * MIB)
            if not data.strip(b"\0"):
                yield Piece(first, count, None)
                continue
            named = hashlib.sha256(data).hexdigest()
            (chunks / named).write_bytes(data)
            yield Piece(first, count, named)
