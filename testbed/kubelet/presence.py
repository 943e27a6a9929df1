"""The port: what a machine tells the cluster about itself, and the processes that pods really are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class HostFacts:
    """What a kubelet reads from its host when it starts."""

    boot_id: str
    os_image: str
    kernel_version: str


class NodePresence(Protocol):
    """A node in the API, from power-on to power-off."""

    def start(self, facts: HostFacts, *, ready: bool = True) -> None:
        """The kubelet starts on a freshly booted host. `ready=False`: its network never comes up."""
        ...

    def stop(self) -> None:
        """The power goes: nothing more is said, the cluster has to find out."""
        ...

    def set_ready(self, ready: bool) -> None:
        """The node's network comes up or goes away."""
        ...


class RealContainers(Protocol):
    """Pods of this node that are real processes of this machine."""

    def wants(self, pod: dict[str, Any]) -> bool:
        """Whether this pod is one of them."""
        ...

    def start(self, pod: dict[str, Any], kubeconfig: Path) -> None:
        """Starts the pod's process with this credential."""
        ...

    def stop(self, pod: dict[str, Any]) -> None:
        """Ends the pod's process."""
        ...

    def alive(self, pod: dict[str, Any]) -> bool:
        """Whether the pod's process runs."""
        ...


class NoContainers:
    """A machine whose pods are all simulated."""

    def wants(self, pod: dict[str, Any]) -> bool:
        """None."""
        del pod
        return False

    def start(self, pod: dict[str, Any], kubeconfig: Path) -> None:
        """Never called."""

    def stop(self, pod: dict[str, Any]) -> None:
        """Never called."""

    def alive(self, pod: dict[str, Any]) -> bool:
        """Never called."""
        del pod
        return False
