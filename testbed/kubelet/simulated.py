"""A kubelet without root and without containers, under the node's own credential.

One thread works, one watches. What is due later (a pod's start, its end, the next heartbeat) lies in one
queue ordered by time. A request that fails is tried again a second later: a kubelet never gives up.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from testbed.kubelet import status, token
from testbed.kubelet.presence import HostFacts, NoContainers, RealContainers
from testbed.kubelet.strategic import strategic_patch
from testbed.kubelet.watch import ObjectWatch
from warmroot.errors import AlreadyExists, Conflict, NotFound, WarmrootError
from warmroot.kube.cluster import EVENT, LEASE, NODE, POD, Object, RestCluster
from warmroot.kube.kubeconfig import load
from warmroot.kube.transport import RequestsTransport

log = logging.getLogger(__name__)
RETRY = 1.0
LIVENESS = 0.5
NODE_STATUS = 300.0
"""Seconds between two node status writes without a change: a kubelet's default."""


@dataclass(frozen=True)
class Pace:
    """How fast this node is. Seconds."""

    node_ready: float = 0.5
    pod_start: float = 0.5
    pod_stop: float = 0.5
    container_restart: float = 0.5


@dataclass(frozen=True)
class NodeSpec:
    """Who the node is: its name, its credential, what it registers with."""

    name: str
    kubeconfig: Path
    directory: Path
    address: str = "10.77.0.1"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    pace: Pace = field(default_factory=Pace)


@dataclass
class _Pod:
    object: Object
    restarts: int
    running: bool = False
    stopping: bool = False
    real: bool = False


class SimulatedKubelet:
    """The NodePresence that needs nothing but an API server."""

    def __init__(self, spec: NodeSpec, containers: RealContainers | None = None) -> None:
        self.spec = spec
        self._containers: RealContainers = containers or NoContainers()
        self._life: _Life | None = None

    def start(self, facts: HostFacts, *, ready: bool = True) -> None:
        """Registers the node, or tells its new boot id, and begins to run pods."""
        self.stop()
        self._life = _Life(self.spec, self._containers, facts, ready)
        self._life.begin()

    def stop(self) -> None:
        """Ends at once and says nothing to the API server."""
        if self._life is not None:
            self._life.end()
            self._life = None

    def set_ready(self, ready: bool) -> None:
        """The node's network comes up or goes away."""
        if self._life is not None:
            self._life.set_network(ready)


class _Life:
    """One kubelet process: from one power-on to the next power-off."""

    def __init__(self, spec: NodeSpec, containers: RealContainers, facts: HostFacts, network: bool) -> None:
        self.spec = spec
        self._containers = containers
        self._facts = facts
        self._network = network
        self._booting = True
        self._ended = threading.Event()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._pods: dict[str, _Pod] = {}
        self._addresses = itertools.count(10)
        self._uid = ""
        self._transport = RequestsTransport(str(spec.kubeconfig))
        self._cluster = RestCluster(self._transport)
        self._watch = ObjectWatch(
            spec.kubeconfig, POD, self._pod_changed, fields=f"spec.nodeName={spec.name}"
        )
        self._thread = threading.Thread(target=self._work, name=f"kubelet-{spec.name}", daemon=True)

    def begin(self) -> None:
        self._later(0, self._register)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._watch.end()
        self._inbox.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def set_network(self, up: bool) -> None:
        def change() -> None:
            self._network = up
            self._write_node_status()
            for uid in list(self._pods):
                self._admit(uid)

        self._inbox.put(lambda: self._attempt(change))

    # The work loop

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), action))

    def _work(self) -> None:
        try:
            while not self._ended.is_set():
                self._one_step()
        finally:
            self._transport.close()

    def _one_step(self) -> None:
        wait = self._due[0][0] - time.monotonic() if self._due else 1.0
        if wait <= 0:
            self._attempt(heapq.heappop(self._due)[2])
            return
        try:
            message = self._inbox.get(timeout=wait)
        except queue.Empty:
            return
        if message is not None:
            message()

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (WarmrootError, OSError) as error:
            if not self._ended.is_set():
                log.info("%s: again in %s s: %s", self.spec.name, RETRY, error)
                self._later(RETRY, action)

    # The node

    def _register(self) -> None:
        try:
            node = self._cluster.get(NODE, self.spec.name)
        except NotFound:
            body = status.node(self.spec.name, self.spec.labels, self.spec.taints)
            node = self._cluster.create(NODE, body)
        self._uid = node["metadata"]["uid"]
        before = node.get("status", {}).get("nodeInfo", {}).get("bootID", "")
        self._write_node_status()
        self._heartbeat()
        if before and before != self._facts.boot_id:
            self._tell_reboot()
        self._watch.begin()
        self._later(self.spec.pace.node_ready, self._booted)
        self._later(LIVENESS, self._check_real)
        self._later(NODE_STATUS, self._refresh_node_status)

    def _booted(self) -> None:
        self._booting = False
        self._write_node_status()

    def _refresh_node_status(self) -> None:
        self._write_node_status()
        self._later(NODE_STATUS, self._refresh_node_status)

    def _write_node_status(self) -> None:
        ready = self._network and not self._booting
        why = "kubelet is posting ready status"
        if not ready:
            why = "container runtime starts" if self._network else "network plugin is not ready"
        old = self._cluster.get(NODE, self.spec.name).get("status", {}).get("conditions", [])
        body = status.node_status(
            self._facts, ready=ready, why=why, address=self.spec.address, now=_now(), old=old
        )
        path = NODE.path(None, self.spec.name, "status")
        strategic_patch(self._cluster, path, {"status": body})

    def _tell_reboot(self) -> None:
        event = status.rebooted_event(self.spec.name, self._uid, self._facts.boot_id, _now())
        try:
            self._cluster.create(EVENT, event)
        except AlreadyExists:
            return

    def _heartbeat(self) -> None:
        lease = status.lease(self.spec.name, _now(), self._uid)
        try:
            self._cluster.patch(LEASE, self.spec.name, {"spec": lease["spec"]}, namespace="kube-node-lease")
        except NotFound:
            self._cluster.create(LEASE, lease)
        self._later(status.LEASE_SECONDS / 4, self._heartbeat)

    # Pods

    def _pod_changed(self, gone: bool, pod: Object) -> None:
        """Called by the watching thread."""
        change = self._forget if gone else self._see
        self._inbox.put(lambda: self._attempt(lambda: change(pod)))

    def _forget(self, pod: Object) -> None:
        known = self._pods.pop(pod["metadata"]["uid"], None)
        if known is not None and known.real and known.running:
            self._containers.stop(known.object)

    def _see(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return
        known = self._pods.get(uid)
        if known is None:
            known = _Pod(pod, status.restarts_of(pod) + 1, real=self._containers.wants(pod))
            self._pods[uid] = known
            if known.restarts and not pod["metadata"].get("deletionTimestamp"):
                self._write_pod_status(known, ready=False)
            self._later(self.spec.pace.pod_start, lambda: self._admit(uid))
        known.object = pod
        if pod["metadata"].get("deletionTimestamp") and not known.stopping:
            self._begin_stop(uid, known)

    def _admit(self, uid: str) -> None:
        """Starts a pod's containers, if there is the network that they need."""
        known = self._pods.get(uid)
        if known is None or known.running or known.stopping:
            return
        if not self._network and not known.object["spec"].get("hostNetwork"):
            return
        if known.real:
            self._start_real(uid, known)
        self._write_pod_status(known, ready=True)
        known.running = True

    def _begin_stop(self, uid: str, known: _Pod) -> None:
        if known.running:
            self._write_pod_status(known, ready=False)
        known.stopping = True
        grace = float(known.object["metadata"].get("deletionGracePeriodSeconds") or 0)
        self._later(min(grace, self.spec.pace.pod_stop), lambda: self._finish(uid))

    def _finish(self, uid: str) -> None:
        known = self._pods.get(uid)
        if known is None:
            return
        if known.real and known.running:
            self._containers.stop(known.object)
            known.running = False
        meta = known.object["metadata"]
        try:
            self._cluster.delete(POD, meta["name"], namespace=meta["namespace"], grace=0, uid=uid)
        except (NotFound, Conflict):
            self._pods.pop(uid, None)

    def _write_pod_status(self, known: _Pod, *, ready: bool) -> None:
        pod = known.object
        meta = pod["metadata"]
        address = pod.get("status", {}).get("podIP") or self._pod_address(pod)
        body = status.pod_status(pod, ready=ready, restarts=known.restarts, address=address, now=_now())
        path = POD.path(meta["namespace"], meta["name"], "status")
        try:
            known.object = strategic_patch(
                self._cluster, path, {"metadata": {"uid": meta["uid"]}, "status": body}
            )
        except (NotFound, Conflict):
            return  # deleted, or replaced by its namesake; the watch brings it

    def _pod_address(self, pod: Object) -> str:
        if pod["spec"].get("hostNetwork"):
            return self.spec.address
        network = self.spec.address.rsplit(".", 2)[1:]
        return f"10.78.{network[1]}.{next(self._addresses) % 250 + 1}"

    # Pods that are processes

    def _start_real(self, uid: str, known: _Pod) -> None:
        kubeconfig = self._credential(uid, known)
        self._containers.start(known.object, kubeconfig)

    def _credential(self, uid: str, known: _Pod) -> Path:
        fresh = token.bound_to_pod(self._cluster, known.object, now=_now())
        wait = (fresh.renew_at - _now()).total_seconds()
        self._later(wait, lambda: self._renew(uid))
        directory = self.spec.directory / "credentials" / uid
        return token.write_kubeconfig(directory, load(self.spec.kubeconfig), fresh)

    def _renew(self, uid: str) -> None:
        known = self._pods.get(uid)
        if known is not None and not known.stopping:
            self._credential(uid, known)

    def _check_real(self) -> None:
        for uid, known in self._pods.items():
            if (
                known.real
                and known.running
                and not known.stopping
                and not self._containers.alive(known.object)
            ):
                known.running = False
                known.restarts += 1
                self._write_pod_status(known, ready=False)
                self._later(self.spec.pace.container_restart, partial(self._admit, uid))
        self._later(LIVENESS, self._check_real)


def _now() -> datetime:
    return datetime.now(UTC)
