"""The small files of the data partition: what was written where, and what was done once.

Losing any of them costs a new download, never a boot (I5). So reading is total: whatever is missing, torn or
odd is `None`, "unknown", and the engine goes on from what it can see. Encoding is JSON with sorted keys.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from types import NoneType
from typing import Any

from os_proxy.core.trials import Ending
from warmroot import nodeconfig
from warmroot.nodeconfig import NONE


class SlotContent(StrEnum):
    """How far writing a slot came."""

    WRITING = "writing"
    VERIFIED = "verified"


@dataclass(frozen=True)
class Receipt:
    """What was written into a slot. `VERIFIED` only after the full read-back."""

    digest: str
    version: str
    release_seq: int
    content: SlotContent


class RebootKind(StrEnum):
    """Why a reboot was ordered."""

    ACTIVATE = "activate"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class RebootNote:
    """The last order that was carried out, and in which boot.

    `gen` is the generation of the boot record that it armed: an older note never speaks for a newer arming.
    """

    id: str
    boot_id: str
    digest: str
    kind: RebootKind
    gen: int


class FallbackState(StrEnum):
    """What became of a fallback."""

    STANDING = "standing"
    ACKNOWLEDGED = "acknowledged"


class FallbackCause(StrEnum):
    """Who gave the release up: the firmware by itself, or an order."""

    FELL_BACK = "FellBack"
    ROLLED_BACK = "RolledBack"


@dataclass(frozen=True)
class FallbackNote:
    """A release that this node gave up. `at` in seconds since 1970; `ending` and `told` are of the last try.

    STANDING until the operator bars the digest, ACKNOWLEDGED while it does; the note goes once a person
    lifted the bar: only then may the release be written again (I7).
    """

    digest: str
    cause: FallbackCause
    at: float
    state: FallbackState = FallbackState.STANDING
    ending: Ending = Ending.UNKNOWN
    told: str = ""


FALLBACKS_KEPT = 64
"""Releases that are remembered as given up; twice what the operator bars on one node."""


@dataclass(frozen=True)
class Fallbacks:
    """Every release that this node gave up and nobody cleared, newest last, one note each."""

    notes: tuple[FallbackNote, ...] = ()

    def of(self, digest: str) -> FallbackNote | None:
        """The note about this release."""
        return next((note for note in self.notes if note.digest == digest), None)

    @property
    def newest(self) -> FallbackNote | None:
        """The last release that was given up."""
        return self.notes[-1] if self.notes else None

    def noting(self, note: FallbackNote) -> Fallbacks:
        """The memory with this note as its newest."""
        return Fallbacks((*self.without(note.digest).notes, note)[-FALLBACKS_KEPT:])

    def acknowledging(self, digest: str) -> Fallbacks:
        """The memory after the operator was seen to bar this release."""
        state = FallbackState.ACKNOWLEDGED
        return Fallbacks(
            tuple(replace(note, state=state) if note.digest == digest else note for note in self.notes)
        )

    def without(self, digest: str) -> Fallbacks:
        """The memory after a person cleared this release."""
        return Fallbacks(tuple(note for note in self.notes if note.digest != digest))


class ConfigState(StrEnum):
    """What became of settings that were ordered of the running system."""

    APPLYING = "applying"
    APPLIED = "applied"
    REFUSED = "refused"


@dataclass(frozen=True)
class ConfigNote:
    """The last change of settings of a system that ran. APPLYING is noted before anything changes, so that a
    node on which it was cut off goes on.

    `needs_boot`: something was taken away in this boot that stays in force until the next one.
    """

    revision: str
    boot_id: str
    state: ConfigState
    needs_boot: bool = False
    message: str = ""


@dataclass(frozen=True)
class Former:
    """The settings that a slot can return to. `settled`: the revision with which the operator last left the
    node in peace; `text`: the last such settings before those of now, None where there were none.
    """

    settled: str = NONE
    text: str | None = None

    @property
    def revision(self) -> str | None:
        """Which settings are kept."""
        return None if self.text is None else nodeconfig.revision(self.text)


CONFIRMED_KEPT = 8
"""Releases that are remembered as confirmed; more than the two slots and a few rollbacks need."""


@dataclass(frozen=True)
class Floor:
    """The highest sequence that was ever confirmed here, and the root hashes (hex) that were, newest last.

    Root hashes, because the release that a node was installed with is known by nothing else.
    """

    release_seq: int = 0
    confirmed: tuple[str, ...] = ()

    def raised(self, root_hash: str, release_seq: int) -> Floor:
        """The floor after a release was confirmed. `release_seq` is 0 where it is not known."""
        others = tuple(known for known in self.confirmed if known != root_hash)
        return Floor(max(self.release_seq, release_seq), (*others, root_hash)[-CONFIRMED_KEPT:])


Note = Receipt | RebootNote | Fallbacks | Floor | ConfigNote | Former


def encode(note: Note) -> bytes:
    """The file's bytes."""
    return json.dumps(asdict(note), sort_keys=True).encode()


def receipt(data: bytes | None) -> Receipt | None:
    """A receipt, or None if there is none that can be read."""
    fields = _fields(data, {"digest": str, "version": str, "release_seq": int, "content": str})
    if fields is None or fields["content"] not in list(SlotContent):
        return None
    return Receipt(**{**fields, "content": SlotContent(fields["content"])})


def reboot_note(data: bytes | None) -> RebootNote | None:
    """The last reboot order, or None."""
    fields = _fields(data, {"id": str, "boot_id": str, "digest": str, "kind": str, "gen": int})
    if fields is None or fields["kind"] not in list(RebootKind):
        return None
    return RebootNote(**{**fields, "kind": RebootKind(fields["kind"])})


def config_note(data: bytes | None) -> ConfigNote | None:
    """The last change of settings, or None."""
    shape = {"revision": str, "boot_id": str, "state": str, "needs_boot": bool, "message": str}
    fields = _fields(data, shape)
    if fields is None or fields["state"] not in list(ConfigState):
        return None
    return ConfigNote(**{**fields, "state": ConfigState(fields["state"])})


def former(data: bytes | None) -> Former:
    """What is kept of a slot's settings; where nothing can be read, the image's own were the first."""
    fields = _fields(data, {"settled": str, "text": str}) or _fields(data, {"settled": str, "text": NoneType})
    return Former() if fields is None else Former(**fields)


def fallbacks(data: bytes | None) -> Fallbacks:
    """The memory of what was given up, as far as it can be read."""
    fields = _fields(data, {"notes": list})
    known = map(_fallback_note, fields["notes"]) if fields else ()
    return Fallbacks(tuple(note for note in known if note is not None))


def _fallback_note(value: Any) -> FallbackNote | None:
    if isinstance(value, dict):  # a proxy of an earlier release did not note how it ended
        value = {"ending": Ending.UNKNOWN.value, "told": ""} | value
    shape = {"digest": str, "cause": str, "at": float, "state": str, "ending": str, "told": str}
    fields = _shaped(value, shape)
    if fields is None or fields["cause"] not in list(FallbackCause):
        return None
    if fields["state"] not in list(FallbackState):
        return None
    # What a later release calls an ending is not known here; that the release was given up still is.
    ending = Ending(fields["ending"]) if fields["ending"] in list(Ending) else Ending.UNKNOWN
    cause, state = FallbackCause(fields["cause"]), FallbackState(fields["state"])
    return FallbackNote(**{**fields, "cause": cause, "state": state, "ending": ending})


def floor(data: bytes | None) -> Floor:
    """The anti-rollback memory, as far as it is known."""
    fields = _fields(data, {"release_seq": int, "confirmed": list})
    if fields is None or not all(isinstance(known, str) for known in fields["confirmed"]):
        return Floor()
    return Floor(fields["release_seq"], tuple(fields["confirmed"]))


def _fields(data: bytes | None, shape: dict[str, type]) -> dict[str, Any] | None:
    if data is None:
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return _shaped(value, shape)


def _shaped(value: Any, shape: dict[str, type]) -> dict[str, Any] | None:
    if not isinstance(value, dict) or set(value) != set(shape):
        return None
    if any(type(value[key]) is not kind for key, kind in shape.items()):
        return None
    return value
