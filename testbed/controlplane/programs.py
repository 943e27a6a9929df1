"""The command lines of the four programs, and the audit policy. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ETCD, API_SERVER = "etcd", "kube-apiserver"
CONTROLLERS, SCHEDULER = "kube-controller-manager", "kube-scheduler"
SERVICE_RANGE = "10.96.0.0/24"
LOOPBACK = "127.0.0.1"

AUDIT_POLICY = """\
# Metadata of every request, so that writes and idle reads can be counted by user; without the control
# plane's own traffic and without the nodes' heartbeats, which would be most of the file.
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: None
  namespaces: ["kube-node-lease"]
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*"]
- level: Metadata
"""
AUDIT_BODIES = """\
- level: RequestResponse
  verbs: [create, update, patch, delete]
  omitManagedFields: true
  resources:
  - {group: "", resources: [nodes, nodes/status]}
  - {group: warmroot.io, resources: [oses, oses/status, osinstances, osinstances/status]}
"""


def audit_policy(*, bodies: bool) -> str:
    """The policy; with `bodies` it also keeps what a write of a node or of our own objects left behind."""
    head, last, tail = AUDIT_POLICY.rpartition("- level: Metadata")
    return head + (AUDIT_BODIES if bodies else "") + last + tail


@dataclass(frozen=True)
class Ports:
    """Where the programs listen."""

    api: int
    etcd: int
    etcd_peer: int


@dataclass(frozen=True)
class Paths:
    """Where a control plane keeps what it has, below one folder."""

    root: Path

    @property
    def pki(self) -> Path:
        """Keys, certificates and kubeconfigs."""
        return self.root / "pki"

    @property
    def etcd(self) -> Path:
        """The database."""
        return self.root / "etcd"

    @property
    def logs(self) -> Path:
        """One log file a program."""
        return self.root / "logs"

    @property
    def pids(self) -> Path:
        """One file a program, with its identity."""
        return self.root / "pids"

    @property
    def audit_policy(self) -> Path:
        """What the API server writes down."""
        return self.root / "audit-policy.yaml"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line."""
        return self.root / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.root / "kubeconfig"

    @property
    def lock(self) -> Path:
        """Held while programs are started or ended. Its being there says that the folder is ours."""
        return self.root / "control-plane.lock"

    @property
    def all(self) -> tuple[Path, ...]:
        """Everything that is made below `root`, without the lock."""
        audit = (self.audit_policy, self.audit_log)
        return (self.pki, self.etcd, self.logs, self.pids, *audit, self.kubeconfig)


def etcd(paths: Paths, ports: Ports) -> list[str]:
    """One member. It never syncs to disk: nobody needs this data after a power cut."""
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        ETCD,
        f"--data-dir={paths.etcd}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def api_server(paths: Paths, ports: Ports, address: str = LOOPBACK) -> list[str]:
    """Node authorizer and RBAC, NodeRestriction, audit before the answer. Loopback addresses can't be
    endpoints, so the `kubernetes` service has none. It knows kubelets by the address of their nodes.
    """
    pki = paths.pki
    return [
        API_SERVER,
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={ports.api}",
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-aggregator-routing",  # webhooks that are Services: no kube-proxy shows us their addresses
        "--allow-privileged=true",
        "--profiling=false",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'kubelets.crt'}",
        f"--kubelet-client-key={pki / 'kubelets.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--audit-policy-file={paths.audit_policy}",
        f"--audit-log-path={paths.audit_log}",
        "--audit-log-mode=blocking",
        "--audit-log-format=json",
    ]


def controllers(paths: Paths, node_grace: float) -> list[str]:
    """All controllers. A node whose Lease is older than `node_grace` seconds becomes NotReady.

    Each controller fetches its credential when they start: by the usual 20 requests a second they would wait
    for one another.
    """
    return [
        CONTROLLERS,
        f"--kubeconfig={paths.pki / 'controllers.kubeconfig'}",
        "--secure-port=0",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--root-ca-file={paths.pki / 'ca.crt'}",
        f"--service-account-private-key-file={paths.pki / 'sa.key'}",
        f"--cluster-signing-cert-file={paths.pki / 'ca.crt'}",
        f"--cluster-signing-key-file={paths.pki / 'ca.key'}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--node-monitor-period=1s",
        f"--node-monitor-grace-period={node_grace:g}s",
    ]


def scheduler(paths: Paths) -> list[str]:
    """The default scheduler."""
    kubeconfig = paths.pki / "scheduler.kubeconfig"
    return [SCHEDULER, f"--kubeconfig={kubeconfig}", "--secure-port=0", "--leader-elect=false"]
