"""The boot record: what firmware and operating system tell each other, and the boot loader's choice.

Two copies, each a GRUB environment file of exactly one 512-byte sector (node.md). One state change is one
sector write per copy, copy 1 durable before copy 2. `choose` is the model of `images/boot/decide.cfg`;
`tests/vm` runs both over every reachable state and compares choice and disk afterwards.

The `end` line repeats all values. GRUB script has no arithmetic, so no checksum, but it can compare strings:
a sector that was torn inside its values, or that lost a bit there, is seen as garbage by both (ADR 0004).
`gen` is compared as a string of constant width: GRUB's `-gt` reads a leading 0 as octal (ADR 0004).
What the bytes of a damaged sector mean to GRUB is in `envblock`; the rules are told in docs/boot-record.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from warmroot.disk import envblock

SECTOR = envblock.SECTOR

TRIES = 3
GEN_WIDTH = 8
MAX_GEN = 10**GEN_WIDTH - 1
_KEYS = (b"gen", b"good", b"next", b"left", b"end")
_END = re.compile(rb"[0-9]{%d}:(A:[B-]|B:[A-]):[0-3]" % GEN_WIDTH)
"""The same pattern as in decide.cfg. Without a colon in any value, an equal `end` means equal values."""


class Slot(StrEnum):
    """One of the two slots."""

    A = "A"
    B = "B"

    @property
    def other(self) -> Slot:
        """The slot that this one is not."""
        return Slot.B if self is Slot.A else Slot.A


@dataclass(frozen=True)
class BootRecord:
    """One state. `next` is None when nothing is tried; `left` is the number of boots the trial still has."""

    gen: int
    good: Slot
    next: Slot | None = None
    left: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.gen <= MAX_GEN:
            raise ValueError(f"gen {self.gen} is outside 0..{MAX_GEN}")
        if not 0 <= self.left <= TRIES:
            raise ValueError(f"left {self.left} is outside 0..{TRIES}")
        if self.next is self.good:
            raise ValueError("a slot can't be good and on trial at once")

    def _variables(self) -> dict[bytes, bytes]:
        return dict(zip(_KEYS, (value.encode() for value in (*self._values, self.end)), strict=True))

    @property
    def _values(self) -> tuple[str, ...]:
        trial = self.next.value if self.next else "-"
        return (f"{self.gen:0{GEN_WIDTH}d}", self.good.value, trial, str(self.left))

    @property
    def end(self) -> str:
        """What its last line says: all values. GRUB and the node's scripts name a record by it."""
        return ":".join(self._values)

    def encode(self) -> bytes:
        """The sector, exactly `SECTOR` bytes."""
        return envblock.pack(self._variables())

    def saved_over(self, sector: bytes) -> bytes:
        """What GRUB's `save_env` of this record leaves of a sector: unchanged if GRUB refuses it."""
        return envblock.save(sector, self._variables()) or sector

    def succeed(self, *, good: Slot | None = None, next: Slot | None, left: int = 0) -> BootRecord:
        """The record that follows this one, with the next generation.

        Raises:
            ValueError: the values contradict one another.
        """
        return BootRecord(self.gen + 1, good or self.good, next, left)


def decode(sector: bytes) -> BootRecord | None:
    """The record in a sector, or None if it is not one that was wholly written.

    Reads as GRUB's `load_env` does; an `end` that is not the other values makes all of it garbage.
    """
    variables = envblock.load(sector)
    if variables is None:
        return None
    *values, end = (variables.get(key, b"") for key in _KEYS)
    if not _END.fullmatch(end) or end != b":".join(values):
        return None
    gen, good, trial, left = (value.decode() for value in values)
    return BootRecord(int(gen), Slot(good), None if trial == "-" else Slot(trial), int(left))


class Source(StrEnum):
    """Which copy decided."""

    COPY1 = "1"
    COPY2 = "2"
    NONE = "none"


@dataclass(frozen=True)
class Choice:
    """What the boot loader does with two copies.

    `copies` are both sectors as they are on the disk afterwards; `record` is the deciding record, with one
    try less if one was counted; None when both copies were garbage.
    """

    slot: Slot
    source: Source
    record: BootRecord | None
    copies: tuple[bytes, bytes]


def newest(copy1: bytes, copy2: bytes) -> tuple[Source, BootRecord | None]:
    """The copy that counts: the only valid one, or the one with the higher generation (copy 1 on a tie)."""
    first, second = decode(copy1), decode(copy2)
    if first and (second is None or first.gen >= second.gen):
        return Source.COPY1, first
    if second:
        return Source.COPY2, second
    return Source.NONE, None


def choose(copy1: bytes, copy2: bytes, *, writable: bool = True) -> Choice:
    """The boot loader's decision. Needs no clock, network or data partition (I5).

    A trial is booted only if the smaller number of tries can be read back from the copy that decided; a
    disk that can't be written boots the good slot.
    """
    source, record = newest(copy1, copy2)
    if record is None:
        return Choice(Slot.A, source, None, (copy1, copy2))
    if record.next is None or record.left == 0 or not writable:
        return Choice(record.good, source, record, (copy1, copy2))
    tried = replace(record, left=record.left - 1)
    copies = (tried.saved_over(copy1), tried.saved_over(copy2))
    if decode(copies[0 if source is Source.COPY1 else 1]) != tried:
        return Choice(record.good, source, record, copies)
    return Choice(record.next, source, tried, copies)
