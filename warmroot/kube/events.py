"""Events of events.k8s.io. A name is made from what happened, so that telling it twice stores it once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from warmroot.errors import AlreadyExists
from warmroot.kube.cluster import EVENT, Cluster, Kind, Object

CLUSTER_SCOPED = "default"
"""The namespace of Events about cluster-scoped objects; `kubectl describe` looks there."""
MAX_NOTE = 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """What an Event is about."""

    kind: Kind
    name: str
    uid: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One Event. `key` names the transition; `at` is Unix seconds."""

    subject: Subject
    reason: str
    note: str
    key: str
    at: float
    warning: bool = False
    related: Subject | None = None


def post(cluster: Cluster, report: Report, *, controller: str, instance: str) -> None:
    """Creates the Event unless it is there already.

    Raises:
        ClusterError: the API server refused it.
        NetworkError: the API server can't be reached.
    """
    where = report.subject.namespace or CLUSTER_SCOPED
    body: Object = {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": event_name(report), "namespace": where},
        "eventTime": datetime.fromtimestamp(report.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": controller,
        "reportingInstance": instance[:128],
        "action": report.reason,
        "reason": report.reason,
        "type": "Warning" if report.warning else "Normal",
        "regarding": _reference(report.subject),
        "note": report.note[:MAX_NOTE],
    }
    if report.related is not None:
        body["related"] = _reference(report.related)
    try:
        cluster.create(EVENT, body, namespace=where)
    except AlreadyExists:
        return


def event_name(report: Report) -> str:
    """The name of the Event object: the subject's, and a hash of the transition."""
    return f"{report.subject.name[:180]}.{hashlib.sha256(report.key.encode()).hexdigest()[:16]}"


def _reference(subject: Subject) -> Object:
    reference: Object = {
        "apiVersion": subject.kind.api_version,
        "kind": subject.kind.kind,
        "name": subject.name,
        "uid": subject.uid,
    }
    return reference | ({"namespace": subject.namespace} if subject.namespace else {})
