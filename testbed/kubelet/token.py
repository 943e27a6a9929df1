"""The projected token of a pod that is a real process, and the kubeconfig that points to it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from warmroot.kube.cluster import SERVICE_ACCOUNT, Cluster
from warmroot.kube.kubeconfig import KubeConfig

TOKEN_SECONDS = 3600
"""A kubelet's default for projected tokens; renewed after four fifths of it."""


@dataclass(frozen=True)
class Token:
    """A bearer token and the time when it has to be renewed."""

    value: str
    renew_at: datetime


def bound_to_pod(cluster: Cluster, pod: dict[str, Any], *, now: datetime) -> Token:
    """A token of the pod's ServiceAccount, bound to the pod: its claims name the pod's node.

    Raises:
        ClusterError: the API server refused it.
        NetworkError: the API server did not answer.
    """
    meta = pod["metadata"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
    account = pod["spec"].get("serviceAccountName", "default")
    return _request(cluster, meta["namespace"], account, TOKEN_SECONDS, {"boundObjectRef": bound}, now)


def of_account(cluster: Cluster, namespace: str, account: str, *, seconds: int, now: datetime) -> Token:
    """A token of a ServiceAccount that is bound to nothing, valid for `seconds`.

    Raises:
        ClusterError: the API server refused it.
        NetworkError: the API server did not answer.
    """
    return _request(cluster, namespace, account, seconds, {}, now)


def _request(
    cluster: Cluster, namespace: str, account: str, seconds: int, spec: dict[str, Any], now: datetime
) -> Token:
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds, **spec},
    }
    answer = cluster.create(SERVICE_ACCOUNT, body, namespace=namespace, name=account, subresource="token")
    ends = datetime.strptime(answer["status"]["expirationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    left = ends.replace(tzinfo=UTC) - now
    return Token(str(answer["status"]["token"]), now + left * 0.8)


def write_token(directory: Path, token: Token) -> None:
    """Puts the token in place by rename, so that a reader never sees half of one."""
    fresh = directory / "token.new"
    fresh.write_text(token.value)
    fresh.chmod(0o600)
    fresh.rename(directory / "token")


def write_kubeconfig(directory: Path, server: KubeConfig, token: Token) -> Path:
    """A kubeconfig whose credential is the token file beside it; gives its path."""
    directory.mkdir(parents=True, exist_ok=True)
    write_token(directory, token)
    cluster: dict[str, Any] = {"server": server.server}
    if server.ca:
        cluster["certificate-authority-data"] = base64.b64encode(server.ca).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "pod", "user": {"tokenFile": "token"}}],
        "contexts": [{"name": "pod", "context": {"cluster": "cluster", "user": "pod"}}],
        "current-context": "pod",
    }
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path
