"""A swarm, a control plane under it, and the operator's own process over it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from testbed.controlplane import build
from testbed.controlplane.plane import ControlPlane
from testbed.demo import objects
from testbed.demo.kubectl import Kubectl
from testbed.demo.objects import Run
from testbed.demo.scene import DEPLOYMENT
from testbed.demo.system import Operator
from testbed.kubelet import status
from testbed.swarm.clock import RealTime
from testbed.swarm.fleet import Fleet
from testbed.swarm.live import LiveRecords
from testbed.swarm.machine import Machine, digest
from testbed.swarm.pods import Pods, PodTimes
from testbed.swarm.ports import Times, stamp
from warmroot.errors import StepFailed
from warmroot.kube.cluster import NAMESPACE, OS, PDB, Kind, Object, RestCluster
from warmroot.kube.transport import RequestsTransport

PROXIES, KUBELETS, ADMINISTRATOR = "swarm-proxies", "swarm-kubelets", "administrator"
"""Users, by which the audit log tells who did what."""
WORKLOAD = "shop"
LABELS = {"pool": "workers"}
MOST, FEW = {"lot": "most"}, {"lot": "few"}
"""A tenth of the machines are `FEW`, so that two OS objects may roll beside each other."""
UP_WITHIN = 120.0


@dataclass(frozen=True)
class SwarmSpec:
    """So many machines, and pods of a workload. `spare`: those that may be missing, says the
    PodDisruptionBudget.
    """

    directory: Path
    machines: int
    replicas: int
    spare: str = "40%"
    times: Times = field(default_factory=Times)
    pods: PodTimes = field(default_factory=PodTimes)
    seed: int = 0


class Swarm:
    """Machines on release 1, and a workload on them. A context manager: it all ends with the block.

    `admin` is the cluster as a person sees it. `fleet` belongs to the thread of `time`: what is to happen to
    a machine is given to `time.after`.
    """

    def __init__(self, spec: SwarmSpec) -> None:
        self.spec = spec
        self.plane = ControlPlane(spec.directory / "control-plane", node_grace=3600.0, audit_bodies=True)
        self.time = RealTime("machines")
        self.fleet: Fleet
        self.records: LiveRecords
        self.pods: Pods
        self.admin: RestCluster
        self.operator: Operator
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.plane.stop)
            self.plane.start()
            install(self.spec.directory, self.plane)
            self._populate(undo)
            self.operator = Operator(self.spec.directory / "operator", self.plane.kubeconfig, self.admin)
            undo.callback(self.operator.end)
            self.operator.start()
            self._work()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def wait(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        """Until something holds.

        Raises:
            StepFailed: it does not after `seconds`.
            Bug: a machine failed in a way that it should not.
            ProgramDied: the operator ends again and again.
        """
        end = time.monotonic() + seconds
        while not holds():
            self.check()
            if time.monotonic() > end:
                raise StepFailed(
                    f"{what}: not within {seconds:g} s", hint=f"the logs below {self.plane.paths.root}"
                )
            time.sleep(0.2)

    def check(self) -> None:
        """Nothing while machines and operator live.

        Raises:
            Bug: a machine failed in a way that it should not.
            ProgramDied: the operator ends again and again.
        """
        self.time.check()
        self.pods.time.check()
        self.operator.check()

    def join(self, name: str, labels: Mapping[str, str]) -> Machine:
        """A machine with release 1 registers its Node, Ready."""
        now = self.time.now
        node = status.node(name, {**LABELS, **labels}, ())
        info = dict.fromkeys(
            ("architecture", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion"), ""
        )
        info |= dict.fromkeys(("kubeletVersion", "machineID", "operatingSystem", "osImage", "systemUUID"), "")
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp(now)}
        node["status"] = {
            "allocatable": status.CAPACITY,
            "capacity": status.CAPACITY,
            "conditions": [ready],
            "nodeInfo": info | {"bootID": f"{name}-new"},
        }
        made = self.records.register(node)
        machine = Machine(self.fleet, name, made["metadata"]["uid"], {"A": digest(1)})
        machine.booted_at = machine.since = now
        self.fleet.machines[name] = machine
        machine.set_ready(True)
        return machine

    def _populate(self, undo: contextlib.ExitStack) -> None:
        users = self.spec.directory / "users"
        paths = {
            user: self.plane.issue_kubeconfig(user, ["system:masters"], users / user)
            for user in (PROXIES, KUBELETS, ADMINISTRATOR)
        }
        transport = RequestsTransport(str(paths[ADMINISTRATOR]))
        undo.callback(transport.close)
        self.admin = RestCluster(transport)
        random = Random(self.spec.seed)  # noqa: S311 - it draws faults
        self.records = LiveRecords(self.time, paths[PROXIES], paths[KUBELETS])
        undo.callback(self.records.end)
        self.fleet = Fleet(self.time, random, self.records, self.spec.times)
        for number in range(self.spec.machines):
            self.join(f"node-{number:03}", FEW if number % 10 == 3 else MOST)
        undo.callback(self.time.end)
        self.time.start()
        self.records.start(self.fleet.heard)
        self.fleet.begin()
        apart = Random(self.spec.seed)  # noqa: S311 - it draws times
        self.pods = Pods(paths[KUBELETS], self.fleet.machines, apart, self.spec.pods)
        undo.callback(self.pods.end)
        self.pods.start()

    def _work(self) -> None:
        """A Deployment, and the budget that protects it."""
        for kind, item in workload(self.spec.replicas, self.spec.spare):
            self.admin.create(kind, item)

        def ready() -> bool:
            found = self.admin.get(DEPLOYMENT, WORKLOAD, namespace=WORKLOAD)
            return bool(found.get("status", {}).get("readyReplicas") == self.spec.replicas)

        self.wait(ready, "the workload is in service", UP_WITHIN)


def install(directory: Path, plane: ControlPlane) -> None:
    """Resources and rights; no DaemonSet, which would make a pod for each node.

    Raises:
        StepFailed: the API server refused something.
        NotInstalled: the control plane is not built.
    """
    items = [item for item in objects.installation(Run("swarm", 1)) if item["kind"] != "DaemonSet"]
    path = directory / "installation.yaml"
    path.write_text(objects.manifest(items))
    kubectl = Kubectl(build.installed() / "kubectl", plane.kubeconfig)
    kubectl.run("create", "-f", str(path))
    kubectl.run("wait", "--timeout=60s", "--for=condition=Established", "crd", "--all")


def workload(replicas: int, spare: str) -> list[tuple[Kind, Object]]:
    """The objects of a stateless workload."""
    labels, meta = {"app": WORKLOAD}, {"name": WORKLOAD, "namespace": WORKLOAD}
    container = {"name": "main", "image": "warmroot.example/simulated:1"}
    pod = {"terminationGracePeriodSeconds": 5, "containers": [container]}
    deployment: dict[str, Any] = {
        "metadata": meta,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    budget = {"metadata": meta, "spec": {"maxUnavailable": spare, "selector": {"matchLabels": labels}}}
    return [(NAMESPACE, {"metadata": {"name": WORKLOAD}}), (DEPLOYMENT, deployment), (PDB, budget)]


def os_object(name: str, version: int, rollout: Object, labels: Mapping[str, str] | None = None) -> Object:
    """The object that moves the machines with these labels to a release."""
    return {
        "apiVersion": OS.api_version,
        "kind": OS.kind,
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"matchLabels": dict(labels or LABELS)},
            "release": {
                "version": str(version),
                "source": "https://releases.example",
                "digest": digest(version),
            },
            "rollout": rollout,
        },
    }
