"""Further kernel arguments of a slot: one 512-byte sector of BOOTSTATE that the boot loader only reads.

A GRUB environment file like the copies of the boot record. Its revision is the first line and the last, so
that a sector of which a part was written is no arguments at all. There is one for each slot and no second
copy: it is written only for the slot that is neither good nor running, and a start without these arguments is
one with the image's own (ADR 23). `words` is the model of `wr_arguments` in `images/boot/decide.cfg`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from warmroot.disk import envblock
from warmroot.nodeconfig import NONE, arguments_revision

MARK = "wr.args="
"""The word in front of them on the kernel command line; their revision follows it."""
DAMAGED = "0" * 16
"""The revision of arguments of which something was lost."""
_REVISION = re.compile(rb"[0-9a-f]{16}")


def encode(arguments: Sequence[str]) -> bytes:
    """The sector of these arguments, which `nodeconfig.parse` let pass. Of none: one that says nothing."""
    if not arguments:
        return envblock.pack({})
    revision = arguments_revision(arguments).encode()
    return envblock.pack({b"rev": revision, b"args": " ".join(arguments).encode(), b"end": revision})


def words(sector: bytes) -> str:
    """What the boot loader puts on the command line for a sector: nothing where it is not whole."""
    values = envblock.load(sector) or {}
    revision = values.get(b"rev", b"")
    if not _REVISION.fullmatch(revision) or values.get(b"end") != revision:
        return ""
    return f"{MARK}{revision.decode()} {values.get(b'args', b'').decode('ascii', 'replace')}"


def in_force(command_line: str) -> str:
    """The revision of the further arguments that a kernel was started with, by its command line.

    One that no order can have where the words are not those that their revision stands for.
    """
    _, mark, rest = f" {command_line}".partition(f" {MARK}")
    if not mark:
        return NONE
    revision, *arguments = rest.split()
    return revision if revision == arguments_revision(arguments) else DAMAGED


def revision(sector: bytes) -> str:
    """The revision of the arguments in a sector, as a start with them would tell."""
    return in_force(words(sector))
