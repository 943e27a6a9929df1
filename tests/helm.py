"""The real helm, as a person would type it, with our chart."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from testbed.demo.kubectl import Kubectl
from testbed.setup.gotool import HELM
from testbed.setup.repository import REPOSITORY
from warmroot.cache import cache_dir

CHART = REPOSITORY / "deploy" / "chart"
RELEASE = "warmroot"


class Helm:
    """One kubeconfig, one namespace, and a folder for what helm keeps of a person."""

    def __init__(self, folder: Path, namespace: str, kubeconfig: Path | None = None) -> None:
        self._folder, self._namespace = folder, namespace
        self._kubeconfig = kubeconfig or folder / "no-kubeconfig"

    def run(self, *words: str, values: dict[str, Any] | None = None) -> str:
        """What it prints.

        Raises:
            AssertionError: it ended with an error, which is in the message.
        """
        said = self.tried(*words, values=values)
        assert said.returncode == 0, f"helm {' '.join(words)}: {said.stderr or said.stdout}"
        return said.stdout

    def tried(self, *words: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        """As `run`, however it ends."""
        homes = {f"HELM_{kind}_HOME": str(self._folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        given = ["--values", "-"] if values is not None else []
        return subprocess.run(
            [HELM.program(cache_dir()), *words, "--namespace", self._namespace, *given],
            input=json.dumps(values) if values is not None else None,
            env=os.environ | homes | {"KUBECONFIG": str(self._kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )

    def rendered(self, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """What an installation with these values would be, without its tests."""
        printed = self.run("template", RELEASE, str(CHART), "--skip-tests", values=values or {})
        return [one for one in yaml.safe_load_all(printed) if one]


def everything(kubectl: Kubectl) -> set[str]:
    """All objects of a cluster by kind and name, without what the cluster writes of itself."""
    kinds = kubectl.run("api-resources", "--verbs=list", "-o", "name").split()
    wanted = [kind for kind in kinds if kind.partition(".")[0] not in ("events", "componentstatuses")]
    printed = kubectl.run("get", ",".join(wanted), "-A", "--ignore-not-found", "-o", "json")
    return {
        "/".join((one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]))
        for one in json.loads(printed)["items"]
        if one["metadata"].get("namespace") != "kube-node-lease"
    }
