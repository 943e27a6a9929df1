"""The OSInstance kind: one node's orders (spec, by the operator) and state (status, by its proxy)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from warmroot import nodeconfig
from warmroot.api.base import ArgumentsRevision, Condition, Digest, Model, Target


class Goal(StrEnum):
    """What the operator wants of a node now."""

    NONE = "None"
    """Nothing."""
    STAGE = "Stage"
    """Download the release into the other slot."""
    ACTIVATE = "Activate"
    """Boot the other slot, on trial."""
    CONFIRM = "Confirm"
    """Keep what runs, if it is the release."""
    ROLLBACK = "Rollback"
    """Boot the other slot's release again, which ran before."""
    CONFIGURE = "Configure"
    """Take these settings."""


class InstancePhase(StrEnum):
    """Where the node's slot engine is (node.md, state machine)."""

    IDLE = "Idle"
    """There is nothing to do."""
    STAGING = "Staging"
    """The other slot is being written."""
    STAGED = "Staged"
    """The other slot holds the release, read back whole."""
    ACTIVATING = "Activating"
    """The boot record names the other slot next; the node restarts."""
    TRIAL = "Trial"
    """What runs has not been confirmed: the next boot may be the slot before."""
    CONFIRMED = "Confirmed"
    """What runs is what every further boot starts."""
    CONFIGURING = "Configuring"
    """Settings are put in force."""
    FELL_BACK = "FellBack"
    """The last trial ended in the slot before."""
    FAILED = "Failed"
    """What was ordered can't be done; `status.lastError` says why."""


class SlotState(StrEnum):
    """What a slot holds."""

    EMPTY = "Empty"
    """Nothing that could boot."""
    WRITING = "Writing"
    """A release, in part."""
    VERIFIED = "Verified"
    """A release that was read back whole."""
    BOOTED = "Booted"
    """What runs now, on trial."""
    GOOD = "Good"
    """What boots unless something else is tried."""


class InstanceRelease(Model):
    """The release that the goal is about."""

    version: str = Field(description="Its version.")
    digest: Digest = Field(description="Its manifest's digest.")
    sources: tuple[str, ...] = Field(description="Where its bytes come from, in order.")
    arguments_revision: ArgumentsRevision | None = Field(
        default=None, description="Its further kernel arguments, by their revision; `config` has the words."
    )


class RebootOrder(Model):
    """One reboot. It is carried out once, by id, whatever restarts in between."""

    id: str = Field(description="Identity of this order.", max_length=64)
    deadline: str = Field(description="After this the order is void (RFC 3339, UTC).")


class OSInstanceSpec(Model):
    """The operator's orders. Only the operator writes it."""

    os: str = Field(description="Name of the OS object.")
    goal: Goal = Field(default=Goal.NONE, description="What is wanted now.")
    release: InstanceRelease | None = Field(default=None, description="The release that the goal is about.")
    staging_bandwidth: int | None = Field(
        default=None, ge=1, description="Bytes per second that this node may download."
    )
    config: str | None = Field(
        default=None,
        max_length=nodeconfig.MAX_BYTES,
        description="The settings that belong to the release, as canonical JSON of OS.spec.config.",
    )
    config_revision: Digest | None = Field(
        default=None,
        description="sha256 of `config`. Absent: those of the image. Without `config`: those that the slot"
        " of the release has already, or keeps as its former ones.",
    )
    barred: tuple[Target, ...] = Field(
        default=(),
        max_length=32,
        description="Releases that must not be written to this node, each as it was tried: with `+`, its "
        "kernel arguments.",
    )
    reboot: RebootOrder | None = Field(
        default=None, description="The reboot that belongs to Activate or Rollback."
    )


class ConfigPending(StrEnum):
    """What a change of settings still waits for."""

    NONE = "None"
    """Nothing."""
    RELOAD = "Reload"
    """Services that are told to read it."""
    REBOOT = "Reboot"
    """The next boot."""


class FormerSettings(Model):
    """Settings that a node keeps so that it can return to them."""

    config_revision: Digest | None = Field(
        default=None, description="Which they are. Absent: those of the image."
    )


class SlotStatus(Model):
    """One slot."""

    state: SlotState = Field(default=SlotState.EMPTY, description="What it holds.")
    version: str | None = Field(default=None, description="Version of the release in it.")
    digest: Digest | None = Field(default=None, description="Digest of the release in it.")
    release_seq: int | None = Field(default=None, description="The release's place in its product's order.")
    arguments_revision: ArgumentsRevision | None = Field(
        default=None, description="The further kernel arguments that it is started with. Absent: none."
    )
    config_revision: Digest | None = Field(
        default=None, description="The settings that it is started with. Absent: those of the image."
    )
    former: FormerSettings | None = Field(
        default=None,
        description="The last settings before those of now that the operator left it in peace with. An order"
        " may name them without their text. Absent: none are kept.",
    )


class Slots(Model):
    """Both slots."""

    a: SlotStatus = Field(default_factory=SlotStatus, alias="A", description="Slot A.")
    b: SlotStatus = Field(default_factory=SlotStatus, alias="B", description="Slot B.")


class Booted(Model):
    """What runs now."""

    slot: str = Field(description="A or B.", json_schema_extra={"enum": ["A", "B"]})
    boot_id: str = Field(alias="bootID", description="The kernel's boot id.")
    digest: Digest | None = Field(default=None, description="The release that runs, where it is known.")
    arguments_revision: ArgumentsRevision | None = Field(
        default=None, description="The further kernel arguments that it was started with. Absent: none."
    )
    at: str = Field(description="When the proxy first saw this boot (RFC 3339, UTC).")


class Staging(Model):
    """Progress of staging. Bytes."""

    bytes_done: int = Field(default=0, description="Verified and in the slot.")
    bytes_total: int = Field(default=0, description="To be in the slot.")
    bytes_fetched: int = Field(default=0, description="Came over the network.")
    bytes_reused: int = Field(default=0, description="Came from a local slot.")
    bytes_per_second: int = Field(default=0, description="Speed, averaged over this attempt.")


class ConfigDrift(Model):
    """One file of the settings that somebody changed by hand."""

    path: str = Field(description="The file.", max_length=512)
    diff: str = Field(
        description="What differs: lines with - belong there, lines with + are there.", max_length=512
    )


class LastError(Model):
    """The last thing that went wrong."""

    reason: str = Field(description="A leaf of warmroot/errors.py.", max_length=64)
    message: str = Field(description="What failed and what to do next.", max_length=1024)
    at: str = Field(description="When (RFC 3339, UTC).")
    attempts: int = Field(default=1, description="How often in a row.")
    retry_at: str | None = Field(
        default=None, description="When it is tried again by itself; absent: a person is needed."
    )


class OSInstanceStatus(Model):
    """The node's state. Only this node's proxy writes it."""

    observed_generation: int = Field(default=0, description="Spec generation that the proxy acted on.")
    phase: InstancePhase = Field(default=InstancePhase.IDLE, description="Where the slot engine is.")
    since: str | None = Field(default=None, description="Since when (RFC 3339, UTC).")
    heartbeat: str | None = Field(default=None, description="When the proxy last wrote (RFC 3339, UTC).")
    slots: Slots = Field(default_factory=Slots, description="Both slots.")
    booted: Booted | None = Field(default=None, description="What runs now.")
    good: str | None = Field(default=None, description="The confirmed slot.")
    next: str | None = Field(default=None, description="The slot that is tried next, or -.")
    tries_left: int = Field(default=0, description="Boots that the trial has left.")
    staging: Staging | None = Field(default=None, description="Progress while staging.")
    reboot_id: str | None = Field(
        default=None, alias="rebootID", description="The last reboot order that was carried out."
    )
    config_revision: Digest | None = Field(
        default=None, description="The settings that are in force. Absent: those of the image."
    )
    config_pending: ConfigPending = Field(
        default=ConfigPending.NONE,
        description="Reload: they are being changed. Reboot: what was taken away is gone with the next boot.",
    )
    config_drift: tuple[ConfigDrift, ...] = Field(
        default=(),
        max_length=8,
        description="Files of the settings that somebody changed by hand. New settings or a boot undo it.",
    )
    last_error: LastError | None = Field(default=None, description="The last thing that went wrong.")
    conditions: tuple[Condition, ...] = Field(default=(), description="Ready.")
    agent_version: str | None = Field(default=None, description="Version of the proxy.")
