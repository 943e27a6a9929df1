"""What kubelet, containerd and the network of pods are told on a worker. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from images import pause

PLUGINS = "/usr/lib/cni"
"""Where Debian's containernetworking-plugins are."""
LEASE_SECONDS = 8
"""Half of what the test bed's control plane waits for a silent node."""


@dataclass(frozen=True)
class Layout:
    """Where a worker keeps what it has, below one folder. All but `run` is its disk."""

    root: Path

    @property
    def run(self) -> Path:
        """What is lost when the power goes; below /run on the worker itself."""
        return Path("/run/worker")

    @property
    def socket(self) -> Path:
        """Where containerd listens, on the worker itself."""
        return self.run / "containerd.sock"

    @property
    def kubelet(self) -> Path:
        """/var/lib/kubelet of the worker."""
        return self.root / "kubelet"

    @property
    def containerd(self) -> Path:
        """Images and snapshots."""
        return self.root / "containerd"

    @property
    def logs(self) -> Path:
        """Of its programs, and below `pods` those of containers."""
        return self.root / "logs"

    @property
    def settings(self) -> Path:
        """The files of this module, and what stands in for files of /etc and /proc."""
        return self.root / "settings"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All that has to be there."""
        network = self.settings / "cni"
        return (self.kubelet, self.containerd, self.logs / "pods", self.settings, network)


def kubelet(layout: Layout, authority: Path, cgroup: str) -> str:
    """A KubeletConfiguration (JSON is YAML). Images are never removed, and nothing is evicted: the disk is
    that of a whole computer.
    """
    full = ("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree")
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "containerRuntimeEndpoint": f"unix://{layout.socket}",
            "podLogsDir": str(layout.logs / "pods"),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            # It only looks at the kernel's settings, and finds what `init` shows it.
            "protectKernelDefaults": True,
            # A container of CI may not raise them.
            "oomScoreAdj": 0,
            "maxOpenFiles": 20000,
            "failSwapOn": False,
            "enforceNodeAllocatable": ["pods"],
            "evictionHard": {"memory.available": "1Mi", "pid.available": "0%"} | dict.fromkeys(full, "0%"),
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "resolvConf": str(layout.settings / "resolv.conf"),
            "nodeStatusUpdateFrequency": "2s",
            "nodeStatusReportFrequency": "30s",
            "nodeLeaseDurationSeconds": LEASE_SECONDS,
            "syncFrequency": "5s",
            "healthzPort": 0,
            "volumeStatsAggPeriod": "-1s",
        }
    )


def network(pods: str) -> str:
    """Pods of a worker on a bridge of its own; workers know the ways to one another's."""
    ipam = {
        "type": "host-local",
        "dataDir": "/run/worker/addresses",
        "ranges": [[{"subnet": pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True}
    return _json({"cniVersion": "1.0.0", "name": "workers", "plugins": [bridge | {"ipam": ipam}]})


def containerd(layout: Layout) -> str:
    """For containerd 1.6, as Debian 12 has it; without what a container of CI may not do."""
    return f"""\
version = 2
root = "{layout.containerd}"
state = "{layout.run}/containerd"

[grpc]
  address = "{layout.socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause.NAME}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{layout.settings}/cni"
"""


def _json(value: object) -> str:
    return json.dumps(value, indent=1)
