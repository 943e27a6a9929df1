"""What a pass may ask the shell to do: a closed set. Each names the version that it was decided on.

Every action can be repeated: a restart between two of them repeats at most what was not seen to be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from os_operator.core.world import OF_THE_IMAGE, Conditions, Config, CordonNote, InstanceView, Order, PodView
from warmroot.api.os import OSStatus
from warmroot.api.osinstance import Goal


@dataclass(frozen=True, slots=True)
class Happening:
    """An Event about an OS object. `key` names the transition: one key, one Event, whatever restarts.

    `node` is the node that it concerns, where there is one.
    """

    os: str
    os_uid: str
    reason: str
    note: str
    key: str
    warning: bool = False
    node: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    """The whole spec of one OSInstance."""

    os: str
    goal: Goal
    digest: str | None = None
    release_version: str = ""
    sources: tuple[str, ...] = ()
    bandwidth: int | None = None
    barred: tuple[str, ...] = ()
    order: Order | None = None
    config: Config = OF_THE_IMAGE

    def stand(self, instance: InstanceView) -> bool:
        """Whether these are the orders that the instance has."""
        return self == orders_of(instance)


def orders_of(instance: InstanceView) -> Orders:
    """The orders that stand."""
    return Orders(
        instance.os,
        instance.goal,
        instance.digest,
        instance.release_version,
        instance.sources,
        instance.bandwidth,
        instance.barred,
        instance.order,
        Config(instance.config, None),
    )


@dataclass(frozen=True, slots=True)
class Cordon:
    """Mark the node unschedulable and note why. `taints`: its taints from then on; None leaves them."""

    node: str
    version: str
    note: CordonNote
    happening: Happening | None = None
    taints: tuple[Mapping[str, Any], ...] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Uncordon:
    """Take our note off; make the node schedulable only if `lift` (the cordon is ours)."""

    node: str
    version: str
    lift: bool
    happening: Happening | None = None


@dataclass(frozen=True, slots=True)
class SetTaints:
    """Write the whole list of a node's taints."""

    node: str
    version: str
    taints: tuple[Mapping[str, Any], ...] = field(hash=False)


@dataclass(frozen=True, slots=True)
class SetConditions:
    """Make these our conditions of maintenance on a node; none of ours stays beside them."""

    node: str
    version: str
    conditions: Conditions
    message: str = ""


@dataclass(frozen=True, slots=True)
class EnsureInstance:
    """Create the node's OSInstance, owned by the Node."""

    node: str
    node_uid: str
    orders: Orders


@dataclass(frozen=True, slots=True)
class DeleteInstance:
    """Remove an OSInstance that belongs to an earlier machine of the same name."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class SetOrders:
    """Write an OSInstance's spec."""

    name: str
    version: str
    orders: Orders
    happening: Happening | None = None


@dataclass(frozen=True, slots=True)
class Evict:
    """Ask the API server to evict a pod."""

    node: str
    pod: PodView


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod with its own grace period, past its PodDisruptionBudget (`onTimeout: Force`)."""

    node: str
    pod: PodView


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Write an OS object's status."""

    os: str
    version: str
    status: OSStatus
    happenings: tuple[Happening, ...] = ()


@dataclass(frozen=True, slots=True)
class SetFinalizer:
    """Put our finalizer on an OS object, or take it off."""

    os: str
    version: str
    present: bool


Action = (
    Cordon
    | Uncordon
    | SetTaints
    | SetConditions
    | EnsureInstance
    | DeleteInstance
    | SetOrders
    | Evict
    | DeletePod
    | WriteStatus
    | SetFinalizer
)
