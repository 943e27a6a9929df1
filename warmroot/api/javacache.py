"""The JavaCache kind: which pods of its namespace start from what others of them learned.

It has no status: nothing writes one yet. What is injected into a pod is decided by
`jboost_server/core/injection`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from warmroot.api.base import Model, rules, seconds
from warmroot.api.os import PodSelector

MAX_CONTAINERS = 8
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"

Wait = Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m))+$", max_length=16)]
"""How long a start may wait, such as `300ms` or `2s`."""

_BOUNDS = "!has(self.{0}) || (duration(self.{0}) >= duration('1ms') && duration(self.{0}) <= duration('1m'))"
"""With `has`: the API server holds the default of `budget`, which is empty, against it as it stands."""


class CacheMode(StrEnum):
    """Whether pods take part."""

    AUTO = "Auto"
    OFF = "Off"


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
