"""The cache service, its webhook and its controller beside real workers: our own programs as processes here,
with the rights of deploy/jboost and no others.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from images import pause
from jboost_agent.build import agent_jar
from jboost_server import signing
from testbed.controlplane import build
from testbed.controlplane.plane import ControlPlane
from testbed.controlplane.processes import Program, tail
from testbed.demo.kubectl import Kubectl
from testbed.demo.system import executable
from testbed.setup.process import run
from testbed.setup.repository import REPOSITORY
from testbed.workers import pods
from testbed.workers.network import HOST
from warmroot.errors import ProgramDied, StepFailed

SPACE = "warmroot-jboost"
SERVICE = f"http://{HOST}:8780"
_WEBHOOK_PORT = 8443
_CONTROL = "control.jboost.warmroot.io"
_STARTS_WITHIN = 120.0
_POLL = 1.0
"""Seconds after which the controller asks the service again: nobody is to wait for it here."""
_MANIFESTS = REPOSITORY / "deploy" / "jboost"


@dataclass
class JavaCaches:
    """All that makes a JavaCache come true. A context manager: its processes end with its block."""

    folder: Path
    plane: ControlPlane
    _programs: dict[str, Program] = field(default_factory=dict)
    _commands: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def kubectl(self) -> Kubectl:
        """The administrator's."""
        return Kubectl(build.installed() / "kubectl", self.plane.kubeconfig)

    def start(self) -> Self:
        """Installs kinds and rights, and starts the programs; returns when all of them are at work.

        Raises:
            StepFailed: the API server refused something.
            ProgramDied: a program ended, or did not get ready.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kubectl.run("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        for name in ("namespace", "rbac", "webhook-rbac", "controller-rbac", "agent-policy"):
            self.kubectl.run("apply", "--server-side", "-f", str(_MANIFESTS / f"{name}.yaml"))
        self.kubectl.run("apply", "--server-side", "-f", "-", text=json.dumps(_webhook()))
        signing.create(self._key)
        own, installation = self._stands_in(), ["--agent-image", pods.AGENT, "--agent-pull", "Never"]
        installation += ["--server", SERVICE, "--namespace", SPACE, "--agent-jar", str(agent_jar())]
        store = ["--store", str(self.folder / "store"), "--home", str(self.folder / "home")]
        self._launch(
            "serve", "jboost", "--tenancy", "kubernetes", "--listen", SERVICE.removeprefix("http://"),
            "--key", str(self._key), "--controller", f"{SPACE}:jboost-controller", *store,
            "--min-saved", "0",  # small applications show the way here
        )  # fmt: skip
        self._launch(
            "webhook", "jboost-webhook", "--listen", f"{HOST}:{_WEBHOOK_PORT}", "--name", HOST, *installation
        )
        token = self.folder / "control.token"
        token.write_text(self._token("jboost-controller", f"--audience={_CONTROL}", *own))
        self._launch(
            "controller", "jboost-controller", "--token", str(token), "--poll", str(_POLL),
            "--metrics", f"{HOST}:9090", *installation,
        )  # fmt: skip
        self._until(self._at_work, "the webhook is believed and the service answers")
        return self

    def stop(self) -> None:
        """Ends the programs; what they wrote stays."""
        for program in reversed(self._programs.values()):
            program.end(10.0)
        self._programs.clear()

    def kill(self, verb: str) -> None:
        """SIGKILL of one program: `serve`, `webhook` or `controller`."""
        self._programs[verb].end(0.0, politely=False)

    def revive(self, verb: str) -> None:
        """Starts it again, as a Deployment would; returns when all of it is at work.

        Raises:
            ProgramDied: it ended, or did not get ready.
        """
        self._run(verb)
        self._until(self._at_work, "the webhook is believed and the service answers")

    def takes_part(self, namespace: str) -> None:
        """Makes a namespace whose pods a JavaCache may start warm, as docs/java-injection.md says it.

        It is under the restricted standard.
        """
        labels = {"jboost.warmroot.io/client": "true", "pod-security.kubernetes.io/enforce": "restricted"}
        keys = self.folder / "keys"
        signing.write_publics(signing.load((self._key,)), keys)
        meta = {"name": "jboost-keys", "namespace": namespace}
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
        known = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"keys": keys.read_text()},
        }
        for one in (space, known):
            self.kubectl.run("apply", "--server-side", "-f", "-", text=json.dumps(one))
        self.kubectl.run(
            "-n", namespace, "create", "rolebinding", "jboost-builders",
            "--clusterrole=warmroot-jboost-builders", f"--serviceaccount={SPACE}:jboost-controller",
        )  # fmt: skip

    def said(self) -> str:
        """The last lines of each program."""
        return "\n".join(f"{name}:\n{tail(self._log(name))}" for name in self._programs)

    @property
    def _key(self) -> Path:
        return self.folder / "signing.pem"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _launch(self, verb: str, account: str, *words: str) -> None:
        token = self._token(account, "--duration=24h")
        self.plane.token_kubeconfig(token, self.folder / f"{verb}.kubeconfig")
        self._commands[verb] = words
        self._run(verb)

    def _run(self, verb: str) -> None:
        self._programs[verb] = Program.start(
            ["jboost", verb, *self._commands[verb]],
            executable=executable("jboost"),
            log=self._log(verb),
            pid_file=self.folder / f"{verb}.pid",
            dies_with_us=True,
            env=os.environ | {"KUBECONFIG": str(self.folder / f"{verb}.kubeconfig")},
        )

    def _token(self, account: str, *more: str) -> str:
        return self.kubectl.run("-n", SPACE, "create", "token", account, *more).strip()

    def _stands_in(self) -> list[str]:
        """A pod for the controller's token to be bound to: the controller itself is a process here."""
        locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "controller", "namespace": SPACE},
            "spec": {
                "serviceAccountName": "jboost-controller",
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "pause",
                        "image": pause.NAME,
                        "imagePullPolicy": "Never",
                        "securityContext": locked,
                    }
                ],
            },
        }
        self.kubectl.run("apply", "--server-side", "-f", "-", text=json.dumps(pod))
        return ["--bound-object-kind=Pod", "--bound-object-name=controller"]

    def _at_work(self) -> bool:
        try:
            run(["curl", "--silent", "--fail", f"{SERVICE}/readyz"])
        except StepFailed:
            return False
        found = json.loads(self.kubectl.run("get", "mutatingwebhookconfiguration", SPACE, "-o", "json"))
        return bool(found["webhooks"][0]["clientConfig"].get("caBundle"))

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _STARTS_WITHIN
        while not holds():
            for program in self._programs.values():
                program.check()
            if time.monotonic() > end:
                raise ProgramDied(f"{what}, did not come. {self.said()}", hint=f"see {self.folder}")
            time.sleep(0.2)


def _webhook() -> dict[str, Any]:
    """The one of deploy/jboost, by an address in place of a Service: there is no kube-proxy here."""
    documents = yaml.safe_load_all((_MANIFESTS / "webhook.yaml").read_text())
    (found,) = (one for one in documents if one["kind"] == "MutatingWebhookConfiguration")
    found["webhooks"][0]["clientConfig"] = {"url": f"https://{HOST}:{_WEBHOOK_PORT}/inject"}
    return dict(found)
