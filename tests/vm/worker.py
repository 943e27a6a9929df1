"""The Debian worker as a virtual machine: one image for all tests, a disk of its own for each."""

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from images import recipe as recipes
from images.build import BuiltRelease, Format, build
from images.debian import bootstrap
from images.secureboot import programs
from testbed.machine.disk import Disk, boot_record, copy, volume
from testbed.machine.fat import Fat
from testbed.vm.hardware import Bus, Firmware, Hardware
from testbed.vm.machine import VirtualMachine
from testbed.vm.shell import with_shell
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import COPY_OFFSETS
from warmroot.release import keys
from warmroot.release import manifest as manifests
from warmroot.release.repository import ONLINE, Repository

FOREIGN = "grub-efi-amd64-signed"
"""A package with a loader that Debian signed. It is fetched for tests and installed nowhere."""
TO_THE_KERNEL = 240
"""Seconds, on a busy machine, until the initrd speaks."""
UP = 600
"""Seconds, on a busy machine, until systemd has started everything."""


class Line:
    """A product line: keys, a repository, and releases of the shipped recipe with the test bed's shell.

    Debian's packages are installed once; every release begins with a copy of that tree.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self._signers = {role: keys.create_role(folder / "keys", role, 1) for role in ("root", *ONLINE)}
        self._published = Repository.create(self.repository, self._signers, threshold=1)
        (folder / "root.json").write_bytes(self._published.root_bytes())
        self._made = 0
        self.recipe = with_shell(recipes.find("debian-worker"))

    def build(self, *, disk: bool = False, **changes) -> BuiltRelease:
        """The next release, published."""
        self._made += 1
        recipe = self.recipe.model_copy(update=self._numbered(self._made) | changes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bootstrap, "bootstrap", self._bootstrap(bootstrap.bootstrap))
            formats = [Format.RAW] if disk else []
            made = build(recipe, self.folder / recipe.version, formats=formats)
        self._published.publish(made.dir, self._signers)
        return made

    def build_first_anew(self, folder: Path) -> BuiltRelease:
        """The first release and its disk once more, from packages that are installed once more."""
        return build(self.recipe.model_copy(update=self._numbered(1)), folder, formats=[Format.RAW])

    def _numbered(self, number: int) -> dict[str, object]:
        trusted = {"trusted_root": self.folder / "root.json"}
        return {"version": f"13.0.{number}", "release_seq": number} | trusted

    def _bootstrap(self, real):
        kept, packages = self.folder / "tree", self.folder / "fetched"

        def once(debian, kernel, tree, fetched, *, doing, beside):
            if not kept.exists():
                beside = (*programs.PACKAGES, FOREIGN)
                real(debian, kernel, kept, packages, doing=doing, beside=beside)
            for source, target in ((kept, tree), (packages, fetched)):
                subprocess.run(["cp", "-a", source, target], check=True)
            return next(fetched.glob("*.deb"))

        return once


@dataclass
class Worker:
    """A machine with a disk of its own; each boot is a new process."""

    path: Path
    folder: Path
    release: Path

    @classmethod
    def of(cls, release: Path, folder: Path) -> "Worker":
        return cls(copy(release / "disk.raw", folder / "disk.raw"), folder, release)

    @contextmanager
    def on(self, *, firmware=Firmware.BIOS, bus=Bus.VIRTIO, **more):
        hardware = Hardware(self.path, firmware, bus, **more)
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

    def garble(self, label: str, offset: int, length: int) -> None:
        """Overwrites part of a partition with bytes that mean nothing."""
        with Disk(self.path) as disk:
            volume(disk, label).write(offset, b"\xa5" * length)

    def spoil_file(self, label: str, name: str) -> None:
        """Flips one bit in the middle of a file of a boot partition."""
        with Disk(self.path) as disk:
            home = volume(disk, label)
            content = Fat(home.read).read(name)
            image = home.read(0, home.size)
            at = image.index(content[:4096]) + len(content) // 2
            home.write(at, bytes([image[at] ^ 1]))

    @property
    def root_hash(self) -> str:
        return manifests.decode((self.release / "manifest.json").read_bytes()).root.root_hash.hex()


def removed(folder: Path) -> None:
    """A disk is large; the next test does not wait for pytest's own tidying."""
    shutil.rmtree(folder, ignore_errors=True)


def machine_status(machine: VirtualMachine) -> dict[str, str]:
    """The line that a system which came up writes."""
    line = machine.wait_for(r"^warmroot-status: .*\n", UP)[0]  # the whole line, not what is written of it yet
    return dict(word.split("=", 1) for word in line.split() if "=" in word)
