"""Conditions of maintenance on Nodes: the real API server, and the rights that we ship for them."""

from __future__ import annotations

import pytest

from os_operator.core.world import MAINTENANCE, ROLLOUT_REASON
from testbed.controlplane import audit
from tests.api.operator_bed import ACCOUNT, Worker, apply, complete, pod_on, status, until
from tests.installation import install, node_conditions
from warmroot.errors import Forbidden
from warmroot.kube.cluster import NODE, PDB, Kind, RestCluster
from warmroot.kube.transport import RequestsTransport

pytestmark = pytest.mark.api
POLICY = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
)
NAME = "warmroot-operator-node-conditions"
DRAINED = {kind: str(kind in ("MaintenancePlanned", "DrainInProgress")) for kind in MAINTENANCE}
RESTARTS = {kind: str(kind in ("MaintenanceInProgress", "Drained")) for kind in MAINTENANCE}
THEIRS = {
    "type": "MaintenancePlanned",
    "status": "True",
    "reason": "Hardware",
    "message": "a fan is to be replaced",
    "lastTransitionTime": "2026-11-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def rights(kinds, control_plane):
    install(control_plane)
    with node_conditions(control_plane):
        yield


def say(cluster, name, *conditions, manager="somebody"):
    """Server-side, as who keeps conditions of a Node beside others has to."""
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    return cluster.apply(
        NODE,
        body | {"status": {"conditions": list(conditions)}},
        manager=manager,
        force=True,
        subresource="status",
    )


# -- what the operator may ----------------------------------------------------------------------------------


@pytest.fixture
def as_operator(rights, control_plane, tmp_path):
    path = control_plane.issue_kubeconfig(ACCOUNT, [], tmp_path / "operator.kubeconfig")
    transport = RequestsTransport(str(path))
    yield RestCluster(transport)
    transport.close()


def refused(write):
    """The policy's refusal; None while it was not asked: rights and policies are at work after a moment."""
    try:
        write()
    except Forbidden as error:
        return str(error) if "the operator writes" in str(error) else None
    return None


def ours(kind, state="True"):
    return {"type": kind, "status": state, "reason": ROLLOUT_REASON}


def test_the_operator_writes_its_conditions_of_maintenance_and_nothing_else_of_a_nodes_status(
    kinds, node, as_operator
):
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    address = {"type": "InternalIP", "address": "10.0.0.1"}

    def written(**of_status):
        return lambda: as_operator.patch(NODE, node, {"status": of_status}, subresource="status")

    until(lambda: refused(lambda: say(as_operator, node, ready | {"status": "False"})))
    # Only now: a policy that is not at work yet lets through what it is to refuse.
    kinds.patch(NODE, node, {"status": {"addresses": [address]}}, subresource="status")
    say(kinds, node, ready, THEIRS)
    wrong = {
        "Ready": lambda: say(as_operator, node, ready | {"reason": "Other"}),
        "a kind of its own": lambda: say(as_operator, node, ours("Odd")),
        "a reason of its own": lambda: say(as_operator, node, ours("Drained") | {"reason": "Me"}),
        "somebody else's": lambda: say(as_operator, node, ours("MaintenancePlanned")),
        "no conditions": written(conditions=[]),
        "other addresses": written(addresses=[{"type": "InternalIP", "address": "10.6.6.6"}]),
        "no addresses": written(addresses=None),
        "more": written(capacity={"cpu": "1"}),
    }
    assert [name for name, write in wrong.items() if not refused(write)] == []
    say(as_operator, node, ours("Drained"), ours("DrainInProgress", "False"), manager="ours")
    say(as_operator, node, ours("Drained", "False"), manager="ours")
    say(as_operator, node, manager="ours")
    left = kinds.get(NODE, node)["status"]
    types = {one["type"] for one in left["conditions"]}
    # A cluster's own controller adds what a kubelet would say, once it is missed for long enough.
    assert types >= {"MaintenancePlanned", "Ready"}
    assert not types & {"Drained", "DrainInProgress"}
    assert left["addresses"] == [address]


def test_the_api_server_finds_nothing_odd_in_the_policy(kinds, rights):
    until(lambda: kinds.get(POLICY, NAME).get("status", {}).get("observedGeneration"), 30)
    checked = kinds.get(POLICY, NAME)["status"]["typeChecking"]
    assert checked.get("expressionWarnings", []) == []


# -- over a rollout -----------------------------------------------------------------------------------------


class Beside(Worker):
    """A worker whose kubelet leaves other conditions of its Node as they are, as a real one does."""

    def write_node(self, status) -> None:
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name_}, "status": status}
        self.cluster.apply(NODE, body, manager="kubelet", force=True, subresource="status")


@pytest.fixture
def workers(fleet):
    return fleet(2, kind=Beside)


def told(cluster, name):
    """Our conditions of a Node, and what somebody else says of the same."""
    found = [one for one in cluster.get(NODE, name)["status"]["conditions"] if one["type"] in MAINTENANCE]
    mine = {one["type"]: one["status"] for one in found if one["reason"] == ROLLOUT_REASON}
    return mine, [one for one in found if one["reason"] != ROLLOUT_REASON]


def test_conditions_of_maintenance_come_and_go_with_the_work_on_a_node(
    kinds, rights, restricted_operator, workers, namespace, control_plane
):
    pool, (first, second) = workers
    say(kinds, second.name_, THEIRS)
    theirs = told(kinds, second.name_)[1]
    pod_on(kinds, namespace, first.name_, "web-1")
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    meta = {"name": "web", "namespace": namespace}
    kinds.create(
        PDB, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": budget}
    )
    until(lambda: kinds.get(PDB, "web", namespace=namespace).get("status", {}).get("observedGeneration"))
    name = apply(kinds, pool, nodeConditions=True)
    said = lambda: f"{status(kinds, name)}\n{restricted_operator.said()}"  # noqa: E731
    until(lambda: told(kinds, first.name_) == (DRAINED, []), 60, said)
    assert told(kinds, second.name_) == ({}, theirs), "its turn has not come"
    kinds.delete(PDB, "web", namespace=namespace)
    until(lambda: told(kinds, first.name_) == (RESTARTS, []), 60, said)
    expected = {kind: state for kind, state in RESTARTS.items() if kind != THEIRS["type"]}
    until(lambda: told(kinds, second.name_) == (expected, theirs), 60, said)
    assert told(kinds, first.name_) == ({}, []), "it is back in service"
    until(lambda: complete(kinds, name), 60, said)
    until(lambda: told(kinds, second.name_) == ({}, theirs), 20, said)
    writes = [
        one
        for one in audit.read(control_plane.audit_log)
        if one.user == ACCOUNT and one.resource == "nodes/status" and one.name == first.name_
    ]
    assert 0 < sum(one.code < 300 for one in writes) <= 3, writes


def test_who_does_not_ask_for_them_has_no_status_of_a_node_written(
    kinds, rights, restricted_operator, workers, control_plane
):
    pool, made = workers
    name = apply(kinds, pool)
    until(lambda: complete(kinds, name), 60, lambda: f"{status(kinds, name)}\n{restricted_operator.said()}")
    names = {worker.name_ for worker in made}
    asked = [one for one in audit.read(control_plane.audit_log) if one.user == ACCOUNT and one.name in names]
    assert asked
    assert "nodes/status" not in {one.resource for one in asked}
