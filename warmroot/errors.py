"""The exception tree. A root says whose fault it is, a leaf says what happened.

    WarmrootError
    ├── UserError        what a person wrote: a recipe, an OS object, a command line
    ├── SourceError      what a release source served: never trusted, never written
    │   ├── Tampered     bytes differ from what was signed
    │   ├── Truncated, Endless  fewer bytes, or more, than were promised
    │   ├── Replayed     older metadata, or an older release, than was seen before
    │   ├── Frozen       metadata past its expiry (or a clock that is wrong)
    │   ├── Mixed        metadata of different snapshots put together
    │   └── WrongKey, Unknown  too few signatures of trusted keys; no such version or digest
    ├── NetworkError     nobody lied, but nothing came: unreachable, refused, timed out
    ├── NodeError        this node: its disk, its memory, its boot
    │   ├── ForeignDisk  a layout that is not ours; nothing was written
    │   ├── ReadOnlyDisk a write was refused or did not stick
    │   ├── DiskFull, DiskCorrupt  no space for what has to be kept; not what was written is read back
    │   ├── SlotRefused, SlotTooSmall  booted or good, so never written; the release does not fit
    │   ├── BootRecordLost  both copies were garbage; repaired from what booted
    │   ├── FellBack     the firmware gave a release up
    │   │       NeverStarted, NeverCameUp, WasReset, NotConfirmed, CameToEmergency say how it ended
    │   └── RolledBack   a release was taken back by order
    ├── OrderError       what the operator ordered can't be carried out on this node as it is
    │   ├── Barred, OrderExpired  not to be written here; past its deadline, or its id was used already
    │   ├── NotOnTrial, WrongRelease  nothing to confirm or to roll back; not what was ordered runs
    │   ├── ConfigRefused  the settings can't be in force; those before are again
    │   └── Superseded   newer orders came while this one was carried out
    ├── UploadError      what a pod or a builder sent to the cache service: refused, nothing of it is kept
    │   ├── NotText, TooLarge  no text where text was promised; more bytes, lines or entries than the cap
    │   ├── LineTooLong, UnknownTag  a line that the JDK would refuse; one that this JDK does not write
    │   ├── BadLine, ForeignSource  no line of a class list; a class from outside the class path
    │   ├── EmptyRecording, UploadCut  nothing was recorded; the stream ended before its promised end
    │   ├── WrongDigest  bytes that are not those of the digest that was named
    │   ├── BadKey, BadRequest  a build key that no pod of ours would send; not in the protocol's form
    │   ├── NoLease, NoOrder, Held  without a lease of this key; no such order any more; another builder's
    │   └── BadRange     a range that the object does not have
    ├── AccessError      who asks the cache service is not known, or may not ask
    │   ├── NoToken, WrongToken, WrongGroup  none; one that is not confirmed; one of another group
    │   └── Unbound, NotBuilder  bound to no pod; a pod's token, where a builder's is needed
    ├── ArchiveError     an archive's manifest must not be believed; the application starts plainly
    │   └── BadManifest, BadSignature  not a manifest's canonical form; no signature of a valid key
    ├── StoreError       the cache service's object store
    │   ├── NoObject, WriteLost  nothing of that name; somebody else wrote first
    │   ├── StoreFull, StoreUnavailable  no space left; no answer, or it asked to come back later
    │   └── StoreBroken  the store refuses, or what it holds is not what was written
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

    default_hint = "look at the node's console log for why; warmroot.io/clear-failed forgives it"


class NeverStarted(FellBack):
    """None of its starts came as far as the data partition."""

    default_hint = "kernel, initrd or root of the release fail on this hardware: read the console of a start"


class NeverCameUp(FellBack):
    """Its root was mounted, and then it hung or crashed before it was up."""

    default_hint = "read the console of a start: a hang ends without a word, a crash with a panic"


class WasReset(FellBack):
    """It was up, and then the watchdog or somebody reset it before it was confirmed."""

    default_hint = "look for a hang, or for power that went away"


class NotConfirmed(FellBack):
    """It was up, and nobody confirmed it in time."""

    default_hint = "see whether nodes of this release reach the API server, and whether the operator runs"


class CameToEmergency(FellBack):
    """systemd ended in emergency mode."""

    default_hint = "start the release where its console can be read: a unit that must not fail did"


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


class ConfigRefused(OrderError):
    """The settings that were ordered can't be in force on this node."""

    default_hint = "correct spec.config of the OS object"


class Superseded(OrderError):
    """Newer orders came while this one was carried out, or the proxy is to end."""


class UploadError(WarmrootError):
    """A pod or a builder sent what the cache service does not take. Nothing of it is kept."""


class NotText(UploadError):
    """Bytes that are no text, where text was promised."""

    default_hint = "send the file that -XX:DumpLoadedClassList wrote, as it is"


class TooLarge(UploadError):
    """More bytes, lines or entries than the cap."""

    default_hint = "raise the cache service's cap if the application really is that large"


class LineTooLong(UploadError):
    """A line that is longer than the JDK reads."""

    default_hint = "the JDK would refuse the whole list; record again"


class BadLine(UploadError):
    """A line that breaks the grammar of class lists."""

    default_hint = "one such line can cost the whole archive; record again with an unpatched JDK"


class UnknownTag(UploadError):
    """A line begins with a tag that this JDK does not write."""

    default_hint = "check that the list was recorded by the JDK that the upload names"


class ForeignSource(UploadError):
    """A class was loaded from a file outside the recorded class path."""

    default_hint = "put the file on the class path, or record without the loader that reads it"


class EmptyRecording(UploadError):
    """Nothing was recorded."""

    default_hint = "a JVM that is killed with SIGKILL leaves an empty recording; end it with SIGTERM"


class UploadCut(UploadError):
    """The stream ended before its promised end."""

    default_hint = "send it again"


class BadKey(UploadError):
    """A build key that no pod of ours would send."""

    default_hint = "use a pod agent of the cache service's version"


class WrongDigest(UploadError):
    """Bytes that are not those of the digest that was named."""

    default_hint = "they changed on the way, or were written while they were sent; send them again"


class BadRequest(UploadError):
    """A request that is not in the form that the protocol prescribes."""

    default_hint = "use a pod agent of the cache service's version; docs/jboost-protocol.md has the form"


class NoLease(UploadError):
    """A recording of somebody whom nobody asked to record."""

    default_hint = "look up again; the answer has a lease when a recorder is wanted"


class NoOrder(UploadError):
    """There is no such build order, or it is over."""

    default_hint = "ask for an order again"


class Held(UploadError):
    """Another builder has the order."""

    default_hint = "nothing to do: it builds, or its order ends by itself"


class BadRange(UploadError):
    """A range that the object does not have."""

    default_hint = "ask for the whole object"


class AccessError(WarmrootError):
    """Who asks the cache service is not known, or may not ask."""


class NoToken(AccessError):
    """No token, where one is needed."""

    default_hint = "send `Authorization: Bearer …`: the projected token, or `token` of the service's --home"


class WrongToken(AccessError):
    """A token that is not confirmed: expired, of another audience, of a deleted pod, or no token at all."""

    default_hint = "project a token with audience jboost.warmroot.io; a kubelet renews it in place"


class Unbound(AccessError):
    """A token that is bound to no pod."""

    default_hint = "use a projected volume; a token of a Secret or of `kubectl create token` alone won't do"


class WrongGroup(AccessError):
    """A token that is for one group, shown for another."""

    default_hint = "show the token that was projected for this group, as the webhook does"


class NotBuilder(AccessError):
    """A pod's token, where a builder's is needed."""

    default_hint = "project a token with audience build.jboost.warmroot.io into builder pods, and no others"


class ArchiveError(WarmrootError):
    """An archive must not be used."""

    default_hint = "the application starts plainly; the archive has to be built again"


class BadManifest(ArchiveError):
    """Not the canonical form of an archive manifest."""


class BadSignature(ArchiveError):
    """No signature of a key that is valid now."""

    default_hint = "the application starts plainly; give its pods the cache service's current public key"


class StoreError(WarmrootError):
    """Something about the object store of the cache service."""


class NoObject(StoreError):
    """There is nothing of that name in the store."""

    default_hint = "it was never written, or it was deleted"


class WriteLost(StoreError):
    """Somebody else wrote first; nothing was changed."""

    default_hint = "read the object again and decide anew"


class StoreFull(StoreError):
    """No space left; nothing was changed."""

    default_hint = "free space in the store, or give it more"


class StoreUnavailable(StoreError):
    """The store did not answer, or it asked to come back later."""

    default_hint = "it is tried again; check the store and the network to it"


class StoreBroken(StoreError):
    """The store refuses, or what it holds is not what was written."""

    default_hint = "check the store's credentials and rights, and the health of its disk"


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
    """429: back off, for `retry_after` seconds if it says. An eviction has the `cause` `DisruptionBudget`."""

    retry_after: float = 0.0


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
