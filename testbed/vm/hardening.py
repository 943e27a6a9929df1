"""What a worker offers to whoever wants to attack it: asked of a running one, as a page."""

from __future__ import annotations

from testbed.vm.joined import command
from testbed.vm.machine import VirtualMachine

_INTRODUCTION = """# What a worker is open to
A running worker with a kubelet, joined to a cluster, said this of itself; a test asks one again and compares
(`tests/vm/test_rollout_of_machines.py`).
"""
_SOCKETS = r"""
ss -Htuln | awk '{ sub(/%[a-z0-9]+/, "", $5); print $1, $5 }' |
  grep -v -e '127\.0\.0\.1:' -e '\[::1\]:' | sed -E 's/[0-9.]+:68$/ADDRESS:68/' | sort -u
"""
_SET_ID = r"find / -xdev -type f -perm /6000 -printf '%m %u:%g %p\n' | sort -k3"
_WRITABLE = r"""
findmnt -rn -o TARGET,FSTYPE,OPTIONS | awk '$3 ~ /^rw/ { print $1, $2 }' |
  grep -v -E ' (proc|sysfs|devtmpfs|devpts|mqueue|securityfs|cgroup2|bpf|nsfs|debugfs|tracefs)$' |
  grep -v -E ' (pstore|efivarfs|hugetlbfs|configfs|fusectl)$' |
  grep -v -E '^/(run/containerd|run/netns|run/credentials|run/user|var/lib/kubelet)/' | sort -u
"""
_SERVICES = r"""
systemd-analyze security --no-pager |
  awk '$1 ~ /service$/ && $1 !~ /^(testbed-shell|user@)/ { print $1, $2 }' |
  while read -r unit exposure; do
    systemctl -q is-active "$unit" && echo "$unit $exposure"
  done | sort
"""
_ASKED = (
    (
        "Sockets that can be reached",
        "All that listens, but for loopback; port 68 is DHCP's.",
        _SOCKETS,
    ),
    ("Files that run as another user", "Set-user-id and set-group-id, anywhere in the root.", _SET_ID),
    ("Places that can be written", "Without mounts of pods and of the kernel itself.", _WRITABLE),
    (
        "Services that run, and how exposed systemd finds them",
        "0 is shut in, 10 is open. kubelet, containerd and udev administer the node.",
        _SERVICES,
    ),
)


def page(machine: VirtualMachine) -> str:
    """The page, Markdown.

    Raises:
        StepFailed: a command in the guest failed.
        ProgramDied: the guest does not answer.
    """
    parts = [_INTRODUCTION]
    for title, about, asked in _ASKED:
        parts.append(f"## {title}\n{about}\n\n```\n{command(machine, asked, 300).strip()}\n```\n")
    return "\n".join(parts)
