"""The operator as a process of its own, under its own ServiceAccount."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from testbed.controlplane.processes import Program, died
from testbed.kubelet import token
from warmroot.errors import NotInstalled
from warmroot.kube.cluster import Cluster
from warmroot.kube.kubeconfig import load

NAMESPACE, ACCOUNT = "warmroot-system", "warmroot-operator"
TOKEN_SECONDS = 24 * 3600
IDENTITY = "testbed"
"""Its name in the Lease, always the same: there is never a second one, and a new start waits for nobody."""
PATIENCE = 5.0
HOPELESS = 3
"""So many starts in a row that ended within `SHORT_LIFE` seconds, and nobody killed it: it is broken."""
SHORT_LIFE = 3.0


def executable(name: str) -> Path:
    """One of our own commands, from the environment that runs this program.

    Raises:
        NotInstalled: it is not there.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise NotInstalled(f"{name} is not installed")
    return Path(found)


class Operator:
    """The operator's process. It is started again when it dies, as a Deployment would."""

    def __init__(self, directory: Path, kubeconfig: Path, cluster: Cluster) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "operator.log"
        self.starts = 0
        self._directory = directory
        self._admin = kubeconfig
        self._cluster = cluster
        self._short_lives = 0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._program: Program | None = None
        self._thread = threading.Thread(target=self._keep, name="operator", daemon=True)

    def start(self) -> None:
        """Fetches its credential and starts it.

        Raises:
            ClusterError: there is no such ServiceAccount.
            NotInstalled: the operator is not installed.
        """
        fresh = token.of_account(
            self._cluster, NAMESPACE, ACCOUNT, seconds=TOKEN_SECONDS, now=datetime.now(UTC)
        )
        self._kubeconfig = token.write_kubeconfig(self._directory, load(self._admin), fresh)
        self._executable = executable("warmroot-operator")
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        with self._lock:
            return self._program.identity.pid if self._program and self._program.alive else None

    def kill(self) -> bool:
        """SIGKILL, now; says whether there was a process to end."""
        pid = self.pid
        self._short_lives = -1
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None

    def check(self) -> None:
        """Nothing while it runs well.

        Raises:
            ProgramDied: it ends again and again; the message has its last log lines.
        """
        if self._short_lives >= HOPELESS:
            raise died("warmroot-operator", self.log)

    def end(self) -> None:
        """Ends it for good."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        while not self._ended.is_set():
            program, began = self._spawn(), time.monotonic()
            while program.alive and not self._ended.wait(0.1):
                pass
            if self._ended.is_set():
                program.end(PATIENCE)
                return
            short = time.monotonic() - began < SHORT_LIFE
            self._short_lives = self._short_lives + 1 if short else 0
            self._ended.wait(0.3)

    def _spawn(self) -> Program:
        environment = {**os.environ, "KUBECONFIG": str(self._kubeconfig)}
        program = Program.start(
            ["warmroot-operator", "--identity", IDENTITY],
            executable=self._executable,
            log=self.log,
            pid_file=self._directory / "operator.pid",
            dies_with_us=True,
            env=environment,
        )
        with self._lock:
            self._program = program
            self.starts += 1
        return program
