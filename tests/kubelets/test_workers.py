"""The test bed's own promises: a worker is a node like any other, and its plug can be pulled."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.waiting import until
from warmroot.errors import StepFailed
from warmroot.kube.cluster import NODE, POD

pytestmark = [pytest.mark.kubelets, pytest.mark.measures]
SERVER = "while true; do echo here | busybox nc -l -p 8080; done"


def pod(name: str, node: str, script: str) -> str:
    container = {
        "name": "main",
        "image": "localhost/warmroot/jboost-agent:1",
        "command": ["sh", "-c", script],
    }
    spec = {"nodeName": node, "containers": [container | {"imagePullPolicy": "Never"}]}
    meta = {"name": name, "namespace": "default"}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


@pytest.mark.timeout(600)
def test_pods_of_two_workers_reach_one_another_and_a_plug_that_is_pulled_ends_all_of_one(kubelets):
    cluster, kubectl = kubelets.cluster, kubelets.kubectl
    interfaces = sorted(path.name for path in Path("/sys/class/net").iterdir())

    def of(name: str) -> dict:
        return cluster.get(POD, name, namespace="default")

    def ready(name: str) -> bool:
        said = {one["type"]: one["status"] for one in of(name)["status"].get("conditions", ())}
        return said.get("Ready") == "True"

    def node(worker) -> dict:
        return cluster.get(NODE, worker.name)

    with ExitStack() as plugs:
        for worker in kubelets.workers:
            plugs.enter_context(worker)
        first, second = kubelets.workers
        for worker in kubelets.workers:
            worker.until_ready(cluster)
        kubectl.run("apply", "-f", "-", text=pod("server", first.name, SERVER))
        until(lambda: ready("server"), 120, "the pod is Ready")
        address = of("server")["status"]["podIP"]
        asks = f"until busybox nc {address} 8080; do sleep 0.2; done; sleep 3600"
        kubectl.run("apply", "-f", "-", text=pod("client", second.name, asks))
        until(
            lambda: "here" in kubectl.run("logs", "client"),
            120,
            "it hears the other worker's pod",
            forgive=(StepFailed,),
            every=0.2,
        )
        assert kubectl.run("exec", "server", "--", "cat", "/etc/hostname").strip() == "server"

        boot, restarts = node(first)["status"]["nodeInfo"]["bootID"], restarts_of(of("server"))
        first.stop()
        until(
            lambda: any(
                one["type"] == "Ready" and one["status"] == "Unknown"
                for one in node(first)["status"]["conditions"]
            ),
            120,
            "the cluster misses it",
        )
        first.start().until_ready(cluster)
        assert node(first)["status"]["nodeInfo"]["bootID"] != boot
        until(lambda: restarts_of(of("server")) == restarts + 1 and ready("server"), 120, "its pod is back")
        for name in ("server", "client"):
            kubectl.run("delete", "pod", name, "--now")
    assert sorted(path.name for path in Path("/sys/class/net").iterdir()) == interfaces
    assert not list(Path("/sys/fs/cgroup").glob("*/worker-*"))


def restarts_of(one: dict) -> int:
    return sum(each["restartCount"] for each in one["status"].get("containerStatuses", ()))
