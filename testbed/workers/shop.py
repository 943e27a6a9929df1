"""A namespace with a JavaCache and a Deployment of our Spring Boot service, as a team would apply them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from jboost_server.core.injection.choose import INJECT
from testbed.demo.kubectl import Kubectl
from warmroot.errors import ProgramDied
from warmroot.kube.cluster import JAVA_CACHE, POD, Cluster, Object

NAME = "pages"
JAR = ("java", "-jar", "/app/app.jar")
PORT = 8080
LOCKED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the restricted standard wants of a container."""
WITHIN = 900.0
"""Seconds for anything: a builder starts the service a dozen times."""
T = TypeVar("T")
PATIENT = {"lookup": "30s", "fetch": "30s"}
"""A budget for two processors on which a cluster, a builder and what is measured run at the same time."""


@dataclass(frozen=True)
class Shop:
    """`image` is one of `pods.write_java`, started by `command`, well if `health` answers."""

    cluster: Cluster
    kubectl: Kubectl
    namespace: str
    image: str
    command: tuple[str, ...] = (*JAR, f"--server.port={PORT}", "--server.address=0.0.0.0")
    health: str = "/actuator/health"

    def apply(self, *documents: Object) -> None:
        """Applies manifests.

        Raises:
            StepFailed: the API server refused one.
        """
        for one in documents:
            self.kubectl.run("apply", "--server-side", "-f", "-", text=json.dumps(one))

    def cache(self) -> Object:
        """The JavaCache. One new pod of each half hour may record."""
        spec = {
            "selector": {"matchLabels": {"app": NAME}},
            "training": {"recorders": 1},
            "budget": PATIENT,
        }
        meta = {"name": NAME, "namespace": self.namespace}
        return {"apiVersion": "warmroot.io/v1alpha1", "kind": "JavaCache", "metadata": meta, "spec": spec}

    def deployment(
        self, *, replicas: int = 1, injected: bool = True, env: Mapping[str, str] | None = None
    ) -> Object:
        """The Deployment, under the restricted standard; its pods keep away from one another's nodes."""
        apart = {"labelSelector": {"matchLabels": {"app": NAME}}, "topologyKey": "kubernetes.io/hostname"}
        rather = [{"weight": 1, "podAffinityTerm": apart}]
        anti = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": rather}}
        template = self.pod(injected=injected, env=env)
        template["spec"]["affinity"] = anti
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": NAME}}, "template": template}
        meta = {"name": NAME, "namespace": self.namespace}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}

    def pod(self, *, injected: bool = True, grace: int = 60, env: Mapping[str, str] | None = None) -> Object:
        """Labels and spec of a pod; not `injected`: it opts out. A recorder on 25 needs its `grace`."""
        probe = {"httpGet": {"path": self.health, "port": PORT}}
        container = {
            "name": NAME,
            "image": self.image,
            "imagePullPolicy": "Never",
            "command": list(self.command),
            "readinessProbe": probe | {"periodSeconds": 1, "failureThreshold": 120},
            "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "200m"}},
            "securityContext": LOCKED,
            "env": [{"name": name, "value": value} for name, value in (env or {}).items()],
        }
        labels = {"app": NAME} | ({} if injected else {INJECT: "false"})
        spec = {"containers": [container], "terminationGracePeriodSeconds": grace}
        return {"metadata": {"labels": labels}, "spec": spec}

    def all_pods(self) -> list[Object]:
        """Those that nobody has told to go."""
        found = self.cluster.list(POD, namespace=self.namespace, labels=f"app={NAME}").items
        return [one for one in found if not one["metadata"].get("deletionTimestamp")]

    def only_pod(self) -> Object | None:
        """The one pod that there is, once it is Ready."""
        found = self.all_pods()
        return found[0] if len(found) == 1 and ready_at(found[0]) else None

    def restart(self) -> None:
        """A new generation of pods, as any rollout makes one."""
        self.kubectl.run("-n", self.namespace, "rollout", "restart", f"deployment/{NAME}")

    def read(self, pod: Object, path: str) -> str:
        """A file as the application's container sees it.

        Raises:
            StepFailed: there is none, or the container does not run.
        """
        name = pod["metadata"]["name"]
        return self.kubectl.run("-n", self.namespace, "exec", name, "-c", NAME, "--", "cat", path)

    def report(self, pod: Object) -> dict[str, Any]:
        """How the agent says that this pod started."""
        found: dict[str, Any] = json.loads(self.read(pod, f"/jboost/run/{NAME}/report.json"))
        return found

    def status(self) -> Object:
        """The JavaCache's."""
        found: Object = self.cluster.get(JAVA_CACHE, NAME, namespace=self.namespace).get("status", {})
        return found

    def until(
        self, holds: Callable[[], T | None], what: str, said: Callable[[], str] = str, every: float = 0.5
    ) -> T:
        """The first true value of `holds()`, which is asked `every` so many seconds.

        Raises:
            ProgramDied: it did not come; the hint has what the namespace and `said` tell.
        """
        end = time.monotonic() + WITHIN
        while not (found := holds()):
            if time.monotonic() > end:
                raise ProgramDied(f"{what}, did not come within {WITHIN:.0f} s", hint=self.told(said))
            time.sleep(every)
        return found

    def told(self, said: Callable[[], str] = str) -> str:
        """For whoever reads why something did not come; `said` adds to it."""
        events = self.kubectl.run("-n", self.namespace, "get", "events", "--sort-by=.lastTimestamp")
        pods = self.kubectl.run("-n", self.namespace, "get", "pods", "-o", "wide")
        return f"{json.dumps(self.status(), indent=1)}\n{pods}\n{events[-3000:]}\n{said()}"


def ready_at(pod: Object) -> str:
    """When it became Ready; empty if it is not."""
    said = {one["type"]: one for one in pod["status"].get("conditions", ())}
    found = said.get("Ready", {})
    return str(found["lastTransitionTime"]) if found.get("status") == "True" else ""
