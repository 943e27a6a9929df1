"""Clients of a control plane of ours."""

from __future__ import annotations

from testbed.controlplane.plane import ControlPlane
from warmroot.kube.cluster import SERVICE_ACCOUNT, Object, RestCluster
from warmroot.kube.transport import KubernetesTransport


def admin_cluster(control_plane: ControlPlane) -> RestCluster:
    """The cluster as its administrator sees it."""
    return RestCluster(KubernetesTransport(str(control_plane.kubeconfig)))


def pod_token(cluster: RestCluster, account: str, pod: Object, *, seconds: int = 3600) -> str:
    """A service account's token as a kubelet mounts it into `pod`: bound to it, with its node's name inside.

    Raises:
        ClusterError: account, pod or node do not exist, or the caller may not ask.
    """
    meta = pod["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
    body: Object = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {},
        "spec": {"boundObjectRef": bound, "expirationSeconds": seconds},
    }
    answer = cluster.create(
        SERVICE_ACCOUNT, body, namespace=meta["namespace"], name=account, subresource="token"
    )
    return str(answer["status"]["token"])
