"""Kinds, rights and policy in a cluster, as a person brings them there (README, On to a real cluster)."""

from pathlib import Path

from testbed.controlplane import build
from testbed.controlplane.plane import ControlPlane
from testbed.demo.kubectl import Kubectl

_REPOSITORY = Path(__file__).parents[1]


def install(control_plane: ControlPlane) -> None:
    """Applies `crds/` and `deploy/base`; again it changes nothing, whoever applied what before."""
    kubectl = Kubectl(build.installed() / "kubectl", control_plane.kubeconfig)
    for words in (("-f", str(_REPOSITORY / "crds")), ("-k", str(_REPOSITORY / "deploy" / "base"))):
        kubectl.run("apply", "--server-side", "--force-conflicts", *words)
