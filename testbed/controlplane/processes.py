"""Programs that outlive a function call: started, recognised and ended by identity, never by name."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from warmroot.errors import ProgramDied

_PR_SET_PDEATHSIG = 1
POLL = 0.05


@dataclass(frozen=True)
class Identity:
    """One process: its number is used again some day, number and start together are not.

    `started` is in clock ticks after the boot named `boot_id`.
    """

    pid: int
    started: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of a living process; None if there is none or it is only waited for."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command's name, in parentheses, may hold anything; fields count from its end (proc(5)).
        fields = stat.rpartition(")")[2].split()
        state, started = fields[0], int(fields[19])
        return None if state in "ZX" else cls(pid, started, _boot_id())

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def save(self, path: Path) -> None:
        """Writes the identity to a file, whole or not at all."""
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(asdict(self)))
        partial.rename(path)

    @classmethod
    def load(cls, path: Path) -> Identity | None:
        """The identity that a file holds; None if there is no such file or it holds something else."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _die_with_parent() -> Callable[[], None]:
    """A function for the child: the kernel shall kill it when the thread that started it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), signal.SIGKILL)

    return ask


class Program:
    """A program that was started, by this process or by an earlier one."""

    def __init__(self, name: str, identity: Identity, log: Path) -> None:
        self.name = name
        self.identity = identity
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        executable: Path,
        log: Path,
        pid_file: Path,
        dies_with_us: bool,
        env: Mapping[str, str] | None = None,
    ) -> Program:
        """Starts a program in a session of its own; `command[0]` is its name.

        With `dies_with_us` the kernel kills it when the calling thread ends, whatever the reason.

        Raises:
            ProgramDied: it can't be started, or ended at once.
        """
        name = command[0]
        try:
            with log.open("ab") as output:
                child = subprocess.Popen(
                    list(command),
                    executable=executable,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(env) if env is not None else None,
                    start_new_session=True,
                    preexec_fn=_die_with_parent() if dies_with_us else None,  # noqa: PLW1509 - no locks in it
                )
        except OSError as error:
            raise ProgramDied(f"{name} can't be started: {error}", hint="run `make setup`") from error
        identity = Identity.of(child.pid)
        if identity is None:
            child.wait()
            raise died(name, log)
        identity.save(pid_file)
        program = cls(name, identity, log)
        program._child = child
        return program

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        if self._child is not None:
            return self._child.poll() is None
        return self.identity.alive

    def check(self) -> None:
        """Nothing if it runs.

        Raises:
            ProgramDied: it ended; the message has its last log lines.
        """
        if not self.alive:
            raise died(self.name, self.log)

    def end(self, patience: float, *, politely: bool = True) -> None:
        """Asks it to end; kills it after `patience` seconds. Returns when it is gone.

        Not `politely`: it is killed at once, and is not asked.
        """
        orders = ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0))
        for order, wait in orders if politely else orders[1:]:
            if not self.alive:
                break
            try:
                os.kill(self.identity.pid, order)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + wait
            while self.alive and time.monotonic() < deadline:
                time.sleep(POLL)
        if self._child is not None:
            self._child.wait()


def died(name: str, log: Path) -> ProgramDied:
    """The error for a program that ended by itself."""
    return ProgramDied(
        f"{name} ended by itself. Its last lines:\n{tail(log)}\n", hint=f"its whole log: {log}"
    )


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, or a word that there are none."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (nothing was logged)"
