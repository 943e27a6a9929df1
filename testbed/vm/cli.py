"""`testbed vm`: a disk at work under QEMU, its console here."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from testbed.machine.disk import Disk
from testbed.vm.hardware import Bus, Firmware, Hardware
from testbed.vm.machine import VirtualMachine
from warmroot.errors import DiskCorrupt, ForeignDisk, StepFailed, UserError

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
    keep: Annotated[bool, typer.Option(help="Write to the disk itself instead of a copy.")] = False,
    read_only: Annotated[bool, typer.Option(help="The disk takes no writes.")] = False,
    secure_boot: Annotated[
        Path | None, typer.Option(metavar="KEYS", help="UEFI knows these certificates, and no others.")
    ] = None,
) -> None:
    """Boot DISK and show its console until it has reset for the last time. Ctrl-C pulls the plug.

    Each boot is a new QEMU process, so a reset is as good as a power cut. What boots is a copy of the disk.
    """
    Hardware(disk, firmware, secure_boot=secure_boot)  # refused before anything is read
    if not disk.is_file():
        raise UserError(f"{disk} is no disk", hint=_MAKE_ONE)
    _check(disk)
    with tempfile.TemporaryDirectory(prefix="warmroot-vm-") as name:
        folder = Path(name)
        booted = disk if keep else _copy(disk, folder / "disk.raw")
        hardware = Hardware(booted, firmware, bus, memory, read_only, secure_boot=secure_boot)
        for number in range(1, boots + 1):
            _say(f"boot {number} of {boots}")
            with VirtualMachine(hardware, folder / "machine") as machine:
                began = time.monotonic()
                _follow(machine)
            _say(f"it reset, or was switched off, after {time.monotonic() - began:.1f} s")


def _check(path: Path) -> None:
    try:
        with Disk(path, writable=False) as disk:
            disk.layout()
    except (ForeignDisk, DiskCorrupt) as error:
        raise UserError(f"{path} is no disk of ours: {error.message}", hint=_MAKE_ONE) from error


def _copy(disk: Path, target: Path) -> Path:
    done = subprocess.run(
        ["cp", "--sparse=always", disk, target], capture_output=True, text=True, check=False
    )
    if done.returncode:
        free = shutil.disk_usage(target.parent).free // 2**20
        raise StepFailed(
            f"the disk can't be copied: {done.stderr.strip()}", hint=f"{free} MiB are free; see --keep"
        )
    return target


def _follow(machine: VirtualMachine) -> None:
    """Prints what the console says until the machine ends."""
    shown = 0
    while True:
        running = machine.running
        said = machine.console()
        sys.stdout.write(said[shown:])
        sys.stdout.flush()
        shown = len(said)
        if not running:
            return
        time.sleep(_POLL)


def _say(text: str) -> None:
    print(f"testbed vm: {text}", file=sys.stderr, flush=True)  # noqa: T201
