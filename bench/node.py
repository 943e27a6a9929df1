"""Our worker as a node of a real cluster against stock Debian: how soon its kubelet is ready, what it takes.

Both have the same kernel, containerd, kubelet and settings (`testbed/vm/stock.py` says what stock is), and
are booted in turn under QEMU's translator: seconds here are several times those of hardware, and only compare
with one another. Neither runs a pod. Needs root, a Debian mirror, QEMU and the control plane, as `make vm`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import Row
from testbed.controlplane.clients import admin_cluster
from testbed.controlplane.plane import ControlPlane
from testbed.vm import joined, stock
from testbed.vm.hardware import Hardware
from testbed.vm.joined import File, command
from testbed.vm.machine import VirtualMachine
from tests.vm.worker import Line, Worker
from tests.waiting import until
from warmroot.errors import NotFound
from warmroot.kube.cluster import NODE, RestCluster

BOOTS = 5
MEMORY = 1024
RESTS = 20
UP = 900
"""Seconds, for a first boot that makes keys and grows file systems on a busy machine."""
OURS, STOCK = "bench-1", "bench-2"
_ASKS_EVERY = 0.2
_USED = "awk '/^MemTotal/ { t = $2 } /^MemAvailable/ { a = $2 } END { print (t - a) / 1024 }' /proc/meminfo"
_UPTIME = "read -r up _ </proc/uptime; echo $up"
_STARTED = "systemctl show -p ExecMainStartTimestampMonotonic --value kubelet"
_PROCESSES = "cd /proc; grep ^Pss: [0-9]*/smaps_rollup 2>/dev/null; grep . [0-9]*/comm 2>/dev/null; true"
_KUBERNETES = ("kubelet", "containerd")


@dataclass(frozen=True)
class Member:
    """A machine of the cluster: what it is made of and what an installer leaves on it."""

    name: str
    hardware: Hardware
    folder: Path
    content: Mapping[str, File]
    units: Sequence[str]

    def on(self) -> VirtualMachine:
        """Its next boot."""
        return VirtualMachine(self.hardware, self.folder)


@dataclass(frozen=True)
class Start:
    """One boot. Seconds from power-on, MiB at rest."""

    kernel: float
    """The firmware and the boot loader are done."""
    kubelet: float
    """systemd starts it."""
    ready: float
    processor: float
    """Processor time of QEMU until then."""
    used: float
    kubernetes: float
    """Of what is used, by kubelet and containerd; pages that programs share count in parts."""
    others: float
    """By all other programs."""


def run() -> list[Row]:
    """The rows."""
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        line = Line(folder)
        worker = Worker.of(line.build(disk=True).dir, folder)
        program = line.recipe.kubelet_program
        assert program is not None
        _tell("builds the stock Debian")
        debian = stock.build(folder, STOCK, program, line.recipe.kubelet)
        with ControlPlane(folder / "control-plane").start() as plane:
            own, other = (joined.kubelet(plane, n, f"10.88.{k}.0/24") for k, n in enumerate((OURS, STOCK), 1))
            ours = joined.proxy(plane, OURS) | own
            host = {"/etc/hostname": File(f"{STOCK}\n".encode())}
            members = (
                Member(OURS, Hardware(worker.path, memory=MEMORY), folder / "ours", ours, joined.UNITS),
                Member(STOCK, Hardware(debian, memory=MEMORY), folder / "stock", host | other, ["kubelet"]),
            )
            starts = _starts(members, admin_cluster(plane))
    return _rows(starts[OURS], starts[STOCK])


def _starts(members: Sequence[Member], cluster: RestCluster) -> dict[str, list[Start]]:
    boot_ids = {}
    for member in members:
        _tell(f"{member.name} joins")
        with member.on() as machine:
            machine.run("true", UP)
            joined.join(machine, member.name, member.content, member.units)
            boot_ids[member.name] = _await_ready(cluster, member.name, "")
            machine.reboot(UP)
    starts: dict[str, list[Start]] = {member.name: [] for member in members}
    for number in range(1, BOOTS + 1):
        for member in members:
            with member.on() as machine:
                start, boot_ids[member.name] = _start(machine, cluster, member.name, boot_ids[member.name])
                machine.reboot(UP)
            starts[member.name].append(start)
            _tell(f"boot {number} of {member.name}: {start}")
    return starts


def _start(machine: VirtualMachine, cluster: RestCluster, name: str, before: str) -> tuple[Start, str]:
    began = time.monotonic()
    boot_id = _await_ready(cluster, name, before)
    ready, processor = time.monotonic() - began, machine.cpu_seconds
    asked = time.monotonic()
    up = float(command(machine, _UPTIME))
    kernel = (asked + time.monotonic()) / 2 - up - began
    kubelet = kernel + int(command(machine, _STARTED)) / 1e6
    time.sleep(RESTS)
    used = float(command(machine, _USED))
    shares = _shares(command(machine, _PROCESSES))
    of_kubernetes = sum(share for name, share in shares if name in _KUBERNETES)
    others = sum(share for name, share in shares) - of_kubernetes
    return Start(kernel, kubelet, ready, processor, used, of_kubernetes, others), boot_id


def _shares(said: str) -> list[tuple[str, float]]:
    """Each program's name and its MiB: from `12/smaps_rollup:Pss:   1234 kB` and `12/comm:kubelet`."""
    names, sizes = {}, {}
    for line in said.splitlines():
        process, _, rest = line.partition("/")
        kind, _, value = rest.partition(":")
        if kind == "comm":
            names[process] = value
        else:
            sizes[process] = int(value.split()[1]) / 1024
    return [(names.get(process, ""), size) for process, size in sizes.items()]


def _await_ready(cluster: RestCluster, name: str, before: str) -> str:
    """The boot id with which the node is Ready, once that is another than `before`."""

    def there() -> str | None:
        time.sleep(_ASKS_EVERY)
        status = cluster.get(NODE, name)["status"]
        conditions = status.get("conditions") or ()
        is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        boot_id: str = status["nodeInfo"]["bootID"]
        return boot_id if is_ready and boot_id != before else None

    return until(there, UP, f"the kubelet of {name} says Ready", forgive=(NotFound,)) or ""


def _rows(ours: Sequence[Start], debian: Sequence[Start]) -> list[Row]:
    def pair(of: Callable[[Start], float]) -> tuple[float, float]:
        return statistics.median(map(of, ours)), statistics.median(map(of, debian))

    def told(figure: str, of: Callable[[Start], float], unit: str, about: str = "") -> Row:
        own, other = pair(of)
        peer = f"stock Debian {other:.4g} {unit}"
        return Row("node", figure, own, unit, against="; ".join(part for part in (peer, about) if part))

    def ratio(figure: str, of: Callable[[Start], float], goal: float | None, same: float = 0.0) -> Row:
        own, other = pair(of)
        limit = f"{other / same:.3g} if only the kubelet's and containerd's part were left" if same else ""
        return Row("node", figure, other / own, "ratio", goal, "higher", limit)

    boots = f"medians of {BOOTS} boots of each, in turn, BIOS, {MEMORY} MiB"
    last = pair(lambda start: start.ready - start.kubelet)[0]
    kubernetes = pair(lambda start: start.kubernetes)[0]
    return [
        told("power-on to kubelet Ready", lambda start: start.ready, "s", boots),
        ratio("stock Debian's over ours", lambda start: start.ready, 2, last),
        ratio("the same in processor time of QEMU", lambda start: start.processor, None),
        told("of it firmware and boot loader", lambda start: start.kernel, "s"),
        told("of it kernel and systemd", lambda start: start.kubelet - start.kernel, "s"),
        told("of it the kubelet's own start", lambda start: start.ready - start.kubelet, "s"),
        told(f"memory used {RESTS} s later, no pods", lambda start: start.used, "MiB"),
        ratio("stock Debian's over ours", lambda start: start.used, 4, kubernetes),
        told("of it kubelet and containerd", lambda start: start.kubernetes, "MiB"),
        told("of it all other programs", lambda start: start.others, "MiB"),
        told("of it the kernel", lambda start: start.used - start.kubernetes - start.others, "MiB"),
    ]


def _tell(text: str) -> None:
    print(f"node: {text}", file=sys.stderr, flush=True)
