"""One machine's life: power-on, boot selection, a running system, a reboot, and again."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from testbed.kubelet.presence import HostFacts, NodePresence
from testbed.machine import firmware
from testbed.machine.boot import Behaviour
from testbed.machine.console import Console
from testbed.machine.disk import boot_record
from testbed.machine.faults import Fault, rot
from testbed.machine.firmware import Hung, NoDisk, Reset, Running, Surfaces
from testbed.machine.proxy import ProxyCommand, ProxyProcess
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.errors import DiskCorrupt, UserError, WarmrootError

POLL = 0.05
GIVE_UP_AFTER = 3
"""Attempts in a row on the good slot before a machine counts as dead: a real one would loop for ever."""


@dataclass(frozen=True)
class Timing:
    """How fast this machine's hardware is. Seconds."""

    firmware: float = 0.3
    panic: float = 0.3
    watchdog: float = 1.0
    boot_guard: float = 60.0
    slow: float = 5.0


class Power(StrEnum):
    """What a person who stands before the machine sees."""

    OFF = "off"
    BOOTING = "booting"
    UP = "up"
    DARK = "dark"


@dataclass(frozen=True)
class Paths:
    """Where a machine keeps what it is made of."""

    directory: Path

    @property
    def disk(self) -> Path:
        """The disk file."""
        return self.directory / "disk.img"

    @property
    def data(self) -> Path:
        """The mounted data partition."""
        return self.directory / "data"

    @property
    def root(self) -> Path:
        """The mounted root."""
        return self.directory / "root"

    @property
    def image(self) -> Path:
        """The same root as the image has it; of it /etc alone."""
        return self.directory / "image"

    @property
    def run(self) -> Path:
        """What a boot keeps in memory."""
        return self.directory / "run"

    @property
    def proc(self) -> Path:
        """The kernel's /proc, as much of it as the proxy reads."""
        return self.directory / "proc"

    @property
    def console(self) -> Path:
        """The console's log."""
        return self.directory / "console.log"

    @property
    def proxy_log(self) -> Path:
        """What the proxy printed."""
        return self.directory / "proxy.log"

    @property
    def reboot_file(self) -> Path:
        """Appears when the running system asks for a reboot."""
        return self.directory / "reboot-requested"


@dataclass(frozen=True)
class Boot:
    """One boot that succeeded."""

    at: datetime
    running: Running


@dataclass
class History:
    """What happened to a machine since it was made."""

    boots: list[Boot] = field(default_factory=list)
    resets: list[Reset] = field(default_factory=list)
    reboots_ordered: int = 0
    guard_bites: int = 0


class Machine:
    """One worker. `power_on` and `power_off` are its only buttons; `faults` strike on its next trials."""

    def __init__(
        self,
        name: str,
        directory: Path,
        presence: NodePresence,
        proxy: ProxyProcess,
        timing: Timing | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.paths = Paths(directory)
        self.timing = timing or Timing()
        self.presence = presence
        self.proxy = proxy
        self.faults: set[Fault] = set()
        self.history = History()
        self.console = Console(self.paths.console)
        self.power = Power.OFF
        self.running: Running | None = None
        self._seed = seed
        self._off = threading.Event()
        self._thread: threading.Thread | None = None

    def power_on(self) -> None:
        """Starts to boot. Nothing happens if it is on already."""
        if self._thread is None:
            self.paths.data.mkdir(parents=True, exist_ok=True)
            self._off.clear()
            self._thread = threading.Thread(target=self._live, name=f"machine-{self.name}", daemon=True)
            self._thread.start()

    def power_off(self) -> None:
        """Pulls the plug, and returns when everything is dead."""
        self._off.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def boot_record(self) -> BootRecord | None:
        """The boot record on the disk right now."""
        return boot_record(self.paths.disk)

    # The machine's own thread

    def _live(self) -> None:
        fruitless = 0
        try:
            while not self._off.is_set() and fruitless < GIVE_UP_AFTER:
                self.power = Power.BOOTING
                outcome = self._power_cycle()
                if isinstance(outcome, Running):
                    fruitless = 0
                    self._serve(outcome)
                elif isinstance(outcome, NoDisk):
                    break
                else:
                    self.history.resets.append(outcome)
                    fruitless = 0 if outcome.trial else fruitless + 1
                    self._pause(self.timing.watchdog if isinstance(outcome, Hung) else self.timing.panic)
            if not self._off.is_set():
                self._stay_dark("nothing on this disk can be booted")
        except (WarmrootError, OSError) as error:
            self._stay_dark(f"the simulation of this machine broke: {error}")
        finally:
            self._lose_power()
            self.power = Power.OFF

    def _power_cycle(self) -> firmware.Outcome:
        self.console.say("machine", "power on")
        self._pause(self.timing.firmware)
        self._strike_rot()
        surfaces = Surfaces(self.paths.proc, self.paths.root, self.console)
        return firmware.power_on(self.paths.disk, surfaces)

    def _strike_rot(self) -> None:
        record = self.boot_record() if Fault.ROT in self.faults else None
        if record is not None and record.next is not None:
            self.faults.discard(Fault.ROT)
            self._rot(record.next)

    def _rot(self, slot: Slot) -> None:
        try:
            block = rot(self.paths.disk, slot, seed=self._seed)
        except DiskCorrupt as error:
            self.console.say("fault", f"slot {slot} holds nothing that could rot: {error.message}")
            return
        self.console.say("fault", f"one bit of block {block} of slot {slot} flips")

    def _serve(self, running: Running) -> None:
        if running.trial and Fault.NEVER_COMES_BACK in self.faults:
            self._stay_dark("fault: the machine never comes back")
            return
        slow = self.timing.slow if running.trial and Fault.SLOW in self.faults else 0.0
        self._pause(running.boot_seconds + slow)
        if self._off.is_set():
            return
        ready = running.behaviour is Behaviour.OK and not (running.trial and Fault.NOT_READY in self.faults)
        self.paths.reboot_file.unlink(missing_ok=True)
        self._bring_settings()
        self.running, self.power = running, Power.UP
        self.history.boots.append(Boot(datetime.now(UTC), running))
        self.proxy.power(True)
        self.presence.start(HostFacts(running.boot_id, running.system, "6.12.0-stub"), ready=ready)
        self.console.say("kubelet", "starts" if ready else "starts, but the node's network never comes up")
        self._wait_for_reboot(running)
        self._lose_power()

    def _bring_settings(self) -> None:
        """As warmroot-config.service does before anything reads /etc, if this node ever had settings."""
        for of_the_last_boot in (self.paths.run, self.paths.image):
            shutil.rmtree(of_the_last_boot, ignore_errors=True)
        if (self.paths.root / "etc").is_dir():
            shutil.copytree(self.paths.root / "etc", self.paths.image / "etc", symlinks=True)
        if not (self.paths.data / "config").is_dir():
            return
        done = subprocess.run(
            configure_command(self.paths),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        for line in (done.stdout + done.stderr).splitlines():
            self.console.say("warmroot-config", line)

    def _wait_for_reboot(self, running: Running) -> None:
        guard = time.monotonic() + self.timing.boot_guard if running.trial else None
        while not self._off.is_set():
            if self.paths.reboot_file.exists():
                self.history.reboots_ordered += 1
                self.console.say("systemd", "reboot, as the proxy asked")
                return
            if guard is not None and time.monotonic() > guard:
                guard = None
                if self._unconfirmed(running):
                    self.history.guard_bites += 1
                    self.console.say("boot-guard", "nobody confirmed this system in time; reboot")
                    return
            self._off.wait(POLL)

    def _unconfirmed(self, running: Running) -> bool:
        record = self.boot_record()
        return record is not None and record.next is running.slot

    def _lose_power(self) -> None:
        self.running = None
        self.proxy.power(False)
        self.presence.stop()

    def _stay_dark(self, why: str) -> None:
        self._lose_power()
        self.power = Power.DARK
        self.console.say("machine", f"dark: {why}")
        self._off.wait()

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._off.wait(seconds)


def configure_command(paths: Paths) -> list[str]:
    """What brings this machine's /etc in line."""
    return [
        *(sys.executable, "-m", "os_proxy.configure"),
        *("--data", str(paths.data)),
        *("--root", str(paths.root)),
        *("--image", str(paths.image)),
        *("--run", str(paths.run)),
        *("--proc", str(paths.proc)),
    ]


def proxy_command(executable: Sequence[str], name: str, paths: Paths) -> ProxyCommand:
    """The proxy's command line on this machine.

    Raises:
        UserError: there is no command to run.
    """
    if not executable:
        raise UserError("no proxy command was given", hint="install warmroot with the proxy extra")
    return ProxyCommand(
        executable,
        name,
        paths.disk,
        paths.data,
        paths.root,
        paths.proc,
        paths.run,
        paths.reboot_file,
        configure_command(paths),
    )
