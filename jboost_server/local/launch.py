"""Starting the application as if we were not there: its descriptors, its signals, its exit status.

Without anything left to do we become the application (`become`). Only where a recording is waited for do we
stay as its parent. A terminal sends its signals to the whole process group, so those reach the application
by themselves; what somebody sends to our process alone is passed on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PASSED_ON = {
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGWINCH),
}
_OF_THE_TERMINAL = 0x80  # SI_KERNEL: nobody called kill()
_CHANGED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # ignored here, and a child would inherit that


def become(words: Sequence[str], environment: Mapping[str, str]) -> None:
    """Replaces this process by a program. Raises OSError if it can't be started."""
    for number in _CHANGED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    os.execve(words[0], list(words), dict(environment))  # noqa: S606 - a shell would be one process too many


@dataclass(frozen=True)
class Ended:
    """How a program ended: `status` as a shell would have it, `signal` 0 unless one killed it."""

    status: int
    signal: int

    def words(self) -> str:
        """For a person."""
        if self.signal:
            return f"killed by {signal.Signals(self.signal).name}"
        return f"exit status {self.status}"


class Child:
    """A program that runs beside us; signals that are meant for it are passed on while we wait."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts it. Raises OSError if it can't be started."""
        self._waited = {*_PASSED_ON, signal.SIGCHLD}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._waited)
        try:
            self.pid = os.posix_spawn(
                words[0],
                list(words),
                dict(environment),
                setsigmask=self._mask,
                setsigdef=_CHANGED_BY_PYTHON,
            )
        except OSError:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            raise

    def wait(self) -> Ended:
        """Until it has ended."""
        try:
            while True:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    break
                self._pass_on(signal.sigwaitinfo(self._waited))
        finally:
            while signal.sigtimedwait(self._waited, 0) is not None:
                pass  # what came too late for it is not meant for us
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if os.WIFSIGNALED(status):
            return Ended(128 + os.WTERMSIG(status), os.WTERMSIG(status))
        return Ended(os.WEXITSTATUS(status), 0)

    def _pass_on(self, what: signal.struct_siginfo) -> None:
        if what.si_signo != signal.SIGCHLD and what.si_code != _OF_THE_TERMINAL:
            with suppress(ProcessLookupError):
                os.kill(self.pid, what.si_signo)


class Aside:
    """A program of ours that no Ctrl-C reaches: in a process group of its own, its output in a file."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Starts it. Raises OSError if it or the file can't be opened."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self.log = log
        self.pid = os.posix_spawn(
            words[0],
            list(words),
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=(signal.SIGINT, *_CHANGED_BY_PYTHON),
        )
        self._status: int | None = None

    def wait(self) -> int:
        """Until it has ended; its exit status. KeyboardInterrupt passes through and ends it."""
        try:
            while self._status is None:
                self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except BaseException:
            self.end()
            raise
        return self._status

    def end(self) -> None:
        """Ends it now, if it runs."""
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def lines(self) -> list[str]:
        """What it has said."""
        with suppress(OSError):
            return self.log.read_text(errors="replace").splitlines()
        return []
