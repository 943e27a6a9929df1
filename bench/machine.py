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
from tests.vm.worker import TO_THE_KERNEL, UP, Line, Worker
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot

BOOTS = 3
MB = 1e6
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
            *_fallback(worker),
        ]


def _starts(worker: Worker) -> list[Row]:
    to_initrd, to_status, memory = [], [], []
    for _ in range(BOOTS):
        began = time.monotonic()
        with worker.on() as machine:
            machine.wait_for("hands over to systemd", TO_THE_KERNEL)
            to_initrd.append(time.monotonic() - began)
            machine.wait_for(r"^warmroot-status: .*\n", UP)
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
