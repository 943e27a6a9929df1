"""A network for a cluster that nobody else is on."""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from testbed.setup.process import run
from warmroot.errors import StepFailed

BRIDGE = "workers"
HOST = "10.89.0.1"
"""Where the control plane is, and whatever else the thread starts that is in the network."""
_NET = 0x40000000  # CLONE_NEWNET, linux/sched.h


class PrivateNetwork:
    """The calling thread is in a network namespace of its own until the block ends: what it starts is, too.

    Workers are joined to its bridge. It ends with the last process in it.
    """

    def __init__(self) -> None:
        self._before = -1
        self._thread = 0

    def __enter__(self) -> Self:
        self._thread = threading.get_ident()
        self._before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _call("unshare", _NET)
        _ip("link set lo up")
        _ip(f"link add {BRIDGE} type bridge")
        _ip(f"address add {HOST}/24 dev {BRIDGE}")
        _ip(f"link set {BRIDGE} up")
        # Of this namespace alone: that is what the kernel shows a thread of it.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        return self

    def __exit__(self, *_: object) -> None:
        assert threading.get_ident() == self._thread, "each thread is in a network by itself"
        _call("setns", self._before, _NET)
        os.close(self._before)

    def join(self, pid: int, number: int) -> None:
        """Plugs the namespace of process `pid` in, as the worker of that number.

        Raises:
            StepFailed: the kernel refused it.
        """
        address, outside = worker(number), f"{BRIDGE}{number}"
        self.part(number)  # the kernel takes its time with the wire of a worker that died
        _ip(f"link add {outside} type veth peer name eth0 netns {pid}")
        _ip(f"link set {outside} master {BRIDGE} up")
        inside = ["nsenter", f"--target={pid}", "--net"]
        run([*inside, "ip", "link", "set", "lo", "up"])
        run([*inside, "ip", "address", "add", f"{address}/24", "dev", "eth0"])
        run([*inside, "ip", "link", "set", "eth0", "up"])
        run([*inside, "ip", "route", "add", "default", "via", HOST])
        run([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1"])
        _ip(f"route replace {pods(number)} via {address}")

    def part(self, number: int) -> None:
        """Takes the wire of a worker away, if it is there."""
        with suppress(StepFailed):
            _ip(f"link delete {BRIDGE}{number}")


def apart(pid: int) -> bool:
    """Whether a process is in another network namespace than the calling thread; False if there is none."""
    try:
        return not Path(f"/proc/{pid}/ns/net").samefile("/proc/thread-self/ns/net")
    except OSError:
        return False


def worker(number: int) -> str:
    """The address of a worker: `number` is 1 to 200."""
    return f"10.89.0.{10 + number}"


def pods(number: int) -> str:
    """The range of a worker's pods."""
    return f"10.90.{number}.0/24"


def _ip(words: str) -> None:
    run(["ip", *words.split()])


def _call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
