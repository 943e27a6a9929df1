"""Emptying a node: which pods to evict now, and what to say about the rest (rollout.md, rule 4).

A failed eviction is never taken for a drained pod: a node is drained when the pods that count are gone and
the volumes that they used are detached. Ordinary pods go first, in order of rising priority; system-critical
ones only when those are gone, because the others may need them to shut down. Pods of DaemonSets, mirror pods,
finished pods and pods that a rule skips do not count, and neither do the volumes of those that stay (ADR 24).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter

from os_operator.core.world import AttachmentView, EvictionAnswer, EvictionResult, PodView, World
from warmroot.api.base import seconds
from warmroot.api.os import Drain, OnTimeout, PodAction

SYSTEM_CRITICAL = 2_000_000_000
"""Priority of `system-cluster-critical` and above."""
NAMED = 3
"""How many pods or volumes a message names for each state."""
FIRST_RETRY = 1.0
LAST_RETRY = 30.0
"""Seconds between two evictions of one pod: doubled after each refusal, up to the last."""
GRACE_SLACK = 30.0
"""Seconds for which a forced drain still waits: past the grace of a terminating pod, which the reboot ends,
and past the timeout for volumes to be detached.
"""
_ROLE = "let the operator's role get and list volumeattachments (deploy/base)"
NO_RULES = Drain()
GIVES_UP = frozenset({OnTimeout.SKIP, OnTimeout.ABORT})


_SKIP, _DRAIN = PodAction.SKIP, PodAction.DRAIN
"""By a name of their own: an enum's class is dear to ask, and every pod of every draining node asks twice."""
_IN_TURN = attrgetter("priority", "namespace", "name")


class DrainState(Enum):
    """What a drain has come to. Emptied: no pod holds it, and nobody looked at its volumes."""

    DRAINED = "Drained"
    EVICTING = "Evicting"
    COMPLETING = "Completing"
    EMPTIED = "Emptied"
    DETACHING = "Detaching"
    BLOCKED = "Blocked"
    TIMED_OUT = "TimedOut"


@dataclass(frozen=True, slots=True)
class DrainOutcome:
    """A drain as a value; it renders its own text.

    `evict` and `delete` are to be asked for now; `asked` are pods whose eviction is under way or due.
    `attached` is None where nobody looked.
    """

    state: DrainState
    evict: tuple[PodView, ...] = ()
    delete: tuple[PodView, ...] = ()
    asked: tuple[PodView, ...] = ()
    waiting: tuple[PodView, ...] = ()
    completing: tuple[PodView, ...] = ()
    blocked: tuple[tuple[PodView, str], ...] = ()
    refused: tuple[tuple[PodView, str], ...] = ()
    failed: tuple[tuple[PodView, str], ...] = ()
    ending: tuple[PodView, ...] = ()
    attached: tuple[AttachmentView, ...] | None = ()
    look_again: float | None = None

    def text(self) -> str:
        """What a person should know, with the first few names of each state."""
        parts: list[str] = []
        budgets: dict[str, list[PodView]] = {}
        for pod, detail in self.blocked:
            budgets.setdefault(detail, []).append(pod)
        for detail, pods in sorted(budgets.items()):
            parts.append(f"blocked by {detail}: {_names(pods)}")
        parts += [f"refused, {why}: {_names([pod])}" for pod, why in self.refused[:NAMED]]
        parts += [f"eviction failed, {why}: {_names([pod])}" for pod, why in self.failed[:NAMED]]
        owned = [one for one in self.attached or () if one.claim]
        stray = [one for one in self.attached or () if not one.claim]
        told: tuple[tuple[str, Sequence[PodView | AttachmentView]], ...] = (
            ("terminating", self.waiting),
            ("deleted with their namespace", self.ending),
            ("evicting", self.asked),
            ("deleting", self.delete),
            ("may finish by drain.podRules", self.completing),
            ("pods are gone, volumes still attached", owned),
            ("still attached, and no claim says to whom it belongs", stray),
        )
        parts += [f"{what}: {_names(named)}" for what, named in told if named]
        if self.attached is None:
            parts.append(f"pods are gone, and nobody may see whether their volumes are detached; {_ROLE}")
        return "; ".join(parts) or "no pods are left"


def _names(named: Sequence[PodView | AttachmentView]) -> str:
    shown = ", ".join(one.title for one in named[:NAMED])
    return shown if len(named) <= NAMED else f"{shown} and {len(named) - NAMED} more"


def treatment(pod: PodView, rules: Drain) -> PodAction:
    """What is done about a pod. No rule moves a pod of a DaemonSet, which would be back at once, or a mirror
    pod, which is only the image of a file on the node.
    """
    if pod.mirror or pod.controller == "DaemonSet":
        return _SKIP
    if not rules.pod_rules:
        return _DRAIN
    return next((rule.action for rule in rules.pod_rules if rule.selector.matches(pod.labels)), _DRAIN)


def counts(pod: PodView, rules: Drain = NO_RULES) -> bool:
    """Whether a pod has to be gone, or to have finished, before the node may restart."""
    return not pod.finished and treatment(pod, rules) is not _SKIP


def assess(
    pods: Sequence[PodView],
    attachments: Sequence[AttachmentView] | None,
    results: Mapping[str, EvictionResult],
    rules: Drain,
    since: float,
    now: float,
) -> DrainOutcome:
    """What to do about the pods of a node whose drain began at `since`, and about its attached volumes, which
    are None as long as nobody looked at them.
    """
    deadline = since + seconds(rules.timeout)
    forced = now >= deadline and rules.on_timeout is OnTimeout.FORCE
    left = sorted(_left(pods, rules, forced, now), key=_IN_TURN)
    if not left:
        return _without_pods(pods, attachments, rules, deadline, now)
    waiting = tuple(pod for pod in left if pod.deleted_at is not None)
    there = [(pod, treatment(pod, rules)) for pod in left if pod.deleted_at is None]
    completing = tuple(pod for pod, action in there if action is PodAction.WAIT_COMPLETED)
    movable = [pod for pod, action in there if action is PodAction.DRAIN]
    refused = tuple((pod, why) for pod in movable if (why := _refusal(pod, rules)))
    if forced and not refused:
        delete = tuple(pod for pod, _ in there)
        hangs = [pod.deleted_at + GRACE_SLACK for pod in waiting if pod.deleted_at is not None]
        again = min(hangs, default=None)
        return DrainOutcome(DrainState.EVICTING, delete=delete, waiting=waiting, look_again=again)
    kept = {pod.uid for pod, _ in refused}
    standing = [pod for pod in movable if pod.uid not in kept]
    turn = [] if refused else _turn(standing, (*waiting, *completing))  # a drain that can't end moves no pod
    due = tuple(pod for pod in turn if _due(results.get(pod.uid), now))
    answers = [(pod, results[pod.uid]) for pod in standing if pod.uid in results]
    blocked = tuple((pod, one.detail) for pod, one in answers if one.answer is EvictionAnswer.BLOCKED)
    failed = tuple((pod, one.detail) for pod, one in answers if one.answer is EvictionAnswer.FAILED)
    ending = tuple(pod for pod, one in answers if one.answer is EvictionAnswer.NAMESPACE_ENDS)
    said = {pod.uid for pod, _ in (*blocked, *failed)} | {pod.uid for pod in ending}
    state = DrainState.EVICTING if turn or waiting else DrainState.COMPLETING
    if blocked or refused or failed:
        state = DrainState.BLOCKED
    if now >= deadline and rules.on_timeout in GIVES_UP:
        state, due = DrainState.TIMED_OUT, ()
    retries = [_retry_at(results[pod.uid]) for pod in turn if pod.uid in results]
    future = [moment for moment in (*retries, deadline) if moment > now]
    return DrainOutcome(
        state,
        evict=due,
        asked=tuple(pod for pod in turn if pod.uid not in said),
        waiting=waiting,
        completing=completing,
        blocked=blocked,
        refused=refused,
        failed=failed,
        ending=ending,
        look_again=min(future, default=None),
    )


def _without_pods(
    pods: Sequence[PodView],
    attachments: Sequence[AttachmentView] | None,
    rules: Drain,
    deadline: float,
    now: float,
) -> DrainOutcome:
    """No pod holds the drain any more; the volumes of those that left may."""
    last = deadline + GRACE_SLACK
    if rules.on_timeout is OnTimeout.FORCE and now >= last:
        return DrainOutcome(DrainState.DRAINED)
    left = None if attachments is None else tuple(holding(attachments, pods, rules))
    if left == ():
        return DrainOutcome(DrainState.DRAINED)
    state = DrainState.EMPTIED if left is None else DrainState.DETACHING
    if now >= deadline and rules.on_timeout in GIVES_UP:
        state = DrainState.TIMED_OUT
    moments = (deadline, last) if rules.on_timeout is OnTimeout.FORCE else (deadline,)
    again = min((moment for moment in moments if moment > now), default=None)
    return DrainOutcome(state, attached=left, look_again=again)


def holding(
    attachments: Iterable[AttachmentView], pods: Sequence[PodView], rules: Drain
) -> list[AttachmentView]:
    """The attachments that have to be gone: all but those of volumes that a pod which stays uses.

    One whose claim is not known holds: that it belongs to a pod which stays would be a guess.
    """
    stays = {
        f"{pod.namespace}/{claim}"
        for pod in pods
        if pod.claims and not pod.finished and treatment(pod, rules) is PodAction.SKIP
        for claim in pod.claims
    }
    left = [one for one in attachments if one.attached and one.claim not in stays]
    return sorted(left, key=lambda one: (not one.claim, one.title))


def emptied(world: World, now: float) -> list[str]:
    """The nodes that nothing but volumes can hold any more: a pass needs to know theirs, and those of no
    others.
    """
    found = []
    for name, pods in world.pods.items():
        note = world.nodes[name].note
        os = world.oses.get(note.os) if note is not None else None
        if note is None or os is None or os.spec is None:
            continue
        rules = os.spec.rollout.drain
        late = now >= note.since + seconds(rules.timeout)
        if not _left(pods, rules, late and rules.on_timeout is OnTimeout.FORCE, now):
            found.append(name)
    return found


def _left(pods: Sequence[PodView], rules: Drain, forced: bool, now: float) -> list[PodView]:
    """The pods that hold the drain. A forced one is not held by a pod that hangs in its deletion."""
    return [
        pod
        for pod in pods
        if counts(pod, rules)
        and not (forced and pod.deleted_at is not None and now >= pod.deleted_at + GRACE_SLACK)
    ]


def _refusal(pod: PodView, rules: Drain) -> str:
    if pod.empty_dir and not rules.delete_empty_dir:
        return "it has emptyDir data and drain.deleteEmptyDir is false"
    if not pod.controller and rules.unmanaged_pods == "Refuse":
        return "no controller would create it again and drain.unmanagedPods is Refuse"
    return ""


def _turn(standing: Sequence[PodView], others: Sequence[PodView]) -> list[PodView]:
    ordinary = [pod for pod in standing if pod.priority < SYSTEM_CRITICAL]
    if ordinary or any(pod.priority < SYSTEM_CRITICAL for pod in others):
        return ordinary
    return list(standing)


def _retry_at(result: EvictionResult) -> float:
    return result.at + min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(result.attempts - 1, 10))


def _due(result: EvictionResult | None, now: float) -> bool:
    return result is None or now >= _retry_at(result)
