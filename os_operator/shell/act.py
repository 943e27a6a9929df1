"""Carries actions out and returns what came of each as a value.

Every write is fenced: by the resourceVersion that the decision was made on, or by the object's UID. A
conflict is no error: the next pass decides anew on what is true then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from os_operator.core.actions import (
    Action,
    Cordon,
    DeleteInstance,
    DeletePod,
    EnsureInstance,
    Evict,
    Happening,
    Orders,
    SetConditions,
    SetFinalizer,
    SetOrders,
    SetTaints,
    Uncordon,
    WriteStatus,
)
from os_operator.core.instants import text
from os_operator.core.parse import cordon_text
from os_operator.core.world import (
    CORDON_ANNOTATION,
    FINALIZER,
    ROLLOUT_REASON,
    EvictionAnswer,
    EvictionResult,
    PodView,
)
from os_operator.shell.cache import Cache
from warmroot.api.base import API_VERSION, LabelSelector
from warmroot.errors import (
    AlreadyExists,
    Bug,
    ClusterError,
    Conflict,
    Forbidden,
    NetworkError,
    NotFound,
    TooManyRequests,
    WarmrootError,
)
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, PDB, POD, Cluster, Kind, Object
from warmroot.kube.events import Report, Subject, post
from warmroot.nodeconfig import of_target

log = logging.getLogger(__name__)
CONTROLLER = "warmroot.io/operator"
CONDITIONS_MANAGER = "warmroot-maintenance"
"""Field manager of conditions on Nodes: what it no longer names goes, and nobody else's does."""
REFUSED = 60.0
"""Seconds for which conditions are not tried again that we may not write."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one action; `error` is None where it was done."""

    action: Action
    error: WarmrootError | None = None


class Actor:
    """Does what a plan says, as long as `may_write` says that we hold the Lease."""

    def __init__(
        self, cluster: Cluster, cache: Cache, may_write: Callable[[], bool], identity: str = "operator"
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._may_write = may_write
        self._identity = identity
        self._now = 0.0
        self._conditions_from = 0.0
        self._do: dict[type[Any], Callable[[Any], None]] = {
            Cordon: self._cordon,
            Uncordon: self._uncordon,
            SetTaints: self._set_taints,
            SetConditions: self._set_conditions,
            EnsureInstance: self._ensure,
            DeleteInstance: self._delete_instance,
            SetOrders: self._set_orders,
            Evict: self._evict,
            DeletePod: self._delete_pod,
            WriteStatus: self._write_status,
            SetFinalizer: self._set_finalizer,
        }

    def carry_out(self, actions: Iterable[Action], now: float) -> list[Outcome]:
        """Does the actions in order. Stops where the Lease is lost, and where the API server can't be reached
        or wants to be left alone.
        """
        self._now = now
        outcomes: list[Outcome] = []
        for action in actions:
            if not self._may_write():
                break
            if isinstance(action, WriteStatus) and any(isinstance(one.error, Conflict) for one in outcomes):
                continue  # it would tell of a step that was not taken; the next pass knows better
            try:
                self._do[type(action)](action)
                outcomes.append(Outcome(action))
            except NetworkError as error:
                # It may have been done all the same: what it is about is read again before the next pass.
                self._cache.doubt(*_about(action))
                outcomes.append(Outcome(action, error))
                break
            except ClusterError as error:
                outcomes.append(Outcome(action, error))
                if isinstance(error, TooManyRequests) and error.retry_after:
                    break
        return outcomes

    # -- nodes ---------------------------------------------------------------------------------------------

    def _cordon(self, action: Cordon) -> None:
        note = {CORDON_ANNOTATION: cordon_text(action.note)}
        patch: Object = {
            "metadata": {"resourceVersion": action.version, "annotations": note},
            "spec": {"unschedulable": True} | ({} if action.taints is None else _taints(action.taints)),
        }
        self._cache.put(NODE, self._cluster.patch(NODE, action.node, patch))
        self._tell(action.happening)

    def _uncordon(self, action: Uncordon) -> None:
        patch: Object = {
            "metadata": {"resourceVersion": action.version, "annotations": {CORDON_ANNOTATION: None}}
        }
        if action.lift:
            patch["spec"] = {"unschedulable": None}
        self._cache.put(NODE, self._cluster.patch(NODE, action.node, patch))
        self._tell(action.happening)

    def _set_taints(self, action: SetTaints) -> None:
        # The API takes this list as a whole; the version keeps a change of somebody else's from being lost.
        patch: Object = {"metadata": {"resourceVersion": action.version}, "spec": _taints(action.taints)}
        self._cache.put(NODE, self._cluster.patch(NODE, action.node, patch))

    def _set_conditions(self, action: SetConditions) -> None:
        """They hold no rollout up: where nobody gave us the right, that is said once a minute."""
        if self._conditions_from - REFUSED <= self._now < self._conditions_from:
            return
        at = text(self._now)
        about = {"reason": ROLLOUT_REASON, "message": action.message, "lastTransitionTime": at}
        found = [{"type": kind, "status": str(true), **about} for kind, true in action.conditions]
        body: Object = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": action.node, "resourceVersion": action.version},
            "status": {"conditions": found},
        }
        try:
            written = self._cluster.apply(NODE, body, manager=CONDITIONS_MANAGER, subresource="status")
        except Forbidden as error:
            self._conditions_from = self._now + REFUSED
            log.warning("rollout.nodeConditions needs deploy/node-conditions: %s", error)
            return
        self._cache.put(NODE, written)

    # -- instances -----------------------------------------------------------------------------------------

    def _ensure(self, action: EnsureInstance) -> None:
        owner = {"apiVersion": "v1", "kind": "Node", "name": action.node, "uid": action.node_uid}
        body: Object = {
            "apiVersion": API_VERSION,
            "kind": "OSInstance",
            "metadata": {"name": action.node, "ownerReferences": [owner]},
            "spec": {key: value for key, value in spec_of(action.orders).items() if value is not None},
        }
        try:
            self._cache.put(OSINSTANCE, self._cluster.create(OSINSTANCE, body))
        except AlreadyExists:
            return

    def _delete_instance(self, action: DeleteInstance) -> None:
        try:
            self._cluster.delete(OSINSTANCE, action.name, uid=action.uid)
        except (NotFound, Conflict):
            return

    def _set_orders(self, action: SetOrders) -> None:
        patch: Object = {"metadata": {"resourceVersion": action.version}, "spec": spec_of(action.orders)}
        self._cache.put(OSINSTANCE, self._cluster.patch(OSINSTANCE, action.name, patch))
        self._tell(action.happening)

    # -- pods ----------------------------------------------------------------------------------------------

    def _evict(self, action: Evict) -> None:
        pod = action.pod
        body: Object = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        before = self._cache.evictions.get(pod.uid)
        answer, detail = EvictionAnswer.ACCEPTED, ""
        try:
            self._cluster.create(POD, body, namespace=pod.namespace, name=pod.name, subresource="eviction")
        except (NotFound, Conflict):
            return  # it is gone already, or another pod has its name
        except TooManyRequests as error:
            blocked = error.cause == "DisruptionBudget"
            answer = EvictionAnswer.BLOCKED if blocked else EvictionAnswer.THROTTLED
            detail = self._budgets_of(pod) if blocked else error.message
        except Forbidden as error:
            ends = error.cause == "NamespaceTerminating"
            answer = EvictionAnswer.NAMESPACE_ENDS if ends else EvictionAnswer.FAILED
            detail = error.message
        except ClusterError as error:
            answer, detail = EvictionAnswer.FAILED, error.message
        same = before is not None and before.answer is answer
        attempts = before.attempts + 1 if before is not None and same else 1
        self._cache.evictions[pod.uid] = EvictionResult(answer, self._now, attempts, detail)

    def _budgets_of(self, pod: PodView) -> str:
        """The PodDisruptionBudgets that select a pod: the answer to an eviction need not name them."""
        names = [
            budget["metadata"]["name"]
            for budget in self._cluster.list(PDB, namespace=pod.namespace).items
            if _selects(budget, pod)
        ]
        return "PodDisruptionBudget " + ", ".join(f"{pod.namespace}/{name}" for name in sorted(names))

    def _delete_pod(self, action: DeletePod) -> None:
        try:
            self._cluster.delete(POD, action.pod.name, namespace=action.pod.namespace, uid=action.pod.uid)
        except (NotFound, Conflict):
            return

    # -- OS objects ----------------------------------------------------------------------------------------

    def _write_status(self, action: WriteStatus) -> None:
        known = self._known(action.os)
        meta = {"name": action.os, "resourceVersion": action.version, "uid": known["metadata"]["uid"]}
        body: Object = {
            "apiVersion": API_VERSION,
            "kind": "OS",
            "metadata": meta,
            "spec": known["spec"],
            "status": action.status.wire(),
        }
        self._cache.put(OS, self._cluster.replace(OS, body, subresource="status"))
        for happening in action.happenings:
            self._tell(happening)

    def _set_finalizer(self, action: SetFinalizer) -> None:
        standing = self._known(action.os)["metadata"].get("finalizers") or []
        wanted = [name for name in standing if name != FINALIZER] + ([FINALIZER] if action.present else [])
        patch: Object = {"metadata": {"resourceVersion": action.version, "finalizers": wanted}}
        written = self._cluster.patch(OS, action.os, patch)
        if wanted or "deletionTimestamp" not in written["metadata"]:
            self._cache.put(OS, written)
        else:
            self._cache.remove(OS, action.os, int(written["metadata"]["resourceVersion"]))

    def _known(self, name: str) -> Object:
        known = self._cache.os_object(name)
        if known is None:
            raise NotFound(f"OS {name} is gone", status=404)
        return known

    def _tell(self, happening: Happening | None) -> None:
        if happening is None:
            return
        _, nodes, _ = self._cache.views() if happening.node else ({}, {}, {})
        node = nodes.get(happening.node)
        report = Report(
            Subject(OS, happening.os, happening.os_uid),
            happening.reason,
            happening.note,
            happening.key,
            self._now,
            happening.warning,
            Subject(NODE, node.name, node.uid) if node is not None else None,
        )
        post(self._cluster, report, controller=CONTROLLER, instance=self._identity)


def spec_of(orders: Orders) -> Object:
    """An OSInstance's spec as JSON; None where a field is absent, so that a merge patch takes it away.

    Raises:
        Bug: a reboot was ordered without a release.
    """
    if orders.order is not None and orders.digest is None:
        raise Bug("a reboot order without a release")
    digest, arguments = of_target(orders.digest or "")
    release: Object = {
        "version": orders.release_version,
        "digest": digest,
        "sources": list(orders.sources),
        "argumentsRevision": arguments or None,
    }
    config = orders.config
    settings = {"config": config.text or None, "configRevision": config.revision or None}
    return {
        **(settings if config.text is not None else {}),
        "os": orders.os,
        "goal": orders.goal.value,
        "release": release if orders.digest is not None else None,
        "stagingBandwidth": orders.bandwidth,
        "barred": list(orders.barred),
        "reboot": {"id": orders.order.id, "deadline": text(orders.order.deadline)} if orders.order else None,
    }


def _taints(taints: Iterable[Mapping[str, Any]]) -> Object:
    return {"taints": [dict(taint) for taint in taints] or None}


def _about(action: Action) -> tuple[Kind, str]:
    match action:
        case Cordon() | Uncordon() | SetTaints() | SetConditions():
            return NODE, action.node
        case SetOrders() | DeleteInstance():
            return OSINSTANCE, action.name
        case EnsureInstance():
            return OSINSTANCE, action.node
        case WriteStatus() | SetFinalizer():
            return OS, action.os
        case _:
            return POD, ""


def _selects(budget: Object, pod: PodView) -> bool:
    selector = budget.get("spec", {}).get("selector")
    return selector is not None and LabelSelector.model_validate(selector).matches(pod.labels)
