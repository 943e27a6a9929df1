"""From power-on until something runs, or until nothing can: what GRUB, the kernel and the watchdog would do.

The choice itself is `warmroot.disk.bootrecord.choose`, the model that `tests/vm` holds against GRUB.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from testbed.machine.boot import Behaviour, LoadedSlot, load, mount
from testbed.machine.console import Console
from testbed.machine.disk import Disk, copies, volume
from warmroot.disk.bootrecord import BootRecord, Choice, Slot, choose
from warmroot.disk.layout import BOOTSTATE, COPY_OFFSETS
from warmroot.errors import DiskCorrupt, ForeignDisk


@dataclass(frozen=True)
class Running:
    """A system came up. `trial`: it is not confirmed yet."""

    slot: Slot
    trial: bool
    boot_id: str
    system: str
    command_line: str
    behaviour: Behaviour
    boot_seconds: float


class Reset:
    """Why the machine starts over."""


@dataclass(frozen=True)
class Unloadable(Reset):
    """The boot loader found no kernel in the slot."""

    slot: Slot
    trial: bool
    why: str


@dataclass(frozen=True)
class Panicked(Reset):
    """The kernel gave up."""

    slot: Slot
    trial: bool
    why: str


@dataclass(frozen=True)
class Hung(Reset):
    """The kernel does nothing until the watchdog bites."""

    slot: Slot
    trial: bool


@dataclass(frozen=True)
class NoDisk:
    """The disk is not one of ours: there is no boot loader to start."""

    why: str


Outcome = Running | Unloadable | Panicked | Hung | NoDisk


@dataclass(frozen=True)
class Surfaces:
    """What a booted system sees of its host: directories for /proc, the root, and the console."""

    proc: Path
    root: Path
    console: Console


def power_on(path: Path, surfaces: Surfaces) -> Outcome:
    """One attempt to boot from the disk file `path`, with all that it leaves on the disk."""
    console = surfaces.console
    with Disk(path) as disk:
        try:
            before = copies(disk)
            choice = choose(*before, writable=disk.writable)
            _write_back(disk, before, choice)
        except ForeignDisk as error:
            console.say("firmware", f"no boot loader: {error.message}")
            return NoDisk(error.message)
        trial = _is_trial(choice)
        console.say("firmware", _describe(choice, trial))
        try:
            loaded = load(disk, choice.slot)
        except DiskCorrupt as error:
            console.say("firmware", f"slot {choice.slot} can't be loaded: {error.message}")
            return Unloadable(choice.slot, trial, error.message)
        return _start_kernel(disk, loaded, trial, surfaces)


def _start_kernel(disk: Disk, loaded: LoadedSlot, trial: bool, surfaces: Surfaces) -> Outcome:
    console, slot = surfaces.console, loaded.slot
    console.say("kernel", f"starts from slot {slot}: {loaded.command_line}")
    if loaded.kernel.behaviour is Behaviour.PANIC:
        console.say("kernel", "panic: the stub kernel of this image panics")
        return Panicked(slot, trial, "the kernel panics")
    if loaded.kernel.behaviour is Behaviour.HANG:
        console.say("kernel", "hangs; the watchdog is not fed any more")
        return Hung(slot, trial)
    try:
        system = mount(disk, loaded, at=surfaces.root)
    except DiskCorrupt as error:
        console.say("kernel", f"panic: {error.message}")
        return Panicked(slot, trial, error.message)
    boot_id = str(uuid.uuid4())
    _write_proc(surfaces.proc, loaded.command_line, boot_id)
    console.say("kernel", f"{system or 'a system without a name'} runs from slot {slot}, boot id {boot_id}")
    return Running(
        slot, trial, boot_id, system, loaded.command_line, loaded.kernel.behaviour, loaded.kernel.boot_seconds
    )


def _write_back(disk: Disk, before: tuple[bytes, bytes], choice: Choice) -> None:
    state = volume(disk, BOOTSTATE)
    for offset, old, new in zip(COPY_OFFSETS, before, choice.copies, strict=True):
        if new != old:
            state.write(offset, new)


def _is_trial(choice: Choice) -> bool:
    return choice.record is not None and choice.record.next is choice.slot


def _describe(choice: Choice, trial: bool) -> str:
    record = choice.record
    if record is None:
        return f"both copies of the boot record are garbage; slot {choice.slot}"
    said = f"copy {choice.source} {_text(record)}"
    if trial:
        return f"{said}; trial of slot {choice.slot}, {record.left} more after this one"
    if record.next is not None and record.left == 0:
        return f"{said}; no tries left, back to the good slot {choice.slot}"
    return f"{said}; slot {choice.slot}"


def _text(record: BootRecord) -> str:
    return f"gen={record.gen} good={record.good} next={record.next or '-'} left={record.left}"


def _write_proc(proc: Path, command_line: str, boot_id: str) -> None:
    (proc / "sys/kernel/random").mkdir(parents=True, exist_ok=True)
    (proc / "cmdline").write_text(command_line + "\n")
    (proc / "sys/kernel/random/boot_id").write_text(boot_id + "\n")
