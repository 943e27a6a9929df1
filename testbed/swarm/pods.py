"""The other half of the kubelets: pods of all machines start, and end when they are deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from testbed.kubelet import status
from testbed.kubelet.strategic import strategic_patch
from testbed.kubelet.watch import ObjectWatch
from testbed.swarm.clock import RealTime
from testbed.swarm.machine import Machine
from testbed.swarm.ports import Span
from warmroot.errors import ClusterError, Conflict, NetworkError, NotFound
from warmroot.kube.cluster import POD, Object, RestCluster
from warmroot.kube.transport import RequestsTransport

LOOK = 0.5
"""Seconds after which a machine that is down is looked at again: it can neither start a pod nor end one."""


@dataclass(frozen=True)
class PodTimes:
    """How long pods take, in seconds."""

    start: Span = (0.2, 0.6)
    stop: Span = (0.2, 0.6)


@dataclass(frozen=True)
class Stop:
    """A pod that ended: when it was told to, and when it was gone (seconds of a monotonic clock)."""

    node: str
    told: float
    gone: float


class Pods:
    """Every pod that is bound to one of `machines`, in a thread of its own. `stops`: those that ended."""

    def __init__(
        self, kubeconfig: Path, machines: Mapping[str, Machine], random: Random, times: PodTimes
    ) -> None:
        self.time = RealTime("pods")
        self.stops: list[Stop] = []
        self._machines, self._random, self._times = machines, random, times
        self._transport = RequestsTransport(str(kubeconfig))
        self._cluster = RestCluster(self._transport)
        self._known: dict[str, Object] = {}
        self._doing: set[str] = set()
        self._told: dict[str, float] = {}
        self._watch = ObjectWatch(kubeconfig, POD, self._note)

    def start(self) -> None:
        """From now on."""
        self.time.start()
        self._watch.begin()

    def end(self) -> None:
        """Pods stay as they are."""
        self._watch.end()
        self.time.end()
        self._transport.close()

    def _note(self, gone: bool, pod: Object) -> None:
        self.time.after(0, lambda: self._see(gone, pod))

    def _see(self, gone: bool, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if gone:
            self._known.pop(uid, None)
        elif pod["spec"].get("nodeName") in self._machines:
            self._known[uid] = pod
            self._consider(uid)

    def _consider(self, uid: str) -> None:
        """Sees to it that a pod gets where it should be, unless that is under way."""
        pod = self._known.get(uid)
        if pod is None or uid in self._doing:
            return
        if "deletionTimestamp" in pod["metadata"]:
            self._told.setdefault(uid, time.monotonic())
            self._later(uid, self._random.uniform(*self._times.stop), self._finish)
        elif not _ready(pod):
            self._later(uid, self._random.uniform(*self._times.start), self._run)

    def _later(self, uid: str, delay: float, what: Callable[[Object], None]) -> None:
        self._doing.add(uid)
        self.time.after(delay, lambda: self._do(uid, what))

    def _do(self, uid: str, what: Callable[[Object], None]) -> None:
        pod = self._known.get(uid)
        if pod is None:
            self._doing.discard(uid)
            return
        machine = self._machines[pod["spec"]["nodeName"]]
        if not (machine.up and machine.ready):
            self.time.after(LOOK, lambda: self._do(uid, what))
            return
        self._doing.discard(uid)
        try:
            what(pod)
        except (NotFound, Conflict):
            self._known.pop(uid, None)
        except (ClusterError, NetworkError):
            self._later(uid, LOOK, what)
            return
        self._consider(uid)

    def _run(self, pod: Object) -> None:
        meta = pod["metadata"]
        if "deletionTimestamp" in meta:
            return
        number = int(meta["uid"][:4], 16)
        body = status.pod_status(
            pod,
            ready=True,
            restarts=status.restarts_of(pod) + 1,
            address=f"10.78.{number >> 8}.{number & 255}",
            now=datetime.now(UTC),
        )
        patch = {"metadata": {"uid": meta["uid"]}, "status": body}
        path = POD.path(meta["namespace"], meta["name"], "status")
        self._known[meta["uid"]] = strategic_patch(self._cluster, path, patch)

    def _finish(self, pod: Object) -> None:
        meta = pod["metadata"]
        self._known.pop(meta["uid"], None)
        self._cluster.delete(POD, meta["name"], namespace=meta["namespace"], grace=0, uid=meta["uid"])
        told = self._told.pop(meta["uid"])
        self.stops.append(Stop(pod["spec"]["nodeName"], told, time.monotonic()))


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
