"""The OS kind: which release the selected workers run, and how they get there."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from warmroot.api.base import (
    Condition,
    Digest,
    Duration,
    IntOrPercent,
    LabelSelector,
    LabelSelectorRequirement,
    Model,
    Quantity,
    Target,
    rules,
)
from warmroot.api.health import MAX_CHECKS, CheckReason, HealthCheck, Name, Url
from warmroot.api.nodeconfig import NodeConfig
from warmroot.api.reasons import NodePhase, OSPhase, WaitReason
from warmroot.api.waves import Wave, Window

SOURCE_PATTERN = r"^(https|http|file)://[^\s]+$"


class ReleaseRef(Model):
    """Which release, and where its bytes come from."""

    model_config = rules(
        (
            "has(self.digest) || (!self.source.startsWith('http://')"
            " && (!has(self.mirrors) || self.mirrors.all(m, !m.startsWith('http://'))))",
            "a source over plain http:// needs spec.release.digest; pin the digest or use https://",
        )
    )

    version: str = Field(
        description="The release's version, as its publisher named it.",
        pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}$",
    )
    source: str = Field(
        description="Where the release repository is: https://, file://, or http:// with a pinned digest.",
        pattern=SOURCE_PATTERN,
        max_length=512,
    )
    mirrors: tuple[str, ...] = Field(
        default=(),
        description="Further addresses of the same repository, tried in this order.",
        max_length=8,
        json_schema_extra={"items": {"type": "string", "pattern": SOURCE_PATTERN, "maxLength": 512}},
    )
    digest: Digest | None = Field(
        default=None,
        description="sha256 of the release's manifest."
        " Without it the repository's signed index resolves the version.",
    )


class OnTimeout(StrEnum):
    """What happens to a node whose drain did not end in time."""

    WAIT = "Wait"
    """The node stays cordoned until its pods are gone."""
    SKIP = "Skip"
    """The node is uncordoned and counts as failed; the rollout goes on."""
    FORCE = "Force"
    """The pods that are left are deleted."""
    ABORT = "Abort"
    """The node is uncordoned, and the rollout halts."""


class PodAction(StrEnum):
    """What happens to a pod of a node that is emptied."""

    DRAIN = "Drain"
    """It is evicted."""
    SKIP = "Skip"
    """It is left alone, and holds nothing up."""
    WAIT_COMPLETED = "WaitCompleted"
    """It is not evicted: the drain waits until it has finished."""


class PodRequirement(LabelSelectorRequirement):
    """One expression of a pod rule's selector."""

    model_config = rules(
        (
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "In and NotIn need values, Exists and DoesNotExist take none",
        ),
    )

    values: tuple[str, ...] = Field(default=(), max_length=64, description="Values for In and NotIn.")


class PodSelector(LabelSelector):
    """Which pods a rule is about: all of it must match. An empty one selects every pod."""

    match_labels: dict[str, str] = Field(
        default_factory=dict, max_length=32, description="Labels that must be equal."
    )
    match_expressions: tuple[PodRequirement, ...] = Field(
        default=(), max_length=16, description="Expressions that must hold."
    )


class PodRule(Model):
    """What happens to some pods of a node that is emptied."""

    selector: PodSelector = Field(description="Which pods, by their labels.")
    action: PodAction = Field(
        description="Drain: evict them, as without a rule. Skip: leave them alone and do not wait for them."
        " WaitCompleted: do not evict them, and wait until they have finished or are gone."
    )


class Drain(Model):
    """How a node is emptied before it restarts."""

    model_config = rules(
        (
            "!has(self.podRules) || self.podRules.map(r,"
            " (!has(r.selector.matchLabels) || size(r.selector.matchLabels) == 0)"
            " && (!has(r.selector.matchExpressions) || size(r.selector.matchExpressions) == 0)"
            ").indexOf(true) in [-1, size(self.podRules) - 1]",
            "the first rule that matches counts, so only the last one may have an empty selector",
        ),
    )

    timeout: Duration = Field(
        default="15m",
        description="How long it may take from the cordon until the pods are gone"
        " and their volumes are detached.",
    )
    on_timeout: OnTimeout = Field(
        default=OnTimeout.WAIT,
        description="Wait: go on trying. Skip: uncordon, leave the node on its release, go on with others."
        " Force: delete the pods that are left, and restart with their volumes attached if need be."
        " Abort: uncordon and halt the rollout.",
    )
    pod_rules: tuple[PodRule, ...] = Field(
        default=(),
        max_length=32,
        description="What happens to which pods; the first rule that matches counts. Pods that none matches"
        " are evicted. Pods of DaemonSets and static pods stay, whatever a rule says.",
    )
    delete_empty_dir: bool = Field(
        default=True,
        description="false: a pod with emptyDir data blocks the drain, by name, and is not deleted by Force.",
    )
    unmanaged_pods: str = Field(
        default="Evict",
        description="Pods that no controller will create again. Evict, or Refuse: they block the drain,"
        " by name, and are not deleted by Force.",
        json_schema_extra={"enum": ["Evict", "Refuse"]},
    )


class Health(Model):
    """When a node that runs the new release counts as healthy."""

    ready_seconds: int = Field(
        default=60, ge=0, le=86400, description="Seconds that the Node must be Ready with its new boot id."
    )
    timeout: Duration = Field(
        default="15m", description="From the reboot order to healthy; after it the node has failed."
    )
    checks: tuple[HealthCheck, ...] = Field(
        default=(),
        max_length=MAX_CHECKS,
        description="What has to hold for all of readySeconds, beside the Node being Ready."
        " One that fails begins them anew.",
    )


class FailureAction(StrEnum):
    """What the rollout does when too many nodes failed."""

    HALT = "Halt"
    """Nothing new begins until a person looks."""
    ROLLBACK = "Rollback"
    """Nodes return to what they had before, within the same budget."""


class Failure(Model):
    """When a rollout stops by itself."""

    max_failed: int = Field(default=0, ge=0, description="How many nodes may fail in the whole rollout.")
    action: FailureAction = Field(
        default=FailureAction.HALT,
        description="Halt: nothing new starts; running nodes finish or fall back. Rollback: each node that"
        " runs the release returns to the one that it came from, within maxUnavailable; where settings failed"
        " that were changed without a release, each node that has them returns to those before.",
    )
    ignore_windows: bool = Field(
        default=False, description="true: nodes return outside rollout.windows, too (action Rollback)."
    )


class AlertSilence(Model):
    """A silence in Alertmanager for each node, while its move goes on. A stuck one is not silenced."""

    alertmanager: Url = Field(
        description="Address of Alertmanager, without /api/v2. No user and no password."
    )
    label: str = Field(
        default="node",
        max_length=128,
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        description="The label of alerts that holds the name of their node.",
    )
    ca_secret: Name | None = Field(
        default=None,
        description="A Secret in the operator's namespace whose ca.crt (PEM) vouches for the server."
        " Default: the authorities of the operator's image.",
    )


class Rollout(Model):
    """How nodes are moved."""

    max_unavailable: IntOrPercent = Field(
        default=1,
        description="Nodes that may be unavailable at once, for any reason."
        " A percentage rounds down, never below 1.",
    )
    max_staging: int = Field(
        default=3, ge=1, le=10000, description="Nodes that download at once. Staging does not disturb a node."
    )
    staging_bandwidth: Quantity | None = Field(
        default=None, description="Bytes per second for all nodes that download, shared out evenly."
    )
    topology_key: str | None = Field(
        default=None,
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        description="Label of a node's zone. Nodes of one zone move at a time, and a zone that is begun is"
        " ended before the next one, as far as the wave goes. Absent: zones don't matter.",
    )
    order: tuple[LabelSelector, ...] = Field(
        default=(),
        max_length=16,
        description="Which nodes come first: those that the first selector selects, then the second, then"
        " the others; by name among equals. Nodes that can't come by themselves are passed over.",
    )
    waves: tuple[Wave, ...] = Field(
        default=(), max_length=16, description="Waves in order; what they leave over forms a last one."
    )
    windows: tuple[Window, ...] = Field(
        default=(), max_length=16, description="When a node may begin to move. None: always."
    )
    stage_in_window: bool = Field(default=False, description="true: download only inside a window, too.")
    paused: bool = Field(
        default=False, description="true: nothing new starts; a node that has begun is finished."
    )
    drain: Drain = Field(
        default_factory=Drain, description="How a node is emptied.", json_schema_extra={"default": {}}
    )
    health: Health = Field(
        default_factory=Health,
        description="When a node counts as healthy.",
        json_schema_extra={"default": {}},
    )
    failure: Failure = Field(
        default_factory=Failure,
        description="When the rollout stops by itself.",
        json_schema_extra={"default": {}},
    )
    node_conditions: bool = Field(
        default=False,
        description="true: nodes carry Kubernetes' conditions MaintenancePlanned, MaintenanceInProgress,"
        " DrainInProgress and Drained while they are moved. Needs deploy/node-conditions.",
    )
    silence: AlertSilence | None = Field(
        default=None, description="Where alerts of nodes are silenced while they are moved. Absent: nowhere."
    )


class OSSpec(Model):
    """What is wanted."""

    node_selector: LabelSelector | None = Field(
        default=None, description="Which nodes. Default: all that are not control plane."
    )
    release: ReleaseRef = Field(description="The release that the nodes shall run.")
    config: NodeConfig | None = Field(
        default=None, description="The settings that the nodes shall have. Absent: those of the image."
    )
    rollout: Rollout = Field(
        default_factory=Rollout, description="How they get there.", json_schema_extra={"default": {}}
    )


class Counts(Model):
    """Nodes of the selection, by state."""

    total: int = Field(default=0, description="Nodes selected.")
    updated: int = Field(default=0, description="Nodes that run the target and its configuration.")
    staged: int = Field(default=0, description="Nodes that hold the target in their other slot.")
    in_progress: int = Field(default=0, description="Nodes between cordon and uncordon.")
    failed: int = Field(default=0, description="Nodes on which the target failed.")
    unavailable: int = Field(default=0, description="Nodes that are down for any reason.")


class WaveStatus(Model):
    """The wave that runs now."""

    name: str = Field(description="Its name.")
    index: int = Field(description="Its place, from 0.")
    since: str = Field(description="When it began (RFC 3339, UTC).")
    soak_until: str | None = Field(default=None, description="When its soak ends.")
    approved: bool = Field(default=True, description="false: it waits for an approval.")


class WaitingCheck(Model):
    """The health check that a node waits for."""

    name: str = Field(description="Its name.")
    reason: CheckReason | None = Field(
        default=None, description="Why it does not hold. Absent: it has not been answered yet."
    )


class Waiting(Model):
    """One node that does not move, and why."""

    node: str = Field(description="Node name.")
    phase: NodePhase = Field(description="Where it is on its way.")
    reason: WaitReason = Field(description="Why it waits.")
    message: str = Field(default="", description="What a person should know or do.", max_length=1024)
    since: str = Field(description="Since when, for this reason (RFC 3339, UTC).")
    deadline: str | None = Field(default=None, description="When it is given up.")
    check: WaitingCheck | None = Field(
        default=None, description="With reason Checking or CheckFailed: the first check that does not hold."
    )


class FailedPart(StrEnum):
    """What failed on a node."""

    RELEASE = "Release"
    """The release, or its kernel arguments."""
    SETTINGS = "Settings"
    """Settings that were changed without a release."""


class FailedNode(Model):
    """One node on which a release or settings failed. They are not tried there again until it is cleared."""

    node: str = Field(description="Node name.")
    digest: Target = Field(description="The release that runs or failed; with `+`, its kernel arguments.")
    part: FailedPart = Field(
        default=FailedPart.RELEASE,
        description="Release, or Settings: those that were changed while the release ran.",
    )
    config_revision: Digest | None = Field(
        default=None, description="With part Settings: which. Absent: those of the image."
    )
    reason: WaitReason = Field(description="How it failed.")
    message: str = Field(default="", description="What was seen.", max_length=1024)
    at: str = Field(description="When (RFC 3339, UTC).")


class HistoryEntry(Model):
    """One rollout that ended."""

    digest: Target = Field(description="What it rolled out; with `+`, its kernel arguments.")
    version: str = Field(description="Its version.")
    config_revision: Digest | None = Field(
        default=None, description="The settings that came with it. Absent: those of the image."
    )
    started: str = Field(description="When it began.")
    finished: str | None = Field(default=None, description="When it ended.")
    result: str = Field(description="Running, Complete, Halted, RollingBack, RolledBack or Superseded.")


class OSStatus(Model):
    """What is."""

    observed_generation: int = Field(default=0, description="Spec generation that this was computed from.")
    target_digest: Target | None = Field(
        default=None,
        description="The release that is rolled out; with `+`, the revision of its kernel arguments.",
    )
    config_revision: Digest | None = Field(
        default=None, description="The configuration that is rolled out with it, by its digest."
    )
    phase: OSPhase = Field(default=OSPhase.IDLE, description="Where the rollout is.")
    started: str | None = Field(default=None, description="When this target's rollout began.")
    ready: str = Field(default="0/0", description="Nodes updated / nodes selected.")
    counts: Counts = Field(default_factory=Counts, description="Nodes by state.")
    wave: WaveStatus | None = Field(default=None, description="The wave that runs now.")
    waiting_on: str = Field(
        default="", description="The worst waiting reason, in a few words.", max_length=128
    )
    waiting: tuple[Waiting, ...] = Field(
        default=(), max_length=20, description="Nodes that do not move, worst first; at most 20."
    )
    failed: tuple[FailedNode, ...] = Field(
        default=(), max_length=256, description="Nodes on which this target failed."
    )
    history: tuple[HistoryEntry, ...] = Field(default=(), max_length=10, description="The last rollouts.")
    conditions: tuple[Condition, ...] = Field(
        default=(), description="Ready, Progressing, Degraded, Conflicting, ReleaseResolved."
    )
