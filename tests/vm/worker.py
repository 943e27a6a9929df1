"""The Debian worker as a virtual machine: one image for all tests, a disk of its own for each."""

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from images import recipe as recipes
from images.build import Format, build
from testbed.machine.disk import Disk, boot_record, volume
from testbed.vm.hardware import Bus, Firmware, Hardware
from testbed.vm.machine import VirtualMachine
from testbed.vm.shell import with_shell
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import COPY_OFFSETS
from warmroot.release import manifest as manifests

TO_THE_KERNEL = 150
"""Seconds, on a busy machine, until the initrd speaks."""
UP = 300
"""Seconds, on a busy machine, until systemd has started everything."""


def built(folder: Path):
    """The release and its raw disk, from the shipped recipe and the test bed's shell."""
    recipe = with_shell(recipes.find("debian-worker"))
    return build(recipe, folder, formats=[Format.RAW])


@dataclass
class Worker:
    """A machine with a disk of its own; each boot is a new process."""

    path: Path
    folder: Path
    release: Path

    @classmethod
    def of(cls, release: Path, folder: Path) -> "Worker":
        path = folder / "disk.raw"
        subprocess.run(["cp", "--sparse=always", release / "disk.raw", path], check=True)
        return cls(path, folder, release)

    @contextmanager
    def on(self, *, firmware=Firmware.BIOS, bus=Bus.VIRTIO, read_only=False):
        hardware = Hardware(self.path, firmware, bus, read_only=read_only)
        with VirtualMachine(hardware, self.folder / "vm") as machine:
            yield machine

    def fill(self, slot: Slot) -> None:
        """Puts the release into a slot, as a proxy would have."""
        with Disk(self.path) as disk:
            for label, name in ((layout.boot(slot), "boot.img"), (layout.root(slot), "root.img")):
                volume(disk, label).write(0, (self.release / name).read_bytes())

    def set_record(self, record: BootRecord) -> None:
        with Disk(self.path) as disk:
            state = volume(disk, layout.BOOTSTATE)
            for offset in COPY_OFFSETS:
                state.write(offset, record.encode())

    def record(self) -> BootRecord:
        return boot_record(self.path)

    def spoil(self, label: str, offset: int) -> None:
        """Flips one bit of a partition."""
        with Disk(self.path) as disk:
            home = volume(disk, label)
            home.write(offset, bytes([home.read(offset, 1)[0] ^ 1]))

    def wipe(self, label: str, length: int) -> None:
        """Zeroes the beginning of a partition."""
        with Disk(self.path) as disk:
            volume(disk, label).write(0, bytes(length))

    @property
    def root_hash(self) -> str:
        return manifests.decode((self.release / "manifest.json").read_bytes()).root.root_hash.hex()


def removed(folder: Path) -> None:
    """A disk is large; the next test does not wait for pytest's own tidying."""
    shutil.rmtree(folder, ignore_errors=True)
