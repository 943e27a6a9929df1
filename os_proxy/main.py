"""`warmroot-proxy`: reads the command line, builds the ports, runs the agent.

argparse, because typer and rich would be a tenth of the memory that the whole proxy may have.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from os_proxy.agent import Agent, Ports
from os_proxy.backends.bootstate import GrubBootState
from os_proxy.backends.device import FileDevice, LaidOutDisk
from os_proxy.backends.files import DataFolder
from os_proxy.backends.host import LinuxHost, SystemClock, VerityRoot
from os_proxy.backends.index import ChildIndex
from os_proxy.backends.instance import ClusterInstance
from os_proxy.backends.reboot import CommandReboot, SystemdReboot
from os_proxy.backends.settings import CommandBringer, Settings, SystemdBringer
from os_proxy.backends.staging import Surroundings
from os_proxy.core import clocktext
from os_proxy.following import FOLLOWING
from warmroot import __version__
from warmroot.errors import UserError, WarmrootError
from warmroot.kube.cluster import RestCluster
from warmroot.kube.transport import RequestsTransport
from warmroot.release.source import open_sources

ANCHOR = "usr/share/warmroot/root.json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PLAIN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}
log = logging.getLogger("os_proxy")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    return parser().parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """What the command line may be."""
    made = argparse.ArgumentParser(
        prog="warmroot-proxy", description="Stages, activates and confirms releases."
    )
    add = made.add_argument
    add("--node", required=True, help="name of this node and of its OSInstance")
    add("--disk", required=True, type=Path, help="the node's disk: a block device or a disk file")
    add("--data", required=True, type=Path, help="folder on the data partition for receipts and notes")
    add("--root", type=Path, default=Path("/"), help="root of the booted slot; holds the trust anchor")
    add("--proc", type=Path, default=Path("/proc"), help="the host's proc file system")
    add("--kubeconfig", help="kubeconfig file (default: KUBECONFIG, else the pod's service account)")
    add("--reboot-command", help="what reboots the host (default: systemd is asked over D-Bus)")
    add("--configure-command", help="what brings /etc in line (default: systemd starts the node's service)")
    add("--run", type=Path, default=Path("/run/warmroot"), help="folder with what this boot has in force")
    add(
        "--verified-root",
        action="store_true",
        help="refuse to work unless dm-verity verifies the running root",
    )
    add(
        "--product",
        help="product whose releases this node takes (default: IMAGE_ID of the root's os-release)",
    )
    add("--arch", default=_ARCHITECTURES.get(platform.machine(), platform.machine()), help="its architecture")
    add("--once", action="store_true", help="work until nothing is left to do now, then end")
    add("--log-format", choices=("text", "json"), default="text")
    return made


class Lines(logging.Formatter):
    """One line a record, with the fields of `extra`; as JSON or as text."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = {key: value for key, value in record.__dict__.items() if key not in _PLAIN}
        head = {"at": clocktext.spell(record.created), "level": record.levelname.lower()}
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps({**head, "message": record.getMessage(), **fields}, default=str)
        said = " ".join(f"{key}={value}" for key, value in fields.items())
        return f"{head['at']} {head['level']:7} {record.getMessage()} {said}".rstrip()


def product_of(root: Path) -> str:
    """The product that a root file system says it is an image of (os-release's IMAGE_ID).

    Raises:
        UserError: it does not say.
    """
    for name in ("usr/lib/os-release", "etc/os-release"):
        try:
            lines = (root / name).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key == "IMAGE_ID" and value.strip("\"'"):
                return value.strip("\"'")
    raise UserError(f"the os-release of {root} has no IMAGE_ID", hint="name the product with --product")


def build(chosen: argparse.Namespace, stopped: threading.Event) -> tuple[Agent, ClusterInstance]:
    """The agent over the real ports.

    Raises:
        UserError, NodeError: something that is named on the command line can't be used; nothing was written.
    """
    try:
        chosen.data.mkdir(exist_ok=True)
    except OSError as error:
        hint = "name a folder on the data partition with --data"
        raise UserError(f"{chosen.data} can't be made: {error.strerror}", hint=hint) from error
    device = FileDevice(chosen.disk)
    device.lock()
    disk = LaidOutDisk(device, path=chosen.disk)
    instance = ClusterInstance(RestCluster(RequestsTransport(chosen.kubeconfig)), chosen.node)
    index = ChildIndex(
        store=str(chosen.data / "trust"),
        anchor=str(chosen.root / ANCHOR),
        product=chosen.product or product_of(chosen.root),
        arch=chosen.arch,
    )

    def pause(seconds: float) -> None:
        stopped.wait(seconds)

    surroundings = Surroundings(
        disk=disk,
        boot_state=GrubBootState(disk.bootstate),
        files=DataFolder(chosen.data),
        clock=SystemClock(),
        wait=pause,
        open_sources=open_sources,
    )
    command = chosen.reboot_command
    reboot = CommandReboot(shlex.split(command)) if command else SystemdReboot()
    own = chosen.configure_command
    bringer = CommandBringer(shlex.split(own)) if own else SystemdBringer()
    settings = Settings(chosen.root, chosen.run, bringer)
    verity = VerityRoot(chosen.root) if chosen.verified_root else None
    host = LinuxHost(chosen.proc, reboot, settings, verity)
    host.booted()
    return Agent(Ports(surroundings, host, index, instance), version=__version__), instance


def run_once(agent: Agent, instance: ClusterInstance) -> int:
    """Works until the next step would be to wait. 0 if no step failed."""
    instance.refresh()
    while agent.turn() == 0.0 and not agent.stopped:
        instance.refresh()
    return 1 if agent.failing else 0


def run(agent: Agent, instance: ClusterInstance, kubeconfig: str | None) -> int:
    """Works until a signal comes."""
    watching = RestCluster(RequestsTransport(kubeconfig))
    watch = threading.Thread(target=instance.follow, args=(watching, lambda: agent.stopped), daemon=True)
    watch.start()
    agent.run()
    log.info("ended by signal")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    chosen = arguments(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(as_json=chosen.log_format == "json"))
    handler.addFilter(FOLLOWING)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    stopped = threading.Event()
    try:
        agent, instance = build(chosen, stopped)

        def end(signum: int, frame: object) -> None:
            del signum, frame
            agent.stop()
            stopped.set()
            instance.wake()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        log.info("started", extra={"node": chosen.node, "disk": str(chosen.disk)})
        return run_once(agent, instance) if chosen.once else run(agent, instance, chosen.kubeconfig)
    except WarmrootError as error:
        log.error(error.message, extra={"reason": error.reason, "hint": error.hint})
        return 1


if __name__ == "__main__":
    sys.exit(main())
