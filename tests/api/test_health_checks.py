"""Health checks that the real API server answers, with the rights that the operator really has."""

from __future__ import annotations

import asyncio

import pytest
import yaml

from os_operator.core.world import Answer
from os_operator.shell.checks import Asking, in_time
from tests.api.operator_bed import ROOT
from tests.api.test_crds import _os, kinds  # noqa: F401 - the fixture
from tests.unit.operator_worlds import question
from tests.waiting import until
from warmroot import errors
from warmroot.api.health import CheckReason
from warmroot.kube.cluster import (
    JAVA_CACHE,
    NAMESPACE,
    NODE,
    OS,
    POD,
    SERVICE_ACCOUNT,
    Kind,
    RestCluster,
)
from warmroot.kube.transport import KubernetesTransport

pytestmark = pytest.mark.api

SYSTEM = "warmroot-system"
USER = f"system:serviceaccount:{SYSTEM}:warmroot-operator"
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
RBAC = "rbac.authorization.k8s.io"
HOLDS = Answer()


@pytest.fixture(scope="module")
def operator(cluster, control_plane, tmp_path_factory):
    """The cluster with the rights of deploy/base, and not one more."""
    cluster.apply(NAMESPACE, _named("v1", "Namespace", SYSTEM), manager="test", force=True)
    for document in yaml.safe_load_all((ROOT / "deploy/base/operator-rbac.yaml").read_text()):
        kind = document["kind"]
        where = SERVICE_ACCOUNT
        if kind != "ServiceAccount":
            where = Kind(RBAC, "v1", f"{kind.lower()}s", kind, not kind.startswith("Cluster"))
        cluster.apply(where, document, manager="test", force=True)
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    transport = KubernetesTransport(str(control_plane.issue_kubeconfig(USER, [], path)))
    rights = RestCluster(transport)
    until(lambda: rights.list(NODE) is not None, forgive=(errors.Forbidden,))
    yield rights
    transport.close()


def _named(version, kind, name):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def asked(rights, node="node-1", **check):
    async def go():
        opened = Asking(rights, SYSTEM)
        try:
            return await in_time(question(node=node, timeout="1m", **check), opened.ask)
        finally:
            await opened.close()

    return asyncio.run(go())


def pods(namespace, **more):
    return {"namespace": namespace, "selector": {"matchLabels": {"app": "dns"}}} | more


def test_pods_on_the_node_hold_when_enough_are_ready(cluster, operator, namespace, node):
    assert asked(operator, node, pods=pods(namespace)).reason is CheckReason.NO_PODS

    def pod(name, where):
        spec = {"nodeName": where, "containers": [{"name": "a", "image": "a"}]}
        labels = {"app": "dns"}
        body = {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}
        cluster.create(POD, body)

    def ready(name, value):
        conditions = [{"type": "Ready", "status": value}]
        status = {"status": {"phase": "Running", "conditions": conditions}}
        cluster.patch(POD, name, status, namespace=namespace, subresource="status")

    pod("here", node)
    pod("elsewhere", "another-node")
    told = asked(operator, node, pods=pods(namespace))
    assert told.reason is CheckReason.PODS_NOT_READY
    assert told.detail == "0 of 1 pods on this node are Ready, 1 must, and not here"
    ready("here", "True")
    assert asked(operator, node, pods=pods(namespace)) == HOLDS
    everywhere = asked(operator, node, pods=pods(namespace, onNode=False))
    assert everywhere.detail == "1 of 2 pods are Ready, 2 must, and not elsewhere"
    assert asked(operator, node, pods=pods(namespace, onNode=False, minReady="50%")) == HOLDS
    wanted = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web", "db"]}]}
    assert asked(operator, node, pods={"namespace": namespace, "selector": wanted}) == HOLDS
    for name in ("here", "elsewhere"):
        cluster.delete(POD, name, namespace=namespace, grace=0)


def settings(namespace, cel, **more):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": namespace,
        "name": "state",
        "cel": cel,
    } | more


def test_an_object_holds_when_its_expression_is_true_and_says_why_when_it_is_not(
    cluster, operator, namespace
):
    holding = settings(namespace, "object.data.phase == 'Ready'")
    told = asked(operator, object=holding)
    assert told.reason is CheckReason.FORBIDDEN, "deploy/base gives no right to read ConfigMaps"
    rule = '{apiGroups: [""], resources: [configmaps], verbs: [get]}'
    assert told.detail == f"the operator may not; give it a Role in namespace {namespace} with {rule}"
    _grant(cluster, namespace, yaml.safe_load(f"[{rule}]"))
    until(lambda: asked(operator, object=holding).reason is CheckReason.NO_OBJECT)

    meta = {"name": "state", "namespace": namespace}
    cluster.create(CONFIG_MAP, {"metadata": meta, "data": {"phase": "Ready"}})
    assert asked(operator, object=holding) == HOLDS
    assert asked(operator, object=settings(namespace, "object.data.phase == 'x'")).reason == "NotTrue"
    absent = asked(operator, object=settings(namespace, "object.status.phase == 'Ready'"))
    assert absent == Answer(CheckReason.NO_FIELD, 'ConfigMap state: Key not found in map : "status"')
    assert asked(operator, object=settings(namespace, "object.data.phase")).reason == "NotABool"
    unknown = asked(operator, object=settings(namespace, "true", kind="ConfigMop"))
    assert unknown == Answer(CheckReason.NO_KIND, "the API server knows no kind ConfigMop of v1")
    group = asked(operator, object=settings(namespace, "true", apiVersion="nobody.example/v1"))
    assert group.reason is CheckReason.NO_KIND


def _grant(cluster, namespace, rules):
    role = _named(f"{RBAC}/v1", "Role", "checks")
    role["metadata"]["namespace"] = namespace
    cluster.create(Kind(RBAC, "v1", "roles", "Role"), role | {"rules": rules})
    binding = role | {
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "checks"},
        "subjects": [{"kind": "User", "apiGroup": RBAC, "name": USER}],
    }
    cluster.create(Kind(RBAC, "v1", "rolebindings", "RoleBinding"), binding)


def test_an_object_without_a_namespace_is_read_by_the_nodes_name(operator, node):
    about_node = {"apiVersion": "v1", "kind": "Node", "name": "{nodeName}"}
    told = f"object.metadata.name == '{node}'"
    assert asked(operator, node, object=about_node | {"cel": told}) == HOLDS


@pytest.mark.usefixtures("kinds")
def test_java_caches_hold_when_they_serve_and_say_why_when_they_do_not(cluster, operator, namespace):
    def cached(**more):
        return asked(operator, javaCaches={"namespace": namespace} | more)

    assert cached().reason is CheckReason.NO_CACHE
    meta = {"name": "orders", "namespace": namespace}
    of_kind = {"apiVersion": JAVA_CACHE.api_version, "kind": JAVA_CACHE.kind}
    made = cluster.create(JAVA_CACHE, of_kind | {"metadata": meta, "spec": {}})
    assert made["status"]["observedGeneration"] == -1
    assert cached().reason is CheckReason.CACHE_UNKNOWN
    for ready, coverage, expected in (
        ("False", 0, CheckReason.CACHE_NOT_SERVING),
        ("True", 79, CheckReason.LOW_COVERAGE),
        ("True", 80, None),
    ):
        condition = {"type": "Ready", "status": ready, "reason": "Serving", "message": "it is as it is"}
        condition["lastTransitionTime"] = "2027-01-15T08:00:00Z"
        status = {"observedGeneration": 1, "coverage": coverage, "conditions": [condition]}
        cluster.patch(JAVA_CACHE, "orders", {"status": status}, namespace=namespace, subresource="status")
        assert cached().reason is expected
        assert cached(names=["orders"]).reason is expected
    assert cached(names=["carts"]).reason is CheckReason.NO_CACHE
    assert asked(operator, javaCaches={"namespace": "none"}).reason is CheckReason.NO_CACHE
    assert cached(minCoverage="100%").reason is CheckReason.LOW_COVERAGE


HTTP = {"url": "https://{nodeIP}:8443/healthz"}
QUERY = {"url": "http://prometheus:9090", "query": "up", "max": 1}


@pytest.mark.parametrize(
    ("check", "fix"),
    [
        ({}, "exactly one of"),
        ({"http": HTTP, "pods": {"namespace": "a", "selector": {}}}, "exactly one of"),
        ({"prometheus": {"url": "http://p", "query": "up"}}, "one of max and min"),
        ({"prometheus": QUERY | {"min": 0}}, "one of max and min"),
        ({"http": {"url": "https://user:secret@host/"}}, "url"),
        ({"http": {"url": "ftp://host/"}}, "url"),
        ({"http": HTTP, "timeout": "2m"}, "timeout"),
        ({"http": HTTP, "interval": "100ms"}, "interval"),
        ({"pods": {"namespace": "a", "selector": {}, "minReady": "0%"}}, "a number of pods"),
        ({"object": {"apiVersion": "v1", "kind": "Secret", "name": "a", "cel": "true"}}, "no Secrets"),
        ({"object": {"apiVersion": "v1", "kind": "Node", "name": "a/b", "cel": "true"}}, "name"),
        ({"object": {"apiVersion": "v1", "kind": "Node", "name": "a", "cel": "x" * 1025}}, "cel"),
        ({"name": "Not a name", "http": HTTP}, "name"),
        ({"javaCaches": {"names": ["orders"]}}, "names need a namespace"),
        ({"javaCaches": {"minCoverage": "0%"}}, "minCoverage"),
        ({"javaCaches": {}, "http": HTTP}, "exactly one of"),
    ],
)
def test_what_is_no_check_is_refused_by_the_api_server(kinds, check, fix):  # noqa: F811
    with pytest.raises(errors.Invalid, match=fix):
        kinds.create(OS, _os(health={"checks": [{"name": "one"} | check]}))


def test_two_checks_of_one_name_and_a_seventeenth_are_refused(kinds):  # noqa: F811
    with pytest.raises(errors.Invalid, match="Duplicate"):
        kinds.create(OS, _os(health={"checks": [{"name": "one", "http": HTTP}] * 2}))
    many = [{"name": f"check-{n}", "http": HTTP} for n in range(17)]
    with pytest.raises(errors.Invalid, match="16"):
        kinds.create(OS, _os(health={"checks": many}))


def test_the_checks_of_the_page_are_taken(kinds):  # noqa: F811
    text = (ROOT / "docs/health-checks.md").read_text()
    example = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    example["metadata"]["name"] = "of-the-page"
    made = kinds.create(OS, example)
    kinds.delete(OS, "of-the-page")
    assert {check["timeout"] for check in made["spec"]["rollout"]["health"]["checks"]} == {"5s", "10s"}
