"""How far the boots of a trial came: what they noted on the data partition, and what follows from it.

Whatever runs on a node notes a line a stage: the initrd once the data partition is there, the system when it
is up, the guards when they give it up (`images/node/mark`). A boot that left nothing never came that far.
Reading is total: a line that is none is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from warmroot.disk.bootrecord import Slot

NAME = "boots"
"""The file, beside those of `receipts`."""
_LINE = re.compile(r"([0-9a-f-]{36}) ([AB]) ([a-z-]{1,20})(?: ([ -~]{0,200}))?")


class Stage(StrEnum):
    """What a line says: that its boot came so far."""

    INITRD = "initrd"
    UP = "up"
    UNCONFIRMED = "unconfirmed"
    EMERGENCY = "emergency"


class Ending(StrEnum):
    """How a trial ended, by what its last boot left. Each is a reason of its own (`warmroot.errors`)."""

    UNKNOWN = "FellBack"
    NEVER_STARTED = "NeverStarted"
    NEVER_CAME_UP = "NeverCameUp"
    WAS_RESET = "WasReset"
    NOT_CONFIRMED = "NotConfirmed"
    EMERGENCY = "CameToEmergency"


@dataclass(frozen=True)
class Boot:
    """One boot: its id, its slot, and the stages that it came to, each with what it said of it."""

    id: str
    slot: Slot
    stages: Mapping[Stage, str]


def read(data: bytes | None) -> tuple[Boot, ...]:
    """The boots that the file tells of, oldest first."""
    found: dict[str, tuple[Slot, dict[Stage, str]]] = {}
    for line in (data or b"").decode("ascii", "replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match[3] not in list(Stage):
            continue
        _, stages = found.setdefault(match[1], (Slot(match[2]), {}))
        stages[Stage(match[3])] = match[4] or ""
    return tuple(Boot(name, slot, stages) for name, (slot, stages) in found.items())


def ending(boots: Sequence[Boot], tried: Slot, current: str) -> tuple[Ending, str]:
    """How the trial of a slot ended, and what is known besides.

    `current` is the id of the boot that asks: if even that noted nothing, nothing can be said of those
    before.
    """
    if not boots or boots[-1].id != current:
        return Ending.UNKNOWN, ""
    before = list(boots[:-1])
    trial: list[Boot] = []
    while before and before[-1].slot is tried:
        trial.append(before.pop())
    if not trial:
        return Ending.NEVER_STARTED, ""
    stages = trial[0].stages
    for stage, name in (
        (Stage.EMERGENCY, Ending.EMERGENCY),
        (Stage.UNCONFIRMED, Ending.NOT_CONFIRMED),
        (Stage.UP, Ending.WAS_RESET),
    ):
        if stage in stages:
            return name, stages[stage]
    return Ending.NEVER_CAME_UP, ""
