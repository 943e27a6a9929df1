"""Power cuts of a real machine while it stages, switches and confirms a release: does it always come up?

Every write of the machine is logged, with its flushes. All disks that a cut could have left, at 10,000 places
of chance and at every write, are judged by the model of the boot loader; hundreds of them are made and booted
with real firmware, GRUB, kernel and verity, and must do what the model says; and the real GRUB is asked about
every boot record that any of them has. Needs root, a Debian mirror, QEMU and the control plane, as `make vm`.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from itertools import chain, islice
from pathlib import Path
from typing import Any

from bench.report import Row
from testbed.controlplane.clients import admin_cluster
from testbed.controlplane.plane import ControlPlane
from testbed.machine.disk import Disk
from testbed.vm.hardware import Firmware
from testbed.vm.powercut import Judge, Verdicts
from testbed.vm.replay import Boot, boots
from testbed.vm.sample import spread
from testbed.vm.writelog import Crash, Event, prefixes, reordered
from tests.vm.batch import disagreements
from tests.vm.ordered import an_instance, update
from tests.vm.states import State, every_state
from tests.vm.worker import Line, Worker

REPLAYED = 10_000
CUTS = 300
CHOSEN = 320
"""Some of them are equal disks, of which one is booted."""
ASKED = 1024
TELLS_EACH = 20


def run() -> list[Row]:
    """The rows."""
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        line = Line(folder)
        first, second = line.build(disk=True), line.build()
        base = first.dir / "disk.raw"
        events = _logged(line, first, second, folder)
        with Disk(base, writable=False) as disk:
            judge = Judge(disk, [first.manifest, second.manifest])
            judged, verdicts = _judged(judge, events)
            booted = _booted(judge, base, events, spread(events, disk, random.Random(8), CHOSEN), folder)
        return [*booted, *judged, *_asked(verdicts, folder)]


def _logged(line: Any, first: Any, second: Any, folder: Path) -> list[Event]:
    worker = Worker.of(first.dir, folder)
    with (
        ControlPlane(folder / "control-plane").start() as plane,
        an_instance(admin_cluster(plane), plane) as instance,
    ):
        armed, tried = update(line, worker, plane, instance, first, second)
    worker.path.unlink()
    _tell(f"the machine's log has {len(armed)} events until it reset, and {len(tried)} after")
    return [*armed, *tried]


def _judged(judge: Judge, events: list[Event]) -> tuple[list[Row], Verdicts]:
    began = time.monotonic()
    verdicts = judge.judge(chain(prefixes(events), islice(reordered(events, random.Random(7)), REPLAYED)))
    minutes = (time.monotonic() - began) / 60
    slots = ", ".join(f"slot {slot}: {count}" for slot, count in verdicts.by_slot.items())
    about = (
        f"{verdicts.distinct} kept other writes than all others; {slots}, of these on trial {verdicts.trials}"
    )
    for reason in verdicts.broken:
        _tell(reason)
    failed = len(verdicts.broken)
    rows = [
        _row(
            "disks after a cut, judged by the model", verdicts.judged, "disks", 10_000, about, failed=failed
        ),
        Row("powercuts", "judged", verdicts.judged / minutes, "disks/min"),
    ]
    return rows, verdicts


def _booted(judge: Judge, base: Path, events: list[Event], sample: list[Crash], folder: Path) -> list[Row]:
    done: list[Boot] = []
    wrong: list[str] = []
    began = time.monotonic()
    for number, (crash, boot) in enumerate(boots(base, events, sample, folder), 1):
        if boot is not None:
            done.append(boot)
            if differs := boot.differs(judge.verdict(crash)):
                wrong.append(differs)
                _tell(f"after {crash.after} events: {differs}")
        if number % TELLS_EACH == 0:
            _tell(f"{number} of {len(sample)} disks, {len(done)} distinct, {len(wrong)} wrong")
    minutes = (time.monotonic() - began) / 60
    up = sum(boot.up for boot in done)
    slots = ", ".join(
        f"slot {slot}: {count}" for slot, count in sorted(Counter(b.slot for b in done).items())
    )
    about = f"{len(sample)} chosen, {len(sample) - len(done)} equal to another; {slots}"
    seconds = statistics.median(boot.seconds for boot in done)
    lost = sum(boot.data_lost for boot in done)
    two = "two side by side, until the verified root hands over to systemd"
    return [
        _row("power cuts booted by firmware, kernel, verity", up, "cuts", CUTS, about, failed=len(wrong)),
        Row("powercuts", "of them not as the model says", len(wrong), "cuts", 0),
        Row("powercuts", "of them with the data partition lost", lost, "cuts", 0),
        Row("powercuts", "a boot after a cut", seconds, "s", against=two),
        Row("powercuts", "booted", len(done) / minutes, "cuts/min"),
    ]


def _asked(verdicts: Verdicts, folder: Path) -> list[Row]:
    """The real GRUB about each boot record that any judged disk has, and how many it decides in a minute."""
    records = [State("replayed", *copies) for copies in sorted(verdicts.copies)]
    of_cuts = _disagreements(records, folder / "records")
    enumerated = every_state()
    states = enumerated[:: len(enumerated) // ASKED][:ASKED]
    began = time.monotonic()
    of_states = _disagreements(states, folder / "states")
    minutes = (time.monotonic() - began) / 60
    spread_over = f"GRUB under BIOS, each {len(enumerated) // ASKED}th of the {len(enumerated)} of `make vm`"
    return [
        _row("boot records of all these disks, decided by GRUB", len(records), "states", failed=len(of_cuts)),
        _row(
            "decision states", len(states) / minutes, "states/min", None, spread_over, failed=len(of_states)
        ),
    ]


def _disagreements(states: list[State], folder: Path) -> list[str]:
    folder.mkdir()
    found: list[str] = disagreements(Firmware.BIOS, states, folder)
    for one in found:
        _tell(one)
    return found


def _row(
    figure: str, value: float, unit: str, goal: float | None = None, about: str = "", *, failed: int
) -> Row:
    return Row("powercuts", figure, value, unit, goal, "higher", about, failed)


def _tell(text: str) -> None:
    print(f"powercuts: {text}", file=sys.stderr, flush=True)
