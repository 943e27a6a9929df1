"""One JavaCache and one Deployment on real kubelets: pods learn, a builder builds, the next start warm.

Of a small application whose plain start is made slow: what a service of Spring gains is the benchmark's and
the demo's to show, and would not be clear to a builder beside machines under QEMU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.workers import pods
from testbed.workers.java import JavaCaches
from testbed.workers.shop import JAR, PORT, Shop
from tests.jboost.application import ANYWHERE, DIES_WARM, PLAIN_IS_SLOW, build
from tests.waiting import until
from warmroot.kube.cluster import EVENT, Kind

pytestmark = [pytest.mark.kubelets, pytest.mark.jvm, pytest.mark.measures]
IMAGE = "localhost/shop/app:1"
JOB = Kind("batch", "v1", "jobs", "Job")
READY_WITHIN, BUILT_WITHIN = 300, 900
WELL = ANYWHERE | PLAIN_IS_SLOW


@pytest.fixture(scope="module")
def caches(kubelets, java):
    """The cache service and its programs, and both workers."""
    jar = build(kubelets.folder / "built", java.jdk(17, compiler=True).home)
    alone = kubelets.folder / "alone"
    alone.mkdir()
    os.link(jar, alone / "app.jar")
    name, _, _ = IMAGE.removeprefix("localhost/").partition(":")
    assert pods.write_java(java.jdk(17), alone, name, kubelets.images) == IMAGE
    first, second = kubelets.workers
    with first, second:
        first.until_ready(kubelets.cluster)
        second.until_ready(kubelets.cluster)
        with JavaCaches(kubelets.folder / "java", kubelets.plane) as all_of_it:
            yield all_of_it


@pytest.fixture(scope="module")
def shop(kubelets, caches):
    caches.takes_part("shop")
    return small(kubelets, "shop")


def small(kubelets, namespace):
    """The application in a namespace of its own."""
    clients = (kubelets.cluster, kubelets.kubectl)
    return Shop(*clients, namespace, IMAGE, command=(*JAR, str(PORT)), health="/health")


def ready(shop, caches, besides=""):
    """The one pod, Ready, that is not `besides`."""

    def there():
        one = shop.only_pod()
        return one and one["metadata"]["name"] != besides and one

    return until(there, READY_WITHIN, lambda: f"a Ready pod; {shop.told(caches.said)}", every=0.5)


def reaches(shop, caches, *states):
    until(
        lambda: shop.status().get("state") in states,
        BUILT_WITHIN,
        lambda: f"the cache is {' or '.join(states)}; {shop.told(caches.said)}",
        every=1.0,
    )


@pytest.mark.timeout(1800)
def test_the_third_generation_of_pods_starts_warm_without_any_other_step(kubelets, caches, shop, tally):
    """`kubectl apply` of a JavaCache and a Deployment; what follows is what any rollout does."""
    shop.apply(shop.cache(), shop.deployment(env=WELL))

    first = ready(shop, caches)
    assert shop.report(first)["outcome"] == "learning"
    reaches(shop, caches, "Serving")
    shop.restart()
    second = ready(shop, caches, first["metadata"]["name"])
    shop.restart()
    third = ready(shop, caches, second["metadata"]["name"])

    report = shop.report(third)
    assert report["outcome"] == "hit", report
    assert "jboost-agent" not in {one["name"] for one in third["spec"]["initContainers"]}, "it was brought"
    assert "SharedArchiveFile" in shop.read(third, "/jboost/run/pages/java.opts")
    (row,) = shop.status()["keys"]
    assert row["startSeconds"]["with"] < row["startSeconds"]["without"]
    (job,) = kubelets.cluster.list(JOB, namespace="shop").items
    assert job["status"]["succeeded"] == 1
    tally("generations of pods on real kubelets until they started warm", 3)


@pytest.mark.timeout(900)
def test_pods_of_a_drained_node_start_warm_elsewhere(kubelets, caches, shop):
    """Whoever drains it: the operator does nothing else to pods than `kubectl drain` does."""
    before = ready(shop, caches)
    node = before["spec"]["nodeName"]

    kubelets.kubectl.run("drain", node, "--pod-selector=app=pages", "--delete-emptydir-data")
    after = ready(shop, caches, before["metadata"]["name"])

    kubelets.kubectl.run("uncordon", node)
    assert after["spec"]["nodeName"] != node
    assert shop.report(after)["outcome"] == "hit"


@pytest.mark.timeout(900)
def test_while_the_cache_service_is_dead_a_pod_starts_plainly_and_the_next_one_warm_again(caches, shop):
    before = ready(shop, caches)
    caches.kill("serve")

    shop.restart()
    plain = ready(shop, caches, before["metadata"]["name"])

    report = shop.report(plain)
    assert report["outcome"] == "server"
    assert "SharedArchiveFile" not in shop.read(plain, "/jboost/run/pages/java.opts")
    caches.revive("serve")
    shop.restart()
    assert shop.report(ready(shop, caches, plain["metadata"]["name"]))["outcome"] == "hit"


@pytest.mark.timeout(900)
def test_while_the_webhook_is_dead_a_pod_starts_as_its_template_says(caches, shop):
    before = ready(shop, caches)
    caches.kill("webhook")

    shop.restart()
    plain = ready(shop, caches, before["metadata"]["name"])

    caches.revive("webhook")
    assert "initContainers" not in plain["spec"]
    told = why(shop, plain)
    assert (told["starts"][0]["reason"], told["starts"][0]["outcome"]) == ("Injected", "")


@pytest.mark.timeout(300)
def test_the_plugin_says_of_a_warm_pod_what_its_agent_said(caches, shop):
    before = ready(shop, caches)
    shop.restart()
    warm = ready(shop, caches, before["metadata"]["name"])

    (start,) = why(shop, warm)["starts"]

    assert (start["container"], start["outcome"], start["next"]) == ("pages", "hit", "nothing")
    assert start["milliseconds"] > 0
    assert "is Serving, 1/1 keys serve" in start["chain"][-1]


@pytest.mark.timeout(1500)
def test_an_archive_that_kills_jvms_is_withdrawn_from_all_and_its_pods_get_up_again(kubelets, caches):
    """As if a fault of it only showed in pods: the builder's starts, and those before, were well."""
    caches.takes_part("brittle")
    shop = small(kubelets, "brittle")
    shop.apply(shop.cache(), shop.deployment(env=WELL))
    before = ready(shop, caches)
    reaches(shop, caches, "Serving")

    shop.apply(shop.deployment(env=WELL | DIES_WARM))
    reaches(shop, caches, "Quarantined")
    after = ready(shop, caches, before["metadata"]["name"])

    assert shop.report(after)["outcome"] == "missing"
    assert [one["restartCount"] for one in after["status"]["containerStatuses"]] == [0]
    (row,) = shop.status()["keys"]
    assert "SIG" in row["message"]
    events = kubelets.cluster.list(EVENT, namespace="brittle").items
    told = {(one["reason"], one["type"]) for one in events if one["regarding"]["kind"] == "JavaCache"}
    assert ("Quarantined", "Warning") in told


def why(shop, pod):
    """As a person asks, by real kubectl, which finds the plugin on the PATH."""
    done = subprocess.run(
        [
            shop.kubectl.program,
            "warmroot",
            "java",
            "why",
            pod["metadata"]["name"],
            "-n",
            "shop",
            "-o",
            "json",
        ],
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": str(shop.kubectl.kubeconfig),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
