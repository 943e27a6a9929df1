"""A control plane and two workers with real kubelets and containers, in a network of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from images import kubelet_modules
from jboost_agent.build import agent_jar
from testbed.controlplane import build
from testbed.controlplane.clients import admin_cluster
from testbed.controlplane.plane import ControlPlane
from testbed.demo.kubectl import Kubectl
from testbed.workers import pods
from testbed.workers.network import HOST, PrivateNetwork
from testbed.workers.worker import Parts, Worker
from warmroot.kube.cluster import RestCluster


@dataclass
class Bed:
    """`images` is the folder whose images each worker has from its start on."""

    folder: Path
    images: Path
    plane: ControlPlane
    cluster: RestCluster
    kubectl: Kubectl
    workers: tuple[Worker, ...]


@contextmanager
def bed(folder: Path) -> Iterator[Bed]:
    """Both workers are off. Whoever starts one pulls its plug; images may be added until then.

    Raises:
        NotInstalled: set-up is missing something.
        ProgramDied: the control plane did not start.
        StepFailed: the kernel refused a network.
    """
    images = folder / "images"
    images.mkdir()
    pods.write_pause(images)
    pods.write_agent(agent_jar(), images)
    parts = Parts(kubelet_modules.compiled(), images)
    with ExitStack() as ends:
        network = ends.enter_context(PrivateNetwork())
        plane = ends.enter_context(ControlPlane(folder / "plane", address=HOST).start())
        cluster = admin_cluster(plane)
        workers = tuple(
            Worker(f"worker-{number}", number, folder / f"worker-{number}", network, plane, parts)
            for number in (1, 2)
        )
        for worker in workers:
            ends.callback(worker.remove)
        yield Bed(
            folder, images, plane, cluster, Kubectl(build.installed() / "kubectl", plane.kubeconfig), workers
        )
