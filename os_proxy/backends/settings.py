"""What is in force of a node's settings, and who brings them in line: systemd, or a command."""

from __future__ import annotations

import os
import stat
import subprocess
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from os_proxy.core.configuration import CONTAINERD_BASE, Change, Rendered
from warmroot import nodeconfig
from warmroot.errors import ConfigRefused, NodeError

SERVICE = "warmroot-config.service"
IN_FORCE = "configuration"
"""File of the run folder with the revision that is in force."""
PATIENCE = 330.0
"""Seconds for one unit: more than the kubelet's own TimeoutStartSec."""
_LAST_LINES = 3


class Bringer(Protocol):
    """Brings /etc in line with the slot's settings, and lets everybody take notice."""

    def bring(self, change: Change) -> None:
        """See `Host.configure`.

        Raises:
            ConfigRefused: a unit does not start.
            NodeError: nobody could be asked.
        """


class SystemdBringer:
    """By the node's own service, which may write to /etc; this process may not."""

    def bring(self, change: Change) -> None:
        """See `Bringer.bring`. A unit that nobody started stays as it is."""
        self._restart(SERVICE)
        if change.reload:
            _systemctl("daemon-reload")
        for unit in change.restart:
            if self._began(unit):
                self._restart(unit)

    def _began(self, unit: str) -> bool:
        return _systemctl("show", "--property", "ActiveState", "--value", unit).strip() != "inactive"

    def _restart(self, unit: str) -> None:
        done = _run(["systemctl", "restart", unit])
        if done.returncode:
            # Its own words; what systemd says of it tells nobody what to correct.
            own = ["journalctl", f"_SYSTEMD_UNIT={unit}", "--lines", str(_LAST_LINES), "--output", "cat"]
            said = _run(own)
            words = " ".join(said.stdout.split())[-600:] or done.stderr.strip()[-300:]
            raise ConfigRefused(f"{unit} does not start with them: {words}")


class CommandBringer:
    """By a command; the units that had to restart are in its environment."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)

    def bring(self, change: Change) -> None:
        """See `Bringer.bring`."""
        done = _run(self._command, {"WARMROOT_RESTART": " ".join(change.restart)})
        if done.returncode:
            raise ConfigRefused(f"the command ended with {done.returncode}: {done.stderr.strip()[-300:]}")


class Settings:
    """Of the system whose root is `root`; `run` holds what its boot says."""

    def __init__(self, root: Path, run: Path, bringer: Bringer) -> None:
        self._root, self._run, self._bringer = root, run, bringer

    def in_force(self) -> str:
        """The revision that /etc was brought in line with in this boot."""
        try:
            return (self._run / IN_FORCE).read_text().strip()
        except OSError:
            return nodeconfig.NONE

    def containerd(self) -> Mapping[str, Any]:
        """See `Host.containerd`."""
        return containerd(self._root)

    def lying(self, paths: Iterable[str]) -> Mapping[str, Rendered | None]:
        """See `Host.lying`."""
        found: dict[str, Rendered | None] = {}
        for path in paths:
            with suppress(PermissionError):  # another user's, and this process has no right to override that
                found[path] = _plain(self._root / path.lstrip("/"))
        return found

    def bring(self, change: Change) -> None:
        """See `Host.configure`."""
        self._bringer.bring(change)


def _plain(path: Path) -> Rendered | None:
    """A file, if it is one; no link is followed at its end.

    Raises:
        PermissionError: it may not be read.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                return None
            return Rendered(file.read(nodeconfig.MAX_BYTES), stat.S_IMODE(about.st_mode))
    except PermissionError:
        raise
    except OSError:
        return None


def containerd(root: Path) -> Mapping[str, Any]:
    """The configuration of containerd below a root; nothing where there is none."""
    try:
        return tomllib.loads((root / CONTAINERD_BASE.lstrip("/")).read_text())
    except (OSError, ValueError):
        return {}


def _systemctl(*arguments: str) -> str:
    done = _run(["systemctl", *arguments])
    if done.returncode:
        raise NodeError(f"systemctl {arguments[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def _run(command: Sequence[str], more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            # Nothing of this process's own surroundings decides what a node's settings are.
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(more or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeError(f"{command[0]} could not be asked: {error}") from error
