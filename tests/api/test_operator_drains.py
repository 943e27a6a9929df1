"""What a drained node waits for, at the real API server."""

from __future__ import annotations

import contextlib
import time
import uuid

import pytest

from os_operator.core.actions import Evict
from os_operator.core.explain import explain
from os_operator.core.world import EvictionAnswer, PodView
from os_operator.plugin import reading
from os_operator.shell.act import Actor
from os_operator.shell.cache import Cache
from tests.api.operator_bed import apply, complete, pod_on, status, until
from warmroot import errors
from warmroot.kube.cluster import NAMESPACE, PERSISTENT_VOLUME, POD, SERVICE_ACCOUNT, VOLUME_ATTACHMENT, Kind

pytestmark = pytest.mark.api

CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")


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

    batch = until(lambda: waits("PodsRunning"), 90, told)
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
