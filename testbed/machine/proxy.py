"""The machine's proxy: the one pod that is a real process here."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.controlplane.processes import Program
from testbed.machine.console import Console
from warmroot.errors import NotInstalled

NAMESPACE, ACCOUNT = "warmroot-system", "warmroot-proxy"


@dataclass(frozen=True)
class ProxyCommand:
    """What the proxy is told about its host. `executable` is the command and its first arguments."""

    executable: Sequence[str]
    node: str
    disk: Path
    data: Path
    root: Path
    proc: Path
    run: Path
    reboot_file: Path
    configure: Sequence[str]

    def arguments(self, kubeconfig: Path) -> list[str]:
        """The whole command line."""
        return [
            *self.executable,
            *("--node", self.node),
            *("--disk", str(self.disk)),
            *("--data", str(self.data)),
            *("--root", str(self.root)),
            *("--proc", str(self.proc)),
            *("--kubeconfig", str(kubeconfig)),
            *("--run", str(self.run)),
            *("--configure-command", shlex.join(self.configure)),
            *("--reboot-command", shlex.join(["touch", str(self.reboot_file)])),
        ]


class ProxyProcess:
    """Runs the proxy's pod: a RealContainers of one process. Its end is always SIGKILL."""

    def __init__(self, command: ProxyCommand, log: Path, console: Console) -> None:
        self.command = command
        self.starts = 0
        self._log = log
        self._console = console
        self._lock = threading.Lock()
        self._process: Program | None = None
        self._powered = False

    def wants(self, pod: dict[str, Any]) -> bool:
        """Whether the pod is the proxy's."""
        meta, spec = pod["metadata"], pod["spec"]
        return bool(meta["namespace"] == NAMESPACE and spec.get("serviceAccountName") == ACCOUNT)

    def start(self, pod: dict[str, Any], kubeconfig: Path) -> None:
        """Starts the process; nothing happens on a host without power."""
        del pod
        with self._lock:
            if not self._powered or self._running():
                return
            arguments = self.command.arguments(kubeconfig)
            self._process = Program.start(
                arguments,
                executable=_found(arguments[0]),
                log=self._log,
                pid_file=self._log.with_suffix(".pid"),
                dies_with_us=True,  # us: the kubelet's thread, so a host without power has no proxy
            )
            self.starts += 1
            self._console.say("kubelet", f"the proxy runs as pid {self._process.identity.pid}")

    def stop(self, pod: dict[str, Any]) -> None:
        """Ends the process: its pod was deleted."""
        del pod
        self.kill()

    def alive(self, pod: dict[str, Any]) -> bool:
        """Whether the process runs."""
        del pod
        with self._lock:
            return self._running()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        with self._lock:
            return self._process.identity.pid if self._process and self._running() else None

    def power(self, on: bool) -> None:
        """Host power. Without it the process ends at once and none is started."""
        with self._lock:
            self._powered = on
        if not on:
            self.kill()

    def kill(self) -> bool:
        """SIGKILL, now; says whether there was a process to end."""
        with self._lock:
            if self._process is None:
                return False
            process, self._process = self._process, None
            was_running = process.alive
            if was_running:
                os.kill(process.identity.pid, signal.SIGKILL)
            process.end(0)
            return was_running

    def _running(self) -> bool:
        return self._process is not None and self._process.alive


def _found(program: str) -> Path:
    path = shutil.which(program)
    if path is None:
        raise NotInstalled(f"{program} is not installed")
    return Path(path)
