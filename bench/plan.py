"""`plan()` over large fleets: three waves, 200 nodes in motion; the rest current, staged, or not staged."""

from __future__ import annotations

import gc
import time
from dataclasses import replace

from bench.report import Row
from os_operator.core.orders import reboot_id
from os_operator.core.plan import plan
from os_operator.core.world import (
    AVOIDED,
    NOT_CURRENT,
    CordonNote,
    InstanceView,
    NodeView,
    Order,
    OSView,
    PodView,
    World,
)
from warmroot.api.os import OSSpec, OSStatus
from warmroot.api.osinstance import Goal, InstancePhase

NOW = 1_800_000_000.0
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
IN_MOTION = 200
GOAL_MS = 50.0


def _os() -> OSView:
    spec = OSSpec.model_validate(
        {
            "nodeSelector": {"matchLabels": {"pool": "workers"}},
            "release": {"version": "2", "source": "https://releases.example", "digest": NEW},
            "rollout": {
                "maxUnavailable": "10%",
                "maxStaging": 50,
                "waves": [
                    {"name": "canary", "nodes": 1, "soak": "30m"},
                    {"name": "early", "nodes": "10%", "soak": "2h"},
                    {"name": "rest"},
                ],
                "windows": [{"cron": "0 * * * *", "duration": "2h", "timeZone": "Asia/Shanghai"}],
            },
        }
    )
    return OSView("workers", "os-uid", "1", 1, spec, OSStatus(), finalizer=True)


def _pair(number: int, size: int) -> tuple[NodeView, InstanceView]:
    name = f"node-{number:06}"
    uid = f"uid-{number}"
    labels = {"pool": "workers", "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "a"}
    node = NodeView(name, uid, "1", labels, True, NOW - 9000, False, f"boot-{number}")
    instance = InstanceView(
        name, f"i-{uid}", "1", uid, "workers", Goal.STAGE, NEW, "2", ("https://releases.example",),
        phase=InstancePhase.STAGED, since=NOW - 60, observed=True, boot_id=node.boot_id, booted_digest=OLD,
        booted_at=NOW - 9000, confirmed=True, verified_digest=NEW, stale_at=NOW + 60,
    )  # fmt: skip
    if number >= size // 3:
        node = replace(node, taints=({"key": NOT_CURRENT, "effect": AVOIDED},))
    if number < IN_MOTION:
        return _moving(node, instance, number)
    if number < size // 3:
        return node, replace(instance, booted_digest=NEW, phase=InstancePhase.CONFIRMED, goal=Goal.CONFIRM)
    if number < size // 2:
        return node, instance
    return node, replace(instance, goal=Goal.NONE, digest=None, verified_digest=None)


def _moving(node: NodeView, instance: InstanceView, number: int) -> tuple[NodeView, InstanceView]:
    note = CordonNote("workers", NEW, NOW - 30, ours=True)
    node = replace(node, unschedulable=True, note=note)
    if number % 2:
        return node, instance
    order = Order(reboot_id(node.uid, NEW, Goal.ACTIVATE, "boot-before"), NOW + 600)
    return node, replace(
        instance, goal=Goal.ACTIVATE, order=order, reboot_id=order.id, booted_digest=NEW, confirmed=False,
        phase=InstancePhase.TRIAL,
    )  # fmt: skip


def world(size: int) -> World:
    """A fleet of `size` nodes in the middle of a rollout."""
    pairs = [_pair(number, size) for number in range(size)]
    pods = {
        node.name: tuple(PodView("shop", f"web-{node.name}-{one}", f"{node.name}-{one}") for one in range(20))
        for node, _ in pairs[:IN_MOTION]
    }
    return World(
        {"workers": _os()},
        {node.name: node for node, _ in pairs},
        {instance.name: instance for _, instance in pairs},
        pods,
    )


def _settled(fleet: World) -> World:
    """The same fleet with the status that a first pass wrote: what most passes see."""
    decision = plan(fleet, NOW)
    os = replace(fleet.oses["workers"], status=decision.statuses["workers"])
    return replace(fleet, oses={"workers": os})


def measure(size: int, rounds: int = 15) -> float:
    """Milliseconds of processor time of one plan, the best of `rounds`: others may use the machine."""
    fleet = _settled(world(size))
    best = float("inf")
    gc.collect()
    for _ in range(rounds):
        began = time.process_time()
        plan(fleet, NOW)
        best = min(best, time.process_time() - began)
    return best * 1000


def run() -> list[Row]:
    """Rows for 1,000, 10,000 and 50,000 nodes."""
    took = {size: measure(size) for size in (1_000, 10_000, 50_000)}
    per_node = {size: 1000 * milliseconds / size for size, milliseconds in took.items()}
    rows = [
        Row("plan", f"{size:,} nodes", took[size], "ms", GOAL_MS if size == 10_000 else None) for size in took
    ]
    growth = per_node[50_000] / per_node[10_000]
    against = f"{per_node[10_000]:.2f} us a node at 10,000"
    return [*rows, Row("plan", "cost of a node, 50,000 against 10,000", growth, "x", 1.5, "lower", against)]
