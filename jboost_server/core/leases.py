"""Leases: who may record for a build key, and until when.

A key has a fixed number of slots, each one object that is only ever written over the version that was read.
A slot is taken where it is free: never taken, or its time is over before its recording came. So there are
never more recorders than slots, whoever asks wherever, and never more recordings of a key than it has
slots. Times are seconds since 1970 by the clock of whoever asks; clocks that differ make a lease longer or
shorter, not double.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from warmroot.canonical import Fields, check, check_integer, encode
from warmroot.errors import NoLease, StoreBroken

MAX_SLOTS = 99
_ID = re.compile(r"[0-9]{2}[0-9a-f]{30}")


@dataclass(frozen=True)
class Lease:
    """One slot as it was taken last. `recording` is the digest of what came of it, empty until it came."""

    id: str
    holder: str
    until: int
    recording: str = ""

    def __post_init__(self) -> None:
        check(bool(_ID.fullmatch(self.id)), "a lease's id is no lease's id")
        check_integer("until", self.until, least=0)

    def live(self, now: int) -> bool:
        """Whether its recording may still come, and nobody else gets the slot."""
        return not self.recording and now < self.until

    def free(self, now: int) -> bool:
        """Whether the slot may be taken again."""
        return not self.recording and now >= self.until

    def fulfilled(self, recording: str) -> Lease:
        """The lease once its recording is there.

        Raises:
            NoLease: another recording came of it already.
        """
        if self.recording not in {"", recording}:
            raise NoLease(f"lease {self.id[:8]} has its recording already")
        return replace(self, recording=recording)

    def encode(self) -> bytes:
        """For the object store, in canonical form."""
        return encode(
            {"id": self.id, "holder": self.holder, "until": self.until, "recording": self.recording}
        )


def decode(data: bytes) -> Lease:
    """The lease in these bytes.

    Raises:
        StoreBroken: they are not what `encode` wrote.
    """
    try:
        fields = Fields("lease", json.loads(data))
        lease = Lease(
            fields.text("id"), fields.text("holder"), fields.integer("until"), fields.text("recording")
        )
        fields.finish()
    except (ValueError, RecursionError) as error:
        raise StoreBroken(f"not a lease: {error}") from error
    return lease


def make(slot: int, entropy: str, holder: str, until: int) -> Lease:
    """A lease of a slot. `entropy` is 30 hex digits that nobody guesses: whoever knows the id may upload.

    Raises:
        ValueError: no such slot, or another kind of entropy.
    """
    check(0 <= slot < MAX_SLOTS, f"no slot {slot}")
    return Lease(f"{slot:02d}{entropy}", holder, until)


def slot_of(lease: str) -> int:
    """The slot in an id that somebody sent.

    Raises:
        NoLease: it is no id of a lease.
    """
    if not _ID.fullmatch(lease):
        raise NoLease("no lease was given, or what was given is none")
    return int(lease[:2])


def open_slots(taken: Mapping[int, Lease], slots: int, now: int) -> tuple[int, ...]:
    """Slots that may be taken, in order."""
    return tuple(slot for slot in range(slots) if slot not in taken or taken[slot].free(now))
