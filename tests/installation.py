"""Kinds, rights and policy in a cluster, as a person brings them there (README, On to a real cluster)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.controlplane import build
from testbed.controlplane.plane import ControlPlane
from testbed.demo.kubectl import Kubectl

_REPOSITORY = Path(__file__).parents[1]


def install(control_plane: ControlPlane) -> None:
    """Applies `crds/` and `deploy/base`; again it changes nothing, whoever applied what before."""
    for words in (("-f", str(_REPOSITORY / "crds")), ("-k", str(_REPOSITORY / "deploy" / "base"))):
        _kubectl(control_plane).run("apply", "--server-side", "--force-conflicts", *words)


@contextmanager
def node_conditions(control_plane: ControlPlane) -> Iterator[None]:
    """Has `deploy/node-conditions` in the cluster, too, for the time of a block."""
    folder = str(_REPOSITORY / "deploy" / "node-conditions")
    _kubectl(control_plane).run("apply", "--server-side", "--force-conflicts", "-k", folder)
    yield
    _kubectl(control_plane).run("delete", "-k", folder)


def _kubectl(control_plane: ControlPlane) -> Kubectl:
    return Kubectl(build.installed() / "kubectl", control_plane.kubeconfig)
