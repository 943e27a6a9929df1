"""A proxy that is a service of its node speaks as its node, and for that one alone."""

import pytest

from tests.installation import install
from tests.waiting import until
from warmroot.errors import Forbidden, NotFound
from warmroot.kube.cluster import NODE, OSINSTANCE, RestCluster
from warmroot.kube.transport import RequestsTransport

pytestmark = pytest.mark.api
OWN, OTHER = "worker-own", "worker-other"


@pytest.fixture(scope="module")
def as_own_node(control_plane, cluster):
    """The cluster as the node `OWN` sees it, with roles and policy, and with the objects of two nodes."""
    install(control_plane)
    for name in (OWN, OTHER):
        cluster.create(NODE, {"metadata": {"name": name}})
        body = {"apiVersion": OSINSTANCE.api_version, "kind": "OSInstance", "metadata": {"name": name}}
        until(
            lambda body=body: cluster.create(OSINSTANCE, body | {"spec": {"os": "workers"}}),
            forgive=(NotFound,),
        )
    transport = RequestsTransport(str(control_plane.node_kubeconfig(OWN)))
    yield RestCluster(transport)
    transport.close()
    for name in (OWN, OTHER):
        for kind in (OSINSTANCE, NODE):
            cluster.delete(kind, name)


def report(node, name):
    return node.patch(OSINSTANCE, name, {"status": {"agentVersion": "1"}}, subresource="status")


def refused(node, name):
    """The message of the refusal; None while it was taken: a new policy is at work after a moment."""
    try:
        report(node, name)
    except Forbidden as error:
        return str(error)
    return None


def test_a_node_writes_its_own_status_and_no_other_s(as_own_node):
    message = until(lambda: refused(as_own_node, OTHER))
    assert f"the proxy of node {OWN} may not write OSInstance {OTHER}" in message
    assert report(as_own_node, OWN)["status"]["agentVersion"] == "1"


@pytest.mark.parametrize("name", [OWN, OTHER])
def test_a_node_gives_no_orders(as_own_node, name):
    with pytest.raises(Forbidden):
        as_own_node.patch(OSINSTANCE, name, {"spec": {"goal": "None"}})


def test_somebody_who_only_calls_himself_a_node_is_refused(as_own_node, control_plane, tmp_path):
    """In the group, but not by a node's name."""
    path = control_plane.issue_kubeconfig("mallory", ["system:nodes"], tmp_path / "mallory.kubeconfig")
    transport = RequestsTransport(str(path))
    message = until(lambda: refused(RestCluster(transport), OWN))
    assert "the proxy of node <none> may not write" in message
    transport.close()
