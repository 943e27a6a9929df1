"""The exception tree. A root says whose fault it is, a leaf says what happened.

    WarmrootError
    ├── UserError        what a person wrote: a recipe, an OS object, a command line
    ├── SourceError      what a release source served: never trusted, never written
    │   ├── Tampered     bytes differ from what was signed
    │   ├── Truncated    fewer bytes than were promised
    │   ├── Endless      more bytes than were promised
    │   ├── Replayed     older metadata, or an older release, than was seen before
    │   ├── Frozen       metadata past its expiry (or a clock that is wrong)
    │   ├── Mixed        metadata of different snapshots put together
    │   ├── WrongKey     too few signatures of keys that are trusted
    │   └── Unknown      the source does not know this version or digest
    ├── NetworkError     nobody lied, but nothing came: unreachable, refused, timed out
    ├── NodeError        this node: its disk, its memory, its boot
    │   ├── ForeignDisk  a layout that is not ours; nothing was written
    │   ├── ReadOnlyDisk a write was refused or did not stick
    │   ├── DiskFull     no space for what has to be kept
    │   ├── DiskCorrupt  what was read back is not what was written
    │   ├── SlotRefused  the slot is booted or good, and is never written
    │   ├── SlotTooSmall the release does not fit
    │   ├── BootRecordLost  both copies were garbage; repaired from what booted
    │   ├── FellBack     the firmware gave a release up
    │   └── RolledBack   a release was taken back by order
    ├── OrderError       what the operator ordered can't be carried out on this node as it is
    │   ├── Barred       the release must not be written here
    │   ├── OrderExpired the reboot's deadline passed, or its id was used already
    │   ├── NotOnTrial   there is nothing to confirm or to roll back
    │   ├── WrongRelease what runs is not what was ordered
    │   └── Superseded   newer orders came while this one was carried out
    ├── ClusterError     the API server said no
    │   ├── NotFound, Conflict, AlreadyExists, Gone, Invalid, Forbidden, TooManyRequests
    ├── MachineError     the machine that set-up and test bed run on
    │   ├── NotInstalled a tool or a binary is missing; set-up installs it
    │   ├── StepFailed   a program that had to succeed ended with an error
    │   └── ProgramDied  a program that had to stay ended, or never got ready
    └── Bug              ours; the message asks for a report

`reason` is CamelCase and goes into conditions, events and metrics; `hint` says what a person does next.
"""

from __future__ import annotations

from typing import ClassVar


class WarmrootError(Exception):
    """Every error that we raise on purpose.

    `message` says what failed, `hint` what to do next. `str()` gives both, one sentence each.
    """

    reason: ClassVar[str] = "Error"
    default_hint: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.reason = cls.__dict__.get("reason", cls.__name__)

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UserError(WarmrootError):
    """What a person wrote can't be done; nothing was changed."""


class SourceError(WarmrootError):
    """A release source served something that must not be believed."""

    default_hint = "no byte of it reached a slot; publish the release again or name another source"


class Tampered(SourceError):
    """Bytes differ from what was signed."""


class Truncated(SourceError):
    """Fewer bytes than were promised."""


class Endless(SourceError):
    """More bytes than were promised."""


class Replayed(SourceError):
    """Older metadata or an older release than was already seen."""


class Frozen(SourceError):
    """Metadata past its expiry."""

    default_hint = "publish fresh metadata; if the node's clock is wrong, mend that"


class Mixed(SourceError):
    """Metadata files that do not belong to one snapshot."""


class WrongKey(SourceError):
    """Too few signatures by trusted keys."""

    default_hint = "sign with keys of the root that the nodes trust, or roll a new root out first"


class Unknown(SourceError):
    """The source does not know the version or digest that was asked for."""

    default_hint = "check spec.release.version and spec.release.digest against `warmroot release show`"


class NetworkError(WarmrootError):
    """The source can't be reached, or it does not answer in time."""

    default_hint = "it is tried again by itself; check the source's address and the node's network"


class NodeError(WarmrootError):
    """Something about this node."""


class ForeignDisk(NodeError):
    """The disk's layout is not ours."""

    default_hint = "nothing was written; install the node from a warmroot image"


class ReadOnlyDisk(NodeError):
    """A write was refused, or it did not stick."""

    default_hint = "check the disk's health; the node keeps its good slot"


class DiskFull(NodeError):
    """No space left for what has to be kept."""

    default_hint = "free space on the data partition"


class DiskCorrupt(NodeError):
    """What was read back is not what was written."""

    default_hint = "the disk loses data; replace it"


class SlotRefused(NodeError):
    """The slot that should be written is booted or good."""

    default_hint = "confirm or roll back what runs first; then the other slot is free"


class SlotTooSmall(NodeError):
    """The release is larger than the slot's partitions."""

    default_hint = "build a smaller image, or install the node again with larger slots"


class BootRecordLost(NodeError):
    """Both copies of the boot record were garbage."""

    default_hint = "it was repaired from what booted; watch the disk's health"


class FellBack(NodeError):
    """The firmware gave a release up and booted the good slot."""

    default_hint = "look at the node's console log for why; clear the release with an OS edit to try it again"


class RolledBack(NodeError):
    """A release on trial was taken back by order."""

    default_hint = "the operator's status says which check failed"


class OrderError(WarmrootError):
    """What the operator ordered can't be carried out on this node as it is. Nothing was changed."""


class Barred(OrderError):
    """The release did harm on this node and must not be written to it."""

    default_hint = "publish a mended release, or clear the bar when the cause was another"


class OrderExpired(OrderError):
    """The reboot's deadline passed, or its id was carried out already."""

    default_hint = "the operator orders anew with another id; if it doesn't, compare the clocks"


class NotOnTrial(OrderError):
    """There is nothing to confirm or to roll back."""

    default_hint = "stage and activate the release first"


class WrongRelease(OrderError):
    """What runs is not what was ordered."""

    default_hint = "the trial is not confirmed; it is rolled back or falls back"


class Superseded(OrderError):
    """Newer orders came while this one was carried out, or the proxy is to end."""


class ClusterError(WarmrootError):
    """The API server refused a request. `status` is the HTTP code."""

    def __init__(self, message: str, *, status: int, hint: str = "", cause: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.cause = cause


class NotFound(ClusterError):
    """404."""


class Conflict(ClusterError):
    """409: somebody wrote in between; read again."""


class AlreadyExists(ClusterError):
    """409 on create."""


class Gone(ClusterError):
    """410: the watch is too old; list again."""


class Invalid(ClusterError):
    """422 or 400: the object breaks its schema or a rule."""


class Forbidden(ClusterError):
    """401 or 403."""


class TooManyRequests(ClusterError):
    """429: back off. For an eviction `cause` is `DisruptionBudget`."""


class MachineError(WarmrootError):
    """Something about the machine that set-up and test bed run on."""


class NotInstalled(MachineError):
    """A tool or a binary is missing."""

    default_hint = "run `make setup`"


class StepFailed(MachineError):
    """A program that had to succeed ended with an error."""


class ProgramDied(MachineError):
    """A program that had to stay up ended, or never got ready."""


class Bug(WarmrootError):
    """A state that our own code must never reach."""

    default_hint = "please report this with the log around it"
