"""The operator's own process against the real API server, with a tiny proxy and kubelet in this file."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from os_operator.core.actions import Evict
from os_operator.core.explain import explain
from os_operator.core.world import AVOIDED, CLOSED, NOT_CURRENT, EvictionAnswer, PodView
from os_operator.plugin import reading
from os_operator.shell.act import Actor
from os_operator.shell.cache import Cache
from testbed.controlplane import audit
from tests import waiting
from tests.installation import install
from warmroot import errors
from warmroot.api import crdgen
from warmroot.kube.cluster import (
    CRD,
    LEASE,
    NAMESPACE,
    NODE,
    OS,
    OSINSTANCE,
    PDB,
    PERSISTENT_VOLUME,
    POD,
    SERVICE_ACCOUNT,
    VOLUME_ATTACHMENT,
    Kind,
)

pytestmark = pytest.mark.api

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "warmroot-system"
OLD = "sha256:" + hashlib.sha256(b"old").hexdigest()
NEW = "sha256:" + hashlib.sha256(b"new").hexdigest()
USER = "warmroot-operator-test"
ACCOUNT = "system:serviceaccount:warmroot-system:warmroot-operator"
CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
HUNG = 5.0
"""Seconds that kopf gives tasks which it does not end itself; with one of them no end takes less."""


def now(later: float = 0.0) -> str:
    """This moment or some seconds later, as the API server writes it."""
    return (datetime.now(UTC) + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def until(holds, seconds=60.0, what="it holds"):
    """As `waiting.until` does; the API server may not know an object yet, or be away for a moment."""
    return waiting.until(holds, seconds, what, forgive=(errors.NotFound, errors.NetworkError))


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
        names = "architecture containerRuntimeVersion kernelVersion kubeProxyVersion kubeletVersion"
        names += " machineID operatingSystem osImage systemUUID"
        info = dict.fromkeys(names.split(), "x")
        conditions = [
            {"type": "Ready", "status": ready, "lastTransitionTime": self.since, "lastHeartbeatTime": now()}
        ]
        info["bootID"] = self.boot_id
        self.cluster.patch(
            NODE, self.name_, {"status": {"nodeInfo": info, "conditions": conditions}}, subresource="status"
        )

    @property
    def boot_id(self) -> str:
        return f"{self.name_}-{self.boot}"

    def report(self, phase: str) -> None:
        self.phase = phase
        other = "B" if self.booted == "A" else "A"
        held = self.slots.get(other)
        status = {
            "observedGeneration": self.observed,
            "phase": phase,
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
        self.cluster.patch(OSINSTANCE, self.name_, {"status": status}, subresource="status")

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

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self.kubeconfig, self.log = kubeconfig, log
        self.port = free_port()
        self.process = None

    def start(self) -> None:
        command = [sys.executable, "-m", "os_operator.main", "--kubeconfig", str(self.kubeconfig)]
        command += ["--identity", "test", "--lease-seconds", "5", "--metrics-port", str(self.port)]
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


@pytest.fixture(scope="module")
def kinds(cluster):
    for content in crdgen.render().values():
        document = yaml.safe_load(content)
        cluster.apply(CRD, document, manager="test", force=True)
        name = document["metadata"]["name"]
        until(lambda name=name: any(
            one["type"] == "Established" and one["status"] == "True"
            for one in cluster.get(CRD, name).get("status", {}).get("conditions") or ()
        ), what=name)  # fmt: skip
    for document in yaml.safe_load_all((ROOT / "deploy/base/namespace.yaml").read_text()):
        cluster.apply(NAMESPACE, document, manager="test", force=True)
    return cluster


@pytest.fixture
def operator(kinds, control_plane, tmp_path):
    """With a user of its own in the audit log."""
    path = control_plane.issue_kubeconfig(USER, ["system:masters"], tmp_path / "operator.kubeconfig")
    operator = Operator(path, tmp_path / "operator.log")
    operator.start()
    yield operator
    if operator.process.poll() is None:
        operator.end(signal.SIGTERM)


@pytest.fixture
def restricted_operator(kinds, control_plane, tmp_path):
    """With the rights of deploy/base and no others."""
    install(control_plane)
    path = control_plane.issue_kubeconfig(ACCOUNT, [], tmp_path / "restricted.kubeconfig")
    operator = Operator(path, tmp_path / "operator.log")
    operator.start()
    yield operator
    if operator.process.poll() is None:
        operator.end(signal.SIGTERM)


@pytest.fixture
def fleet(kinds):
    pool = f"pool-{uuid.uuid4().hex[:6]}"
    workers = []

    def join(count: int, **options):
        for number in range(len(workers), len(workers) + count):
            worker = Worker(kinds, f"{pool}-{number}", pool, **options)
            workers.append(worker)
            worker.start()
        return pool, workers

    yield join
    for worker in workers:
        worker.ended.set()
        worker.join()
    for os_object in kinds.list(OS).items:
        kinds.patch(OS, os_object["metadata"]["name"], {"metadata": {"finalizers": None}})
        kinds.delete(OS, os_object["metadata"]["name"])
    for worker in workers:
        kinds.delete(NODE, worker.name_)


def apply(cluster, pool: str, **rollout) -> str:
    health = {"readySeconds": 1, "timeout": "2m"}
    cluster.create(
        OS,
        {
            "apiVersion": OS.api_version,
            "kind": "OS",
            "metadata": {"name": pool},
            "spec": {
                "nodeSelector": {"matchLabels": {"pool": pool}},
                "release": {"version": "2", "source": "file:///releases", "digest": NEW},
                "rollout": {"health": health} | rollout,
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


def test_three_nodes_are_moved_and_an_idle_operator_then_asks_for_nothing(
    kinds, operator, fleet, control_plane
):
    pool, workers = fleet(2)
    theirs = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    fleet(1, taints=[theirs, {"key": NOT_CURRENT, "effect": CLOSED}])
    name = apply(kinds, pool)
    seen = []

    def over():
        for worker in workers:
            taints = kinds.get(NODE, worker.name_)["spec"].get("taints") or ()
            found = [one["effect"] for one in taints if one["key"] == NOT_CURRENT]
            seen.extend((worker.name_, effect) for effect in found)
        return complete(kinds, name)

    until(over, 90, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert [worker.reboots for worker in workers] == [1, 1, 1]
    assert all(worker.good == "B" for worker in workers)
    assert (f"{pool}-1", AVOIDED) in seen, "while the one before it was drained"
    assert (f"{pool}-2", CLOSED) in seen
    until(
        lambda: only(theirs, kinds.get(NODE, workers[2].name_)), what="it is opened, and keeps its own taint"
    )
    nodes = [kinds.get(NODE, worker.name_) for worker in workers]
    assert not any(NOT_CURRENT in str(node["spec"]) for node in nodes)
    told = operator.metrics()
    assert f'warmroot_os_nodes{{os="{name}",state="updated"}} 3.0' in told
    assert f'warmroot_node_phase_seconds_count{{os="{name}",phase="Rebooting"}} 3.0' in told
    assert 'warmroot_api_requests_total{resource="osinstances",verb="create"} 3.0' in told
    assert not any(node["spec"].get("unschedulable") for node in nodes)
    assert not any("warmroot.io/cordon" in node["metadata"].get("annotations", {}) for node in nodes)

    entries = [one for one in audit.read(control_plane.audit_log) if one.user == USER]
    writes = [one for one in entries if one.is_write and one.resource != "leases"]
    per_node = len(writes) / len(workers)
    assert per_node <= 12, [(one.verb, one.resource, one.name) for one in writes]

    def asked(since):
        mine = [one for one in audit.read(control_plane.audit_log) if one.user == USER and one.at > since]
        return [(one.verb, one.resource) for one in mine if one.verb != "watch"]

    def renewals(since):
        return sum(verb in ("patch", "update") and resource == "leases" for verb, resource in asked(since))

    until(lambda: all(resource == "leases" for _verb, resource in asked(now(-2))))  # the last events
    since = now()
    until(lambda: renewals(since) >= 3)
    assert {resource for _verb, resource in asked(since)} == {"leases"}


def test_a_blocked_eviction_names_its_budget_and_goes_on_when_it_is_lifted(kinds, operator, fleet, namespace):
    pool, workers = fleet(1)
    pod_on(kinds, namespace, workers[0].name_, "web-1")
    kinds.create(
        PDB,
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        },
    )
    until(lambda: kinds.get(PDB, "web", namespace=namespace).get("status", {}).get("observedGeneration"))
    name = apply(kinds, pool)

    def blocked():
        rows = status(kinds, name).get("waiting", [])
        return next((row for row in rows if row["reason"] == "DrainBlocked"), None)

    row = until(blocked, 60, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert f"PodDisruptionBudget {namespace}/web" in row["message"]
    assert f"{namespace}/web-1" in row["message"]
    assert row["since"] and row["deadline"]
    assert workers[0].reboots == 0
    kinds.delete(PDB, "web", namespace=namespace)
    until(lambda: complete(kinds, name), 90, lambda: f"{status(kinds, name)}\n{operator.said()}")


class Attacher:
    """A storage driver: a bound claim, its volume, and the attachment to a node that it detaches when told.

    As real attachers do, it holds its attachment by a finalizer until the volume is off the node.
    """

    def __init__(self, cluster, namespace: str, node: str, claim: str) -> None:
        self.cluster = cluster
        self.volume = self.attachment = f"{namespace}-{claim}"
        size, modes = {"storage": "1Gi"}, ["ReadWriteOnce"]
        bound = {"apiVersion": "v1", "kind": CLAIM.kind, "namespace": namespace, "name": claim}
        volume = {
            "capacity": size,
            "accessModes": modes,
            "claimRef": bound,
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {"driver": "csi.example", "volumeHandle": claim},
        }
        cluster.create(PERSISTENT_VOLUME, {"metadata": {"name": self.volume}, "spec": volume})
        wanted = {
            "accessModes": modes,
            "resources": {"requests": size},
            "volumeName": self.volume,
            "storageClassName": "",
        }
        cluster.create(CLAIM, {"metadata": {"name": claim, "namespace": namespace}, "spec": wanted})
        attached = {
            "attacher": "csi.example",
            "nodeName": node,
            "source": {"persistentVolumeName": self.volume},
        }
        meta = {"name": self.attachment, "finalizers": ["external-attacher/csi-example"]}
        cluster.create(VOLUME_ATTACHMENT, {"metadata": meta, "spec": attached})
        body = {"status": {"attached": True}}
        cluster.patch(VOLUME_ATTACHMENT, self.attachment, body, subresource="status")

    def ask(self) -> None:
        """What the attach-detach controller does when no pod uses the volume any more."""
        self.cluster.delete(VOLUME_ATTACHMENT, self.attachment)

    def detach(self) -> None:
        self.cluster.patch(VOLUME_ATTACHMENT, self.attachment, {"metadata": {"finalizers": None}})

    def end(self) -> None:
        with contextlib.suppress(errors.NotFound):
            self.detach()
            self.ask()
        self.cluster.delete(PERSISTENT_VOLUME, self.volume)


@pytest.fixture
def attach(kinds, namespace):
    made = []

    def attached(node: str, claim: str) -> Attacher:
        made.append(Attacher(kinds, namespace, node, claim))
        return made[-1]

    yield attached
    for one in made:
        one.end()


def test_a_node_restarts_when_its_pods_have_finished_and_its_volumes_are_off_and_what_is_skipped_stays(
    kinds, restricted_operator, fleet, namespace, attach
):
    operator, (pool, workers) = restricted_operator, fleet(1)
    worker = workers[0]
    data, spool = attach(worker.name_, "data"), attach(worker.name_, "spool")
    pod_on(kinds, namespace, worker.name_, "web-1", claim="data")
    pod_on(kinds, namespace, worker.name_, "batch-1", "batch")
    pod_on(kinds, namespace, worker.name_, "agent-1", "agent", claim="spool")
    rules = [
        {"selector": {"matchLabels": {"app": "batch"}}, "action": "WaitCompleted"},
        {
            "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["agent"]}]},
            "action": "Skip",
        },
    ]
    name = apply(kinds, pool, drain={"podRules": rules})

    def waits(reason):
        rows = status(kinds, name).get("waiting", [])
        return next((row["message"] for row in rows if row["reason"] == reason), None)

    def told():
        return f"{status(kinds, name)}\n{operator.said()}"

    batch = until(lambda: waits("PodsRunning"), 60, told)
    assert batch == f"may finish by drain.podRules: {namespace}/batch-1"
    here = {one["metadata"]["name"] for one in kinds.list(POD, namespace=namespace).items}
    assert here == {"batch-1", "agent-1"}, "web-1 was evicted, and nobody else"
    data.ask()
    body = {"status": {"phase": "Succeeded"}}
    kinds.patch(POD, "batch-1", body, namespace=namespace, subresource="status")
    volumes = until(lambda: waits("VolumesAttached"), 60, told)
    assert volumes == f"pods are gone, volumes still attached: {namespace}/data ({data.volume})"
    why = explain(worker.name_, reading.world(kinds), time.time())
    assert (why.reason.value, why.message) == ("VolumesAttached", volumes)
    assert worker.reboots == 0
    data.detach()
    until(lambda: complete(kinds, name), 90, told)
    assert worker.reboots == 1
    assert kinds.get(POD, "agent-1", namespace=namespace)["metadata"].get("deletionTimestamp") is None
    assert kinds.get(VOLUME_ATTACHMENT, spool.attachment)["status"]["attached"]


def test_the_api_server_says_why_nothing_is_evicted_from_a_namespace_that_ends(kinds, node):
    """A namespace in deletion takes no new content, and an eviction is such."""
    namespace = f"ends-{uuid.uuid4().hex[:10]}"
    kinds.create(NAMESPACE, {"metadata": {"name": namespace}})
    until(lambda: kinds.get(SERVICE_ACCOUNT, "default", namespace=namespace))
    pod_on(kinds, namespace, node, "web-1")
    meta = {"finalizers": ["example.com/hold"]}
    kinds.patch(POD, "web-1", {"metadata": meta}, namespace=namespace)
    kinds.delete(NAMESPACE, namespace)
    uid = kinds.get(POD, "web-1", namespace=namespace)["metadata"]["uid"]
    cache = Cache()
    doomed = PodView(namespace, "web-1", uid)
    [outcome] = Actor(kinds, cache, lambda: True).carry_out([Evict(node, doomed)], time.time())
    kinds.patch(POD, "web-1", {"metadata": {"finalizers": None}}, namespace=namespace)
    assert outcome.error is None
    assert cache.evictions[uid].answer is EvictionAnswer.NAMESPACE_ENDS


def test_a_node_on_trial_waits_for_its_checks_and_a_restart_forgets_what_they_said(
    kinds, operator, fleet, namespace
):
    pool, workers = fleet(1)
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": "state"}
    checks = [
        {"name": "volumes", "interval": "1s", "object": wanted | {"cel": "object.data.phase == 'Ready'"}},
        {"name": "web", "interval": "1s", "pods": {"namespace": namespace, "selector": {}, "onNode": False}},
    ]
    name = apply(kinds, pool, health={"readySeconds": 1, "timeout": "2m", "checks": checks})

    def failing(check, reason):
        def told():
            rows = status(kinds, name).get("waiting", [])
            return next((row for row in rows if row.get("check") == {"name": check, "reason": reason}), None)

        return until(told, 90, lambda: f"{status(kinds, name)}\n{operator.said()}")

    row = failing("volumes", "NoObject")
    assert (row["phase"], row["reason"]) == ("Trial", "CheckFailed")
    assert row["message"] == (
        f"check volumes: NoObject, there is no ConfigMap state in {namespace}; also web"
    )
    config_map = Kind("", "v1", "configmaps", "ConfigMap")
    kinds.create(
        config_map, {"metadata": {"name": "state", "namespace": namespace}, "data": {"phase": "Ready"}}
    )
    failing("web", "NoPods")
    operator.end(signal.SIGKILL)
    operator.start()
    pod_on(kinds, namespace, "elsewhere", "web-1")
    until(lambda: complete(kinds, name), 90, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert workers[0].good == "B"
    assert workers[0].reboots == 1
    kinds.delete(POD, "web-1", namespace=namespace, grace=0)


def test_a_kill_in_the_middle_changes_nothing_in_the_outcome(kinds, operator, fleet):
    pool, workers = fleet(2)
    name = apply(kinds, pool)
    for _ in range(4):
        before = sum(worker.reboots for worker in workers)
        time.sleep(1.5)  # anywhere in the rollout
        operator.end(signal.SIGKILL)
        operator.start()
        assert sum(worker.reboots for worker in workers) - before <= 1
    until(lambda: complete(kinds, name), 90, lambda: f"{status(kinds, name)}\n{operator.said()}")
    assert [worker.reboots for worker in workers] == [1, 1]


def test_a_fallback_is_barred_counted_and_the_node_serves_on(kinds, operator, fleet):
    pool, workers = fleet(2, falls_back=True)
    name = apply(kinds, pool)
    until(
        lambda: (
            status(kinds, name).get("phase") == "Halted"
            and not any(kinds.get(NODE, one.name_)["spec"].get("unschedulable") for one in workers)
        ),
        90,
        lambda: f"{status(kinds, name)}\n{operator.said()}",
    )
    failed = status(kinds, name)["failed"]
    assert [entry["reason"] for entry in failed] == ["FellBack"]
    assert kinds.get(OSINSTANCE, failed[0]["node"])["spec"]["barred"] == [NEW]
    assert sum(worker.reboots for worker in workers) == 1


def test_sigterm_gives_the_lease_back_and_ends_cleanly_without_a_wait(kinds, operator):
    def lease():
        return kinds.get(LEASE, "warmroot-operator", namespace=SYSTEM)["spec"]

    begun = now()
    until(lambda: lease()["holderIdentity"] == "test" and lease()["renewTime"] > begun, what=operator.said)
    asked = time.monotonic()
    assert operator.end(signal.SIGTERM) == 0
    assert time.monotonic() - asked < HUNG, operator.said()
    assert not lease().get("holderIdentity")
