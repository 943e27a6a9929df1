"""What is: what informers brought of OS objects, OSInstances and Nodes; and pods, of nodes that are emptied.

Pods of draining nodes are listed by node when a pass needs them: a watch over all pods would be most of a
large cluster's traffic.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from os_operator.core.drain import counts, emptied
from os_operator.core.node_way import drained, late
from os_operator.core.parse import pod_view
from os_operator.core.world import OSView, PodView, Resolution, World
from os_operator.shell.cache import Cache
from os_operator.shell.volumes import Volumes
from warmroot.errors import NotFound
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, POD, Cluster

log = logging.getLogger(__name__)
KINDS = (OS, OSINSTANCE, NODE)
FRESH = 0.4
"""Seconds for which a list of a node's pods is used again: several events may wake several passes."""
LATE_FRESH = 300.0
"""Seconds for which a late node without workloads is taken for one: its taint keeps new ones off."""
LATE_AT_ONCE = 20
"""Late nodes that one pass asks about; hundreds may join at once."""


class Gather:
    """Puts a World together from the cache, the pods of draining nodes and the resolved releases."""

    def __init__(self, cluster: Cluster, cache: Cache, resolve: Callable[[OSView], Resolution]) -> None:
        self._cluster, self._cache, self._resolve = cluster, cache, resolve
        self._pods: dict[str, tuple[float, tuple[PodView, ...]]] = {}
        self._volumes = Volumes(cluster)
        self._late: dict[str, tuple[float, bool]] = {}
        self._written: dict[str, float] = {}

    def status_written(self, os: str, now: float) -> None:
        """Notes when a status was written, for its pace."""
        self._written[os] = now

    def staged_bytes(self) -> dict[str, int]:
        """As `Cache.staged_bytes`."""
        return self._cache.staged_bytes()

    def world(self, now: float) -> World:
        """What is, at `now` (Unix seconds).

        Raises:
            ClusterError: the API server refuses to list the pods or the volumes of a draining node.
            NetworkError: it can't be reached.
        """
        self._cache.read_doubted(self._cluster)
        oses, nodes, instances = self._cache.views()
        oses = {
            name: replace(os, resolution=self._resolve(os), status_at=self._written.get(name, 0.0))
            for name, os in oses.items()
        }
        self._pods = {name: self._pods_of(name, now) for name in drained(nodes, instances)}
        alive = {pod.uid for _, pods in self._pods.values() for pod in pods}
        for uid in [uid for uid in self._cache.evictions if uid not in alive]:
            del self._cache.evictions[uid]
        pods = {name: listed for name, (_, listed) in self._pods.items()}
        empty = self._empty(late(nodes, instances), now)
        world = World(oses, nodes, instances, pods, dict(self._cache.evictions), empty=empty)
        return replace(world, attachments=self._volumes.of(emptied(world, now), now))

    def _empty(self, late: list[str], now: float) -> frozenset[str]:
        """Those of the late nodes on which no pod runs that counts."""
        known = {name: self._late[name] for name in late if name in self._late}
        asked = [name for name in late if name not in known or not 0 <= now - known[name][0] < LATE_FRESH]
        for name in asked[:LATE_AT_ONCE]:
            known[name] = (now, not any(map(counts, self._list(name))))
        self._late = known
        return frozenset(name for name, (_, empty) in known.items() if empty)

    def _pods_of(self, node: str, now: float) -> tuple[float, tuple[PodView, ...]]:
        listed = self._pods.get(node)
        if listed is not None and 0 <= now - listed[0] < FRESH:
            return listed
        return now, self._list(node)

    def _list(self, node: str) -> tuple[PodView, ...]:
        try:
            items = self._cluster.list(POD, fields=f"spec.nodeName={node}").items
        except NotFound:
            items = []
        return tuple(pod_view(item) for item in items)
