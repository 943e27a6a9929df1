"""How the host is asked to reboot: by systemd's own interface, or by a command."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from typing import Protocol

from warmroot.errors import NodeError

PATIENCE = 60.0
"""Seconds until the request must be handed over."""
log = logging.getLogger(__name__)


class Reboot(Protocol):
    """Asks for a reboot and returns."""

    def ask(self, reason: str) -> None:
        """Asks.

        Raises:
            NodeError: the host refused.
        """


class SystemdReboot:
    """Over D-Bus, as `systemctl reboot` does: units stop in their order (org.freedesktop.systemd1(5))."""

    def ask(self, reason: str) -> None:
        """See `Reboot.ask`."""
        # Imported when it is needed: the proxy's memory is a promise, and this is once in its life.
        from jeepney import DBusAddress, new_method_call
        from jeepney.io.blocking import open_dbus_connection
        from jeepney.wrappers import DBusErrorResponse, unwrap_msg

        manager = DBusAddress(
            "/org/freedesktop/systemd1",
            bus_name="org.freedesktop.systemd1",
            interface="org.freedesktop.systemd1.Manager",
        )
        log.info("asks systemd to reboot", extra={"why": reason})
        try:
            with open_dbus_connection(bus="SYSTEM") as bus:
                unwrap_msg(bus.send_and_get_reply(new_method_call(manager, "Reboot"), timeout=PATIENCE))
        except (OSError, DBusErrorResponse) as error:
            raise NodeError(
                f"systemd was not asked to reboot: {error}", hint="see that the system bus is there"
            ) from error


class CommandReboot:
    """By a command. The reason goes to its environment, where its own log finds it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)

    def ask(self, reason: str) -> None:
        """See `Reboot.ask`."""
        try:
            done = subprocess.run(
                self._command,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "WARMROOT_REBOOT": reason},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NodeError(f"the reboot command failed: {error}", hint="see --reboot-command") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-300:]
            raise NodeError(
                f"the reboot command ended with {done.returncode}: {said}", hint="see --reboot-command"
            )
