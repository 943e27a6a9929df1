"""Builders of small worlds for the operator's tests: say only what matters."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from os_operator.core.actions import SetOrders
from os_operator.core.health import Question, trials
from os_operator.core.orders import reboot_id
from os_operator.core.plan import Decision, plan
from os_operator.core.world import (
    Answer,
    CordonNote,
    InstanceView,
    NodeView,
    Order,
    OSView,
    PodView,
    Standing,
    World,
)
from warmroot.api.os import FailedNode, Health, OSSpec, OSStatus
from warmroot.api.osinstance import Goal, InstancePhase
from warmroot.api.reasons import WaitReason

NOW = 1_800_000_000.0
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64


def os(
    name: str = "workers", status: OSStatus | None = None, digest: str | None = NEW, **rollout: Any
) -> OSView:
    spec = OSSpec.model_validate(
        {
            "nodeSelector": {"matchLabels": {"pool": "workers"}},
            "release": {"version": "2", "source": "https://releases.example"}
            | ({"digest": digest} if digest else {}),
            "rollout": rollout,
        }
    )
    return OSView(name, f"uid-{name}", "1", 1, spec, status or OSStatus(), finalizer=True)


def node(name: str = "node-1", **changes: Any) -> NodeView:
    base = NodeView(name, f"uid-{name}", "1", {"pool": "workers"}, True, NOW - 9000, False, f"{name}-boot-1")
    return replace(base, **changes)


def cordoned(name: str = "node-1", ours: bool = True, since: float = NOW - 10, **changes: Any) -> NodeView:
    note = CordonNote("workers", NEW, since, ours)
    return node(name, **({"unschedulable": True, "note": note} | changes))


def idle(name: str = "node-1", **changes: Any) -> InstanceView:
    base = InstanceView(
        name, f"i-{name}", "1", f"uid-{name}", "workers", Goal.NONE, phase=InstancePhase.IDLE, observed=True,
        boot_id=f"{name}-boot-1", booted_digest=OLD, booted_at=NOW - 9000, confirmed=True, stale_at=NOW + 300,
        since=NOW - 9000,
    )  # fmt: skip
    return replace(base, **changes)


def staged(name: str = "node-1", **changes: Any) -> InstanceView:
    return idle(
        name,
        **(
            {
                "goal": Goal.STAGE, "digest": NEW, "verified_digest": NEW, "phase": InstancePhase.STAGED,
                "sources": ("https://releases.example",), "release_version": "2",
            }
            | changes
        ),
    )  # fmt: skip


def current(name: str = "node-1", **changes: Any) -> InstanceView:
    return idle(name, **({"booted_digest": NEW, "phase": InstancePhase.CONFIRMED} | changes))


def ordered(
    name: str = "node-1", goal: Goal = Goal.ACTIVATE, deadline: float = NOW + 600, **changes: Any
) -> InstanceView:
    asked = Goal.ROLLBACK if goal is Goal.ROLLBACK else Goal.ACTIVATE
    order = Order(reboot_id(f"uid-{name}", NEW, asked, f"{name}-boot-1"), deadline)
    return staged(name, **({"goal": goal, "order": order} | changes))


def trial(name: str = "node-1", **changes: Any) -> InstanceView:
    """It runs the new release in a new boot, unconfirmed, since ten minutes."""
    made = ordered(name, **{key: changes.pop(key) for key in ("goal", "deadline") if key in changes})
    assert made.order is not None
    base = replace(
        made, phase=InstancePhase.TRIAL, boot_id=f"{name}-boot-2", booted_digest=NEW, confirmed=False,
        booted_at=NOW - 600, reboot_id=made.order.id, verified_digest=None,
    )  # fmt: skip
    return replace(base, **changes)


def fell_back(name: str = "node-1", **changes: Any) -> InstanceView:
    made = ordered(name)
    assert made.order is not None
    base = replace(
        made, phase=InstancePhase.FELL_BACK, boot_id=f"{name}-boot-3", reboot_id=made.order.id, since=NOW - 5
    )
    return replace(base, **changes)


def pod(name: str, **changes: Any) -> PodView:
    return replace(PodView("shop", name, f"uid-{name}", controller="ReplicaSet"), **changes)


WEB = {"name": "web", "http": {"url": "https://{nodeIP}/"}}
DNS = {"name": "dns", "pods": {"namespace": "kube-system", "selector": {"matchLabels": {"k8s-app": "dns"}}}}


def checked(*checks: Any, ready_seconds: int = 60, **more: Any) -> OSView:
    """An OS object whose nodes on trial are judged by these checks."""
    return os(health={"readySeconds": ready_seconds, "timeout": "15m", "checks": list(checks)}, **more)


def answered(chosen: OSView, boot_id: str = "node-1-boot-2", name: str = "node-1", **answers: Any) -> Any:
    """What is known of checks: by the check's name an Answer, with the seconds for which it is so."""
    assert chosen.spec is not None
    found = {}
    for check in trials(chosen.spec.rollout.health, {}).checks:
        if check.spec.name in answers:
            given = answers[check.spec.name]
            standing = Standing(NOW - 300)
            if given is not None:
                answer, lasts = given if isinstance(given, tuple) else (given, 100)
                standing = Standing(NOW - 300, answer, NOW - 1, NOW - lasts, NOW - lasts)
            found[name, boot_id, check.key] = standing
    return found


def question(
    address: str = "127.0.0.1", boot_id: str = "boot-2", node: str = "node-1", **check: Any
) -> Question:
    """One check about one boot of a node."""
    spec = {"name": "one", "timeout": "5s"} | check
    [made] = trials(Health.model_validate({"checks": [spec]}), {}).checks
    return Question(node, boot_id, address, made)


def on_trial(**changes: Any) -> tuple[NodeView, InstanceView]:
    """A node on trial that is Ready since two minutes."""
    up = cordoned(boot_id="node-1-boot-2", ready_since=NOW - 120)
    return up, trial(**changes)


HOLDS = Answer()


def world(oses: Any, pairs: Any, **more: Any) -> World:
    """Nodes whose pods are given have no volumes attached, if nothing else is said."""
    more.setdefault("attachments", dict.fromkeys(more.get("pods", {}), ()))
    listed = oses if isinstance(oses, list) else [oses]
    return World(
        {one.name: one for one in listed},
        {one.name: one for one, _ in pairs},
        {one.name: one for _, one in pairs if one is not None},
        **more,
    )


def decide(oses: Any, *pairs: Any, now: float = NOW, **more: Any) -> Decision:
    return plan(world(oses, pairs, **more), now)


def done(decision: Decision, kind: Any) -> list[Any]:
    return [action for action in decision.actions if isinstance(action, kind)]


def goals(decision: Decision) -> dict[str, Goal]:
    return {action.name: action.orders.goal for action in done(decision, SetOrders)}


def reasons(decision: Decision, name: str = "workers") -> dict[str, str]:
    return {row.node: row.reason.value for row in decision.statuses[name].waiting}


def fleet(count: int, make: Callable[..., InstanceView] = staged, first: int = 1) -> list[Any]:
    return [(node(f"node-{n}"), make(f"node-{n}")) for n in range(first, first + count)]


def failure(
    name: str = "node-1", reason: WaitReason = WaitReason.FELL_BACK, at: str = "2027-01-15T07:00:00Z"
) -> FailedNode:
    return FailedNode(node=name, digest=NEW, reason=reason, message="seen", at=at)
