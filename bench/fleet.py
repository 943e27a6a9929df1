"""The operator over 10,000 nodes on a real API server: its memory, and how soon it knows what to do.

The nodes are API objects as kubelets write them, with no kubelet behind them, and OSInstances as proxies
write them. All run the target, but for a last one that waits to be moved: most of an operator's life. Then
nodes report that they are alive, as often as ten thousand kubelets do.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.report import Row
from testbed.controlplane import audit
from testbed.controlplane.plane import ControlPlane
from testbed.demo import requests
from testbed.demo.system import Operator
from testbed.kubelet.strategic import strategic_patch
from testbed.swarm.bed import install
from warmroot.api.base import API_VERSION
from warmroot.cache import cache_dir
from warmroot.errors import StepFailed
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, RestCluster
from warmroot.kube.transport import RequestsTransport

NODES = 10_000
GOAL_MIB = 400.0
WRITERS = 4
IMAGES = 30
"""A node names the images that it has; kubelets report up to 50."""
SETTLE, REST = 15.0, 60.0
"""Seconds until an operator that has decided counts as idle, a paced write of its status included; then
seconds for which idleness is watched."""
PATIENCE = 300.0
REPORT = 300.0
"""Seconds between two reports of a kubelet whose node does not change (nodeStatusReportFrequency)."""
DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
BEAT_AHEAD = 3600.0
"""No proxy goes on telling that it is alive. So each said it last that many seconds from now: on a slow
machine, the first would fall silent before the last is written, and the operator say so all the time."""
LABELS = {"pool": "workers"}

Object = dict[str, Any]


@dataclass
class Scene:
    """A control plane with a fleet on it."""

    plane: ControlPlane
    cluster: RestCluster
    operator: Operator


def run() -> list[Row]:
    """Fills a control plane, then starts the operator twice.

    Raises:
        StepFailed: it did not decide in time.
        NotInstalled: set-up is missing something.
    """
    with _scene() as scene:
        first = _decides(scene, "first", 1)
        time.sleep(SETTLE)
        began = _stamp()
        time.sleep(REST)
        resting = [entry for entry in audit.read(scene.plane.audit_log) if entry.at >= began]
        memory, peak = _resident(scene, "VmRSS"), _resident(scene, "VmHWM")
        busy, reports = _reported(scene)
        reporting = _resident(scene, "VmRSS")
        scene.operator.kill()
        again = _decides(scene, "again", 2)
    asked = requests.busy(resting, requests.OPERATOR)
    named = ", ".join(f"{count} {what}" for what, count in asked.items()) or "none"
    nodes = f"{NODES:,} nodes"
    return [
        Row("fleet", f"resident at rest, {nodes}", memory, "MiB", GOAL_MIB),
        Row("fleet", f"resident at its peak, {nodes}", peak, "MiB", GOAL_MIB),
        Row(
            "fleet",
            f"resident after {REST:g} s of kubelets' reports",
            reporting,
            "MiB",
            GOAL_MIB,
            against=reports,
        ),
        Row("fleet", "processor time of the operator meanwhile", busy, "%", against="of one core"),
        Row("fleet", f"from its start to its first decision, {nodes}", first, "s"),
        Row("fleet", f"from a restart to its first decision, {nodes}", again, "s"),
        Row(
            "fleet",
            f"requests a minute of rest, {nodes}",
            asked.total() * 60 / REST,
            "requests",
            0,
            against=f"Lease and watches left out; {named}",
        ),
    ]


@contextlib.contextmanager
def _scene() -> Iterator[Scene]:
    directory = cache_dir() / "run" / f"bench-{time.time_ns()}"
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        plane = ControlPlane(directory / "control-plane", node_grace=3600.0)
        undo.callback(plane.stop)
        plane.start()
        transport = RequestsTransport(str(plane.kubeconfig))
        undo.callback(transport.close)
        cluster = RestCluster(transport)
        install(directory, plane)
        began = time.monotonic()
        _fill(plane)
        print(f"  {NODES:,} nodes are there after {time.monotonic() - began:.0f} s", file=sys.stderr)
        operator = Operator(directory / "operator", plane.kubeconfig, cluster)
        undo.callback(operator.end)
        yield Scene(plane, cluster, operator)


def _fill(plane: ControlPlane) -> None:
    share = range(WRITERS)
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(lambda part: _write(plane, range(part, NODES, WRITERS)), share))


def _write(plane: ControlPlane, numbers: range) -> None:
    with contextlib.closing(RequestsTransport(str(plane.kubeconfig))) as transport:
        cluster = RestCluster(transport)
        for number in numbers:
            node = cluster.create(NODE, _node(number))
            instance = cluster.create(OSINSTANCE, _instance(node))
            instance["status"] = _status(node)
            cluster.replace(OSINSTANCE, instance, subresource="status")


def _node(number: int) -> Object:
    name, now = f"node-{number:05}", _stamp()
    source = random.Random(number)
    ready = [
        {"type": kind, "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now}
        | {"reason": f"Kubelet{kind}", "message": "kubelet is posting ready status"}
        for kind, status in (
            ("MemoryPressure", "False"),
            ("DiskPressure", "False"),
            ("PIDPressure", "False"),
            ("Ready", "True"),
        )
    ]
    images = [
        {"names": [f"registry.example/shop/service-{one}@sha256:{source.randbytes(32).hex()}"]}
        | {"sizeBytes": source.randrange(10**9)}
        for one in range(IMAGES)
    ]
    sizes = {"cpu": "64", "memory": "263811400Ki", "pods": "200", "ephemeral-storage": "1843200Mi"}
    info = {
        "architecture": "amd64",
        "bootID": f"boot-{number}",
        "containerRuntimeVersion": "containerd://2.2.1",
        "kernelVersion": "6.12.0",
        "kubeProxyVersion": "",
        "kubeletVersion": "v1.36.2",
        "machineID": source.randbytes(16).hex(),
        "operatingSystem": "linux",
        "osImage": "warmroot",
        "systemUUID": source.randbytes(16).hex(),
    }
    labels = LABELS | {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{number % 3}"}
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "allocatable": sizes,
        "capacity": sizes,
        "conditions": ready,
        "images": images,
        "nodeInfo": info,
    }
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status}


def _instance(node: Object) -> Object:
    name, uid = node["metadata"]["name"], node["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    spec = {"os": "workers", "goal": "None"}
    return {"apiVersion": API_VERSION, "kind": "OSInstance", "spec": spec} | {
        "metadata": {"name": name, "ownerReferences": [owner]}
    }


def _status(node: Object) -> Object:
    """As a proxy writes it: the target runs, the one before is in the other slot; the last node is behind."""
    late = node["metadata"]["name"] == f"node-{NODES - 1:05}"
    runs, other = (OTHER, DIGEST) if late else (DIGEST, OTHER)
    return {
        "observedGeneration": 1,
        "phase": "Idle",
        "since": _seconds(),
        "heartbeat": _seconds(BEAT_AHEAD),
        "slots": {
            "A": {"state": "Good", "digest": runs, "version": "2", "releaseSeq": 2},
            "B": {"state": "Verified", "digest": other, "version": "1", "releaseSeq": 1},
        },
        "booted": {
            "slot": "A",
            "bootID": node["status"]["nodeInfo"]["bootID"],
            "digest": runs,
            "at": _seconds(),
        },
        "good": "A",
        "next": "-",
    }


def _decides(scene: Scene, version: str, generation: int) -> float:
    """Seconds until the status speaks of a spec that was written while no operator ran."""
    spec = {
        "nodeSelector": {"matchLabels": LABELS},
        "release": {"version": version, "source": "https://releases.example", "digest": DIGEST},
        "rollout": {"paused": True},
    }
    began = time.monotonic()
    if generation == 1:
        body = {"apiVersion": API_VERSION, "kind": "OS", "metadata": {"name": "workers"}, "spec": spec}
        scene.cluster.create(OS, body)
        scene.operator.start()
    else:
        scene.cluster.patch(OS, "workers", {"spec": spec})

    def decided() -> bool:
        os_object = scene.cluster.get(OS, "workers")
        status = os_object.get("status", {})
        total: int = status.get("counts", {}).get("total", 0)
        seen = status.get("observedGeneration") == os_object["metadata"]["generation"]
        return bool(seen and total == NODES)

    _await(decided)
    return time.monotonic() - began


def _await(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise StepFailed(f"the operator decided nothing in {PATIENCE:g} s")
        time.sleep(0.1)


def _reported(scene: Scene) -> tuple[float, str]:
    """Kubelets tell that they are alive; the operator's share of a core meanwhile, in percent."""
    every, wrote = REPORT / NODES, 0
    before, began = _processor(scene), time.monotonic()
    while (gone := time.monotonic() - began) < REST:
        if wrote * every > gone:
            time.sleep(wrote * every - gone)
        name, now = f"node-{wrote % NODES:05}", _seconds()
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now}
        strategic_patch(scene.cluster, NODE.path(None, name, "status"), {"status": {"conditions": [ready]}})
        wrote += 1
    share = 100 * (_processor(scene) - before) / (time.monotonic() - began)
    return share, f"{wrote / REST:.0f} a second; each node's comes every {REPORT / 60:g} minutes"


def _processor(scene: Scene) -> float:
    """Seconds that the operator has spent."""
    fields = Path(f"/proc/{scene.operator.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(scene: Scene, field: str) -> float:
    """MiB."""
    lines = Path(f"/proc/{scene.operator.pid}/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"{field}:"))
    return int(found.split()[1]) / 1024


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(ahead: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")
