"""The Debian worker as a machine: what it takes to build, how large it is, how soon it is up, and back.

Under QEMU's translator: seconds here are several times those of hardware, and only compare with one another.
Needs root, a Debian mirror and QEMU, as `make vm` does.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from pathlib import Path

from bench.report import Row
from testbed.controlplane.clients import admin_cluster
from testbed.controlplane.plane import ControlPlane
from testbed.vm import joined
from tests.vm.worker import TO_THE_KERNEL, UP, Line, Worker
from tests.waiting import until
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.errors import NotFound
from warmroot.kube.cluster import NODE, RestCluster

BOOTS = 3
MB = 1e6
NAME, MEMORY = "bench-1", 1024
RESTS = 20
_USED = (
    "awk '/^MemTotal/ { t = $2 } /^MemAvailable/ { a = $2 } END { print int((t - a) / 1024) }' /proc/meminfo"
)
_STATUS = re.compile(r"^warmroot-status: .* used=(\d+)MiB failed=(\S+)$", re.MULTILINE)


def run() -> list[Row]:
    """The rows; MB are 10^6 bytes."""
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-", dir="/var/tmp") as scratch:
        line = Line(Path(scratch))
        first = line.build(disk=True)
        again = line.build()
        worker = Worker.of(first.dir, Path(scratch))
        slowest = sorted(first.timings.items(), key=lambda item: -item[1])[:4]
        steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in slowest)
        return [
            Row("machine", "build", sum(first.timings.values()), "s", against=steps),
            Row("machine", "build, packages at hand", sum(again.timings.values()), "s"),
            Row("machine", "root image, verity tree included", first.manifest.root.size / MB, "MB"),
            Row("machine", "boot image", first.manifest.boot.size / MB, "MB"),
            *_starts(worker),
            *_node(worker, Path(scratch)),
            *_fallback(worker),
        ]


def _starts(worker: Worker) -> list[Row]:
    to_initrd, to_status, memory = [], [], []
    for _ in range(BOOTS):
        began = time.monotonic()
        with worker.on() as machine:
            machine.wait_for("hands over to systemd", TO_THE_KERNEL)
            to_initrd.append(time.monotonic() - began)
            machine.wait_for("^warmroot-status: .*$", UP)
            to_status.append(time.monotonic() - began)
            found = _STATUS.search(machine.console())
            assert found is not None
            memory.append(int(found[1]))
    boots = f"median of {BOOTS} boots, BIOS"
    return [
        Row("machine", "power-on to the verified root", statistics.median(to_initrd), "s", against=boots),
        Row("machine", "power-on to all units started", statistics.median(to_status), "s", against=boots),
        Row("machine", "memory used then", statistics.median(memory), "MiB", against="containerd included"),
    ]


def _node(worker: Worker, scratch: Path) -> list[Row]:
    """As a node of a real API server: until its kubelet says Ready, and what it takes when it rests."""
    ready, memory = [], []
    with ControlPlane(scratch / "control-plane").start() as plane:
        cluster = admin_cluster(plane)
        with worker.on(memory=MEMORY) as machine:
            machine.wait_for("^warmroot-status: .*$", UP)
            content = joined.proxy(plane, NAME) | joined.kubelet(plane, NAME, "10.88.1.0/24")
            joined.join(machine, NAME, content)
            before = _await_ready(cluster, "")
            machine.reboot()
        for _ in range(BOOTS):
            began = time.monotonic()
            with worker.on(memory=MEMORY) as machine:
                before = _await_ready(cluster, before)
                ready.append(time.monotonic() - began)
                time.sleep(RESTS)
                memory.append(int(joined.command(machine, _USED)))
                machine.reboot()
    boots = f"median of {BOOTS} boots, BIOS, {MEMORY} MiB"
    return [
        Row("machine", "power-on to kubelet Ready", statistics.median(ready), "s", against=boots),
        Row("machine", f"memory used {RESTS} s later", statistics.median(memory), "MiB", against="no pods"),
    ]


def _await_ready(cluster: RestCluster, before: str) -> str:
    """The boot id with which the node is Ready, once that is another than `before`."""

    def there() -> str | None:
        status = cluster.get(NODE, NAME)["status"]
        is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status["conditions"])
        boot_id: str = status["nodeInfo"]["bootID"]
        return boot_id if is_ready and boot_id != before else None

    return until(there, UP, "the kubelet says Ready", forgive=(NotFound,)) or ""


def _fallback(worker: Worker) -> list[Row]:
    """A release whose root is corrupt, tried as often as it may be, until the good slot's root is there."""
    worker.fill(Slot.B)
    worker.spoil(layout.root(Slot.B), 1024)
    worker.set_record(BootRecord(2, Slot.A, Slot.B, 3))
    tries, began = [], time.monotonic()
    while worker.record().left:
        with worker.on() as machine:
            machine.wait_for("is corrupted", TO_THE_KERNEL)
            tries.append(machine.wait_end(TO_THE_KERNEL))
    with worker.on() as machine:
        machine.wait_for("warmroot-initrd: .* slot=A", TO_THE_KERNEL)
        machine.wait_for("hands over to systemd", TO_THE_KERNEL)
    whole = time.monotonic() - began
    return [
        Row("machine", "a try of a corrupt root, panic=10 included", statistics.median(tries), "s"),
        Row("machine", "fallback: three tries until the good root", whole, "s"),
    ]
