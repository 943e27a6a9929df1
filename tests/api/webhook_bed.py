"""The webhook's own process beside a real API server, with the rights of deploy/jboost and no others."""

from __future__ import annotations

import base64
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from jboost_server.webhook.keeping import CONFIGURATION
from tests.api.operator_bed import ROOT, free_port
from tests.api.test_jboost_tokens import token
from tests.injected import AGENT_IMAGE
from tests.waiting import until
from warmroot.kube.cluster import NAMESPACE, SERVICE_ACCOUNT, Kind

FOLDER = ROOT / "deploy" / "jboost"
RBAC = "rbac.authorization.k8s.io"
RIGHTS = {
    "ServiceAccount": SERVICE_ACCOUNT,
    "ClusterRole": Kind(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
    "ClusterRoleBinding": Kind(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    "Role": Kind(RBAC, "v1", "roles", "Role"),
    "RoleBinding": Kind(RBAC, "v1", "rolebindings", "RoleBinding"),
}
# As `jboost webhook`, with a clock that a file sets back, in seconds, and a look at the Secret all the time.
PROGRAM = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from jboost_server.core.injection.installation import Installation
from jboost_server.webhook.certificates import Terms
from jboost_server.webhook.keeping import Place
from jboost_server.webhook.main import Options, serve
space, listen, image, back = sys.argv[1:]
clock = lambda: datetime.now(UTC) - timedelta(seconds=float(Path(back).read_text()))
place = Place(space, "jboost-webhook", space, ("127.0.0.1",))
terms = Terms(timedelta(days=100), timedelta(days=90), timedelta(days=1))
serve(Options(Installation(image), place, listen, look=0.1, terms=terms, clock=clock))
"""


class Webhook:
    """One process, which can be killed and started again. `space` is its namespace and its configuration."""

    def __init__(self, cluster, kubeconfig: Path, space: str, folder: Path) -> None:
        self.cluster, self.space = cluster, space
        self.port = free_port()
        self.log = folder / "webhook.log"
        self._back = folder / "back"
        self._kubeconfig = kubeconfig
        self.process: subprocess.Popen | None = None
        self.set_back(days=0)

    def set_back(self, *, days: float) -> None:
        """Its clock, from now on."""
        partial = self._back.with_suffix(".partial")
        partial.write_text(str(days * 86400))
        partial.replace(self._back)

    def start(self) -> None:
        words = [self.space, f"127.0.0.1:{self.port}", AGENT_IMAGE, str(self._back)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *words],
                cwd=ROOT,
                env=os.environ | {"KUBECONFIG": str(self._kubeconfig)},
                stdout=log,
                stderr=log,
            )
        until(lambda: self.get("/readyz"), seconds=180, what=self.said, forgive=(OSError,))

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)

    def get(self, path: str) -> str:
        """A page, over a new connection that believes what the API server was told to believe.

        Raises:
            OSError: it does not answer so, or shows what is not believed.
        """
        (hook,) = self.cluster.get(CONFIGURATION, self.space)["webhooks"]
        known = base64.b64decode(hook["clientConfig"].get("caBundle", "")).decode()
        if not known:
            raise OSError("the API server was told nothing yet")
        context = ssl.create_default_context(cadata=known)
        url = f"https://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=10, context=context) as page:
            return page.read().decode()

    def shown(self) -> str:
        """The certificate that a new connection sees, PEM."""
        return ssl.get_server_certificate(("127.0.0.1", self.port))

    def said(self) -> str:
        return self.log.read_text()[-3000:]


@contextmanager
def webhook(cluster, control_plane, folder: Path) -> Iterator[Webhook]:
    """Rights, configuration and process, until the block ends."""
    space = f"jboost-{uuid.uuid4().hex[:8]}"
    cluster.create(NAMESPACE, {"metadata": {"name": space}})
    rights = list(
        yaml.safe_load_all((FOLDER / "webhook-rbac.yaml").read_text().replace("warmroot-jboost", space))
    )
    for one in rights:
        cluster.apply(RIGHTS[one["kind"]], one, manager="test")
    account = token(cluster, space, "jboost-webhook")
    one = Webhook(cluster, control_plane.token_kubeconfig(account, folder / "kubeconfig"), space, folder)
    documents = yaml.safe_load_all((FOLDER / "webhook.yaml").read_text())
    (configuration,) = (each for each in documents if each["kind"] == "MutatingWebhookConfiguration")
    configuration["metadata"]["name"] = space
    (hook,) = configuration["webhooks"]
    hook["clientConfig"] = {"url": f"https://127.0.0.1:{one.port}/inject"}
    cluster.create(CONFIGURATION, configuration)
    try:
        one.start()
        yield one
    finally:
        cluster.delete(CONFIGURATION, space)
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGTERM)
        for each in rights:
            where = each["metadata"].get("namespace")
            cluster.delete(RIGHTS[each["kind"]], each["metadata"]["name"], namespace=where)
        cluster.delete(NAMESPACE, space)
