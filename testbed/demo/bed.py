"""Everything that a rollout needs, up and down together: what demo, end-to-end tests and benchmarks use."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.controlplane import build
from testbed.controlplane.plane import ControlPlane
from testbed.demo import objects
from testbed.demo.kubectl import Kubectl
from testbed.demo.objects import Run
from testbed.demo.releases import Release, Shelf
from testbed.demo.reporter import Reporter
from testbed.demo.scene import Scene
from testbed.demo.system import Operator, executable
from testbed.kubelet.simulated import Pace
from testbed.machine.fleet import Fleet, FleetSpec
from testbed.machine.machine import Timing
from testbed.machine.proxy import ACCOUNT, NAMESPACE
from testbed.releases.server import ReleaseServer
from warmroot.errors import UserError
from warmroot.kube.cluster import CRD, NODE, OS, RestCluster
from warmroot.kube.transport import RequestsTransport

REMOVED_WITHIN = "60s"


@dataclass(frozen=True)
class BedSpec:
    """What a bed is made of. With `kubeconfig` it uses that cluster instead of a control plane of its own."""

    directory: Path
    run: Run
    kubeconfig: Path | None = None
    timing: Timing = field(default_factory=Timing)
    pace: Pace = field(default_factory=Pace)
    seed: int = 0


class Bed:
    """Control plane, release server, operator and machines on release 1, with a workload on them.

    A context manager: what was brought up is ended, and in a foreign cluster removed, when the block ends.
    """

    def __init__(self, spec: BedSpec, reporter: Reporter) -> None:
        self.spec = spec
        self.run = spec.run
        self.reporter = reporter
        self.plane: ControlPlane | None = None
        self.shelf: Shelf
        self.installed: Release
        self.server: ReleaseServer
        self.scene: Scene
        self.cluster: RestCluster
        self.kubectl: Kubectl
        self.operator: Operator
        self.fleet: Fleet
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self._undo = undo
            self._bring_up()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def logs(self) -> list[Path]:
        """Where to read on when something failed."""
        directory = self.spec.directory
        return sorted(path for path in directory.rglob("*.log") if path.stat().st_size)

    def _bring_up(self) -> None:
        self.spec.directory.mkdir(parents=True, exist_ok=True)
        with self.reporter.phase("control plane"):
            kubeconfig = self._control_plane()
            self._connect(kubeconfig)
        with self.reporter.phase("release 1, its keys and its repository"):
            self.shelf = Shelf(self.spec.directory / "releases")
            first = self.installed = self.shelf.make("1")
            self.server = self._undo.enter_context(ReleaseServer(self.shelf.repository))
        with self.reporter.phase("custom resources, roles and the proxies' DaemonSet"):
            self._install()
        with self.reporter.phase("operator"):
            self.operator = Operator(self.spec.directory / "operator", kubeconfig, self.cluster)
            self._undo.callback(self.operator.end)
            self.operator.start()
            if self.plane is None:
                self._undo.callback(self._remove_os)
        with self.reporter.phase(f"{self.run.machines} machines with release 1, and a workload"):
            self.scene = self._undo.enter_context(Scene(kubeconfig, self.run.selector))
            self.fleet = self._undo.enter_context(
                Fleet(self._fleet(kubeconfig), lambda machine: self.shelf.install(first, machine))
            )
            if self.plane is None:
                self._undo.callback(self._remove_proxies)
            self.fleet.power_on()
            self.fleet.wait_until_up(60)
            self._apply(objects.workload(self.run), "workload")
            self._wait_until_in_service()

    def _control_plane(self) -> Path:
        if self.spec.kubeconfig is not None:
            return self.spec.kubeconfig
        self.plane = ControlPlane(self.spec.directory / "control-plane")
        self._undo.callback(self.plane.stop)
        self.plane.start(self.reporter.say)
        return self.plane.kubeconfig

    def _connect(self, kubeconfig: Path) -> None:
        transport = RequestsTransport(str(kubeconfig))
        self._undo.callback(transport.close)
        self.cluster = RestCluster(transport)
        self.kubectl = Kubectl(build.installed() / "kubectl", kubeconfig)

    def _install(self) -> None:
        items = objects.installation(self.run)
        self._apply(items, "installation")
        names = [item["metadata"]["name"] for item in items if item["kind"] == "CustomResourceDefinition"]
        wanted = ["--for=condition=Established", *(f"{CRD.plural}/{name}" for name in names)]
        self.kubectl.run("wait", "--timeout=60s", *wanted)

    def _apply(self, items: list[objects.Object], name: str) -> None:
        """Makes objects that must not exist yet; they go away with the bed if the cluster is not ours."""
        path = self.spec.directory / f"{name}.yaml"
        path.write_text(objects.manifest(items))
        if self.plane is None:
            self._refuse_what_is_there(path)
            self._undo.callback(self._remove, path)
        self.kubectl.run("create", "-f", str(path))

    def _refuse_what_is_there(self, path: Path) -> None:
        found = self.kubectl.run("get", "-f", str(path), "--ignore-not-found", "-o", "name").split()
        if found:
            raise UserError(
                f"the cluster has {', '.join(found[:4])} already",
                hint="the demo touches only what it makes; use a cluster without warmroot",
            )

    def _remove(self, path: Path) -> None:
        self.kubectl.run("delete", "--ignore-not-found", f"--timeout={REMOVED_WITHIN}", "-f", str(path))

    def _remove_proxies(self) -> None:
        """While the machines run: their kubelets end the pods, and the namespace can go."""
        which = ("daemonset", ACCOUNT, "-n", NAMESPACE, "--cascade=foreground")
        self.kubectl.run("delete", *which, "--ignore-not-found", f"--timeout={REMOVED_WITHIN}")

    def _remove_os(self) -> None:
        """While the operator runs: it takes its finalizer off."""
        self.kubectl.run(
            "delete", OS.plural, self.run.os, "--ignore-not-found", f"--timeout={REMOVED_WITHIN}"
        )

    def _fleet(self, kubeconfig: Path) -> FleetSpec:
        if self.plane is None:
            self._undo.callback(
                self.kubectl.run, "delete", NODE.plural, "-l", self.run.selector, "--wait=false"
            )
        return FleetSpec(
            directory=self.spec.directory / "machines",
            names=self.run.nodes,
            kubeconfig=self.plane.node_kubeconfig if self.plane else lambda _: kubeconfig,
            proxy=(str(executable("warmroot-proxy")),),
            labels=self.run.labels,
            taints=(self.run.taint,),
            timing=self.spec.timing,
            pace=self.spec.pace,
            seed=self.spec.seed,
        )

    def _wait_until_in_service(self) -> None:
        wanted = self.run.machines, self.run.replicas

        def in_service() -> bool:
            ready = sum(view.ready for view in self.scene.nodes().values())
            return (ready, self.scene.ready_replicas(objects.WORKLOAD)) == wanted

        self.scene.wait(in_service, what="machines and workload in service", seconds=90, hint=self.hint)
        self.scene.least_ready = None

    @property
    def hint(self) -> str:
        """What to read when something does not happen."""
        return f"read the logs below {self.spec.directory}"


def foreign_kubeconfig() -> Path | None:
    """The cluster that the user named with KUBECONFIG, if any.

    Raises:
        UserError: KUBECONFIG names no file.
    """
    named = os.environ.get("KUBECONFIG")
    if not named:
        return None
    path = Path(named)
    if not path.is_file():
        raise UserError(f"KUBECONFIG names {named}, which is no file", hint="unset it, or correct it")
    return path
