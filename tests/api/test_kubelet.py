"""The simulated kubelet is a node like any other: judged by the Node authorizer, seen by the controllers."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from testbed.kubelet import token
from testbed.kubelet.presence import HostFacts
from testbed.kubelet.simulated import NodeSpec, Pace, SimulatedKubelet
from tests.waiting import until
from warmroot.errors import Forbidden, NotFound
from warmroot.kube.cluster import EVENT, LEASE, NODE, POD, SERVICE_ACCOUNT, Object, RestCluster
from warmroot.kube.transport import RequestsTransport

pytestmark = pytest.mark.api
FAST = Pace(node_ready=0.1, pod_start=0.1, pod_stop=0.1, container_restart=0.1)
FIRST, SECOND = HostFacts("boot-1", "Stub OS 1", "6.1"), HostFacts("boot-2", "Stub OS 2", "6.2")


class OneProcess:
    """Real containers that note what they are told; `dead` ends them."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.kubeconfigs = []
        self.running = False

    def wants(self, pod: Object) -> bool:
        return pod["spec"].get("serviceAccountName") == self.account

    def start(self, pod, kubeconfig) -> None:
        self.kubeconfigs.append(kubeconfig)
        self.running = True

    def stop(self, pod) -> None:
        self.running = False

    def alive(self, pod) -> bool:
        return self.running


@pytest.fixture
def kubelet(control_plane, cluster, tmp_path):
    name = f"kubelet-{uuid.uuid4().hex[:8]}"
    spec = NodeSpec(
        name,
        control_plane.node_kubeconfig(name),
        tmp_path,
        labels={"test": name},
        taints=({"key": "test", "value": name, "effect": "NoSchedule"},),
        pace=FAST,
    )
    made = SimulatedKubelet(spec, OneProcess("real"))
    yield made
    made.stop()
    cluster.delete(NODE, name)


def node_of(cluster: RestCluster, kubelet: SimulatedKubelet) -> Object:
    return cluster.get(NODE, kubelet.spec.name)


def is_ready(cluster: RestCluster, kubelet: SimulatedKubelet) -> bool:
    try:
        status = node_of(cluster, kubelet)["status"]
    except NotFound:
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))


def make_pod(cluster: RestCluster, kubelet: SimulatedKubelet, namespace: str, **spec) -> str:
    name = f"pod-{uuid.uuid4().hex[:8]}"
    until(lambda: account_exists(cluster, namespace, "default"))
    body = {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeName": kubelet.spec.name,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "main", "image": "example/stub:1"}],
            **spec,
        },
    }
    cluster.create(POD, body)
    return name


def account_exists(cluster: RestCluster, namespace: str, name: str) -> bool:
    try:
        return bool(cluster.get(SERVICE_ACCOUNT, name, namespace=namespace))
    except NotFound:
        return False


def pod_ready(cluster: RestCluster, namespace: str, name: str) -> bool:
    conditions = cluster.get(POD, name, namespace=namespace)["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_a_node_registers_under_its_own_credential_and_gets_ready(kubelet, cluster):
    kubelet.start(FIRST)
    until(lambda: is_ready(cluster, kubelet))
    node = node_of(cluster, kubelet)
    info = node["status"]["nodeInfo"]
    assert (info["bootID"], info["osImage"]) == ("boot-1", "Stub OS 1")
    assert node["metadata"]["labels"]["test"] == kubelet.spec.name
    assert cluster.get(LEASE, kubelet.spec.name, namespace="kube-node-lease")["spec"]["renewTime"]


def test_a_node_s_credential_can_t_touch_another_node(kubelet, cluster, node):
    kubelet.start(FIRST)
    until(lambda: is_ready(cluster, kubelet))
    transport = RequestsTransport(str(kubelet.spec.kubeconfig))
    try:
        with pytest.raises(Forbidden):
            RestCluster(transport).patch(NODE, node, {"status": {"phase": "x"}}, subresource="status")
    finally:
        transport.close()


def test_a_node_whose_network_never_comes_up_stays_not_ready_and_runs_only_host_network_pods(
    kubelet, cluster, namespace
):
    kubelet.start(FIRST, ready=False)
    until(lambda: node_exists(cluster, kubelet))
    plain = make_pod(cluster, kubelet, namespace)
    host = make_pod(cluster, kubelet, namespace, hostNetwork=True)
    until(lambda: pod_ready(cluster, namespace, host))
    assert not is_ready(cluster, kubelet)
    assert not pod_ready(cluster, namespace, plain)
    kubelet.set_ready(True)
    until(lambda: is_ready(cluster, kubelet) and pod_ready(cluster, namespace, plain))


def node_exists(cluster: RestCluster, kubelet: SimulatedKubelet) -> bool:
    try:
        return bool(node_of(cluster, kubelet))
    except NotFound:
        return False


def test_a_reboot_is_told_and_restarts_every_container(kubelet, cluster, namespace):
    kubelet.start(FIRST)
    until(lambda: is_ready(cluster, kubelet))
    name = make_pod(cluster, kubelet, namespace)
    until(lambda: pod_ready(cluster, namespace, name))
    kubelet.stop()
    kubelet.start(SECOND)
    until(lambda: restarts(cluster, namespace, name) == 1 and pod_ready(cluster, namespace, name))
    assert node_of(cluster, kubelet)["status"]["nodeInfo"]["bootID"] == "boot-2"
    notes = [item["note"] for item in cluster.list(EVENT, namespace="default").items]
    assert f"Node {kubelet.spec.name} has been rebooted, boot id: boot-2" in notes


def restarts(cluster: RestCluster, namespace: str, name: str) -> int:
    statuses = cluster.get(POD, name, namespace=namespace)["status"].get("containerStatuses", [])
    return statuses[0]["restartCount"] if statuses else -1


def test_a_deleted_pod_is_not_ready_until_its_grace_is_over_and_then_gone(kubelet, cluster, namespace):
    kubelet.start(FIRST)
    until(lambda: is_ready(cluster, kubelet))
    name = make_pod(cluster, kubelet, namespace)
    until(lambda: pod_ready(cluster, namespace, name))
    cluster.delete(POD, name, namespace=namespace)
    until(lambda: gone(cluster, namespace, name))


def gone(cluster: RestCluster, namespace: str, name: str) -> bool:
    try:
        cluster.get(POD, name, namespace=namespace)
    except NotFound:
        return True
    return False


def test_a_real_pod_gets_a_token_that_names_its_node_and_is_started_again_when_it_dies(
    kubelet, cluster, namespace
):
    cluster.create(SERVICE_ACCOUNT, {"metadata": {"name": "real", "namespace": namespace}})
    kubelet.start(FIRST)
    until(lambda: is_ready(cluster, kubelet))
    name = make_pod(cluster, kubelet, namespace, serviceAccountName="real")
    until(lambda: pod_ready(cluster, namespace, name))
    containers = kubelet._containers
    assert who(cluster, containers.kubeconfigs[0]) == (
        f"system:serviceaccount:{namespace}:real",
        [kubelet.spec.name],
    )
    containers.running = False
    until(lambda: restarts(cluster, namespace, name) == 1 and len(containers.kubeconfigs) == 2)


def who(cluster: RestCluster, kubeconfig) -> tuple[str, list[str]]:
    """User and node that the API server reads out of a token."""
    answer = cluster._call(
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": kubeconfig.with_name("token").read_text()},
        },
    )
    user = answer["status"]["user"]
    return user["username"], user["extra"]["authentication.kubernetes.io/node-name"]


def test_a_token_is_renewed_before_it_ends(cluster, namespace):
    until(lambda: account_exists(cluster, namespace, "default"))
    now = datetime.now(UTC)
    fresh = token.of_account(cluster, namespace, "default", seconds=600, now=now)
    assert 400 < (fresh.renew_at - now).total_seconds() < 600
