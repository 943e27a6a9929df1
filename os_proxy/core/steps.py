"""What the engine can ask for. A closed set: the shell performs one and looks again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from os_proxy.core.orders import Config, Release
from os_proxy.core.receipts import Fallbacks, Floor, RebootNote
from warmroot.disk.bootrecord import Slot
from warmroot.errors import WarmrootError
from warmroot.release.manifest import Manifest


class Phase(StrEnum):
    """Where the slot engine is; `InstancePhase` of the API, spelled again without pydantic."""

    IDLE = "Idle"
    STAGING = "Staging"
    STAGED = "Staged"
    ACTIVATING = "Activating"
    TRIAL = "Trial"
    CONFIRMED = "Confirmed"
    CONFIGURING = "Configuring"
    FELL_BACK = "FellBack"
    FAILED = "Failed"


@dataclass(frozen=True)
class Nothing:
    """All is as it should be, or somebody else is to act."""


@dataclass(frozen=True)
class RepairRecord:
    """Write both copies anew. The copies lost each other, or both are garbage: then `good` is what booted."""

    good: Slot
    next: Slot | None
    left: int


@dataclass(frozen=True)
class FetchManifest:
    """Ask the signed index for the manifest of this release."""

    release: Release


@dataclass(frozen=True)
class Write:
    """Write this release into `slot`, verified block by block, and read it back."""

    slot: Slot
    release: Release
    manifest: Manifest


@dataclass(frozen=True)
class Arm:
    """Let the firmware try `slot` at the next boots."""

    slot: Slot


@dataclass(frozen=True)
class Disarm:
    """Let the firmware try nothing. Also what makes a slot free to be written (PREPARE in node.md)."""


@dataclass(frozen=True)
class Confirm:
    """Make `slot`, which runs, the good one."""

    slot: Slot


@dataclass(frozen=True)
class NoteReboot:
    """Keep durably that an order is carried out in this boot."""

    note: RebootNote


@dataclass(frozen=True)
class Reboot:
    """Reboot the node for the order of this id."""

    id: str


@dataclass(frozen=True)
class NoteFallback:
    """Keep durably which releases were given up, and what became of that."""

    fallbacks: Fallbacks


@dataclass(frozen=True)
class NoteFloor:
    """Keep durably that a release was confirmed."""

    floor: Floor


@dataclass(frozen=True)
class Place:
    """Keep these settings for `slot`, which does not run: its next boot applies them."""

    slot: Slot
    config: Config


@dataclass(frozen=True)
class Configure:
    """Put these settings in force in `slot`, which runs; None for what it has, of which not all was done."""

    slot: Slot
    config: Config | None


@dataclass(frozen=True)
class NoteSettled:
    """Keep durably that the operator left `slot`, which runs, in peace with the settings that it has."""

    slot: Slot


Step = (
    Nothing
    | RepairRecord
    | FetchManifest
    | Write
    | Arm
    | Disarm
    | Confirm
    | NoteReboot
    | Reboot
    | NoteFallback
    | NoteFloor
    | Place
    | Configure
    | NoteSettled
)


@dataclass(frozen=True)
class Refusal:
    """Why an order is not carried out, or what the node went through. Never tried again by itself."""

    reason: str
    message: str

    @classmethod
    def of(cls, error: WarmrootError) -> Refusal:
        """The refusal that this error of the tree names."""
        return cls(error.reason, str(error))


@dataclass(frozen=True)
class Decision:
    """The next step, the phase that is true now, and what a person should know."""

    step: Step
    phase: Phase
    refusal: Refusal | None = None
