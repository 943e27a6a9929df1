"""Where everything is on a node's disk (node.md, Disk). Fixed PARTUUIDs; found by label, never by number."""

from __future__ import annotations

from dataclasses import dataclass

from warmroot.disk.bootrecord import Slot

BLOCK = 4096
"""Bytes of a filesystem and verity block."""
MIB = 1024 * 1024
ALIGN = MIB
BIOS_GRUB, ESP, BOOTSTATE, DATA = "bios", "esp", "bootstate", "data"
COPY_OFFSETS = (17920, 22016)
"""Byte offsets of the two boot record copies inside BOOTSTATE: clusters 2 and 3 of its FAT12."""
ARGUMENT_OFFSETS = {Slot.A: 26112, Slot.B: 30208}
"""Byte offset of each slot's further kernel arguments in it: clusters 4 and 5."""
BOOTSTATE_BYTES = MIB
DISK_GUID = "00000000-0000-4000-8000-00000000000d"
TYPE_BIOS_GRUB = "21686148-6449-6e6f-744e-656564454649"
TYPE_ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
TYPE_LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
TYPE_ROOT_X86_64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"


def boot(slot: Slot) -> str:
    """Label of a slot's boot partition."""
    return f"boot-{slot.value}"


def root(slot: Slot) -> str:
    """Label of a slot's root partition."""
    return f"root-{slot.value}"


@dataclass(frozen=True)
class Partition:
    """One partition. `start` and `size` in bytes from the beginning of the disk."""

    label: str
    number: int
    type_guid: str
    guid: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """First byte behind it."""
        return self.start + self.size


@dataclass(frozen=True)
class Layout:
    """All partitions of a disk, in order, and the disk's size in bytes."""

    partitions: tuple[Partition, ...]
    disk_size: int

    def __getitem__(self, label: str) -> Partition:
        for partition in self.partitions:
            if partition.label == label:
                return partition
        raise KeyError(label)


def plan(*, boot_size: int, root_size: int, data_size: int, esp_size: int = 64 * MIB) -> Layout:
    """The layout of a disk with slots of these sizes (bytes, rounded up to 1 MiB).

    Raises:
        ValueError: a size is not positive.
    """
    wanted = (
        (BIOS_GRUB, TYPE_BIOS_GRUB, 2 * MIB),
        (ESP, TYPE_ESP, esp_size),
        (BOOTSTATE, TYPE_LINUX, BOOTSTATE_BYTES),
        (boot(Slot.A), TYPE_LINUX, boot_size),
        (root(Slot.A), TYPE_ROOT_X86_64, root_size),
        (boot(Slot.B), TYPE_LINUX, boot_size),
        (root(Slot.B), TYPE_ROOT_X86_64, root_size),
        (DATA, TYPE_LINUX, data_size),
    )
    at, partitions = ALIGN, []
    for number, (label, type_guid, size) in enumerate(wanted, 1):
        if size <= 0:
            raise ValueError(f"partition {label} needs a positive size, not {size}")
        rounded = -(-size // ALIGN) * ALIGN
        guid = f"00000000-0000-4000-8000-{number:012d}"
        partitions.append(Partition(label, number, type_guid, guid, at, rounded))
        at += rounded
    return Layout(tuple(partitions), at + ALIGN)
