"""What the cluster says from moment to moment: watches on what the demo made, and waiting for a condition."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from testbed.demo.timeline import Mark, steps
from testbed.demo.view import NodeView, OSView, node_view, os_view
from testbed.kubelet.watch import ObjectWatch
from warmroot.errors import StepFailed
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, Kind, Object

DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")


class Scene:
    """Nodes, OSInstances, OS objects and the workload, as last seen. Thread-safe."""

    def __init__(self, kubeconfig: Path, labels: str) -> None:
        self.marks: list[Mark] = []
        self.least_ready: int | None = None
        """The fewest ready replicas of the workload since this was set to None."""
        self._objects: dict[str, dict[str, Object]] = {}
        self._nodes: dict[str, NodeView] = {}
        self._changed = threading.Condition()
        self._watches = [
            ObjectWatch(kubeconfig, kind, self._noter(kind), labels=selector)
            for kind, selector in ((NODE, labels), (OSINSTANCE, ""), (OS, ""), (DEPLOYMENT, labels))
        ]

    def __enter__(self) -> Scene:
        for watch in self._watches:
            watch.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watch in self._watches:
            watch.end()

    def nodes(self) -> dict[str, NodeView]:
        """All nodes by name."""
        with self._changed:
            return dict(sorted(self._nodes.items()))

    def os(self, name: str) -> OSView:
        """An OS object; an empty view while there is none."""
        with self._changed:
            item = self._objects.get(OS.plural, {}).get(name)
            return os_view(item) if item else OSView()

    def ready_replicas(self, name: str) -> int:
        """Ready replicas of a Deployment."""
        with self._changed:
            item = self._objects.get(DEPLOYMENT.plural, {}).get(name)
            return int(item.get("status", {}).get("readyReplicas", 0)) if item else 0

    def wait(
        self,
        holds: Callable[[], bool],
        *,
        what: str,
        seconds: float,
        hint: str = "",
        meanwhile: Callable[[], None] = lambda: None,
    ) -> float:
        """Waits until `holds`; gives the seconds that it took. `meanwhile` runs a few times a second.

        Raises:
            StepFailed: it does not hold after `seconds`; says `what` was waited for.
        """
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > seconds:
                raise StepFailed(f"{what}: not within {seconds:g} s; {self._said()}", hint=hint)
            meanwhile()
            with self._changed:
                self._changed.wait(0.2)
        return time.monotonic() - began

    def _said(self) -> str:
        rows = (
            f"{view.name}: ready={view.ready} cordoned={view.cordoned} goal={view.goal} phase={view.phase}"
            f" {view.error}".rstrip()
            for view in self.nodes().values()
        )
        return "last seen: " + "; ".join(rows)

    def _noter(self, kind: Kind) -> Callable[[bool, Object], None]:
        def note(gone: bool, item: Object) -> None:
            with self._changed:
                store = self._objects.setdefault(kind.plural, {})
                if gone:
                    store.pop(item["metadata"]["name"], None)
                else:
                    store[item["metadata"]["name"]] = item
                self._look(kind, item)
                self._changed.notify_all()

        return note

    def _look(self, kind: Kind, item: Object) -> None:
        if kind is DEPLOYMENT:
            ready = int(item.get("status", {}).get("readyReplicas", 0))
            self.least_ready = ready if self.least_ready is None else min(self.least_ready, ready)
            return
        if kind is OS:
            return
        name = item["metadata"]["name"]
        node, instance = (self._objects.get(of.plural, {}).get(name) for of in (NODE, OSINSTANCE))
        before = self._nodes.pop(name, None)
        if node is not None:
            view = self._nodes[name] = node_view(node, instance)
            now = time.monotonic()
            self.marks += [Mark(now, name, step) for step in steps(before, view)]
