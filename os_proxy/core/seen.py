"""What the shell sees before each decision, and the facts that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from os_proxy.core.orders import Release
from os_proxy.core.receipts import (
    ConfigNote,
    ConfigState,
    FallbackNote,
    Fallbacks,
    Floor,
    Former,
    RebootNote,
    Receipt,
    SlotContent,
)
from os_proxy.core.trials import Boot
from warmroot.disk.bootrecord import TRIES, BootRecord, Slot
from warmroot.nodeconfig import NONE, target
from warmroot.release.manifest import Manifest


@dataclass(frozen=True)
class BootView:
    """The boot record. `intact` says that both copies are valid and equal. `arguments` are the revisions of
    the kernel arguments that each slot is started with, besides those of its release.
    """

    record: BootRecord | None
    intact: bool
    arguments: Mapping[Slot, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Booted:
    """What runs: from the kernel command line, and the kernel's boot id.

    `hash_offset` is the byte of the root partition at which the verity tree begins; 0 where it is not told.
    """

    slot: Slot
    root_hash: bytes
    boot_id: str
    hash_offset: int = 0
    configuration: str = NONE
    """Revision of the settings that this boot has put in force."""
    arguments: str = NONE
    """Revision of the further kernel arguments that it was started with."""
    signed: bool = False
    """Whether the command line is signed with the kernel, so that nothing can be added to it."""


class Situation(Enum):
    """What boot record and booted slot mean together (docs/node-protocol.md, What is true after a boot)."""

    RECORD_LOST = auto()
    SETTLED = auto()
    TRIAL = auto()
    ARMED = auto()
    FELL_BACK = auto()
    ASTRAY = auto()
    """A slot runs that is neither good nor on trial: a rollback between its disarming and its reboot."""


@dataclass(frozen=True)
class Seen:
    """One look at the node. `manifests` by digest; `boots` as they noted themselves, oldest first;
    `configs` are the revisions of the settings that each slot has.
    """

    boot: BootView
    booted: Booted
    receipts: Mapping[Slot, Receipt] = field(default_factory=dict)
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    reboot: RebootNote | None = None
    fallbacks: Fallbacks = field(default_factory=Fallbacks)
    floor: Floor = field(default_factory=Floor)
    boots: Sequence[Boot] = ()
    configs: Mapping[Slot, str] = field(default_factory=dict)
    config_note: ConfigNote | None = None
    formers: Mapping[Slot, Former] = field(default_factory=dict)

    def former_of(self, slot: Slot) -> Former:
        """What a slot keeps of its settings."""
        return self.formers.get(slot, Former())

    def config_of(self, slot: Slot) -> str:
        """Revision of the settings that a slot has."""
        return self.configs.get(slot, NONE)

    def arguments_of(self, slot: Slot) -> str:
        """Revision of the further kernel arguments that a slot is started with."""
        return self.boot.arguments.get(slot, NONE)

    @property
    def config_cut_off(self) -> bool:
        """Whether a change of settings was begun and not ended; a boot in between does not end it: nobody saw
        whether they hold.
        """
        return self.config_note is not None and self.config_note.state is ConfigState.APPLYING

    @property
    def config_in_force(self) -> bool:
        """Whether the running system has the settings of its slot, and everybody has taken notice."""
        return not self.config_cut_off and self.booted.configuration == self.config_of(self.booted.slot)

    @property
    def config_needs_boot(self) -> bool:
        """Whether something that was taken away stays in force until the next boot."""
        note = self.config_note
        return note is not None and note.needs_boot and note.boot_id == self.booted.boot_id

    @property
    def booted_digest(self) -> str | None:
        """The release that runs, by its root hash; None if no manifest here has it."""
        receipt = self.receipts.get(self.booted.slot)
        if receipt and self.runs(receipt.digest):
            return receipt.digest
        return next((digest for digest in self.manifests if self.runs(digest)), None)

    def runs(self, digest: str) -> bool:
        """Whether the booted root hash is the one of this release's manifest."""
        manifest = self.manifests.get(digest)
        return manifest is not None and manifest.root.root_hash == self.booted.root_hash

    def runs_as(self, release: Release) -> bool:
        """Whether this release runs, and was started with its kernel arguments."""
        return self.runs(release.digest) and self.booted.arguments == release.arguments

    @property
    def booted_target(self) -> str | None:
        """The release that runs and its kernel arguments, as one name; None where the release is unknown."""
        digest = self.booted_digest
        return target(digest, self.booted.arguments) if digest else None

    def holds(self, slot: Slot, digest: str) -> bool:
        """Whether a slot holds this release, wholly verified."""
        receipt = self.receipts.get(slot)
        return receipt is not None and receipt.digest == digest and receipt.content is SlotContent.VERIFIED

    def gave_up(self, digest: str | None) -> FallbackNote | None:
        """The note that this release was given up and is not cleared; None asks about the last one."""
        return self.fallbacks.newest if digest is None else self.fallbacks.of(digest)

    def situation(self, order_id: str | None) -> Situation:
        """What is the case. `order_id` is the reboot order of the goal, if that is to activate."""
        record = self.boot.record
        if record is None:
            return Situation.RECORD_LOST
        if record.next is None:
            return Situation.SETTLED if record.good is self.booted.slot else Situation.ASTRAY
        if record.next is self.booted.slot:
            return Situation.TRIAL
        return Situation.FELL_BACK if self._was_tried(record, order_id) else Situation.ARMED

    def _was_tried(self, record: BootRecord, order_id: str | None) -> bool:
        """Whether the firmware had its boots. A try that stuck says so; so does a boot since the order, for
        a disk that could not be written at boot shows all its tries (node.md, Boot record).
        """
        note = self.reboot
        if record.left < TRIES:
            return True
        if note is None or note.boot_id == self.booted.boot_id:
            return False
        return note.gen == record.gen or note.id == order_id

    def carried_out(self, order_id: str) -> bool:
        """Whether this order's reboot has happened."""
        return self.noted(order_id) and not self.noted_in_this_boot(order_id)

    def noted(self, order_id: str) -> bool:
        """Whether this order is the last one that was begun."""
        return self.reboot is not None and self.reboot.id == order_id

    def noted_in_this_boot(self, order_id: str) -> bool:
        """Whether this order was begun and its reboot is still to come."""
        return self.noted(order_id) and self.reboot is not None and self.reboot.boot_id == self.booted.boot_id
