"""The embedded control plane is a real one: it authenticates, authorizes, admits and writes down."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from testbed.controlplane import audit, build
from testbed.controlplane.clients import pod_token
from testbed.controlplane.plane import NAMES
from tests.waiting import until
from warmroot import errors
from warmroot.kube.cluster import LEASE, NODE, POD, SERVICE_ACCOUNT, Kind, RestCluster
from warmroot.kube.transport import RequestsTransport

pytestmark = pytest.mark.api

CONFIGMAP = Kind("", "v1", "configmaps", "ConfigMap")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDING = Kind("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False)
VAP = Kind("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "", namespaced=False)
VAP_BINDING = Kind(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "", namespaced=False
)


def as_user(control_plane, tmp_path, user, groups=()):
    path = control_plane.issue_kubeconfig(user, groups, tmp_path / f"{user.replace(':', '-')}.kubeconfig")
    return RestCluster(RequestsTransport(str(path)))


def as_node(control_plane, name):
    return RestCluster(RequestsTransport(str(control_plane.node_kubeconfig(name))))


def test_it_is_ready_and_every_program_runs(control_plane):
    status = control_plane.status()
    assert (status.ready, status.running) == (True, True)
    assert tuple(program.name for program in status.programs) == NAMES


def test_it_is_the_version_that_go_mod_names(cluster):
    answer = cluster.transport.request("GET", "/version")
    assert json.loads(answer.body)["gitVersion"] == build.VERSION


def test_kubectl_of_the_same_binary_talks_to_it(control_plane):
    kubectl = build.installed() / "kubectl"
    command = [
        kubectl,
        f"--kubeconfig={control_plane.kubeconfig}",
        "get",
        "namespace",
        "default",
        "-o",
        "name",
    ]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "namespace/default\n"


def test_it_listens_on_loopback_alone(control_plane):
    assert control_plane.server.startswith("https://127.0.0.1:")


def test_a_user_without_a_role_is_denied(control_plane, tmp_path):
    nobody = as_user(control_plane, tmp_path, "somebody")
    with pytest.raises(errors.Forbidden, match="somebody"):
        nobody.list(NODE)


def test_a_certificate_of_another_authority_is_not_believed(control_plane, tmp_path):
    from testbed.controlplane import pki

    forged = pki.Authority.new().client("testbed-admin", ["system:masters"])
    ours = (control_plane.paths.pki / "ca.crt").read_bytes()
    path = tmp_path / "forged.kubeconfig"
    pki.write_private(path, pki.kubeconfig(control_plane.server, ours, forged))
    with pytest.raises((errors.Forbidden, errors.NetworkError)):
        RestCluster(RequestsTransport(str(path))).list(NODE)


def test_a_node_credential_creates_and_patches_its_own_node(control_plane, cluster):
    node = as_node(control_plane, "own-node")
    node.create(NODE, {"metadata": {"name": "own-node"}})
    try:
        conditions = [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}]
        node.patch(NODE, "own-node", {"status": {"conditions": conditions}}, subresource="status")
        found = cluster.get(NODE, "own-node")["status"]["conditions"]
        assert [(c["type"], c["status"]) for c in found] == [("Ready", "True")]
    finally:
        cluster.delete(NODE, "own-node")


def test_a_node_credential_can_not_touch_another_node(control_plane, node):
    thief = as_node(control_plane, "thief")
    with pytest.raises(errors.Forbidden, match="thief"):
        thief.patch(NODE, node, {"metadata": {"labels": {"stolen": "yes"}}})
    with pytest.raises(errors.Forbidden):
        thief.create(NODE, {"metadata": {"name": "another"}})


def test_a_node_without_heartbeat_becomes_not_ready_within_its_grace(control_plane, cluster):
    name = "silent-node"
    node = as_node(control_plane, name)
    node.create(NODE, {"metadata": {"name": name}})
    try:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        spec = {"holderIdentity": name, "leaseDurationSeconds": 8, "renewTime": now}
        node.create(LEASE, {"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": spec})
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        node.patch(NODE, name, {"status": {"conditions": [ready]}}, subresource="status")

        def unknown():
            conditions = cluster.get(NODE, name)["status"]["conditions"]
            return any((c["type"], c["status"]) == ("Ready", "Unknown") for c in conditions)

        until(unknown, 90, "the node is unknown")
        taints = until(lambda: cluster.get(NODE, name)["spec"].get("taints"))
        assert "node.kubernetes.io/unreachable" in {taint["key"] for taint in taints}
    finally:
        cluster.delete(NODE, name)


@pytest.fixture
def own_node_policy(cluster, namespace):
    """Service account `agent` may write ConfigMaps, and a policy limits it to that of its token's node."""
    account = f"system:serviceaccount:{namespace}:agent"
    cluster.create(SERVICE_ACCOUNT, {"metadata": {"name": "agent", "namespace": namespace}})
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]
    cluster.create(CLUSTER_ROLE, {"metadata": {"name": namespace}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "agent", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace}
    cluster.create(BINDING, {"metadata": {"name": namespace}, "roleRef": role, "subjects": [subject]})
    key = "authentication.kubernetes.io/node-name"
    resource = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
    }
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [resource]},
        "matchConditions": [{"name": "agent", "expression": f"request.userInfo.username == '{account}'"}],
        "validations": [
            {
                "expression": f"'{key}' in request.userInfo.extra"
                f" && request.userInfo.extra['{key}'][0] == object.metadata.name",
                "message": "an agent writes its own node's object alone",
                "reason": "Forbidden",
            }
        ],
    }
    cluster.create(VAP, {"metadata": {"name": namespace}, "spec": policy})
    bound = {"policyName": namespace, "validationActions": ["Deny"]}
    cluster.create(VAP_BINDING, {"metadata": {"name": namespace}, "spec": bound})
    yield
    for kind in (VAP_BINDING, VAP, BINDING, CLUSTER_ROLE):
        cluster.delete(kind, namespace)


@pytest.mark.usefixtures("own_node_policy")
def test_an_admission_policy_sees_the_node_of_a_pods_token(
    control_plane, cluster, namespace, node, tmp_path, open_cluster
):
    container = {"name": "agent", "image": "none"}
    spec = {"nodeName": node, "serviceAccountName": "agent", "containers": [container]}
    pod = cluster.create(POD, {"metadata": {"name": "agent", "namespace": namespace}, "spec": spec})
    token = pod_token(cluster, "agent", pod)
    agent = open_cluster(control_plane.token_kubeconfig(token, tmp_path / "agent.kubeconfig"))

    def refuses_others():
        # A policy takes a moment to be in force; until then another node's object can be written.
        try:
            agent.create(CONFIGMAP, {"metadata": {"generateName": "other-", "namespace": namespace}})
        except errors.Forbidden as error:
            return "own node" in error.message
        return False

    until(refuses_others, 30)
    made = agent.create(CONFIGMAP, {"metadata": {"name": node, "namespace": namespace}})
    assert node == made["metadata"]["name"]


def test_the_audit_log_has_a_users_writes_and_reads_when_the_call_returns(control_plane, tmp_path):
    user = as_user(control_plane, tmp_path, "warmroot-audited", ["system:masters"])
    user.create(CONFIGMAP, {"metadata": {"name": "audited", "namespace": "default"}})
    user.get(CONFIGMAP, "audited", namespace="default")
    user.delete(CONFIGMAP, "audited", namespace="default")
    mine = [entry for entry in audit.read(control_plane.audit_log) if entry.user == "warmroot-audited"]
    assert [(entry.verb, entry.is_write, entry.resource, entry.code) for entry in mine] == [
        ("create", True, "configmaps", 201),
        ("get", False, "configmaps", 200),
        ("delete", True, "configmaps", 200),
    ]


def test_the_audit_log_leaves_out_the_control_planes_own_traffic(control_plane):
    users = {entry.user for entry in audit.read(control_plane.audit_log)}
    assert not {user for user in users if user.startswith(("system:kube-", "system:apiserver"))}


def test_a_workload_gets_pods_from_the_controllers_and_a_node_from_the_scheduler(
    control_plane, cluster, namespace
):
    name = f"ready-{namespace}"
    node = as_node(control_plane, name)
    node.create(NODE, {"metadata": {"name": name, "labels": {"for": namespace}}})
    try:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        amounts = {"cpu": "4", "memory": "4Gi", "pods": "10"}
        status = {"conditions": [ready], "capacity": amounts, "allocatable": amounts}
        node.patch(NODE, name, {"status": status}, subresource="status")
        spec = {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"nodeSelector": {"for": namespace}, "containers": [{"name": "a", "image": "none"}]},
            },
        }
        deployment = Kind("apps", "v1", "deployments", "Deployment")
        cluster.create(deployment, {"metadata": {"name": "a", "namespace": namespace}, "spec": spec})

        def placed():
            pods = cluster.list(POD, namespace=namespace, labels="app=a").items
            return [pod["spec"]["nodeName"] for pod in pods if "nodeName" in pod["spec"]]

        assert [name] == until(placed, 30)
    finally:
        cluster.delete(NODE, name)
