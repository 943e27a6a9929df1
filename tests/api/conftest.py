"""A namespace for each test, and the cluster over both transports."""

from __future__ import annotations

import signal
import uuid

import pytest
import yaml

from tests.api.operator_bed import ACCOUNT, ROOT, USER, Operator, Worker, until
from tests.installation import install
from warmroot.api import crdgen
from warmroot.kube.cluster import CRD, NAMESPACE, NODE, OS, RestCluster
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

    def join(count: int, kind=Worker, **options):
        for number in range(len(workers), len(workers) + count):
            worker = kind(kinds, f"{pool}-{number}", pool, **options)
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
