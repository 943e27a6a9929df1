"""A virtual machine at work: its console by line, commands on its test shell, and its end."""

from __future__ import annotations

import base64
import re
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.apps.running import cpu_seconds
from testbed.controlplane.processes import Program
from testbed.vm.hardware import Hardware, Surfaces, command
from warmroot.errors import NotInstalled, ProgramDied

_ESCAPES = re.compile(r"\x1b(\[[0-9;?!]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-B0]|[=>c78])")
_POLL = 0.05
_READY = b"ready"


@dataclass(frozen=True)
class Done:
    """What a command in the guest came to."""

    status: int
    output: str


class VirtualMachine:
    """One boot of a machine. A context manager: QEMU never outlives it."""

    def __init__(self, hardware: Hardware, folder: Path) -> None:
        """`folder` holds what the firmware remembers; another boot of the same machine takes the same one."""
        self.hardware = hardware
        folder.mkdir(parents=True, exist_ok=True)
        self._surfaces = Surfaces(folder / "console.log", folder / "shell.sock", folder / "variables.fd")
        self._folder = folder
        self._program: Program | None = None
        self._shell: socket.socket | None = None
        self._answers = b""
        self._ready = False
        self._began = 0.0

    def __enter__(self) -> VirtualMachine:
        """Switches it on.

        Raises:
            NotInstalled: QEMU is missing.
            ProgramDied: QEMU refused.
        """
        program = shutil.which("qemu-system-x86_64")
        if program is None:
            raise NotInstalled("qemu-system-x86_64 is missing", hint="run `make setup`")
        for old in (self._surfaces.console, self._surfaces.shell):
            old.unlink(missing_ok=True)
        self._began = time.monotonic()
        self._program = Program.start(
            command(self.hardware, self._surfaces),
            executable=Path(program),
            log=self._folder / "qemu.log",
            pid_file=self._folder / "qemu.pid",
            dies_with_us=True,
        )
        self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        """Pulls the plug, if it still runs."""
        if self._shell is not None:
            self._shell.close()
            self._shell = None
        if self._program is not None:
            self._program.end(0.0)

    @property
    def running(self) -> bool:
        """Whether it neither ended nor reset."""
        return self._program is not None and self._program.alive

    @property
    def cpu_seconds(self) -> float:
        """Seconds of processor time that QEMU has taken: less than by the clock where others work, too."""
        assert self._program is not None
        return cpu_seconds(self._program.identity.pid)

    def console(self) -> str:
        """All that its console said, without the codes that move a terminal's cursor."""
        try:
            said = self._surfaces.console.read_bytes()
        except FileNotFoundError:
            return ""
        return _ESCAPES.sub("", said.decode(errors="replace")).replace("\r", "")

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Waits until a line of its console matches.

        Raises:
            ProgramDied: it ended, or the time did, before that; the message has the console's last lines.
        """
        wanted = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + seconds
        while True:
            over = not self.running
            if match := wanted.search(self.console()):
                return match
            if over or time.monotonic() > deadline:
                why = "ended" if over else f"had {seconds:.0f} s"
                raise ProgramDied(f"the machine {why} and never said {pattern!r}. {self._last_lines()}")
            time.sleep(_POLL)

    def wait_end(self, seconds: float) -> float:
        """Waits until it resets or switches off; gives the seconds since it was switched on.

        Raises:
            ProgramDied: it did not; the message has the console's last lines.
        """
        deadline = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > deadline:
                raise ProgramDied(f"the machine still runs after {seconds:.0f} s. {self._last_lines()}")
            time.sleep(_POLL)
        return time.monotonic() - self._began

    def run(self, text: str, seconds: float = 60.0) -> Done:
        """Runs a shell command as root in the guest; needs `shell.with_shell` in its image.

        Raises:
            ProgramDied: there is no shell yet, or no answer within the time.
        """
        deadline = time.monotonic() + seconds
        self.send(text, seconds)
        status, _, output = self._read_line(deadline).decode().partition(" ")
        return Done(int(status), base64.b64decode(output).decode(errors="replace"))

    def send(self, text: str, seconds: float = 60.0) -> None:
        """Gives the shell a command that it may not live to answer.

        Raises:
            ProgramDied: there is no shell within the time.
        """
        self._await_shell(time.monotonic() + seconds)
        assert self._shell is not None
        self._shell.sendall(base64.b64encode(text.encode()) + b"\n")

    def reboot(self, seconds: float = 90.0) -> float:
        """Lets systemd reboot it; gives the seconds that this took. QEMU ends: boot it again with another.

        Raises:
            ProgramDied: it still runs.
        """
        began = time.monotonic()
        self.send("systemctl --no-block reboot", seconds)
        self.wait_end(seconds)
        return time.monotonic() - began

    def _connect(self) -> None:
        """Before the guest says a word on that line: what it says to nobody is lost."""
        assert self._program is not None
        self._shell = socket.socket(socket.AF_UNIX)
        while True:
            self._program.check()
            try:
                self._shell.connect(str(self._surfaces.shell))
                return
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(_POLL)

    def _await_shell(self, deadline: float) -> None:
        while not self._ready:
            self._ready = self._read_line(deadline) == _READY

    def _read_line(self, deadline: float) -> bytes:
        assert self._shell is not None
        while b"\n" not in self._answers:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ProgramDied(f"the guest's shell does not answer. {self._last_lines()}")
            self._shell.settimeout(left)
            try:
                got = self._shell.recv(65536)
            except TimeoutError:
                continue
            if not got:
                raise ProgramDied(f"the guest ended under a command. {self._last_lines()}")
            self._answers += got
        line, _, self._answers = self._answers.partition(b"\n")
        return line.strip(b"\r")

    def _last_lines(self) -> str:
        lines = "\n".join(f"  {line}" for line in self.console().splitlines()[-12:])
        return f"Its console's last lines:\n{lines}\n"
