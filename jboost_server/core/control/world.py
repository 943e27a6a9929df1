"""What the controller has seen, and what it does about it: values, none of them an object of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jboost_server.core.control.fallen import Fallen
from jboost_server.core.control.shape import Shape
from jboost_server.core.progress import Stage
from warmroot.api.javacache import CacheReason, JavaCacheSpec, JavaCacheStatus

Name = tuple[str, str]
"""Namespace and name of a JavaCache: tenant and group of the cache service."""


@dataclass(frozen=True)
class Cache:
    """One JavaCache. `spec` is None where it can't be read."""

    name: Name
    uid: str
    generation: int
    version: str
    spec: JavaCacheSpec | None
    status: JavaCacheStatus = field(default_factory=JavaCacheStatus)


@dataclass(frozen=True)
class Archive:
    """What serves: digest in hex, bytes, when it was built (Unix seconds), medians in milliseconds."""

    digest: str
    size: int
    built: int
    plain: int
    warm: int


@dataclass(frozen=True)
class Key:
    """One build key as the cache service tells it.

    `recorded_by` are the uids of pods that recorded for it; `wanted`: a builder would get an order.
    """

    digest: str
    jdk: str
    arch: str
    stage: Stage
    why: str
    recordings: int
    archive: Archive | None = None
    hits: int = 0
    misses: Mapping[str, int] = field(default_factory=dict)
    recorded_by: tuple[str, ...] = ()
    wanted: bool = False


@dataclass(frozen=True)
class Told:
    """The keys of a cache, as they were at `at` (Unix seconds); `silent` says why nothing newer is known."""

    at: float
    keys: tuple[Key, ...] = ()
    silent: str = ""


class Phase(StrEnum):
    """How a Job stands."""

    ACTIVE = "Active"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True)
class Build:
    """One builder Job. `ended` in Unix seconds, 0 while it is active; `why` it failed."""

    cache: Name
    key: str
    attempt: int
    shape: str
    phase: Phase
    ended: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Refusal:
    """The API server took no builder in a cache's namespace, at `at` (Unix seconds)."""

    reason: CacheReason
    message: str
    at: float


@dataclass(frozen=True)
class Delivery:
    """Whether the agent lies in a namespace, as far as it was known at `at` (Unix seconds)."""

    at: float
    there: bool


@dataclass(frozen=True)
class World:
    """Everything that a pass looks at. `shapes` and `fallen` have only caches whose pods were looked at,
    `told` those that the cache service was asked about. `reported` are deaths that the service has heard of.
    `agent` is the ConfigMap that every namespace with a JavaCache shall have, empty if none; `deliveries` has
    the namespaces in which that was tried.
    """

    caches: Mapping[Name, Cache] = field(default_factory=dict)
    told: Mapping[Name, Told] = field(default_factory=dict)
    builds: tuple[Build, ...] = ()
    shapes: Mapping[Name, tuple[Shape, ...]] = field(default_factory=dict)
    refusals: Mapping[Name, Refusal] = field(default_factory=dict)
    fallen: Mapping[Name, tuple[Fallen, ...]] = field(default_factory=dict)
    reported: frozenset[str] = frozenset()
    agent: str = ""
    deliveries: Mapping[str, Delivery] = field(default_factory=dict)


@dataclass(frozen=True)
class Accuse:
    """Tell the cache service of a JVM that died of its archive."""

    cache: Cache
    fallen: Fallen


@dataclass(frozen=True)
class Release:
    """Evict a pod whose JVM would die again: its archive is withdrawn, and a new pod starts without."""

    cache: Cache
    fallen: Fallen


@dataclass(frozen=True)
class Deliver:
    """Put the agent into this cache's namespace, if it is not there."""

    cache: Cache


@dataclass(frozen=True)
class Start:
    """Make this builder."""

    cache: Cache
    key: Key
    attempt: int
    shape: Shape


@dataclass(frozen=True)
class Event:
    """To be told about a cache, once for each `key`."""

    reason: CacheReason
    note: str
    key: str
    warning: bool = False


@dataclass(frozen=True)
class WriteStatus:
    """Write this status over the version of the cache that was seen; `events` first."""

    cache: Cache
    status: JavaCacheStatus
    events: tuple[Event, ...] = ()
