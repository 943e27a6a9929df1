"""QEMU with a firmware and one disk, run to its end: what came out on the serial line."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.vm.hardware import Firmware, uefi

EXIT_PORT = 0x501


@dataclass
class Machine:
    """One run. Disks in `before` come first for the firmware, but it starts from `disk`.

    Writes to the sectors in `refuse_writes` fail with an I/O error.
    """

    firmware: Firmware
    disk: Path
    work: Path
    readonly: bool = False
    refuse_writes: tuple[int, ...] = ()
    before: tuple[Path, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> "Machine":
        """Start it; `finish` waits for it."""
        self.process = subprocess.Popen(
            self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return self

    def finish(self, seconds: float) -> str:
        """Everything that it said, once it ended by itself.

        Fails the test if it does not end within `seconds`, showing what it said last.
        """
        assert self.process is not None
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, _ = self.process.communicate()
            pytest.fail(f"{self.firmware.value}: no end after {seconds} s; last: {output[-400:]!r}")
        return output.decode(errors="replace").replace("\r", "")

    def kill(self) -> None:
        """End it if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def _command(self) -> list[str]:
        command = ["qemu-system-x86_64", "-nodefaults", "-accel", "tcg", "-cpu", "qemu64", "-display", "none"]
        command += [
            "-serial",
            "stdio",
            "-no-reboot",
            "-device",
            f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4",
        ]
        if self.firmware is Firmware.BIOS:
            command += ["-machine", "pc", "-m", "64"]
        else:
            command += ["-machine", "q35,sata=off,smbus=off", "-m", "192"]
            command += uefi(self.work / f"{self.disk.name}.vars")
        for number, other in enumerate(self.before):
            command += ["-drive", f"file={other},format=raw,if=none,id=other{number}"]
            command += ["-device", f"virtio-blk-pci,drive=other{number}"]
        command += ["-blockdev", json.dumps(self._blockdev())]
        return [*command, "-device", "virtio-blk-pci,drive=disk,bootindex=1"]

    def _blockdev(self) -> dict[str, object]:
        file: dict[str, object] = {"driver": "file", "filename": str(self.disk), "cache": {"no-flush": True}}
        if self.refuse_writes:
            rules = [
                {"event": "none", "iotype": "write", "sector": sector, "errno": 5}
                for sector in sorted(set(self.refuse_writes))
            ]
            file = {"driver": "blkdebug", "image": file, "inject-error": rules}
        return {"driver": "raw", "node-name": "disk", "read-only": self.readonly, "file": file}
