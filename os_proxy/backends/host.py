"""The running system: what booted, from the kernel's own files, and how to reboot."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from os_proxy.backends.reboot import Reboot
from os_proxy.backends.settings import Settings
from os_proxy.core.configuration import Change, Rendered
from os_proxy.core.seen import Booted
from warmroot.disk import arguments
from warmroot.disk.bootrecord import Slot
from warmroot.errors import ForeignDisk, NodeError

VERITY_NAME = "warmroot-"
"""What the device-mapper's name of a verified root begins with; its root hash in hex follows."""
_HASH = re.compile(r"[0-9a-f]{64}")


class VerityRoot:
    """The device-mapper device that the running root is read through.

    The initrd names it after the root hash that it gave the kernel, in the same call. The kernel never
    changes that name, so it says what each block of the root is held against (images/boot/init).
    """

    def __init__(self, root: Path, sys: Path = Path("/sys")) -> None:
        self._root = root
        self._sys = sys

    def check(self, root_hash: bytes) -> None:
        """Nothing if the root is verified against this hash.

        Raises:
            NodeError: it is on another device, or on one with another hash.
        """
        try:
            device = self._root.stat().st_dev
            where = self._sys / "dev/block" / f"{os.major(device)}:{os.minor(device)}"
            name = (where / "dm/uuid").read_text().strip()
        except OSError as error:
            raise NodeError(
                f"the root {self._root} is not on dm-verity: {error.strerror}", hint="boot a warmroot image"
            ) from error
        if name != f"{VERITY_NAME}{root_hash.hex()}":
            raise NodeError(
                f"the kernel holds the root against {name}, not against wr.hash={root_hash.hex()}",
                hint="reboot; somebody changed what this system boots",
            )


class LinuxHost:
    """Reads a proc file system. With `verity` the root must be what the kernel command line says."""

    def __init__(
        self, proc: Path, reboot: Reboot, settings: Settings, verity: VerityRoot | None = None
    ) -> None:
        self._proc = proc
        self._reboot = reboot
        self._settings = settings
        self._verity = verity

    def booted(self) -> Booted:
        """See `Host.booted`."""
        words = command_line(self._proc)
        slot, root_hash = words.get("wr.slot"), words.get("wr.hash", "")
        if slot not in list(Slot) or not _HASH.fullmatch(root_hash):
            raise ForeignDisk("the kernel command line has no wr.slot and wr.hash of a warmroot image")
        if self._verity is not None:
            self._verity.check(bytes.fromhex(root_hash))
        boot_id = _text(self._proc / "sys/kernel/random/boot_id").strip()
        offset = words.get("wr.off", "")
        hash_offset = int(offset) if offset.isascii() and offset.isdigit() else 0
        return Booted(
            Slot(slot),
            bytes.fromhex(root_hash),
            boot_id,
            hash_offset,
            configuration=self._settings.in_force(),
            arguments=arguments.in_force(_text(self._proc / "cmdline")),
            signed="wr.signed" in words,
        )

    def containerd(self) -> Mapping[str, Any]:
        """See `Host.containerd`."""
        return self._settings.containerd()

    def lying(self, paths: Iterable[str]) -> Mapping[str, Rendered | None]:
        """See `Host.lying`."""
        return self._settings.lying(paths)

    def configure(self, change: Change) -> None:
        """See `Host.configure`."""
        self._settings.bring(change)

    def reboot(self, reason: str) -> None:
        """See `Host.reboot`."""
        self._reboot.ask(reason)


def command_line(proc: Path) -> dict[str, str]:
    """Our own words of the kernel command line.

    Raises:
        NodeError: it can't be read.
    """
    words = _text(proc / "cmdline").split()
    return dict(word.partition("=")[::2] for word in words if word.startswith("wr."))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        hint = "name the host's proc file system with --proc"
        raise NodeError(f"{path} can't be read: {error.strerror}", hint=hint) from error


class SystemClock:
    """The kernel's clocks."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()
