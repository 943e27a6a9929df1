"""Starts an application, waits for its first good answer, and reads what it cost from /proc."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.apps.application import Application, Layout
from testbed.controlplane.processes import died
from warmroot.errors import ProgramDied

POLL = 0.004
_TICKS = os.sysconf("SC_CLK_TCK")
_OF_THE_JVM = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


@dataclass(frozen=True)
class Ready:
    """What a start cost up to the first 200."""

    seconds: float
    cpu: float
    """Seconds of processor time of the JVM, all threads, user and system."""
    resident: float
    """MiB."""


@dataclass(frozen=True)
class Running:
    """An application that is up."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    ready: Ready

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return cpu_seconds(self.process.pid)

    def end(self, order: signal.Signals = signal.SIGTERM, patience: float = 120.0) -> int:
        """Asks it to end and waits; a recording JVM writes for seconds. Returns its exit code."""
        return end(self.process, order, patience)


def free_port() -> int:
    """A port nobody listens on, outside the range of outgoing ports.

    From within that range a poll of a port that is still closed may connect to itself.

    Raises:
        ProgramDied: all are taken.
    """
    for _ in range(200):
        port = random.randrange(20_000, 30_000)  # noqa: S311 - no secret
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ProgramDied("no port is free on the loopback interface", hint="end programs that listen")


def plain_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without options that reach every JVM, and `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_THE_JVM}
    return kept | dict(extra or {})


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as link:
            link.settimeout(20)
            link.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            return b" 200" in link.recv(64)[:15]
    except OSError:
        return False


def start(
    command: Sequence[str],
    port: int,
    ready: str,
    *,
    log: Path,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> Running:
    """Starts a command and returns at the first 200 of `ready`. The caller ends it.

    Raises:
        ProgramDied: it ended before, or was not ready within `timeout` seconds.
    """
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=plain_environment(environment),
        )
    try:
        while not answers(port, ready):
            late = time.perf_counter() - began > timeout
            if late or process.poll() is not None:
                raise died(Path(command[0]).name, log)
            time.sleep(POLL)
    except BaseException:  # an interrupt as well: nobody else knows of the process yet
        end(process, signal.SIGKILL)
        raise
    took = time.perf_counter() - began
    cost = Ready(took, cpu_seconds(process.pid), status(process.pid, "VmRSS"))
    return Running(process, port, log, cost)


@contextmanager
def running(
    application: Application,
    java: Path,
    folder: Path,
    *,
    flags: Sequence[str] = (),
    layout: Layout | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """An application that is up within this context; its log and working directory is `folder`."""
    port = free_port()
    command = application.command(java, port, flags, layout)
    one = start(command, port, application.ready, log=folder / "log", cwd=folder, environment=environment)
    try:
        yield one
    finally:
        one.end()


def end(process: subprocess.Popen[bytes], order: signal.Signals, patience: float = 120.0) -> int:
    """Sends a signal and waits; kills what does not end within `patience` seconds. The exit code."""
    if process.poll() is None:
        process.send_signal(order)
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time that a process used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def status(pid: int, name: str) -> float:
    """A field of /proc/<pid>/status in MiB; 0 if it has none."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return 0.0
