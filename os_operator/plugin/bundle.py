"""`kubectl warmroot support-bundle`: what an issue report needs, in one file, without secrets.

What can't be read is named in it and keeps nothing else out: whoever makes one has trouble already.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from os_operator.core import redact
from os_operator.core.explain import explain
from os_operator.plugin import reading, showing
from warmroot import __version__
from warmroot.errors import UserError, WarmrootError
from warmroot.kube.cluster import (
    CRD,
    EVENT,
    JAVA_CACHE,
    LEASE,
    NODE,
    OS,
    OSINSTANCE,
    POD,
    Kind,
    Object,
    RestCluster,
)
from warmroot.kube.logs import tail

NAMESPACES = ("warmroot-system", "warmroot-jboost")
"""Where our programs run, as deploy/ has them."""
LINES = 5000
"""Of each container's log, at most."""
EXPLAINED = 50
"""Nodes of which the bundle says why they are where they are; those that wait come first."""
_GROUP = "warmroot.io"
_KINDS = (OS, OSINSTANCE, JAVA_CACHE)


@dataclass
class Bundle:
    """Files by their path in it, and what could not be read, by why."""

    files: dict[str, bytes] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, found: Any) -> None:
        """Adds text as it is, anything else as JSON; neither with secrets in it."""
        text = redact.text(found) if isinstance(found, str) else json.dumps(redact.value(found), indent=1)
        self.files[path] = f"{text.rstrip()}\n".encode()

    def attempt(self, path: str, read: Callable[[], Any]) -> None:
        """Adds what `read` gives, or why it gives nothing."""
        try:
            self.add(path, read())
        except WarmrootError as error:
            self.unread[path] = redact.text(error.message)


def gather(
    cluster: RestCluster, namespaces: Sequence[str], lines: int, doing: Callable[[str], None]
) -> Bundle:
    """All of it. `doing` hears what is read next."""
    bundle = Bundle()
    doing("objects")
    for kind in _KINDS:
        bundle.attempt(f"objects/{kind.plural}.json", partial(_items, cluster, kind))
    bundle.attempt("objects/nodes.json", lambda: [_node(one) for one in cluster.list(NODE).items])
    bundle.attempt("objects/kinds.json", lambda: [_kind(one) for one in _ours(cluster)])
    bundle.attempt("events.json", lambda: list(_events(cluster)))
    doing("reasons of nodes")
    bundle.attempt("why.txt", lambda: _reasons(cluster))
    for namespace in namespaces:
        doing(f"programs in {namespace}")
        bundle.attempt(f"{namespace}/leases.json", partial(_items, cluster, LEASE, namespace))
        bundle.attempt(f"{namespace}/pods.json", partial(_items, cluster, POD, namespace))
        for path, read in _logs(cluster, namespace, lines):
            bundle.attempt(path, read)
    about = {
        "warmroot": __version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "namespaces": list(namespaces),
        "unread": bundle.unread,
    }
    bundle.add("about.json", about)
    return bundle


def write(bundle: Bundle, path: Path) -> None:
    """Writes a gzipped tar archive, whole or not at all, for its owner's eyes alone.

    Raises:
        UserError: there is something of that name, or it can't be written.
    """
    if path.exists():
        raise UserError(f"{path} is there already", hint="name another file with --file, or remove it")
    half = path.with_name(f".{path.name}.partial")
    try:
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, data in sorted(bundle.files.items()):
                entry = tarfile.TarInfo(f"warmroot-support/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o644
                archive.addfile(entry, io.BytesIO(data))
        half.rename(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise UserError(f"{path} can't be written: {error.strerror}") from error


def _items(cluster: RestCluster, kind: Kind, namespace: str | None = None) -> list[Object]:
    return cluster.list(kind, namespace=namespace).items


def _node(item: Object) -> Object:
    """Of a Node what a rollout goes by; not its addresses and machine ids, nor the images that lie on it."""
    meta, status = item["metadata"], item.get("status") or {}
    about = status.get("nodeInfo") or {}
    return {
        "name": meta["name"],
        "labels": meta.get("labels") or {},
        "annotations": {name: one for name, one in (meta.get("annotations") or {}).items() if _GROUP in name},
        "spec": {part: item["spec"][part] for part in ("taints", "unschedulable") if part in item["spec"]},
        "conditions": status.get("conditions") or [],
        "nodeInfo": {name: one for name, one in about.items() if name not in ("machineID", "systemUUID")},
    }


def _ours(cluster: RestCluster) -> Iterator[Object]:
    return (one for one in cluster.list(CRD).items if one["spec"]["group"] == _GROUP)


def _kind(item: Object) -> Object:
    status = item.get("status") or {}
    return {
        "name": item["metadata"]["name"],
        "versions": [one["name"] for one in item["spec"]["versions"]],
        "storedVersions": status.get("storedVersions") or [],
        "conditions": status.get("conditions") or [],
    }


def _events(cluster: RestCluster) -> Iterator[Object]:
    for page in cluster.pages(EVENT):
        for one in page.items:
            about = str((one.get("regarding") or {}).get("apiVersion", ""))
            if about.startswith(f"{_GROUP}/") or str(one.get("reportingController", "")).startswith(_GROUP):
                yield one


def _reasons(cluster: RestCluster) -> str:
    """Of nodes that wait, and then of others, as `kubectl warmroot why` says it."""
    found, now = reading.world(cluster), time.time()
    waiting = [entry.node for os in found.oses.values() for entry in os.status.waiting]
    names = list(dict.fromkeys([*(one for one in waiting if one in found.nodes), *sorted(found.nodes)]))
    left = f"\n\n{len(names) - EXPLAINED} nodes more" if len(names) > EXPLAINED else ""
    return "\n\n".join(showing.why(explain(name, found, now)) for name in names[:EXPLAINED]) + left


def _logs(cluster: RestCluster, namespace: str, lines: int) -> Iterator[tuple[str, Callable[[], str]]]:
    try:
        pods = cluster.list(POD, namespace=namespace).items
    except WarmrootError:
        return  # the pods themselves are named as unread
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        for one in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
            for previous in (False, True) if one.get("restartCount") else (False,):
                path = f"{namespace}/logs/{name}/{one['name']}{'.previous' if previous else ''}.log"
                yield path, partial(_log, cluster, namespace, name, one["name"], lines, previous)


def _log(cluster: RestCluster, namespace: str, pod: str, container: str, lines: int, previous: bool) -> str:
    said = tail(cluster.transport, namespace, pod, container, lines, previous=previous)
    if said is None:
        raise UserError("the node has no such log, or it may not be read")
    return said
