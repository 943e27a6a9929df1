"""One worker's life: switched on, asked, switched off as by pulling its plug."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

from testbed.controlplane.plane import ControlPlane
from testbed.controlplane.processes import Program, tail
from testbed.workers import cgroups, network, settings
from testbed.workers.network import PrivateNetwork
from warmroot.errors import NotFound, ProgramDied
from warmroot.kube.cluster import NODE, Cluster

STARTS_WITHIN = 180.0
"""Seconds from power-on to a Ready node. Seconds are usual."""
_POLL = 0.1


@dataclass(frozen=True)
class Parts:
    """What workers are made of: the kubelet's program, a folder with images that each of them has."""

    kubelet: Path
    images: Path


class Worker:
    """A node of the cluster, with everything that it keeps below one folder.

    Its boot id is new at each start. A context manager: it is off when its block ends.
    """

    def __init__(
        self, name: str, number: int, folder: Path, wire: PrivateNetwork, plane: ControlPlane, parts: Parts
    ) -> None:
        self.name = name
        self.layout = settings.Layout(folder.absolute())
        self._number = number
        self._wire = wire
        self._plane = plane
        self._parts = parts
        self._cgroup = f"worker-{uuid.uuid4().hex[:8]}"
        self._program: Program | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Power on; `until_ready` waits for its node.

        Raises:
            StepFailed: the kernel refused its network.
            ProgramDied: its first process ended.
        """
        assert self._program is None, "it is on"
        self._write()
        cgroups.make(self._cgroup)
        init = files("testbed.workers") / "init"
        spaces = ["--mount", "--uts", "--ipc", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
        address = network.worker(self._number)
        words = [str(self.layout.root), self.name, address, self._cgroup]
        words += map(str, (self._parts.kubelet, self._plane.node_kubeconfig(self.name), self._parts.images))
        self._program = Program.start(
            ["unshare", *spaces, "--propagation=private", "sh", str(init), *words],
            executable=Path(shutil.which("unshare") or "unshare"),
            log=self.layout.logs / "init.log",
            pid_file=self.layout.root / "pid",
            dies_with_us=True,
        )
        self._until(lambda: network.apart(self._pid), "it has namespaces of its own")
        self._wire.join(self._pid, self._number)
        return self

    def until_ready(self, cluster: Cluster) -> None:
        """Returns when the API server has its node as Ready, of this boot.

        Raises:
            ProgramDied: that did not come.
        """
        boot = (self.layout.settings / "boot-id").read_text().strip()

        def ready() -> bool:
            try:
                status = cluster.get(NODE, self.name)["status"]
            except NotFound:
                return False
            said = {one["type"]: one["status"] for one in status.get("conditions", ())}
            return said.get("Ready") == "True" and status["nodeInfo"]["bootID"] == boot

        self._until(ready, "its node is Ready")

    def stop(self) -> None:
        """Pulls the plug: kubelet, containerd and all containers die at once, and nobody is told."""
        if self._program is not None:
            self._program.end(0.0, politely=False)
            self._program = None
            cgroups.remove(self._cgroup)

    def remove(self) -> None:
        """Its disk, too."""
        self.stop()
        shutil.rmtree(self.layout.root, ignore_errors=True)

    @property
    def _pid(self) -> int:
        assert self._program is not None, "it is off"
        return self._program.identity.pid

    def _write(self) -> None:
        for folder in self.layout.folders:
            folder.mkdir(parents=True, exist_ok=True)
        place, layout = self.layout.settings, self.layout
        machine = place / "machine-id"
        if not machine.exists():
            machine.write_text(f"{uuid.uuid4().hex}\n")
        contents = {
            "boot-id": f"{uuid.uuid4()}\n",
            "os-release": 'PRETTY_NAME="warmroot test worker"\nNAME="worker"\nID=worker\nVERSION_ID="1"\n',
            "one": "1\n",
            "ten": "10\n",
            "resolv.conf": "",
            "kubelet.json": settings.kubelet(layout, self._plane.authority, self._cgroup),
            "containerd.toml": settings.containerd(layout),
            "cni/10-workers.conflist": settings.network(network.pods(self._number)),
        }
        for name, content in contents.items():
            (place / name).write_text(content)

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        assert self._program is not None
        end = time.monotonic() + STARTS_WITHIN
        while not holds():
            self._program.check()
            if time.monotonic() > end:
                logs = "\n".join(tail(log) for log in sorted(self.layout.logs.glob("*.log")))
                raise ProgramDied(
                    f"worker {self.name}: {what}, did not come within {STARTS_WITHIN:.0f} s."
                    f" The last lines of its logs:\n{logs}",
                    hint=f"the logs are in {self.layout.logs}",
                )
            time.sleep(_POLL)
