"""A namespace for each test, and the cluster over both transports."""

from __future__ import annotations

import uuid

import pytest

from warmroot.kube.cluster import NAMESPACE, NODE, RestCluster
from warmroot.kube.transport import KubernetesTransport, RequestsTransport


@pytest.fixture
def namespace(cluster):
    """A name of its own, so that tests can run in any order beside each other."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.create(NAMESPACE, {"metadata": {"name": name}})
    yield name
    cluster.delete(NAMESPACE, name)


@pytest.fixture(params=[RequestsTransport, KubernetesTransport], ids=["requests", "kubernetes"])
def open_cluster(request):
    """Opens a cluster over the transport under test, from a kubeconfig."""
    opened = []

    def connect(kubeconfig):
        transport = request.param(str(kubeconfig))
        opened.append(transport)
        return RestCluster(transport)

    yield connect
    for transport in opened:
        transport.close()


@pytest.fixture
def either(open_cluster, control_plane):
    """The administrator's cluster, once over each transport."""
    return open_cluster(control_plane.kubeconfig)


@pytest.fixture
def node(cluster):
    """A Node object without a kubelet."""
    name = f"node-{uuid.uuid4().hex[:10]}"
    cluster.create(NODE, {"metadata": {"name": name}})
    yield name
    cluster.delete(NODE, name)
