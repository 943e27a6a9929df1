"""The controller's own process beside a real API server and a real cache service, with the rights of
deploy/jboost and no others. There is no kubelet: the test plays pods and builders.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from jboost_server import signing
from jboost_server.controller.act import JOB
from jboost_server.core.injection.inject import inject
from jboost_server.core.injection.installation import Installation
from jboost_server.settings import Policy
from jboost_server.store.directory import DirectoryStore
from jboost_server.web.tenancy import AUDIENCE, BUILD_AUDIENCE, CONTROL_AUDIENCE, TokenReview
from testbed.controlplane.clients import admin_cluster
from tests.api.operator_bed import ROOT, free_port, until
from tests.api.test_jboost_tokens import token
from tests.api.webhook_bed import FOLDER, RBAC, RIGHTS
from tests.injected import AGENT, AGENT_IMAGE, cache, container, pod
from tests.jboost.server_world import SIGNER, Client, running
from warmroot.kube.cluster import JAVA_CACHE, NAMESPACE, POD, SERVICE_ACCOUNT, Kind

ACCOUNT = "jboost-controller"
LABELS = {"jboost.warmroot.io/client": "true", "pod-security.kubernetes.io/enforce": "restricted"}
LOCKED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
KINDS = RIGHTS | {
    kind: Kind("admissionregistration.k8s.io", "v1", plural, kind, namespaced=False)
    for kind, plural in (
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    )
}
BINDING = Kind(RBAC, "v1", "rolebindings", "RoleBinding")


@dataclass
class Bed:
    """`space` is the controller's namespace, `service` the address of the cache service."""

    cluster: object
    space: str
    kubeconfig: Path
    folder: Path
    service: Client
    process: subprocess.Popen | None = None
    port: int = field(default_factory=free_port)

    @property
    def log(self) -> Path:
        return self.folder / "controller.log"

    def start(self) -> None:
        """As `jboost controller`; under one name, so that it goes on at once when it is started again."""
        words = ["controller", "--agent-image", AGENT_IMAGE, "--server", self.service.url]
        words += ["--namespace", self.space, "--identity", "one", "--token", str(self.folder / "token")]
        words += [
            "--agent-jar",
            str(self.folder / "agent.jar"),
            "--poll",
            "0.5",
            "--metrics",
            f"127.0.0.1:{self.port}",
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from jboost_server.cli import main; main()", *words],
                cwd=ROOT,
                env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
                stdout=log,
                stderr=log,
            )

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)

    def said(self) -> str:
        return self.log.read_text()[-3000:]

    def until(self, holds, what: str = "it holds"):
        return until(holds, 120.0, lambda: f"{what}; the controller said: {self.said()}")


@dataclass
class Shop:
    """A namespace that takes part, with a JavaCache and one injected pod."""

    bed: Bed
    name: str
    pod: dict

    def client(self, audience: str, one: dict | None = None) -> Client:
        """Speaks as a pod of this namespace, with a token of this audience."""
        shown = token(self.bed.cluster, self.name, "default", audience=audience, pod=one or self.pod)
        return Client(self.bed.service.url, shown)

    def learns(self) -> None:
        """The pod records, and its recording is there."""
        pods = self.client(AUDIENCE)
        assert pods.record(pods.lease()).status_code == 201

    def jobs(self) -> list[dict]:
        return self.bed.cluster.list(JOB, namespace=self.name).items

    def builder(self) -> dict:
        """The builder's pod, as the API server's own controller of Jobs made it of the Job."""

        def made():
            found = self.bed.cluster.list(
                POD, namespace=self.name, labels="jboost.warmroot.io/builder=true"
            ).items
            return [one for one in found if one["status"]["phase"] == "Pending"]

        (one,) = self.bed.until(made, f"a builder in {self.name}")
        return one

    def builds(self, one: dict, archive: bytes = b"an archive") -> None:
        """What the agent does in the builder's pod."""
        client = self.client(BUILD_AUDIENCE, one)
        order = client.order().json()["order"]["id"]
        assert client.upload(order, archive).status_code == 201
        assert client.result(order, archive).json()["state"] == "serving"

    def ends(self, one: dict, phase: str) -> None:
        """What a kubelet says when the builder's pod has ended."""
        name = one["metadata"]["name"]
        status = {"status": {"phase": phase}}
        self.bed.cluster.patch(POD, name, status, namespace=self.name, subresource="status")

    def cache(self) -> dict:
        return self.bed.cluster.get(JAVA_CACHE, "orders", namespace=self.name)

    def until(self, **wanted):
        """The status once it has these values."""

        def there():
            status = self.cache()["status"]
            return all(status.get(name) == value for name, value in wanted.items()) and status

        return self.bed.until(there, f"{wanted}")

    def until_row(self, reason: str) -> dict:
        """The one row of the status once it has this reason."""

        def there():
            rows = self.cache()["status"].get("keys") or []
            return next((row for row in rows if row["reason"] == reason), None)

        return self.bed.until(there, reason)


class Node:
    """Runs containers of one pod as processes: what is mounted below /jboost is in a folder."""

    def __init__(self, folder: Path, agent_jar: Path) -> None:
        self.folder, self.agent_jar = folder, agent_jar
        folder.mkdir()

    def start(self, container: dict, shown: str, *more: str) -> subprocess.Popen[str]:
        """A container whose pod has this token; `more` options for the agent."""
        (self.folder / "token").write_text(shown)
        signing.write_publics(SIGNER, self.folder / "keys")
        places = {
            "/jboost/agent/agent.jar": str(self.agent_jar),
            "/jboost/token/token": str(self.folder / "token"),
            "/jboost/keys/keys": str(self.folder / "keys"),
        }
        words = [
            places.get(word, word.replace("/jboost/run", str(self.folder))) for word in container["command"]
        ]
        at = words.index("--") if more else len(words)
        given = {one["name"]: one.get("value", "") for one in container.get("env") or ()}
        return subprocess.Popen(
            [*words[:at], *more, *words[at:]], stderr=subprocess.PIPE, text=True, env=os.environ | given
        )

    def run(self, container: dict, shown: str, *more: str) -> tuple[int, str]:
        """The same to its end: exit code and words."""
        with self.start(container, shown, *more) as process:
            said = process.communicate(timeout=600)[1]
        return process.returncode, said

    def report(self, container: str) -> dict:
        return json.loads((self.folder / container / "report.json").read_text())


@contextmanager
def controller(cluster, control_plane, folder: Path) -> Iterator[Bed]:
    """Rights, service and process, until the block ends."""
    space = f"jboost-{uuid.uuid4().hex[:8]}"
    cluster.create(NAMESPACE, {"metadata": {"name": space}})
    texts = ((FOLDER / f"{name}.yaml").read_text() for name in ("controller-rbac", "agent-policy"))
    rights = [one for text in texts for one in yaml.safe_load_all(text.replace("warmroot-jboost", space))]
    for one in rights:
        cluster.apply(KINDS[one["kind"]], one, manager="test")
    spec = {"containers": [{"name": "a", "image": "none"}], "serviceAccountName": ACCOUNT}
    own = cluster.create(POD, {"metadata": {"name": "controller", "namespace": space}, "spec": spec})
    (folder / "agent.jar").write_bytes(AGENT.jar)
    (folder / "token").write_text(token(cluster, space, ACCOUNT, audience=CONTROL_AUDIENCE, pod=own))
    kubeconfig = control_plane.token_kubeconfig(token(cluster, space, ACCOUNT), folder / "kubeconfig")
    tenants = TokenReview(
        admin_cluster(control_plane), monotonic=lambda: 0.0, controller=f"{space}:{ACCOUNT}"
    )
    with running(
        DirectoryStore(folder / "store"), tenants=tenants, policy=Policy(fresh=0.0, settle=0)
    ) as client:
        bed = Bed(cluster, space, kubeconfig, folder, client)
        bed.start()
        try:
            yield bed
        finally:
            if bed.process is not None and bed.process.poll() is None:
                bed.end(signal.SIGTERM)
            for each in rights:
                where = each["metadata"].get("namespace")
                cluster.delete(KINDS[each["kind"]], each["metadata"]["name"], namespace=where)
            cluster.delete(NAMESPACE, space)


def shop(bed: Bed, *, granted: bool = True, record: bool = False, **app: object) -> Shop:
    """A namespace under the restricted standard; if `granted`, the controller may make builders there.

    With `record` its pod may record. `app` is what the application's container has besides.
    """
    name = f"shop-{uuid.uuid4().hex[:8]}"
    bed.cluster.create(NAMESPACE, {"metadata": {"name": name, "labels": LABELS}})
    until(lambda: bed.cluster.get(SERVICE_ACCOUNT, "default", namespace=name))
    if granted:
        grant(bed, name)
    selector = {"selector": {"matchLabels": {"app": "orders"}}}
    meta = {"name": "orders", "namespace": name}
    bed.cluster.create(JAVA_CACHE, {"metadata": meta, "spec": selector} | _kind(JAVA_CACHE))
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}}
    plain = pod(container(securityContext=LOCKED, resources=resources) | app)
    patient = cache(namespace=name, budget={"lookup": "1m", "fetch": "1m"})
    installation = Installation(AGENT_IMAGE, bed.service.url)
    made = inject(plain, name, [patient], installation, record=record).pod
    made = made | {"metadata": made["metadata"] | {"namespace": name}}
    return Shop(bed, name, bed.cluster.create(POD, made))


def grant(bed: Bed, name: str) -> None:
    """As docs/java-controller.md says it."""
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"{bed.space}-builders"}
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": bed.space}
    meta = {"name": "jboost-builders", "namespace": name}
    bed.cluster.create(BINDING, {"metadata": meta, "roleRef": role, "subjects": [account]} | _kind(BINDING))


def _kind(kind: Kind) -> dict:
    return {"apiVersion": kind.api_version, "kind": kind.kind}
