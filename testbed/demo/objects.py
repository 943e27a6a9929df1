"""What the demo makes in a cluster: our own manifests, the proxies' DaemonSet, a workload, the OS object.

Everything carries the label `warmroot.io/demo: RUN`. In somebody else's cluster that label, as selector and
as taint, keeps our pods on our machines and theirs off them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.machine.proxy import ACCOUNT, NAMESPACE

LABEL = "warmroot.io/demo"
WORKLOAD = "shop"
ROOT = Path(__file__).resolve().parents[2]
"""The folder that `crds/` and `deploy/` lie in."""
Object = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run of the demo: `name` is in the name of everything that it makes."""

    name: str
    machines: int

    @property
    def labels(self) -> dict[str, str]:
        """What everything of this run carries."""
        return {LABEL: self.name}

    @property
    def selector(self) -> str:
        """The same as a selector."""
        return f"{LABEL}={self.name}"

    @property
    def taint(self) -> dict[str, str]:
        """Keeps other people's pods off our machines."""
        return {"key": LABEL, "value": self.name, "effect": "NoSchedule"}

    @property
    def nodes(self) -> list[str]:
        """Names of the machines."""
        return [f"{self.os}-{number}" for number in range(1, self.machines + 1)]

    @property
    def os(self) -> str:
        """Name of the OS object."""
        return f"demo-{self.name}"

    @property
    def namespace(self) -> str:
        """Where the workload is."""
        return f"demo-{self.name}"

    @property
    def replicas(self) -> int:
        """Pods of the workload: two on each machine."""
        return 2 * self.machines

    @property
    def spare(self) -> int:
        """How many of them may be missing, says the PodDisruptionBudget."""
        return max(2, self.replicas // 5)


@dataclass(frozen=True)
class Pace:
    """The rollout's times and budget. Small, because a demo's machines boot in seconds."""

    max_unavailable: int = 2
    ready_seconds: int = 1
    health_timeout: str = "25s"
    drain_timeout: str = "2m"
    on_failure: str = "Halt"


def installation(run: Run) -> list[Object]:
    """CRDs, roles, policy and the proxies: `crds/`, `deploy/base/`, and a DaemonSet for this run alone."""
    found: list[Object] = []
    for path in [*sorted((ROOT / "crds").glob("*.yaml")), *sorted((ROOT / "deploy/base").glob("*.yaml"))]:
        if path.name != "kustomization.yaml":
            found += [item for item in yaml.safe_load_all(path.read_text()) if item]
    system = [item for item in found if item["kind"] not in ("Deployment", "DaemonSet")]
    system.sort(key=lambda item: item["kind"] != "Namespace")
    return [_labelled(item, run) for item in [*system, _proxies(run)]]


def workload(run: Run) -> list[Object]:
    """A namespace with a Deployment and the budget that protects it."""
    labels = {"app": WORKLOAD}
    meta = {"name": WORKLOAD, "namespace": run.namespace}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": dict(meta),
        "spec": {
            "replicas": run.replicas,
            "selector": {"matchLabels": labels},
            "template": _template(run, labels, {"topologySpreadConstraints": [spread]}),
        },
    }
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": dict(meta),
        "spec": {"maxUnavailable": run.spare, "selector": {"matchLabels": labels}},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": run.namespace}}
    return [_labelled(item, run) for item in (namespace, deployment, budget)]


def os_object(
    run: Run, *, version: str, source: str, digest: str, pace: Pace, config: Object | None = None
) -> Object:
    """The object that a person would write to move this run's machines to a release, and to settings."""
    return {
        "apiVersion": "warmroot.io/v1alpha1",
        "kind": "OS",
        "metadata": {"name": run.os, "labels": run.labels},
        "spec": {
            "nodeSelector": {"matchLabels": run.labels},
            "release": {"version": version, "source": source, "digest": digest},
            **({"config": config} if config else {}),
            "rollout": {
                "maxUnavailable": pace.max_unavailable,
                "drain": {"timeout": pace.drain_timeout},
                "health": {"readySeconds": pace.ready_seconds, "timeout": pace.health_timeout},
                "failure": {"maxFailed": 0, "action": pace.on_failure},
            },
        },
    }


def manifest(items: Iterable[Object]) -> str:
    """The objects as one YAML file."""
    return "---\n".join(yaml.safe_dump(item, sort_keys=False) for item in items)


def _proxies(run: Run) -> Object:
    labels = {"app": ACCOUNT}
    extra = {"serviceAccountName": ACCOUNT, "hostNetwork": True, "priorityClassName": "system-node-critical"}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": _template(run, labels, extra)},
    }


def _template(run: Run, labels: dict[str, str], extra: Object) -> Object:
    return {
        "metadata": {"labels": labels},
        "spec": {
            "nodeSelector": run.labels,
            "tolerations": [{"key": LABEL, "operator": "Exists"}],
            "terminationGracePeriodSeconds": 2,
            "containers": [{"name": "main", "image": "warmroot.example/simulated:1"}],
            **extra,
        },
    }


def _labelled(item: Object, run: Run) -> Object:
    meta = item["metadata"]
    return {**item, "metadata": {**meta, "labels": {**meta.get("labels", {}), **run.labels}}}
