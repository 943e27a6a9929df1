"""Machines that belong to a cluster: what an installer leaves on one, and who keeps it switched on."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from testbed.controlplane.pki import HOST_OF_GUESTS
from testbed.controlplane.plane import ControlPlane
from testbed.vm.machine import VirtualMachine
from warmroot.errors import StepFailed
from warmroot.kube import kubeconfig

UNITS = ("warmroot-proxy", "kubelet")
"""What waits on a machine of ours until it is joined."""
LEASE_SECONDS = 12
"""A kubelet renews its Lease four times in that; the test bed's control plane waits 16 s for it."""


@dataclass(frozen=True)
class File:
    """One file of a node."""

    data: bytes
    mode: str = "0644"


def proxy(plane: ControlPlane, name: str) -> dict[str, File]:
    """What lets a machine's proxy speak as the node `name`."""
    return {"/etc/hostname": File(f"{name}\n".encode()), "/etc/warmroot/kubeconfig": _credential(plane, name)}


def kubelet(plane: ControlPlane, name: str, pods: str) -> dict[str, File]:
    """What its kubelet needs: a credential, whom it trusts, its pods' network, such as 10.88.1.0/24."""
    return {
        "/etc/kubernetes/kubelet.conf": _credential(plane, name),
        "/etc/kubernetes/ca.crt": File(kubeconfig.load(plane.kubeconfig).ca or b""),
        "/etc/kubernetes/kubelet.conf.d/10-testbed.conf": File(_settings()),
        "/etc/cni/net.d/10-testbed.conflist": File(_network(pods)),
    }


def _credential(plane: ControlPlane, name: str) -> File:
    """The node's own, by the address at which a guest finds the API server."""
    own = plane.node_kubeconfig(name).read_bytes()
    return File(own.replace(b"127.0.0.1", HOST_OF_GUESTS.encode()), "0600")


def join(
    machine: VirtualMachine, name: str, content: Mapping[str, File], units: Sequence[str] = UNITS
) -> None:
    """Puts the files there and starts what waited for them; from the next boot on it starts by itself.

    Raises:
        StepFailed: a command in the guest failed.
        ProgramDied: the guest does not answer.
    """
    for path, file in content.items():
        encoded, folder = base64.b64encode(file.data).decode(), path.rpartition("/")[0]
        written = f"echo {encoded} | base64 -d >{path} && chmod {file.mode} {path}"
        command(machine, f"mkdir -p {folder} && {written}")
    started = f"systemctl --no-block start {' '.join(units)}"
    command(machine, f"hostname {name} && systemctl daemon-reload && {started}")


def command(machine: VirtualMachine, text: str, seconds: float = 60.0) -> str:
    """Runs a shell command in the guest that must succeed; what it printed.

    Raises:
        StepFailed: it did not.
        ProgramDied: the guest does not answer.
    """
    done = machine.run(text, seconds)
    if done.status:
        raise StepFailed(f"`{text[:200]}` in the guest ended with {done.status}: {done.output}")
    return done.output


class KeptOn:
    """A machine that somebody switches on again whenever it has reset: each boot is a new process.

    A context manager: the machine is off when its block ends.
    """

    def __init__(self, boot: Callable[[], AbstractContextManager[VirtualMachine]]) -> None:
        self._boot = boot
        self._over = threading.Event()
        self._up = threading.Event()
        self._machine: VirtualMachine | None = None
        self._thread = threading.Thread(target=self._keep, name="power", daemon=True)

    def __enter__(self) -> KeptOn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def machine(self, seconds: float = 10.0) -> VirtualMachine:
        """The machine of the boot that runs now.

        Raises:
            StepFailed: it is not on.
        """
        if not self._up.wait(seconds) or self._machine is None:
            raise StepFailed("the machine is off")
        return self._machine

    def _keep(self) -> None:
        while not self._over.is_set():
            with self._boot() as machine:
                self._machine = machine
                self._up.set()
                while machine.running and not self._over.wait(0.1):
                    pass
                self._up.clear()


def _settings() -> bytes:
    kind = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    own = {"nodeLeaseDurationSeconds": LEASE_SECONDS, "nodeStatusUpdateFrequency": "5s"}
    return json.dumps(kind | own).encode()


def _network(pods: str) -> bytes:
    """Pods of one node reach one another; nothing else is needed here."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": pods}]]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam}
    return json.dumps({"cniVersion": "1.0.0", "name": "testbed", "plugins": [bridge]}).encode()
