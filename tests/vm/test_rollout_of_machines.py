"""One OS object moves real machines: GRUB, systemd, containerd, a kubelet with pods, and our operator."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import pytest

from testbed.controlplane import build
from testbed.demo import objects
from testbed.demo.kubectl import Kubectl
from testbed.demo.objects import Pace, Run
from testbed.demo.scene import Scene
from testbed.demo.system import Operator
from testbed.releases.server import ReleaseServer
from testbed.vm import joined
from testbed.vm.joined import KeptOn
from tests.installation import install
from tests.vm.worker import UP, Worker, machine_status
from tests.waiting import until
from warmroot.errors import NotFound
from warmroot.kube.cluster import NODE

pytestmark = [pytest.mark.image, pytest.mark.vm, pytest.mark.api, pytest.mark.timeout(3600)]
RUN = Run("vm", 2)
PACE = Pace(max_unavailable=1, ready_seconds=5, health_timeout="240s", drain_timeout="2m")
MEMORY = 1024
ENDED = ("Complete", "Halted")
ROLLED = 1500
"""Seconds, on a busy machine, for a rollout over both machines, or its failure."""
POD_IMAGE = "localhost/warmroot/pause:1"


def workload():
    """Pods that do nothing, in containers that do exist: the image is the one that every node brings."""
    namespace, deployment, budget = objects.workload(RUN)
    spec = deployment["spec"]
    spec["replicas"] = RUN.machines
    (container,) = spec["template"]["spec"]["containers"]
    container |= {"image": POD_IMAGE, "imagePullPolicy": "Never"}
    budget["spec"]["maxUnavailable"] = 1
    return [namespace, deployment, budget]


class Cell:
    """Two machines in a cluster, an operator, and a release server."""

    def __init__(self, line, control_plane, cluster, folder):
        self.line, self.plane, self.cluster, self.folder = line, control_plane, cluster, folder
        self.kubectl = Kubectl(build.installed() / "kubectl", control_plane.kubeconfig)
        self.workers: dict[str, Worker] = {}
        self.power: dict[str, KeptOn] = {}

    def bring_up(self, undo: ExitStack, release) -> None:
        install(self.plane)
        self.server = undo.enter_context(ReleaseServer(self.line.repository))
        for number, name in enumerate(RUN.nodes, start=1):
            home = self.folder / name
            home.mkdir()
            worker = self.workers[name] = Worker.of(release.dir, home)
            self.power[name] = undo.enter_context(KeptOn(lambda one=worker: one.on(memory=MEMORY)))
            machine = self.power[name].machine()
            machine_status(machine)
            joined.join(machine, name, joined.files(self.plane, name, f"10.88.{number}.0/24"))
        self.scene = undo.enter_context(Scene(self.plane.kubeconfig, RUN.selector))
        labels = {"metadata": {"labels": RUN.labels}}
        for name in RUN.nodes:
            label = partial(self.cluster.patch, NODE, name, labels)
            until(label, UP, f"{name} registers", forgive=(NotFound,))
        self.operator = Operator(self.folder / "operator", self.plane.kubeconfig, self.cluster)
        undo.callback(self.operator.end)
        self.operator.start()
        self.kubectl.run("create", "-f", "-", text=objects.manifest(workload()))
        undo.callback(self.kubectl.run, "delete", "namespace", RUN.namespace, "--wait=false")
        self.wait(self.in_service, "both machines in service, with pods", UP)

    def in_service(self):
        views = self.scene.nodes().values()
        pods = self.scene.ready_replicas(objects.WORKLOAD)
        return (len(views), pods) == (RUN.machines, RUN.machines) and all(view.ready for view in views)

    def wait(self, holds, what, seconds):
        self.scene.wait(holds, what=what, seconds=seconds, hint=f"read the consoles below {self.folder}")

    def roll(self, release):
        """Applies the OS object, and waits until its rollout has ended."""
        source = self.server.url.replace("127.0.0.1", joined.HOST_OF_GUESTS)
        about = {"version": release.manifest.version, "source": source, "digest": release.digest}
        wanted = objects.os_object(RUN, **about, pace=PACE)
        self.kubectl.run("apply", "-f", "-", text=objects.manifest([wanted]))

        def over():
            system = self.scene.os(RUN.os)
            return system.observed and system.target == release.digest and system.phase in ENDED

        self.wait(over, f"the end of {release.manifest.version}'s rollout", ROLLED)
        return self.scene.os(RUN.os)


@pytest.fixture(scope="module")
def cell(line, first_release, control_plane, cluster, tmp_path_factory):
    with ExitStack() as undo:
        made = Cell(line, control_plane, cluster, tmp_path_factory.mktemp("cell"))
        made.bring_up(undo, first_release)
        yield made


def test_one_object_moves_two_machines_with_pods_to_the_next_release(cell):
    second = cell.line.build()
    system = cell.roll(second)
    assert (system.phase, system.failed) == ("Complete", ())
    cell.wait(cell.in_service, "pods are back", UP)
    for name, view in cell.scene.nodes().items():
        assert (view.system, view.settled) == (f"debian-worker {second.manifest.version}", True), name
        assert cell.workers[name].record().good.value == "B"
