"""What one pass sees: slim frozen projections of the cluster's objects. Times are Unix seconds.

A view holds what a decision needs and nothing else: at 10,000 nodes the whole objects would be the
operator's memory. `parse` makes views from JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from warmroot.api.health import CheckReason
from warmroot.api.os import Health, OSSpec, OSStatus
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.nodeconfig import NONE

CORDON_ANNOTATION = "warmroot.io/cordon"
APPROVE_ANNOTATION = "warmroot.io/approve"
CLEAR_ANNOTATION = "warmroot.io/clear-failed"
FINALIZER = "warmroot.io/release-nodes"
NOT_CURRENT = "warmroot.io/not-current"
"""Key of two taints of a node that does not run its target: `PreferNoSchedule` is ours, while others are
drained; `NoSchedule` is the administrator's, and we take it off (docs/node-signals.md).
"""
AVOIDED, CLOSED = "PreferNoSchedule", "NoSchedule"
"""Their effects."""
MAINTENANCE = ("MaintenancePlanned", "DrainInProgress", "Drained", "MaintenanceInProgress")
"""Kubernetes' conditions of a Node that is taken out of service (docs/node-signals.md)."""
ROLLOUT_REASON = "WarmrootRollout"
"""The reason of those that are ours."""
Conditions = tuple[tuple[str, bool], ...]
"""Some of MAINTENANCE with their status."""
FIELD_MANAGER = "warmroot"
"""The field manager under which our writes are recorded: the head of the client's User-Agent."""

WORKING = frozenset(
    {InstancePhase.STAGING, InstancePhase.ACTIVATING, InstancePhase.TRIAL, InstancePhase.CONFIGURING}
)
HEARTBEAT_WORKING = 90.0
"""Seconds after which a working proxy's status is not believed: its heartbeat and half of one more."""
HEARTBEAT_IDLE = 450.0
"""The same for an idle proxy."""


@dataclass(frozen=True, slots=True)
class CordonNote:
    """The annotation on a node that we work on: for which OS and release, since when.

    `ours` is False where an administrator had cordoned the node before we came. `empty`: no workload had ever
    been let onto it, so nothing is missing while it moves.
    """

    os: str
    digest: str
    since: float
    ours: bool
    empty: bool = False


@dataclass(frozen=True, slots=True)
class NodeView:
    """A Node. `ready_since` is the last transition of its Ready condition by the clock of whoever wrote it,
    `ready_seen` the same by ours (`clocks`), `address` its InternalIP if any.

    `foreign_cordon`: somebody else wrote `unschedulable` last, so the cordon is not ours any more. `taints`
    are kept as they came, so that writing the list loses nothing of somebody else's. `avoided` and `closed`:
    it carries `warmroot.io/not-current` with that effect. `conditions`: those of MAINTENANCE that are ours;
    `foreign_conditions`: those that somebody else set.
    """

    name: str
    uid: str
    version: str
    labels: Mapping[str, str]
    ready: bool
    ready_since: float
    unschedulable: bool
    boot_id: str
    note: CordonNote | None = None
    foreign_cordon: bool = False
    taints: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    address: str = ""
    ready_seen: float | None = None
    conditions: Conditions = ()
    foreign_conditions: tuple[str, ...] = ()
    avoided: bool = field(init=False, default=False)
    closed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        for taint in self.taints:  # here, because a pass asks for it more often than it changes
            if taint["key"] == NOT_CURRENT:
                object.__setattr__(self, "avoided", self.avoided or taint["effect"] == AVOIDED)
                object.__setattr__(self, "closed", self.closed or taint["effect"] == CLOSED)

    @property
    def as_it_is_since(self) -> float:
        """From when on it has been Ready, or not, by our clock where that is known."""
        return self.ready_since if self.ready_seen is None else self.ready_seen

    def with_taint(self, effect: str) -> tuple[Mapping[str, Any], ...]:
        """Its taints and `warmroot.io/not-current` with this effect."""
        return (*self.without_taint(effect), {"key": NOT_CURRENT, "effect": effect})

    def without_taint(self, effect: str) -> tuple[Mapping[str, Any], ...]:
        """Its taints but for `warmroot.io/not-current` with this effect."""
        return tuple(
            taint for taint in self.taints if (taint["key"], taint["effect"]) != (NOT_CURRENT, effect)
        )

    @property
    def cordon_is_ours(self) -> bool:
        """Whether the cordon that stands was set by us, so that we may lift it."""
        return self.unschedulable and self.note is not None and self.note.ours and not self.foreign_cordon


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a node by their digest; empty for those of the image. `text` is None where it stays as it
    is in the OSInstance, whose view does not keep it: at 10,000 nodes it would be the operator's memory.

    `arguments` is the revision of the kernel arguments among them. They need a boot that may fail, so they
    are a part of what a rollout names: every `digest` here is a `nodeconfig.target` (ADR 23).
    """

    revision: str = NONE
    text: str | None = field(default="", compare=False)
    arguments: str = field(default=NONE, compare=False)


OF_THE_IMAGE = Config()
"""No settings are wanted."""


@dataclass(frozen=True, slots=True)
class Order:
    """A reboot order as the OSInstance carries it."""

    id: str
    deadline: float


@dataclass(frozen=True, slots=True)
class Failure:
    """The proxy's last error. Without `retry_at` a person is needed."""

    reason: str
    message: str
    retry_at: float | None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An OSInstance: our orders, then the proxy's word.

    `observed`: the proxy has acted on the orders that stand. `confirmed`: the booted slot is the good one.
    `verified_digest`: the release that the inactive slot holds, read back whole; `kept_version` and
    `kept_config`: its version and settings; `former`: the settings to which what runs can return, None where
    there are none. `heartbeat` and `since` are the proxy's words, by its clock;
    `stale_at`: when this status stops being believed; `since_seen`: `since` by our clock. `config`: the
    settings of our orders; `in_force`: what the node has, None while they change; `drifted`: files of them
    that somebody changed by hand. `fetched`, `reused`: bytes that its present download has brought, over the
    network and from its own slot.
    """

    name: str
    uid: str
    version: str
    node_uid: str
    os: str
    goal: Goal
    digest: str | None = None
    release_version: str = ""
    sources: tuple[str, ...] = ()
    bandwidth: int | None = None
    order: Order | None = None
    barred: tuple[str, ...] = ()
    config: str = NONE
    phase: InstancePhase | None = None
    since: float | None = None
    since_seen: float | None = None
    observed: bool = False
    boot_id: str = ""
    booted_digest: str | None = None
    booted_at: float = 0.0
    confirmed: bool = False
    verified_digest: str | None = None
    kept_version: str = ""
    kept_config: str = NONE
    former: str | None = None
    in_force: str | None = NONE
    drifted: tuple[str, ...] = ()
    reboot_id: str | None = None
    failure: Failure | None = None
    fetched: int = 0
    reused: int = 0
    heartbeat: float | None = None
    stale_at: float = float("-inf")

    @property
    def as_it_is_since(self) -> float | None:
        """`since` by our clock where that is known."""
        return self.since if self.since_seen is None else self.since_seen


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a node in motion. `deleted_at`: when the grace of its deletion ends (Unix seconds).

    `claims`: the PersistentVolumeClaims that it uses, by their names in its namespace.
    """

    namespace: str
    name: str
    uid: str
    priority: int = 0
    controller: str = ""
    mirror: bool = False
    empty_dir: bool = False
    finished: bool = False
    deleted_at: float | None = None
    claims: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def title(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class AttachmentView:
    """A VolumeAttachment of a node in motion.

    `volume`: its PersistentVolume, empty for a volume that a pod's spec describes itself. `claim`:
    `namespace/name` of the claim to which that is bound, empty where it is not known.
    """

    name: str
    volume: str = ""
    claim: str = ""
    attached: bool = True

    @property
    def title(self) -> str:
        """The claim, by which people know a volume, and the volume; else the attachment."""
        if not self.volume:
            return f"VolumeAttachment {self.name}"
        return f"{self.claim} ({self.volume})" if self.claim else self.volume


class EvictionAnswer(Enum):
    """How the API server answered an eviction."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    THROTTLED = "Throttled"
    NAMESPACE_ENDS = "NamespaceEnds"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class EvictionResult:
    """The last eviction of one pod. `detail` names the PodDisruptionBudget or the error."""

    answer: EvictionAnswer
    at: float
    attempts: int = 1
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a health check: without a reason it holds. `detail` is for people."""

    reason: CheckReason | None = None
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether the check held."""
        return self.reason is None


CheckKey = tuple[str, str, str]
"""What an answer belongs to: a node, its boot, and the digest of the check as it is written."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one check on one boot. `asked`: when first; `at`: when the last answer was asked for.

    `since`: from when on all answers were like the last one; `told`: the time of the answer that is kept.
    """

    asked: float
    answer: Answer | None = None
    at: float = 0.0
    since: float = 0.0
    told: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the last answer was that it holds."""
        return self.answer is not None and self.answer.holds


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the repository's signed index says about `spec.release.version`.

    Neither digest nor reason: it was not asked yet.
    """

    digest: str | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class OSView:
    """An OS object. `spec` is None where `problem` says what is wrong with it; `health` is then what of it
    nodes on trial are judged by, None if that is what can't be read.

    `approvals`: `WAVE@DIGEST` as a person wrote them. `clears`: (node or `*`, time): failures up to that
    time are forgiven. `status_at`: when this process last wrote the status.
    """

    name: str
    uid: str
    version: str
    generation: int
    spec: OSSpec | None
    status: OSStatus
    problem: str = ""
    config: Config = OF_THE_IMAGE
    approvals: frozenset[str] = frozenset()
    clears: tuple[tuple[str, float], ...] = ()
    finalizer: bool = False
    deleting: bool = False
    health: Health | None = field(default_factory=Health)
    resolution: Resolution = field(default_factory=Resolution)
    status_at: float = 0.0


@dataclass(frozen=True, slots=True)
class World:
    """Everything that one pass decides on.

    `pods` has an entry for each node in motion whose pods were listed after its cordon.
    `attachments` has one for each node of which nothing but volumes can hold the drain (`drain.emptied`).
    `evictions` is by pod UID; losing it in a restart costs one repeated request a pod. `empty` are the late
    nodes (`node_way.late`) on which no pod that counts was found when they were last looked at. `checks`: the
    answers to health checks; after a restart they are asked again.
    """

    oses: Mapping[str, OSView]
    nodes: Mapping[str, NodeView]
    instances: Mapping[str, InstanceView]
    pods: Mapping[str, tuple[PodView, ...]] = field(default_factory=dict)
    evictions: Mapping[str, EvictionResult] = field(default_factory=dict)
    attachments: Mapping[str, tuple[AttachmentView, ...]] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()
    checks: Mapping[CheckKey, Standing] = field(default_factory=dict)
