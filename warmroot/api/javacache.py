"""The JavaCache kind: which pods start from what others of their namespace learned, and how far that is.

What is injected into a pod is decided by `jboost_server/core/injection`; the status is written by the
controller, `jboost_server/core/control`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from warmroot.api.base import Condition, Digest, Model, rules, seconds
from warmroot.api.os import PodSelector

MAX_CONTAINERS = 8
MAX_RECORDERS = 10
AGENT_PATTERN = r"^jboost-agent-[0-9a-f]{12}$"
"""Of the ConfigMap that holds an agent: its name has the beginning of the jar's digest."""
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"

Wait = Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m))+$", max_length=16)]
"""How long a start may wait, such as `300ms` or `2s`."""

_BOUNDS = "!has(self.{0}) || (duration(self.{0}) >= duration('1ms') && duration(self.{0}) <= duration('1m'))"
"""With `has`: the API server holds the default of `budget`, which is empty, against it as it stands."""


class CacheMode(StrEnum):
    """Whether pods take part."""

    AUTO = "Auto"
    """They do, by what their JDK can."""
    OFF = "Off"
    """New pods start as they are."""


class CacheBudget(Model):
    """The most that the start of a pod may lose to a cache service that is slow or away."""

    model_config = rules(
        *((_BOUNDS.format(name), f"{name} is from 1ms to 1m") for name in ("lookup", "fetch"))
    )

    lookup: Wait = Field(default="300ms", description="For asking the service, from 1ms to 1m.")
    fetch: Wait = Field(
        default="2s", description="For an archive to come; what came in time is kept. From 1ms to 1m."
    )

    def milliseconds(self) -> tuple[int, int]:
        """Of the lookup and of the fetch."""
        return round(seconds(self.lookup) * 1000), round(seconds(self.fetch) * 1000)


class CacheTraining(Model):
    """How pods learn for those that come after them."""

    recorders: int = Field(
        default=0,
        ge=0,
        le=MAX_RECORDERS,
        description="New pods of each half hour that may record: they get a sidecar, which sends what was"
        " recorded. Whether one of them records is said by the cache service when it starts. 0: none.",
    )


class JavaCacheSpec(Model):
    """Which pods take part, and what their starts may wait for."""

    model_config = rules(
        (
            "!has(self.containers) || self.containers.all(c, self.containers.exists_one(d, d == c))",
            "containers names one container twice",
        )
    )

    selector: PodSelector | None = Field(
        default=None,
        description="Pods that take part, by their labels; an empty one selects all of the namespace."
        " Absent: those alone whose annotation jboost.warmroot.io/cache has this object's name.",
    )
    containers: tuple[str, ...] = Field(
        default=(),
        description="Containers that start warm, by name. Absent: the pod's default container"
        " (kubectl.kubernetes.io/default-container), else its first.",
        max_length=MAX_CONTAINERS,
        json_schema_extra={"items": {"type": "string", "pattern": NAME_PATTERN, "maxLength": 63}},
    )
    mode: CacheMode = Field(
        default=CacheMode.AUTO,
        description='Auto: new pods get the agent. "Off", in quotes: they start as they are.',
    )
    budget: CacheBudget = Field(
        default_factory=CacheBudget,
        description="The most that a start may lose to the cache service.",
        json_schema_extra={"default": {}},
    )
    training: CacheTraining = Field(
        default_factory=CacheTraining,
        description="How pods learn for those that come after them.",
        json_schema_extra={"default": {}},
    )


MAX_KEYS = 20
"""Rows of a status; those that serve or need a person come first."""


class CacheState(StrEnum):
    """How far a build key is, or a cache as a whole."""

    OFF = "Off"
    """The object says so (a cache alone)."""
    LEARNING = "Learning"
    """Recordings are awaited, or a builder."""
    BUILDING = "Building"
    """A builder makes the archive, and measures starts with it and without."""
    SERVING = "Serving"
    """Pods start from its archive."""
    REFUSED = "Refused"
    """No archive of it is faster by enough."""
    QUARANTINED = "Quarantined"
    """Its archive did harm, and is served to nobody."""


class CacheReason(StrEnum):
    """Why a key or a condition is as it is."""

    OFF = "Off"
    """`mode` is Off: new pods start as they are."""
    NOT_SEEN = "NotSeen"
    """No pod has asked the cache service for this cache."""
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    """The cache service does not answer the controller."""
    LEARNING = "Learning"
    """Recordings are awaited."""
    NO_POD = "NoPod"
    """There is something to build, and no pod that was injected to build it like."""
    WAITING = "Waiting"
    """There is something to build, and as many builders run as may."""
    NOT_GRANTED = "NotGranted"
    """The controller may not make builders in this namespace."""
    BUILDER_REFUSED = "BuilderRefused"
    """The API server does not take the builder: a quota or a policy."""
    BUILDING = "Building"
    """A builder is at work."""
    BUILD_FAILED = "BuildFailed"
    """The last builder came to nothing; another one is tried later."""
    SERVING = "Serving"
    """Pods start from the archive."""
    REFUSED = "Refused"
    """It is not faster by enough, or builds of it came to nothing too often."""
    QUARANTINED = "Quarantined"
    """JVMs refused the archive or died of it."""
    HEALTHY = "Healthy"
    """Nothing is wrong."""


class StartSeconds(Model):
    """Medians of the starts that the builder measured."""

    without: float = Field(ge=0, description="Seconds of a start as it is.")
    with_: float = Field(ge=0, description="Seconds of a start from the archive.")


class KeyStatus(Model):
    """One build key: all that pods and an archive have to agree in."""

    key: str = Field(description="Its digest.", pattern=r"^[0-9a-f]{64}$")
    jdk: str = Field(description="Version of the JDK.", max_length=64)
    arch: str = Field(description="Architecture, as the JDK names it.", max_length=64)
    state: CacheState = Field(description="How far it is.")
    reason: CacheReason = Field(description="Why.")
    message: str = Field(default="", description="What a person should know or do.", max_length=512)
    recordings: int = Field(ge=0, description="What pods recorded for it, in number.")
    archive_digest: Digest | None = Field(default=None, description="The archive that pods start from.")
    bytes: int | None = Field(default=None, ge=0, description="Its size.")
    start_seconds: StartSeconds | None = Field(default=None, description="What the archive gains.")
    hits: int = Field(ge=0, description="Starts from an archive, as pods reported them.")
    misses: dict[str, int] = Field(
        default_factory=dict,
        description="Other starts by what pods reported (jboost_server/core/outcome.py).",
    )


class StartsMark(Model):
    """What pods had reported at one time."""

    at: str = Field(description="When (RFC 3339, UTC).", json_schema_extra={"format": "date-time"})
    hits: int = Field(ge=0, description="Starts from an archive until then.")
    starts: int = Field(ge=0, description="All starts until then, but those that recorded or were off.")


class JavaCacheStatus(Model):
    """What the controller saw and did."""

    observed_generation: int = Field(default=-1, description="The generation of the spec that this is about.")
    state: CacheState | None = Field(default=None, description="How far the cache is, by its best key.")
    serving: str = Field(default="", description="Keys that serve, of all: 1/2.", max_length=16)
    coverage: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Percent of the starts since the first of `marks` that were from an archive;"
        " of all starts if there was none since. Absent before the first start.",
    )
    agent: str | None = Field(
        default=None,
        description="ConfigMap of this namespace with the agent, which pods mount. Absent: a container of"
        " each pod copies it.",
        pattern=AGENT_PATTERN,
    )
    start_before: str = Field(
        default="", description="A start without the archive, of the key built last: 4.62s.", max_length=16
    )
    start_after: str = Field(default="", description="The same with it.", max_length=16)
    marks: tuple[StartsMark, ...] = Field(
        default=(),
        description="What coverage is counted from: two, at least half an hour apart.",
        max_length=2,
    )
    keys: tuple[KeyStatus, ...] = Field(
        default=(), description="Build keys, at most 20: those that need a person first.", max_length=MAX_KEYS
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="Ready (it serves, or is off), Degraded; Reconciling and Stalled as kstatus reads them.",
    )
