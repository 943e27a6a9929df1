"""`testbed vm`: a disk at work under QEMU, its console here."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from images import command
from testbed.machine.disk import Disk, copy
from testbed.vm import fulldata, writelog
from testbed.vm.hardware import Bus, Firmware, Hardware, Network
from testbed.vm.machine import VirtualMachine
from testbed.vm.replay import ReplayedDisk
from testbed.vm.writelog import Crash
from warmroot.disk import layout
from warmroot.errors import DiskCorrupt, ForeignDisk, UserError

_POLL = 0.1
_MAKE_ONE = "make one: sudo warmroot image build debian-worker"


def register(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(vm)


def vm(
    disk: Annotated[Path, typer.Argument(help="A raw disk, such as `warmroot image build` makes.")],
    firmware: Annotated[
        Firmware, typer.Option(case_sensitive=False, help="How the machine starts.")
    ] = Firmware.BIOS,
    bus: Annotated[Bus, typer.Option(help="What its disk hangs on.")] = Bus.VIRTIO,
    memory: Annotated[int, typer.Option(min=256, help="MiB.")] = 1024,
    boots: Annotated[int, typer.Option(min=1, help="Switch it on again so often after it has reset.")] = 4,
    overlay: Annotated[
        bool, typer.Option("--overlay/--keep", help="Throw changes away at the end, or write to DISK itself.")
    ] = True,
    read_only: Annotated[bool, typer.Option("--read-only", help="The disk takes no writes.")] = False,
    clock: Annotated[
        datetime | None, typer.Option(help="What its clock says at every start, UTC: a wrong clock.")
    ] = None,
    no_network: Annotated[
        bool, typer.Option("--no-network", help="The network card has a link, and nobody answers.")
    ] = False,
    cut_power_after: Annotated[
        float | None, typer.Option(min=0.0, metavar="SECONDS", help="Pull the plug of the first boot.")
    ] = None,
    cut_power_at: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="WRITE", help="The same after so many writes to its disk; not with --keep."
        ),
    ] = None,
    full_data: Annotated[
        bool, typer.Option("--full-data", help="The data partition has no space left; not with --keep.")
    ] = False,
    secure_boot: Annotated[
        Path | None, typer.Option(metavar="KEYS", help="UEFI knows these certificates, and no others.")
    ] = None,
) -> None:
    """Boot DISK and show its console until it has reset for the last time. Ctrl-C pulls the plug.

    Each boot is a new QEMU process, so a reset is as good as a power cut.
    """
    Hardware(disk, firmware, secure_boot=secure_boot)  # refused before anything is read
    if not disk.is_file():
        raise UserError(f"{disk} is no disk", hint=_MAKE_ONE)
    if cut_power_at is not None and cut_power_after is not None:
        raise UserError("the plug is pulled once", hint="leave out --cut-power-at or --cut-power-after")
    for given, option in ((full_data, "--full-data"), (cut_power_at is not None, "--cut-power-at")):
        if given and not overlay:
            raise UserError(f"{option} would change DISK itself", hint="leave --keep out")
    _check(disk)
    with tempfile.TemporaryDirectory(prefix="warmroot-vm-") as name:
        folder = Path(name)
        base = _filled(disk, folder) if full_data else disk
        ours = full_data and cut_power_at is None  # a cut is made from what was there before
        booted = _layer(base, folder / "disk.qcow2") if overlay and not ours else base
        network = Network.NOWHERE if no_network else Network.HOST
        hardware = Hardware(
            booted, firmware, bus, memory, read_only, network=network, clock=clock, secure_boot=secure_boot
        )
        for number in range(1, boots + 1):
            _say(f"boot {number} of {boots}")
            if number == 1 and cut_power_at is not None:
                hardware = _cut_at(cut_power_at, hardware, base, folder)
            else:
                plug = _Plug(seconds=cut_power_after if number == 1 else None)
                _boot(hardware, folder, plug)


@dataclass(frozen=True)
class _Plug:
    """When it is pulled, if it is: after seconds, or once a log of writes is so long."""

    seconds: float | None = None
    log: Path | None = None
    writes: int = 0

    def due(self, since: float) -> bool:
        if self.log is not None:
            return writelog.length(self.log) >= self.writes and len(_writes(self.log)) >= self.writes
        return self.seconds is not None and time.monotonic() - since >= self.seconds


def _boot(hardware: Hardware, folder: Path, plug: _Plug) -> None:
    with VirtualMachine(hardware, folder / "machine") as machine:
        began = time.monotonic()
        cut = _follow(machine, plug)
    ended = "its plug was pulled" if cut else "it reset, or was switched off,"
    _say(f"{ended} after {time.monotonic() - began:.1f} s")


def _cut_at(number: int, hardware: Hardware, base: Path, folder: Path) -> Hardware:
    """Boots once; the machine that goes on from the disk with that many writes of this boot."""
    log = folder / "writes"
    _boot(replace(hardware, write_log=log), folder, _Plug(log=log, writes=number))
    made = _writes(log)
    if len(made) < number:
        _say(f"it made {len(made)} writes only: all of them are kept")
    kept = made[:number]
    left = ReplayedDisk(base, folder / "cut.raw", list(kept))
    left.become(Crash(len(kept), tuple(kept)))
    if kept:
        last = kept[-1]
        _say(f"its disk kept {len(kept)} writes, the last one of {len(last.data)} bytes at {last.offset}")
    return replace(hardware, disk=left.path)


def _writes(log: Path) -> list[writelog.Write]:
    return [event for event in writelog.read(log) if isinstance(event, writelog.Write)]


def _filled(disk: Path, folder: Path) -> Path:
    """A copy whose data partition has no space left."""
    copied = copy(disk, folder / "disk.raw")
    with Disk(copied, writable=False) as opened:
        home = opened.layout()[layout.DATA]
    fulldata.fill(copied, home)
    return copied


def _check(path: Path) -> None:
    try:
        with Disk(path, writable=False) as disk:
            disk.layout()
    except (ForeignDisk, DiskCorrupt) as error:
        raise UserError(f"{path} is no disk of ours: {error.message}", hint=_MAKE_ONE) from error


def _layer(disk: Path, target: Path) -> Path:
    command.run(
        "making the layer that changes go to",
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk.resolve(), target],
        package="qemu-utils",
    )
    return target


def _follow(machine: VirtualMachine, plug: _Plug) -> bool:
    """Prints what the console says until the machine ends or its plug is pulled: whether it was."""
    shown, began = 0, time.monotonic()
    while True:
        running = machine.running
        cut = plug.due(began)
        said = machine.console()
        sys.stdout.write(said[shown:])
        sys.stdout.flush()
        shown = len(said)
        if cut or not running:
            return cut and running
        time.sleep(_POLL)


def _say(text: str) -> None:
    print(f"testbed vm: {text}", file=sys.stderr, flush=True)  # noqa: T201
