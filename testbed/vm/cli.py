"""`testbed vm`: a disk at work under QEMU, its console here."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from images import command
from testbed.machine.disk import Disk, copy
from testbed.vm import fulldata
from testbed.vm.hardware import Bus, Firmware, Hardware, Network
from testbed.vm.machine import VirtualMachine
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
    if full_data and not overlay:
        raise UserError("--full-data would fill DISK itself", hint="leave --keep out")
    _check(disk)
    with tempfile.TemporaryDirectory(prefix="warmroot-vm-") as name:
        folder = Path(name)
        booted = _prepared(disk, folder, overlay=overlay, full_data=full_data)
        network = Network.NOWHERE if no_network else Network.HOST
        hardware = Hardware(
            booted, firmware, bus, memory, read_only, network=network, clock=clock, secure_boot=secure_boot
        )
        for number in range(1, boots + 1):
            _say(f"boot {number} of {boots}")
            with VirtualMachine(hardware, folder / "machine") as machine:
                began = time.monotonic()
                cut = _follow(machine, cut_power_after if number == 1 else None)
            ended = "its plug was pulled" if cut else "it reset, or was switched off,"
            _say(f"{ended} after {time.monotonic() - began:.1f} s")


def _prepared(disk: Path, folder: Path, *, overlay: bool, full_data: bool) -> Path:
    """What is booted: the disk itself, or a file that keeps what changes."""
    if full_data:
        copied = copy(disk, folder / "disk.raw")
        with Disk(copied, writable=False) as opened:
            home = opened.layout()[layout.DATA]
        fulldata.fill(copied, home)
        return copied
    return _layer(disk, folder / "disk.qcow2") if overlay else disk


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


def _follow(machine: VirtualMachine, seconds: float | None) -> bool:
    """Prints what the console says until the machine ends, or so many seconds are over: whether they are."""
    shown = 0
    deadline = time.monotonic() + seconds if seconds is not None else None
    while True:
        running = machine.running
        cut = deadline is not None and time.monotonic() >= deadline
        said = machine.console()
        sys.stdout.write(said[shown:])
        sys.stdout.flush()
        shown = len(said)
        if cut or not running:
            return cut and running
        time.sleep(_POLL)


def _say(text: str) -> None:
    print(f"testbed vm: {text}", file=sys.stderr, flush=True)  # noqa: T201
