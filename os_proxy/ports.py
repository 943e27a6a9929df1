"""What the agent asks of its surroundings. Small, so that a simulator that can fail implements each.

A release source is `warmroot.release.source.ReleaseSource`. Every method raises leaves of `warmroot.errors`
only; an `OSError` ends at the adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from os_proxy.core.configuration import Change, Rendered
from os_proxy.core.orders import Orders, Release
from os_proxy.core.seen import Booted, BootView
from os_proxy.core.status import Json
from warmroot.disk.bootrecord import Slot
from warmroot.release.verity import Buffer


class BlockDevice(Protocol):
    """A disk, a partition, or a file that stands for one. Offsets and lengths in bytes."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read(self, offset: int, length: int) -> bytes:
        """What is on the medium, past every cache.

        Raises:
            DiskCorrupt: the medium can't be read there.
        """

    def write(self, offset: int, data: Buffer) -> None:
        """Durable only after `flush`.

        Raises:
            ReadOnlyDisk: the write was refused.
            DiskFull: a sparse file found no space.
        """

    def write_through(self, offset: int, sector: bytes) -> None:
        """One sector in one piece, durable on return.

        Raises:
            ReadOnlyDisk, DiskFull: as `write`.
        """

    def flush(self) -> None:
        """All writes so far are durable on return.

        Raises:
            ReadOnlyDisk: the disk could not keep them.
        """


@dataclass(frozen=True)
class SlotDevices:
    """The two partitions of a slot."""

    root: BlockDevice
    boot: BlockDevice


class Disk(Protocol):
    """The node's disk, by meaning."""

    @property
    def bootstate(self) -> BlockDevice:
        """The BOOTSTATE partition."""

    def slot(self, slot: Slot) -> SlotDevices:
        """To read."""

    def exclusive(self, slot: Slot) -> AbstractContextManager[SlotDevices]:
        """To write; nobody else may have it open.

        Raises:
            SlotRefused: somebody has.
        """


class BootState(Protocol):
    """The boot loader's state behind five verbs; the booted slot is the host's to tell.

    A verb that returns has changed the disk durably.
    """

    def read(self) -> BootView:
        """What both copies say, and which of them decides.

        Raises:
            DiskCorrupt: neither can be read.
        """

    def repair(self, good: Slot, next: Slot | None, left: int) -> None:
        """Makes both copies say this; `left` counts the tries that `next` has left.

        Raises:
            ReadOnlyDisk: the change did not stick.
        """

    def disarm(self) -> None:
        """No slot is tried at the next boot: the good one starts.

        Raises:
            ReadOnlyDisk: the change did not stick.
        """

    def activate(self, slot: Slot) -> None:
        """The slot is tried at the next boots, as often as a trial may be.

        Raises:
            ReadOnlyDisk: the change did not stick.
        """

    def confirm(self, slot: Slot) -> None:
        """The slot is the good one from now on.

        Raises:
            ReadOnlyDisk: the change did not stick.
        """

    def add_arguments(self, slot: Slot, words: Sequence[str]) -> None:
        """A slot that neither is good nor runs is started with these kernel arguments besides its release's.

        Raises:
            ReadOnlyDisk: the change did not stick.
        """


class Spool(Protocol):
    """A large file for the time of one transfer; gone afterwards, whatever happens."""

    def put(self, offset: int, data: bytes) -> None:
        """Writes at an offset, in bytes.

        Raises:
            DiskFull, ReadOnlyDisk: it could not be kept.
        """

    def get(self, offset: int, length: int) -> bytes:
        """Bytes that were put; fewer than `length` at the end of the file."""


class Files(Protocol):
    """Small files of the data partition, by relative name."""

    def read(self, name: str) -> bytes | None:
        """The bytes, or None if there is no such file or it can't be read."""

    def write(self, name: str, data: bytes) -> None:
        """Old or new after a crash, never in between; durable on return.

        Raises:
            DiskFull, ReadOnlyDisk: nothing changed.
        """

    def names(self, folder: str) -> list[str]:
        """Relative names of the files in a folder."""

    def free(self) -> int:
        """Bytes that still fit."""

    def spool(self, name: str) -> AbstractContextManager[Spool]:
        """An empty spool.

        Raises:
            DiskFull, ReadOnlyDisk: there is no place for it.
        """


class Host(Protocol):
    """The running system."""

    def booted(self) -> Booted:
        """What runs.

        Raises:
            ForeignDisk: the kernel command line names no slot of ours.
        """

    def containerd(self) -> Mapping[str, Any]:
        """The configuration of containerd that the running image has."""

    def lying(self, paths: Iterable[str]) -> Mapping[str, Rendered | None]:
        """These files as they lie in /etc; None for what is no plain one. What can't be told is left out."""

    def configure(self, change: Change) -> None:
        """Brings /etc in line with the settings of the slot that runs, and lets everybody take notice.

        Raises:
            ConfigRefused: a unit does not start with them; its last words are in the message.
            NodeError: nobody could be asked.
        """

    def reboot(self, reason: str) -> None:
        """Asks for a reboot and returns.

        Raises:
            NodeError: the host refused.
        """


class Clock(Protocol):
    """Time."""

    def now(self) -> float:
        """Seconds since 1970."""

    def monotonic(self) -> float:
        """Seconds that never jump."""


class Index(Protocol):
    """The signed index of releases."""

    def manifest(self, release: Release) -> bytes:
        """The manifest of exactly this version and digest.

        Raises:
            SourceError, NetworkError: it can't be had, or not be believed.
        """


class Instance(Protocol):
    """The node's own OSInstance."""

    def orders(self) -> Orders | None:
        """The newest orders that are known; None before any were read.

        Raises:
            UserError: they can't be understood.
        """

    def status(self) -> Json:
        """The status as the API server last had it."""

    def publish(self, status: Json) -> None:
        """Writes what differs from `status()`; nothing if nothing does.

        Raises:
            ClusterError, NetworkError: it was not written.
        """

    def wait(self, timeout: float) -> None:
        """Returns when newer orders came, when woken, or after `timeout` seconds."""


Wait = Callable[[float], None]
"""Sleeps so many seconds, or shorter when the work is to end."""
