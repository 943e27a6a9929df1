"""Our images and our chart on real kubelets: installed, used, tested, and gone without a trace.

There is no DNS and no kube-proxy, so pods are told addresses in place of names; the API server reaches the
webhook's pods by its Service.
"""

from __future__ import annotations

import json
import os
import socket
import time

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from images.containers.build import NAMES
from jboost_agent.build import agent_jar
from testbed.demo.kubectl import Kubectl
from testbed.workers import pods
from testbed.workers.network import HOST
from testbed.workers.shop import JAR, PORT, Shop
from tests.helm import CHART, RELEASE, Helm, everything
from tests.jboost import application
from tests.kubelets.conftest import PREFIX
from tests.waiting import until
from warmroot.errors import StepFailed
from warmroot.kube.cluster import LEASE, OS, POD, Kind

pytestmark = [pytest.mark.kubelets, pytest.mark.jvm, pytest.mark.helm, pytest.mark.measures]
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
SPACE = "warmroot"
PARTS = ("warmroot-operator", "warmroot-dashboard", "jboost", "jboost-webhook", "jboost-controller")
IMAGE = "localhost/small/app:1"
MOST = 80_000_000
"""Bytes of an image that a node fetches."""
INSTALLED_WITHIN = 120
"""Seconds, as issue 11 has it."""


@pytest.fixture(scope="module")
def workers(kubelets, our_images, java):
    for one in our_images.values():
        os.link(one.file, kubelets.images / f"ours-{one.file.name}")
    jar = application.build(kubelets.folder / "installed", java.jdk(17, compiler=True).home)
    alone = kubelets.folder / "installed-alone"
    alone.mkdir()
    os.link(jar, alone / "app.jar")
    assert pods.write_java(java.jdk(17), alone, "small/app", kubelets.images) == IMAGE
    first, second = kubelets.workers
    with first, second:
        first.until_ready(kubelets.cluster)
        second.until_ready(kubelets.cluster)
        yield kubelets


@pytest.fixture(scope="module")
def before(workers):
    return everything(workers.kubectl)


@pytest.fixture(scope="module")
def helm(workers, before):
    return Helm(workers.folder / "helm", SPACE, workers.plane.kubeconfig)


@pytest.fixture(scope="module")
def values(workers):
    return {
        "image": {"registry": PREFIX, "pullPolicy": "Never"},
        "crds": {"keep": False},
        "dashboard": {"enabled": True},
        "apiServer": {"host": HOST, "port": workers.plane.server.rpartition(":")[2]},
        "jboost": {"server": {"minSaved": 0, "volume": {"ephemeral": True}}},
    }


@pytest.fixture(scope="module")
def installed(workers, helm, values, tally):
    began = time.monotonic()
    try:
        helm.run(
            "install", RELEASE, str(CHART), "--create-namespace", "--wait", "--timeout", "5m", values=values
        )
    except AssertionError as error:
        raise AssertionError(f"{error}\n{told(workers.kubectl)}") from error
    took = time.monotonic() - began
    tally("seconds until the chart's installation was running", round(took))
    assert took < INSTALLED_WITHIN
    (server,) = workers.cluster.list(POD, namespace=SPACE, labels="app.kubernetes.io/name=jboost").items
    values["jboost"]["url"] = f"http://{server['status']['podIP']}:8780"
    helm.run("upgrade", RELEASE, str(CHART), "--wait", "--timeout", "5m", values=values)
    return workers


def told(kubectl: Kubectl) -> str:
    """For whoever reads why it did not come up."""
    shown = kubectl.run("get", "pods", "-n", SPACE, "-o", "wide")
    events = kubectl.run("get", "events", "-n", SPACE, "--sort-by=.lastTimestamp")[-3000:]
    logs = [
        kubectl.run("logs", "-n", SPACE, f"deploy/{name}", "--tail=15", "--ignore-errors") for name in PARTS
    ]
    return "\n".join((shown, events, *logs))


def test_each_image_is_small_and_its_bill_is_one(our_images):
    assert set(our_images) == set(NAMES)
    for name, one in our_images.items():
        assert one.written.size < MOST, name
        text = one.bill.read_text()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
        assert json.loads(text)["metadata"]["component"]["bom-ref"] == one.written.digest
    assert "pkg:pypi/kopf" in our_images["operator"].bill.read_text()
    assert "pkg:deb/debian/libpython3.13-stdlib" in our_images["jboost"].bill.read_text()


@pytest.mark.timeout(900)
def test_the_chart_runs_within_two_minutes_and_its_test_passes(installed, helm):
    for name in PARTS:
        status = installed.cluster.get(DEPLOYMENT, name, namespace=SPACE)["status"]
        assert status["readyReplicas"] == status["replicas"], name
    helm.run("test", RELEASE, "--timeout", "2m")


@pytest.mark.timeout(900)
def test_in_no_pod_of_ours_is_a_shell_or_a_place_to_write(installed):
    for name in PARTS:
        python = ["-n", SPACE, "exec", f"deploy/{name}", "--", "/usr/bin/python3.13", "-c"]
        told = installed.kubectl.run(*python, SEEN)
        assert json.loads(told) == {"uid": 65532, "shells": [], "writable": []}, name


SEEN = """
import json, os
names = ("sh", "bash", "dash", "busybox", "apt", "dpkg")
found = [f"{folder}/{name}" for folder in ("/bin", "/usr/bin", "/sbin", "/usr/sbin") for name in names]
volumes = {"/proc", "/dev", "/sys", "/tmp", "/var/lib/jboost", "/var/lib/warmroot", "/var/run", "/run"}
writable = []
for path, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.path.join(path, one) not in volumes]
    if os.access(path, os.W_OK):
        writable.append(path)
shells = [one for one in found if os.path.exists(one)]
print(json.dumps({"uid": os.getuid(), "shells": shells, "writable": writable}))
"""


@pytest.mark.timeout(300)
def test_the_page_answers_within_its_own_pod_and_nowhere_else(installed):
    """Who may forward a port there may look; its account reads what it shows."""
    ask = ["-n", SPACE, "exec", "deploy/warmroot-dashboard", "--", "/usr/bin/python3.13", "-c", ASKED]
    told = json.loads(until(lambda: installed.kubectl.run(*ask), 60, forgive=(StepFailed,), every=1.0))
    assert told["unread"] == ""
    assert {"rollouts", "caches", "at"} <= set(told)
    (pod,) = installed.cluster.list(
        POD, namespace=SPACE, labels="app.kubernetes.io/name=warmroot-dashboard"
    ).items
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((pod["status"]["podIP"], 8088), 10)


ASKED = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8088/overview.json').read().decode())"


@pytest.mark.timeout(600)
def test_the_operator_takes_an_os_object_up(installed):
    release = {"version": "1", "source": "https://releases.example", "digest": f"sha256:{'0' * 64}"}
    one = {"apiVersion": OS.api_version, "kind": OS.kind, "metadata": {"name": "none"}}
    text = json.dumps(one | {"spec": {"release": release}})
    installed.kubectl.run("apply", "--server-side", "-f", "-", text=text)

    def conditions():
        return installed.cluster.get(OS, "none").get("status", {}).get("conditions")

    until(conditions, 60, what=lambda: f"the operator says something of it; {told(installed.kubectl)}")
    lease = installed.cluster.get(LEASE, "warmroot-operator", namespace=SPACE)
    (owner,) = lease["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ServiceAccount", "warmroot-operator")
    installed.kubectl.run("delete", "os", "none", "--timeout=60s")


@pytest.mark.timeout(1800)
def test_a_namespace_that_takes_part_as_the_notes_say_has_pods_that_start_warm(installed):
    shop = Shop(installed.cluster, installed.kubectl, "boutique", IMAGE, (*JAR, str(PORT)), "/health")
    kubectl = installed.kubectl
    labels = {"jboost.warmroot.io/client": "true", "pod-security.kubernetes.io/enforce": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "boutique", "labels": labels}}
    kubectl.run("apply", "--server-side", "-f", "-", text=json.dumps(space))
    key = ["exec", "deploy/jboost", "--", "jboost", "public-key", "/etc/jboost/signing.pem"]
    known = kubectl.run("-n", SPACE, *key)
    kubectl.run("-n", "boutique", "create", "configmap", "jboost-keys", f"--from-literal=keys={known}")
    kubectl.run(
        "-n", "boutique", "create", "rolebinding", "jboost-builders",
        "--clusterrole=warmroot-jboost-builders", f"--serviceaccount={SPACE}:jboost-controller",
    )  # fmt: skip

    def said() -> str:
        return told(kubectl)

    shop.apply(shop.cache(), shop.deployment(env=application.ANYWHERE | application.PLAIN_IS_SLOW))
    first = shop.until(shop.only_pod, "the first pod is Ready", said)
    assert shop.report(first)["outcome"] == "learning"
    shop.until(lambda: shop.status().get("state") == "Serving", "the archive serves", said)
    shop.restart()
    warm = shop.until(
        lambda: (one := shop.only_pod()) and one["metadata"]["name"] != first["metadata"]["name"] and one,
        "the next pod is Ready",
        said,
    )
    assert shop.report(warm)["outcome"] == "hit"


@pytest.mark.timeout(600)
def test_what_is_uninstalled_leaves_nothing_behind(installed, helm, before):
    installed.kubectl.run("delete", "namespace", "boutique", "--ignore-not-found")
    helm.run("uninstall", RELEASE, "--wait", "--timeout", "3m")
    made_by_a_namespace = {f"Namespace//{SPACE}", f"ServiceAccount/{SPACE}/default"}
    made_by_a_namespace |= {f"ConfigMap/{SPACE}/kube-root-ca.crt"}

    def left() -> set[str]:
        return everything(installed.kubectl) - before - made_by_a_namespace

    until(lambda: not left(), 60, what=lambda: f"left: {left()}", every=2.0)
    installed.kubectl.run("delete", "namespace", SPACE)
    for node in json.loads(installed.kubectl.run("get", "nodes", "-o", "json"))["items"]:
        text = json.dumps([node["metadata"].get("labels"), node["metadata"].get("annotations"), node["spec"]])
        assert "warmroot.io" not in text, node["metadata"]["name"]


def test_the_agent_of_the_image_is_the_one_of_these_sources(our_images):
    assert agent_jar().exists()
    assert our_images["jboost-agent"].written.size < 2 * agent_jar().stat().st_size + 1_100_000
