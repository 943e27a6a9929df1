"""The real agent shows real tokens to the real service, which asks the real API server whose they are."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest
import yaml

from jboost_agent.build import agent_jar
from jboost_server.core.injection import parts
from jboost_server.web.tenancy import AUDIENCE, BUILD_AUDIENCE
from testbed.setup import jdk
from tests.jboost.server_world import process
from tests.waiting import until
from warmroot.errors import NotFound
from warmroot.kube.cluster import NAMESPACE, POD, SERVICE_ACCOUNT, Kind

pytestmark = [pytest.mark.api, pytest.mark.jvm]

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "jboost"
RBAC = "rbac.authorization.k8s.io"
KINDS = {
    "ServiceAccount": SERVICE_ACCOUNT,
    "ClusterRole": Kind(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
    "ClusterRoleBinding": Kind(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
}


def token(
    cluster, namespace: str, account: str, *, audience: str | None = None, pod: dict | None = None
) -> str:
    """As a kubelet asks for it; with neither audience nor pod, the usual one of the API server."""
    spec: dict = {"expirationSeconds": 3600}
    if audience:
        spec["audiences"] = [audience]
    if pod:
        bound = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"]}
        spec["boundObjectRef"] = bound | {"uid": pod["metadata"]["uid"]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}
    answer = cluster.create(SERVICE_ACCOUNT, body, namespace=namespace, name=account, subresource="token")
    return answer["status"]["token"]


@pytest.fixture(scope="module")
def service(cluster, control_plane, tmp_path_factory):
    """`jboost serve --tenancy kubernetes`, with the rights of deploy/jboost and no others."""
    space = f"jboost-{uuid.uuid4().hex[:8]}"  # another test has the one of the YAML
    cluster.apply(
        NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}, manager="t"
    )
    rights = list(yaml.safe_load_all((FOLDER / "rbac.yaml").read_text().replace("warmroot-jboost", space)))
    for one in rights:
        cluster.apply(KINDS[one["kind"]], one, manager="test")
    folder = tmp_path_factory.mktemp("service")
    kubeconfig = control_plane.token_kubeconfig(token(cluster, space, "jboost"), folder / "kubeconfig")
    jboost = ["-c", "from jboost_server.cli import main; main()", "serve", "--tenancy", "kubernetes"]
    with process(
        [*jboost, "--listen", "127.0.0.1:0", "--store", folder / "store", "--home", folder],
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
    ) as running:
        yield running.client.url, folder / "store" / "public.keys"
    for one in rights:
        cluster.delete(
            KINDS[one["kind"]], one["metadata"]["name"], namespace=one["metadata"].get("namespace")
        )
    cluster.delete(NAMESPACE, space)


@pytest.fixture
def shop(cluster, namespace):
    """An application's account and pod in a namespace of their own."""
    name = f"orders-{uuid.uuid4().hex[:6]}"
    cluster.create(SERVICE_ACCOUNT, {"metadata": {"name": name, "namespace": namespace}})
    pod = cluster.create(
        POD,
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"serviceAccountName": name, "containers": [{"name": "a", "image": "a"}]},
        },
    )
    return namespace, name, pod


@pytest.fixture
def fetch(service, tmp_path):
    """Outcome and words of the real agent's `fetch` with a token."""
    url, keys = service
    java = jdk.find(17)
    assert java is not None

    def call(shown: str) -> tuple[str, str]:
        (tmp_path / "token").write_text(shown)
        command = [java.java, "-jar", agent_jar(), "fetch", "--server", url, "--group", "orders"]
        command += ["--keys", keys, "--dir", tmp_path / "run", "--token", tmp_path / "token"]
        command += ["--lookup-ms", "10000", "--", java.java, "-jar", agent_jar()]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report = json.loads((tmp_path / "run" / "report.json").read_text())
        return report["outcome"], done.stderr + json.dumps(report)

    return call


@pytest.fixture
def build(service, tmp_path):
    """The real agent's `build` with a token, of a key that nobody learned for."""
    java = jdk.find(17)
    assert java is not None

    def call(shown: str) -> subprocess.CompletedProcess:
        (tmp_path / "token").write_text(shown)
        command = [java.java, "-jar", agent_jar(), "build", "--server", service[0], "--group", "orders"]
        command += ["--dir", tmp_path / "build", "--token", tmp_path / "token", "--until-exit"]
        command += ["--", java.java, "-jar", agent_jar()]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return call


def test_a_pods_token_for_the_service_is_taken(cluster, shop, fetch):
    namespace, name, pod = shop

    outcome, words = fetch(token(cluster, namespace, name, audience=AUDIENCE, pod=pod))

    assert outcome == "missing", words


def test_a_token_for_another_service_is_refused_in_words(cluster, shop, fetch):
    namespace, name, pod = shop

    outcome, words = fetch(token(cluster, namespace, name, audience="vault", pod=pod))

    assert outcome == "server", words
    assert "does not confirm this token" in words


def test_a_pods_token_brings_no_archive_and_a_builders_does(cluster, shop, build):
    namespace, name, pod = shop

    refused = build(token(cluster, namespace, name, audience=AUDIENCE, pod=pod))
    taken = build(token(cluster, namespace, name, audience=BUILD_AUDIENCE, pod=pod))

    assert refused.returncode == 1
    assert f"audience {BUILD_AUDIENCE}" in refused.stderr
    assert taken.returncode == 0, taken.stderr
    assert "nothing to" in taken.stderr


def test_a_pods_token_for_its_group_is_taken_and_for_no_other(cluster, shop, fetch, service):
    """As the webhook projects it: the API server itself says for which group it is."""
    namespace, name, pod = shop
    own = token(cluster, namespace, name, audience=parts.audience("orders"), pod=pod)
    other = token(cluster, namespace, name, audience=parts.audience("billing"), pod=pod)

    assert fetch(own)[0] == "missing"
    outcome, words = fetch(other)

    assert outcome == "server", words
    assert "for another group" in words


def test_a_token_dies_with_its_pod(cluster, shop, fetch):
    namespace, name, pod = shop
    shown = token(cluster, namespace, name, audience=parts.audience("orders"), pod=pod)
    cluster.delete(POD, name, namespace=namespace)
    until(lambda: gone(cluster, namespace, name))

    outcome, words = fetch(shown)

    assert outcome == "server", words
    assert "does not confirm this token" in words


def gone(cluster, namespace: str, name: str) -> bool:
    try:
        cluster.get(POD, name, namespace=namespace)
    except NotFound:
        return True
    return False
