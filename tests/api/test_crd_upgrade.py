"""Objects that were stored under the first CRDs, in the middle of a rollout, under the CRDs of today."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import yaml

from testbed.controlplane.clients import admin_cluster
from testbed.controlplane.plane import ControlPlane
from tests.api.operator_bed import NEW, OLD, ROOT, Operator, Worker, complete, now, status, until
from warmroot.api import crdgen
from warmroot.kube.cluster import CRD, NAMESPACE, NODE, OS, OSINSTANCE

pytestmark = pytest.mark.api

FIRST = Path(__file__).parent / "data" / "first-crds.yaml"
POOL = "stored"
NODES = [f"{POOL}-{number}" for number in range(3)]
SOURCE = "file:///releases"
BARRED = "sha256:" + "e" * 64
BY = "kubectl"
"""Who applies the CRDs each time: what one manager leaves out goes (README, On to a real cluster)."""


@pytest.fixture(scope="module")
def old_cluster(tmp_path_factory):
    """A cluster of its own, with the first CRDs: others' are those of today."""
    with ControlPlane(tmp_path_factory.mktemp("plane") / "plane").start() as plane:
        cluster = admin_cluster(plane)
        for document in yaml.safe_load_all(FIRST.read_text()):
            cluster.apply(CRD, document, manager=BY)
            established(cluster, document["metadata"]["name"])
        for document in yaml.safe_load_all((ROOT / "deploy/base/namespace.yaml").read_text()):
            cluster.apply(NAMESPACE, document, manager="test")
        yield plane, cluster


def established(cluster, name):
    def holds():
        found = cluster.get(CRD, name).get("status", {}).get("conditions") or ()
        return any(one["type"] == "Established" and one["status"] == "True" for one in found)

    until(holds, what=name)


def os_object():
    selector = {"matchLabels": {"pool": POOL}, "matchExpressions": [{"key": "pool", "operator": "Exists"}]}
    return {
        "apiVersion": OS.api_version,
        "kind": "OS",
        "metadata": {"name": POOL, "finalizers": ["warmroot.io/release-nodes"]},
        "spec": {
            "nodeSelector": selector,
            "release": {"version": "2", "source": SOURCE, "mirrors": ["https://m.example"], "digest": NEW},
            "rollout": {
                "maxUnavailable": "50%",
                "maxStaging": 2,
                "stagingBandwidth": "200Mi",
                "waves": [{"name": "canary", "nodes": 1, "soak": "1s"}, {"name": "rest"}],
                "windows": [{"cron": "* * * * *", "duration": "5m", "timeZone": "Europe/Berlin"}],
                "drain": {"timeout": "5m", "onTimeout": "Skip", "unmanagedPods": "Refuse"},
                "health": {"readySeconds": 1, "timeout": "2m"},
            },
        },
    }


def os_status():
    return {
        "observedGeneration": 1,
        "targetDigest": NEW,
        "phase": "RollingOut",
        "started": now(-60),
        "ready": "0/3",
        "counts": {"total": 3, "staged": 1},
        "wave": {"name": "canary", "index": 0, "since": now(-60)},
        "waiting": [{"node": NODES[1], "phase": "Pending", "reason": "StagingPaced", "since": now(-60)}],
        "history": [
            {"digest": OLD, "version": "1", "started": now(-900), "finished": now(-600), "result": "Complete"}
        ],
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "RollingOut", "lastTransitionTime": now(-60)}
        ],
    }


def instance(node):
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": node["metadata"]["name"],
        "uid": node["metadata"]["uid"],
    }
    release = {"version": "2", "digest": NEW, "sources": [SOURCE, "https://m.example"]}
    return {
        "apiVersion": OSINSTANCE.api_version,
        "kind": "OSInstance",
        "metadata": {"name": node["metadata"]["name"], "ownerReferences": [owner]},
        "spec": {
            "os": POOL,
            "goal": "Stage",
            "release": release,
            "stagingBandwidth": 104857600,
            "barred": [BARRED],
        },
    }


def instance_status(name):
    return {
        "observedGeneration": 1,
        "phase": "Staged",
        "since": now(-30),
        "heartbeat": now(),
        "slots": {
            "A": {"state": "Booted", "version": "1", "digest": OLD, "releaseSeq": 1},
            "B": {"state": "Verified", "version": "2", "digest": NEW, "releaseSeq": 2},
        },
        "booted": {"slot": "A", "bootID": f"{name}-1", "digest": OLD, "at": now(-9000)},
        "good": "A",
        "next": "-",
        "staging": {"bytesDone": 5, "bytesTotal": 5, "bytesFetched": 5},
        "lastError": {"reason": "NetworkError", "message": "was away", "at": now(-90), "attempts": 2},
        "agentVersion": "0.1",
    }


def lost(before, after, path=""):
    """What was there and is not, or is something else."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [one for key in before for one in lost(before[key], after.get(key), f"{path}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            one
            for i, pair in enumerate(zip(before, after, strict=True))
            for one in lost(*pair, f"{path}[{i}]")
        ]
    return [] if before == after else [f"{path}: {before} -> {after}"]


def store(cluster):
    """An OS object and its instances as an early operator and early proxies left them."""
    cluster.create(OS, os_object())
    cluster.patch(OS, POOL, {"status": os_status()}, subresource="status")
    workers = [Worker(cluster, name, POOL) for name in NODES]
    for worker in workers:
        cluster.create(OSINSTANCE, instance(cluster.get(NODE, worker.name_)))
        worker.slots["B"] = NEW
    # The last one has just been ordered: its proxy has not said a word.
    for name in NODES[:2]:
        cluster.patch(OSINSTANCE, name, {"status": instance_status(name)}, subresource="status")
    return workers


def content(cluster):
    return {
        (kind.plural, one["metadata"]["name"]): {key: one[key] for key in ("spec", "status") if key in one}
        for kind in (OS, OSINSTANCE)
        for one in cluster.list(kind).items
    }


def upgrade(cluster):
    for text in crdgen.render().values():
        document = yaml.safe_load(text)
        cluster.apply(CRD, document, manager=BY)
    meta = {"metadata": {"name": "probe"}}
    order = instance({"metadata": {"name": "probe", "uid": "none"}}) | meta
    order["spec"]["configRevision"] = BARRED

    def served():
        made = [cluster.create(OS, os_object() | meta), cluster.create(OSINSTANCE, order)]
        cluster.delete(OS, "probe")
        cluster.delete(OSINSTANCE, "probe")
        failure = made[0]["spec"]["rollout"]["failure"]
        return "ignoreWindows" in failure and "configRevision" in made[1]["spec"]

    until(served, what="the API server takes the new CRDs in")


def test_a_rollout_that_began_under_the_first_crds_ends_under_those_of_today(old_cluster, tmp_path):
    plane, cluster = old_cluster
    workers = store(cluster)
    before = content(cluster)
    upgrade(cluster)
    after = content(cluster)
    assert before.keys() == after.keys()
    assert [(key, lost(before[key], after[key])) for key in before if lost(before[key], after[key])] == []
    rollout = after["oses", POOL]["spec"]["rollout"]
    assert rollout["drain"]["podRules"] == []
    assert rollout["failure"] == {"action": "Halt", "maxFailed": 0, "ignoreWindows": False}

    operator = Operator(plane.kubeconfig, tmp_path / "operator.log")
    operator.start()
    for worker in workers:
        worker.start()
    until(lambda: complete(cluster, POOL), 120, lambda: f"{status(cluster, POOL)}\n{operator.said()}")
    assert 'outcome="Invalid"' not in operator.metrics()
    assert operator.end(signal.SIGTERM) == 0
    for worker in workers:
        worker.ended.set()
        worker.join()
    assert [worker.reboots for worker in workers] == [1, 1, 1]
    history = [(one["version"], one["result"]) for one in status(cluster, POOL)["history"]]
    assert set(history) == {("1", "Complete"), ("2", "Complete")}
    assert all(cluster.get(OSINSTANCE, name)["spec"]["barred"] == [BARRED] for name in NODES)
