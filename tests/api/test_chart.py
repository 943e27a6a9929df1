"""The chart: what it makes of its values; an installation comes, changes and goes without a trace."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from testbed.controlplane import build
from testbed.controlplane.plane import ControlPlane
from testbed.demo.kubectl import Kubectl
from tests.api.operator_bed import ROOT
from tests.helm import CHART, RELEASE, Helm, everything
from tests.waiting import until

pytestmark = [pytest.mark.api, pytest.mark.helm]
SPACE = "warmroot"
OTHERS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of monitoring.coreos.com, which this cluster does not have."""
CHOICES = {
    "as it comes": {},
    "operator alone": {"jboost": {"enabled": False}, "operator": {"nodeConditions": True}},
    "Java alone, over S3": {
        "operator": {"enabled": False},
        "jboost": {"server": {"store": "s3://archives/prod", "replicas": 3}, "agent": "ImageVolume"},
    },
    "all that can be said": {
        "image": {"registry": "mirror.bank.example/warmroot/", "tag": "0.1.0-1", "pullSecrets": ["pull"]},
        "crds": {"keep": False},
        "dashboard": {"enabled": True, "tokenSecret": "page", "names": ["rollouts.bank.example"]},
        "apiServer": {"host": "10.0.0.1", "port": 6443},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.bank.example:3128"}],
        "monitoring": {"enabled": True, "labels": {"release": "prometheus"}, "dashboards": True},
        "networkPolicies": {"metricsFrom": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
        "operator": {
            "trustedRootConfigMap": "releases",
            "tracesEndpoint": "http://collector.monitoring:4318/v1/traces",
            "tolerations": [{"key": "control-plane", "operator": "Exists"}],
            "nodeSelector": {"role": "infra"},
            "priorityClassName": "system-cluster-critical",
        },
        "jboost": {
            "agent": "Image",
            "signingKey": {"create": False, "secret": "ours"},
            "server": {"volume": {"storageClass": "fast", "size": "50Gi"}, "minSaved": 0},
            "tolerations": [{"operator": "Exists"}],
        },
    },
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """A control plane of its own: a release owns kinds that other tests have installed otherwise."""
    with ControlPlane(tmp_path_factory.mktemp("chart")).start() as one:
        yield one


@pytest.fixture(scope="module")
def kubectl(plane):
    return Kubectl(build.installed() / "kubectl", plane.kubeconfig)


@pytest.fixture
def helm(tmp_path):
    """Without a cluster."""
    return Helm(tmp_path, SPACE)


@pytest.fixture
def installing(tmp_path, plane, kubectl):
    kubectl.run("create", "namespace", SPACE)
    yield Helm(tmp_path, SPACE, plane.kubeconfig)
    kubectl.run("delete", "namespace", SPACE)


def by_name(objects: list[dict]) -> dict[tuple[str, str], dict]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def container(deployment: dict) -> dict:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_the_chart_is_without_fault_and_the_api_server_takes_all_of_it(helm, kubectl, values):
    helm.run("lint", "--strict", str(CHART), values=values)
    made = helm.rendered(values)
    taken = [one for one in made if one["kind"] not in {*OTHERS, "CustomResourceDefinition"}]
    # Into a namespace that is there: a dry run makes none.
    text = yaml.safe_dump_all(taken).replace(f"namespace: {SPACE}", "namespace: default")
    kubectl.run("apply", "--server-side", "--dry-run=server", "-f", "-", text=text)
    assert len(by_name(made)) == len(made), "two objects of one name"


def test_values_reach_the_objects_that_they_speak_of(helm):
    made = by_name(helm.rendered(CHOICES["all that can be said"]))
    deployments = [one for (kind, _), one in made.items() if kind == "Deployment"]
    assert len(deployments) == 5
    for one in deployments:
        pod = one["spec"]["template"]["spec"]
        assert container(one)["image"].startswith("mirror.bank.example/warmroot/")
        assert container(one)["image"].endswith(":0.1.0-1")
        assert pod["imagePullSecrets"] == [{"name": "pull"}]
        told = {each["name"]: each["value"] for each in container(one)["env"]}
        assert told["KUBERNETES_SERVICE_HOST"] == "10.0.0.1"
        assert told["KUBERNETES_SERVICE_PORT"] == "6443"
        assert told["HTTPS_PROXY"] == "http://proxy.bank.example:3128"
    rules = made["PrometheusRule", "jboost"]["spec"]
    assert rules == yaml.safe_load((ROOT / "deploy/alerts/jboost.rules.yaml").read_text())
    board = made["ConfigMap", "warmroot-dashboard-jboost"]["data"]["jboost.json"]
    assert board == (ROOT / "deploy/dashboards/jboost.json").read_text()
    assert ("Secret", "ours") not in made
    assert "--agent-jar=/agent.jar" not in container(made["Deployment", "jboost-webhook"])["args"]
    monitors = {name for kind, name in made if kind == "ServiceMonitor"}
    assert monitors == {"warmroot-operator", "jboost", "jboost-controller", "jboost-webhook"}
    for name in monitors:
        (end,) = made["ServiceMonitor", name]["spec"]["endpoints"]
        ports = {each["name"] for each in made["Service", name]["spec"]["ports"]}
        assert end["port"] in ports, f"{name} has no such port"


def test_each_pod_may_run_under_the_restricted_standard(helm):
    for one in helm.rendered(CHOICES["as it comes"]):
        if one["kind"] != "Deployment":
            continue
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        locked = container(one)["securityContext"]
        assert locked["readOnlyRootFilesystem"] is True
        assert locked["allowPrivilegeEscalation"] is False
        assert locked["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"jboost": {"sever": {}}}, "sever"),
        ({"operator": {"replicas": 0}}, "replicas"),
        ({"jboost": {"url": "orders.example:80"}}, "url"),
        ({"jboost": {"server": {"replicas": 2}}}, "a folder has one owner"),
    ],
)
def test_a_mistake_in_the_values_is_refused_by_name(helm, values, named):
    said = helm.tried("template", RELEASE, str(CHART), values=values)
    assert said.returncode != 0
    assert named in said.stderr


OURS = re.compile(
    r"(namespace: |--namespace=|serviceaccount:|--controller=|//jboost\.)warmroot-(?:system|jboost)\b"
)
SAME = {
    "deploy/operator/deployment.yaml": {},
    "deploy/jboost/server.yaml": {},
    "deploy/jboost/webhook.yaml": {},
    "deploy/jboost/controller.yaml": {},
    "deploy/jboost/network.yaml": {},
    "deploy/dashboard/deployment.yaml": {"dashboard": {"enabled": True}},
    "deploy/node-conditions/admission.yaml": {"operator": {"nodeConditions": True}},
}


@pytest.mark.parametrize(("path", "values"), SAME.items(), ids=SAME)
def test_manifests_for_kustomize_say_what_the_chart_says(helm, path, values):
    text = OURS.sub(rf"\1{SPACE}", (ROOT / path).read_text())
    made = by_name(helm.rendered(values))
    for one in (each for each in yaml.safe_load_all(text) if each):
        chart = made[one["kind"], one["metadata"]["name"]]
        assert comparable(chart) == comparable(one), f"{path}: {one['kind']} {one['metadata']['name']}"


def comparable(one: dict) -> dict:
    """Without labels that name helm and the chart, and with options in the order of their names."""
    spec = json.loads(json.dumps(one.get("spec", one.get("webhooks"))))
    if one["kind"] == "Deployment":
        found = container({"spec": spec})
        found["args"] = sorted(found["args"])
        found.pop("imagePullPolicy", None)
        if not found.get("env"):
            found.pop("env", None)
    if one["kind"] == "MutatingWebhookConfiguration":
        spec[0]["namespaceSelector"]["matchExpressions"][0]["values"] = []  # our own namespaces
    return spec


def test_an_installation_comes_changes_and_goes_without_a_trace(installing, kubectl):
    before = everything(kubectl)
    values = {"crds": {"keep": False}, "operator": {"nodeConditions": True}}

    installing.run("install", RELEASE, str(CHART), values=values)
    assert "deployment.apps/jboost-webhook" in kubectl.run("get", "deployments", "-n", SPACE, "-o", "name")
    key = signing_key(kubectl)
    load_pem_private_key(base64.b64decode(key), None)

    values["operator"]["replicas"] = 3
    installing.run("upgrade", RELEASE, str(CHART), values=values)
    assert signing_key(kubectl) == key, "archives that were signed before are believed no more"
    asked = kubectl.run(
        "get", "deployment", "warmroot-operator", "-n", SPACE, "-o", "jsonpath={.spec.replicas}"
    )
    assert asked == "3"

    installing.run("uninstall", RELEASE, "--wait")
    # Pods, endpoints and replica sets of Deployments go a little later.
    until(lambda: everything(kubectl) <= before, 60, what=lambda: f"left: {everything(kubectl) - before}")


def signing_key(kubectl: Kubectl) -> str:
    return kubectl.run("get", "secret", "jboost-signing", "-n", SPACE, "-o", r"jsonpath={.data.signing\.pem}")


def test_kinds_are_kept_where_nothing_else_is_said_and_a_second_installation_takes_them_over(
    installing, kubectl
):
    installing.run("install", RELEASE, str(CHART), values={})
    installing.run("uninstall", RELEASE, "--wait")
    kinds = kubectl.run("get", "crds", "-o", "name").split()
    assert len([one for one in kinds if one.endswith("warmroot.io")]) == len(list((ROOT / "crds").iterdir()))

    installing.run("install", RELEASE, str(CHART), values={"crds": {"keep": False}})
    installing.run("uninstall", RELEASE, "--wait")
    until(lambda: "warmroot.io" not in kubectl.run("get", "crds", "-o", "name"), 30, what="kinds go")


def test_kinds_change_with_an_upgrade(installing, kubectl, tmp_path):
    older = tmp_path / "older"
    older.mkdir()
    for path in CHART.rglob("*"):
        target = older / path.relative_to(CHART)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(path.read_bytes())
    kind = older / "files" / "crds" / "warmroot.io_javacaches.yaml"
    crd = yaml.safe_load(kind.read_text())
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = []
    kind.write_text(yaml.safe_dump(crd))

    def columns() -> str:
        path = "jsonpath={.spec.versions[0].additionalPrinterColumns}"
        return kubectl.run("get", "crd", "javacaches.warmroot.io", "-o", path)

    installing.run("install", RELEASE, str(older), values={"crds": {"keep": False}})
    assert columns() == ""
    installing.run("upgrade", RELEASE, str(CHART), values={"crds": {"keep": False}})
    assert columns() != ""
    installing.run("uninstall", RELEASE, "--wait")


def test_where_it_says_two_commands_the_notes_say_them_for_this_release(installing):
    said = installing.run("install", RELEASE, str(CHART), values={"crds": {"keep": False}})
    assert f"kubectl -n {SPACE} exec deploy/jboost -- jboost public-key" in said
    assert f"--serviceaccount={SPACE}:jboost-controller" in said
    installing.run("uninstall", RELEASE, "--wait")


def test_the_charts_version_is_the_programs(tmp_path):
    del tmp_path
    from warmroot import __version__

    chart = yaml.safe_load((Path(CHART) / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
