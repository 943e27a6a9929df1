"""The cluster as the operator sees it, read once."""

from __future__ import annotations

import time
from dataclasses import replace

from os_operator.core.drain import counts, emptied
from os_operator.core.node_way import drained, late
from os_operator.core.parse import instance_view, node_view, os_view, pod_view
from os_operator.core.world import OSView, PodView, World
from os_operator.shell.volumes import Volumes
from warmroot.errors import UserError
from warmroot.kube.cluster import NODE, OS, OSINSTANCE, POD, Cluster, Object


def world(cluster: Cluster, proposed: Object | None = None) -> World:
    """All that a pass decides on; `proposed` is an OS object that takes the place of the one of its name.

    Raises:
        ClusterError: the API server refuses to tell, or does not know our kinds.
        NetworkError: it can't be reached.
    """
    oses = {one.name: one for one in map(os_view, cluster.list(OS).items)}
    if proposed is not None:
        name = str(proposed["metadata"]["name"])
        oses[name] = _as_proposed(proposed, oses.get(name))
    nodes = {one.name: one for one in map(node_view, cluster.list(NODE).items)}
    instances = {one.name: one for one in map(instance_view, cluster.list(OSINSTANCE).items)}
    pods = {name: _pods(cluster, name) for name in drained(nodes, instances)}
    empty = (name for name in late(nodes, instances) if not any(map(counts, _pods(cluster, name))))
    found, now = World(oses, nodes, instances, pods, empty=frozenset(empty)), time.time()
    return replace(found, attachments=Volumes(cluster).of(emptied(found, now), now))


def _pods(cluster: Cluster, node: str) -> tuple[PodView, ...]:
    return tuple(pod_view(item) for item in cluster.list(POD, fields=f"spec.nodeName={node}").items)


def _as_proposed(proposed: Object, stored: OSView | None) -> OSView:
    """As it would be once it was applied: with the status and the annotations that are there."""
    meta = {"uid": "", "resourceVersion": "", "generation": 0, **proposed["metadata"]}
    view = os_view({**proposed, "metadata": meta})
    if view.problem:
        raise UserError(f"the OS object can't be followed: {view.problem}")
    if stored is None:
        return replace(view, finalizer=True)
    same = view.spec == stored.spec
    return replace(
        view,
        uid=stored.uid,
        version=stored.version,
        generation=stored.generation + (not same),
        status=stored.status,
        approvals=view.approvals | stored.approvals,
        clears=stored.clears,
        finalizer=True,
    )


def one(found: World, name: str | None) -> OSView:
    """The OS object of this name; without a name the only one.

    Raises:
        UserError: there is none of this name; without a name: there are several, or none.
    """
    if name is None:
        if len(found.oses) == 1:
            return next(iter(found.oses.values()))
        known = ", ".join(sorted(found.oses)) or "none"
        raise UserError(f"which OS object? There are: {known}", hint="name one")
    if name not in found.oses:
        known = ", ".join(sorted(found.oses)) or "none"
        raise UserError(f"there is no OS object {name}", hint=f"there are: {known}")
    return found.oses[name]
