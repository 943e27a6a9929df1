"""The running system: what booted, from the kernel's own files, and how to reboot."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from os_proxy.core.seen import Booted
from warmroot.disk.bootrecord import Slot
from warmroot.errors import ForeignDisk, NodeError

REBOOT_TIMEOUT = 60.0
"""Seconds that the reboot command may take to hand its request over."""
_HASH = re.compile(r"[0-9a-f]{64}")


class LinuxHost:
    """Reads a proc file system; runs a command to reboot."""

    def __init__(self, proc: Path, reboot_command: Sequence[str]) -> None:
        self._proc = proc
        self._reboot_command = tuple(reboot_command)

    def booted(self) -> Booted:
        """See `Host.booted`."""
        words = self._text("cmdline").split()
        arguments = dict(word.partition("=")[::2] for word in words if word.startswith("wr."))
        slot, root_hash = arguments.get("wr.slot"), arguments.get("wr.hash", "")
        if slot not in list(Slot) or not _HASH.fullmatch(root_hash):
            raise ForeignDisk("the kernel command line has no wr.slot and wr.hash of a warmroot image")
        boot_id = self._text("sys/kernel/random/boot_id").strip()
        offset = arguments.get("wr.off", "")
        hash_offset = int(offset) if offset.isascii() and offset.isdigit() else 0
        return Booted(Slot(slot), bytes.fromhex(root_hash), boot_id, hash_offset)

    def _text(self, name: str) -> str:
        try:
            return (self._proc / name).read_text()
        except OSError as error:
            hint = "name the host's proc file system with --proc"
            raise NodeError(f"{self._proc / name} can't be read: {error.strerror}", hint=hint) from error

    def reboot(self, reason: str) -> None:
        """See `Host.reboot`. `reason` goes to the command's environment, where its own log finds it."""
        try:
            done = subprocess.run(
                self._reboot_command,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "WARMROOT_REBOOT": reason},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=REBOOT_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NodeError(f"the reboot command failed: {error}", hint="see --reboot-command") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-300:]
            raise NodeError(
                f"the reboot command ended with {done.returncode}: {said}", hint="see --reboot-command"
            )


class SystemClock:
    """The kernel's clocks."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()
