"""The operator's own process, and nodes for it: the proxy and kubelet of each is a thread."""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests import waiting
from warmroot import errors
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, POD

ROOT = Path(__file__).resolve().parents[2]
OLD = "sha256:" + hashlib.sha256(b"old").hexdigest()
USER = "warmroot-operator-test"
ACCOUNT = "system:serviceaccount:warmroot-system:warmroot-operator"
NEW = "sha256:" + hashlib.sha256(b"new").hexdigest()


def now(later: float = 0.0) -> str:
    """This moment or some seconds later, as the API server writes it."""
    return (datetime.now(UTC) + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def until(holds, seconds=60.0, what="it holds"):
    """As `waiting.until` does; the API server may not know an object yet, or be away for a moment."""
    return waiting.until(holds, seconds, what, forgive=(errors.NotFound, errors.NetworkError))


def node_info(boot_id: str):
    names = "architecture containerRuntimeVersion kernelVersion kubeProxyVersion kubeletVersion"
    names += " machineID operatingSystem osImage systemUUID"
    return dict.fromkeys(names.split(), "x") | {"bootID": boot_id}


class Worker(threading.Thread):
    """Proxy and kubelet of one node, as docs/node-protocol.md has them; a reboot takes a second."""

    def __init__(self, cluster, name: str, pool: str, falls_back: bool = False, taints=()) -> None:
        super().__init__(daemon=True)
        self.cluster, self.name_, self.falls_back = cluster, name, falls_back
        self.slots, self.good, self.booted = {"A": OLD}, "A", "A"
        self.boot, self.phase, self.carried, self.observed = 1, "Idle", None, 0
        self.booted_at = now()
        self.reboots = 0
        self.ready, self.since = "", ""
        self.ended = threading.Event()
        spec = {"taints": list(taints)} if taints else {}
        cluster.create(NODE, {"metadata": {"name": name, "labels": {"pool": pool}}, "spec": spec})
        self.kubelet("True")

    def kubelet(self, ready: str) -> None:
        """Node status; the controllers take a node for lost that does not repeat it."""
        if ready != self.ready:
            self.ready, self.since = ready, now()
        conditions = [
            {"type": "Ready", "status": ready, "lastTransitionTime": self.since, "lastHeartbeatTime": now()}
        ]
        self.write_node({"nodeInfo": node_info(self.boot_id), "conditions": conditions})

    def write_node(self, status) -> None:
        self.cluster.patch(NODE, self.name_, {"status": status}, subresource="status")

    @property
    def boot_id(self) -> str:
        return f"{self.name_}-{self.boot}"

    def report(self, phase: str) -> None:
        self.phase = phase
        self.cluster.patch(OSINSTANCE, self.name_, {"status": self.told()}, subresource="status")

    def told(self):
        """The whole status."""
        other = "B" if self.booted == "A" else "A"
        held = self.slots.get(other)
        return {
            "observedGeneration": self.observed,
            "phase": self.phase,
            "since": now(),
            "heartbeat": now(),
            "slots": {
                self.booted: {"state": "Booted", "digest": self.slots[self.booted]},
                other: {"state": "Verified", "digest": held} if held else {"state": "Empty"},
            },
            "booted": {"slot": self.booted, "bootID": self.boot_id, "digest": self.slots[self.booted],
                       "at": self.booted_at},
            "good": self.good,
            "rebootID": self.carried,
        }  # fmt: skip

    def run(self) -> None:
        beat = time.monotonic()
        while not self.ended.wait(0.1):
            try:
                if time.monotonic() > beat + 2:
                    beat = time.monotonic()
                    self.kubelet(self.ready)
                self.obey(self.cluster.get(OSINSTANCE, self.name_))
            except (errors.NotFound, errors.NetworkError):
                continue

    def obey(self, instance) -> None:
        generation, spec = instance["metadata"]["generation"], instance["spec"]
        if generation == self.observed:
            return
        self.observed = generation
        wanted = (spec.get("release") or {}).get("digest")
        other = "B" if self.booted == "A" else "A"
        if spec["goal"] == "Stage":
            self.slots[other] = wanted
            self.report("Staged")
        elif spec["goal"] == "Activate" and spec["reboot"]["id"] != self.carried:
            self.carried = spec["reboot"]["id"]
            self.report("Activating")
            self.reboot(other)
        elif spec["goal"] == "Confirm" and self.booted != self.good:
            self.good = self.booted
            self.report("Confirmed")
        else:
            self.report(self.phase)

    def reboot(self, slot: str) -> None:
        self.reboots += 1
        self.kubelet("False")
        time.sleep(1)
        self.boot += 1
        self.booted = self.good if self.falls_back else slot
        self.booted_at = now()
        self.report("FellBack" if self.falls_back else "Trial")
        self.kubelet("True")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Operator:
    """The process that users run."""

    def __init__(self, kubeconfig: Path, log: Path, identity: str = "test") -> None:
        self.kubeconfig, self.log, self.identity = kubeconfig, log, identity
        self.port = free_port()
        self.process = None

    def start(self) -> None:
        command = [sys.executable, "-m", "os_operator.main", "--kubeconfig", str(self.kubeconfig)]
        command += ["--identity", self.identity, "--lease-seconds", "5", "--metrics-port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def said(self) -> str:
        return self.log.read_text()[-3000:]


def apply(cluster, pool: str, digest: str = NEW, config=None, **rollout) -> str:
    health = {"readySeconds": 1, "timeout": "2m"}
    cluster.create(
        OS,
        {
            "apiVersion": OS.api_version,
            "kind": "OS",
            "metadata": {"name": pool},
            "spec": {
                "nodeSelector": {"matchLabels": {"pool": pool}},
                "release": {"version": "2", "source": "file:///releases", "digest": digest},
                "rollout": {"health": health} | rollout,
                **({"config": config} if config else {}),
            },
        },
    )
    return pool


def status(cluster, name: str):
    return cluster.get(OS, name).get("status", {})


def complete(cluster, name: str):
    return status(cluster, name).get("phase") == "Complete"


def only(taint, node) -> bool:
    """Whether it is the one that is left but for those of Kubernetes itself."""
    taints = node["spec"].get("taints") or ()
    return [one for one in taints if not one["key"].startswith("node.kubernetes.io/")] == [taint]


def pod_on(cluster, namespace: str, node: str, name: str, app: str = "web", claim: str = "") -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    cluster.create(
        POD,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
            "spec": {
                "nodeName": node,
                "volumes": volumes,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "web", "image": "none"}],
            },
        },
    )
    ready = [{"type": "Ready", "status": "True"}]
    body = {"status": {"phase": "Running", "conditions": ready}}
    cluster.patch(POD, name, body, namespace=namespace, subresource="status")
