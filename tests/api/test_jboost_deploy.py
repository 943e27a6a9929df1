"""The YAML of `deploy/jboost` as a person applies it: the real API server takes every object of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jboost_server.web.tenancy import AUDIENCE, BUILD_AUDIENCE
from testbed.controlplane import build
from testbed.demo.kubectl import Kubectl
from warmroot.errors import StepFailed
from warmroot.kube.cluster import NAMESPACE, SERVICE_ACCOUNT

pytestmark = pytest.mark.api

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "jboost"
AGENT = "/jboost/agent/agent.jar"


def documents(pattern: str = "*.yaml") -> list[dict]:
    return [
        document
        for path in sorted(FOLDER.glob(pattern))
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] != "Kustomization"
    ]


@pytest.fixture(scope="module")
def places(cluster):
    """The namespaces and accounts, for real: what else is tried needs them."""
    found = [one for one in documents() if one["kind"] in {"Namespace", "ServiceAccount"}]
    spaces = [one for one in found if one["kind"] == "Namespace"]
    for one in sorted(found, key=lambda one: one["kind"]):
        kind = NAMESPACE if one["kind"] == "Namespace" else SERVICE_ACCOUNT
        cluster.apply(kind, one, manager="test")
    yield
    for one in spaces:
        cluster.delete(NAMESPACE, one["metadata"]["name"])


@pytest.fixture(scope="module")
def kubectl(control_plane, places):
    return Kubectl(build.installed() / "kubectl", control_plane.kubeconfig)


def templates() -> list:
    return [
        pytest.param(one, id=one["metadata"]["name"])
        for one in documents()
        if one["kind"] in {"Deployment", "Job"}
    ]


def pod(workload: dict) -> dict:
    return workload["spec"]["template"]["spec"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_every_file_is_accepted_as_it_stands(kubectl, path):
    if path.name == "kustomization.yaml":
        listed = yaml.safe_load(path.read_text())["resources"]
        assert listed and not [name for name in listed if not (FOLDER / name).is_file()]
        return

    kubectl.run("apply", "--dry-run=server", "--validate=strict", "-f", str(path))


def test_a_misspelt_field_would_have_been_refused(kubectl):
    document = documents("server.yaml")[-1]
    document["spec"]["selectr"] = {}

    with pytest.raises(StepFailed, match="selectr"):
        kubectl.run(
            *("create", "--dry-run=server", "--validate=strict", "-f", "-"), text=yaml.safe_dump(document)
        )


@pytest.mark.parametrize("workload", templates())
def test_every_pod_meets_the_restricted_standard_which_its_namespace_enforces(kubectl, workload):
    meta = workload["metadata"]
    one = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{meta['name']}-tried", "namespace": meta["namespace"]},
        "spec": pod(workload),
    }

    kubectl.run("create", "--dry-run=server", "--validate=strict", "-f", "-", text=yaml.safe_dump(one))


def test_the_namespaces_really_enforce_the_restricted_standard(kubectl):
    for namespace in ("warmroot-jboost", "shop"):
        loose = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "loose", "namespace": namespace},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        }
        with pytest.raises(StepFailed, match="violates PodSecurity"):
            kubectl.run("create", "--dry-run=server", "-f", "-", text=yaml.safe_dump(loose))


def test_the_service_may_review_tokens_and_nothing_else():
    (role,) = [one for one in documents("rbac.yaml") if one["kind"] == "ClusterRole"]

    assert role["rules"] == [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    ]


@pytest.mark.parametrize("name", ["orders", "recorder"])
def test_the_agent_is_given_the_applications_own_command_limits_and_image(name):
    (workload,) = documents(f"example-{name}.yaml")
    (app,) = pod(workload)["containers"]
    (fetch,) = [one for one in pod(workload)["initContainers"] if "fetch" in one["command"]]

    assert fetch["command"][fetch["command"].index("--") + 1 :] == app["command"]
    assert [fetch[name] for name in ("image", "workingDir")] == [
        app[name] for name in ("image", "workingDir")
    ]
    assert fetch["resources"] == app["resources"]


def test_the_archive_is_built_for_the_command_image_and_limits_of_the_deployment():
    (job,), (orders,) = documents("example-build.yaml"), documents("example-orders.yaml")
    (build_,), (app,) = pod(job)["containers"], pod(orders)["containers"]

    assert build_["command"][build_["command"].index("--") + 1 :] == app["command"]
    assert (build_["image"], build_["resources"]) == (app["image"], app["resources"])


def test_a_recorder_has_a_sidecar_that_sees_the_applications_socket_at_another_path():
    (workload,) = documents("example-recorder.yaml")
    (app,) = pod(workload)["containers"]
    (record,) = [one for one in pod(workload)["initContainers"] if "record" in one["command"]]
    mounts = [{one["name"]: one["mountPath"] for one in each["volumeMounts"]} for each in (app, record)]

    assert record["restartPolicy"] == "Always"
    assert mounts[0]["tmp"] == "/tmp"
    assert mounts[1]["tmp"] == record["command"][record["command"].index("--attach-dir") + 1] != "/tmp"
    assert mounts[0]["run"] == mounts[1]["run"]


@pytest.mark.parametrize(
    ("name", "audience"), [("orders", AUDIENCE), ("recorder", AUDIENCE), ("build", BUILD_AUDIENCE)]
)
def test_tokens_are_for_the_cache_service_alone_and_the_usual_one_is_not_mounted(name, audience):
    (workload,) = documents(f"example-{name}.yaml")
    spec = pod(workload)
    (token,) = [
        source["serviceAccountToken"]
        for volume in spec["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
    ]

    assert token["audience"] == audience
    assert spec["automountServiceAccountToken"] is False


@pytest.mark.parametrize("workload", templates())
def test_no_pod_has_a_volume_that_no_container_mounts(workload):
    spec = pod(workload)
    containers = [*spec["containers"], *spec.get("initContainers", ())]

    mounted = {mount["name"] for each in containers for mount in each["volumeMounts"]}

    assert {volume["name"] for volume in spec["volumes"]} == mounted
