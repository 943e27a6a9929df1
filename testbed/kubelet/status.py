"""What a kubelet writes: Node, Lease and pod status as JSON. Pure: facts and a time in, objects out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from testbed.kubelet.presence import HostFacts

Object = dict[str, Any]
CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "20Gi"}
KUBELET_VERSION = "v1.37.2"
LEASE_SECONDS = 8
"""Half the control plane's grace period; the lease is renewed every quarter of it, as kubelets do."""


def stamp(now: datetime) -> str:
    """RFC 3339 in whole seconds, UTC."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(now: datetime) -> str:
    """RFC 3339 in microseconds, UTC: what Leases and Events want."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def node(name: str, labels: Mapping[str, str], taints: Sequence[Mapping[str, str]]) -> Object:
    """The Node object that a kubelet registers."""
    own = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**own, **labels}},
        "spec": {"taints": [dict(taint) for taint in taints]} if taints else {},
    }


def condition(
    type_: str, truth: bool, reason: str, message: str, now: datetime, old: Object | None
) -> Object:
    """A condition whose `lastTransitionTime` moves only when its status does."""
    status = "True" if truth else "False"
    since = stamp(now)
    if old is not None and old.get("status") == status and old.get("lastTransitionTime"):
        since = str(old["lastTransitionTime"])
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": stamp(now),
        "lastTransitionTime": since,
    }


def find(conditions: Sequence[Object], type_: str) -> Object | None:
    """The condition of this type."""
    return next((item for item in conditions if item.get("type") == type_), None)


def node_status(
    facts: HostFacts, *, ready: bool, why: str, address: str, now: datetime, old: Sequence[Object]
) -> Object:
    """The whole status of a node, for a strategic merge patch; `old` are its present conditions."""
    calm = (
        ("MemoryPressure", "KubeletHasSufficientMemory"),
        ("DiskPressure", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "KubeletHasSufficientPID"),
    )
    conditions = [condition(type_, False, reason, "", now, find(old, type_)) for type_, reason in calm]
    reason = "KubeletReady" if ready else "KubeletNotReady"
    conditions.append(condition("Ready", ready, reason, why, now, find(old, "Ready")))
    return {
        "capacity": dict(CAPACITY),
        "allocatable": dict(CAPACITY),
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": address},
        ],
        "nodeInfo": {
            "bootID": facts.boot_id,
            "osImage": facts.os_image,
            "kernelVersion": facts.kernel_version,
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "containerRuntimeVersion": "simulated://1",
            "machineID": "",
            "systemUUID": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }


def lease(name: str, now: datetime, owner_uid: str) -> Object:
    """The node's heartbeat Lease."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": "kube-node-lease",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": owner_uid}],
        },
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": micro(now),
        },
    }


def rebooted_event(name: str, uid: str, boot_id: str, now: datetime) -> Object:
    """The event that a kubelet writes when its host has another boot id than before."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{boot_id}", "namespace": "default"},
        "eventTime": micro(now),
        "reportingController": "kubelet",
        "reportingInstance": name,
        "action": "Rebooted",
        "reason": "Rebooted",
        "type": "Warning",
        "note": f"Node {name} has been rebooted, boot id: {boot_id}",
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid},
    }


def pod_status(pod: Object, *, ready: bool, restarts: int, address: str, now: datetime) -> Object:
    """The status of a pod whose containers run (`ready` or not yet), for a strategic merge patch."""
    status = pod.get("status", {})
    old = status.get("conditions", [])
    wanted = (
        ("Initialized", True, ""),
        ("PodReadyToStartContainers", True, ""),
        ("ContainersReady", ready, "" if ready else "ContainersNotReady"),
        ("Ready", ready, "" if ready else "ContainersNotReady"),
    )
    conditions = []
    for type_, truth, reason in wanted:
        item = condition(type_, truth, reason, "", now, find(old, type_))
        del item["lastHeartbeatTime"]
        conditions.append(item)
    started = status.get("startTime") or stamp(now)
    containers = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": f"simulated://{container['image']}",
            "containerID": f"simulated://{pod['metadata']['uid']}/{container['name']}/{restarts}",
            "ready": ready,
            "started": ready,
            "restartCount": restarts,
            "state": {"running": {"startedAt": stamp(now)}},
        }
        for container in pod["spec"]["containers"]
    ]
    return {
        "phase": "Running",
        "conditions": conditions,
        "containerStatuses": containers,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": started,
    }


def restarts_of(pod: Object) -> int:
    """How often the pod's containers were restarted, as its status says; -1 if they never ran."""
    counts = [int(item.get("restartCount", 0)) for item in pod.get("status", {}).get("containerStatuses", [])]
    return max(counts, default=-1)
