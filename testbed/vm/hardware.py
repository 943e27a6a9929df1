"""What a virtual machine is made of, as QEMU's command line.

One process is one boot: QEMU ends where the machine would reset, which is nearer to a power cycle than a
reset within the process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from warmroot.errors import StepFailed, UserError

_OVMF = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
_OVMF_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_SECURE_OVMF = Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
_OWNER = "7761726d-726f-4f74-8000-000000000019"
"""Says of an entry in firmware's lists that we put it there."""
_TRANSLATED_MIB = 128
"""QEMU's cache of translated code. Its default takes more memory, of which several guests want some."""


class Firmware(StrEnum):
    """How the machine starts."""

    BIOS = "BIOS"
    UEFI = "UEFI"


class Bus(StrEnum):
    """What the disk hangs on."""

    VIRTIO = "virtio"
    SATA = "sata"
    NVME = "nvme"


class Network(StrEnum):
    """Where the cable of the network card leads to."""

    HOST = "host"
    """To this computer, and on."""
    NOWHERE = "nowhere"
    """The card has a link, and nobody answers."""


@dataclass(frozen=True)
class Direct:
    """A kernel that is started without any boot loader, as firmware that got it from the network does."""

    kernel: Path
    initrd: Path
    arguments: str


_DISKS = {
    Bus.VIRTIO: ["virtio-blk-pci,drive=disk,bootindex=1"],
    Bus.SATA: ["ahci,id=sata", "ide-hd,drive=disk,bus=sata.0,bootindex=1"],
    Bus.NVME: ["nvme,drive=disk,serial=warmroot,bootindex=1"],
}
_LOGGED = {Bus.VIRTIO: ["virtio-blk-pci,drive=disk,bootindex=1,write-zeroes=off"], Bus.SATA: _DISKS[Bus.SATA]}
"""Disks that have no command for writing zeros. Before 9.1 QEMU logs such a command in two steps, and a write
between them makes the rest of the log senseless (`blk_log_writes_co_do_log` in its block/blklogwrites.c).
"""


@dataclass(frozen=True)
class Hardware:
    """A machine with a disk, a network card and a watchdog. `memory` in MiB.

    A disk whose name ends in `.qcow2` is of that form, every other one is raw.
    """

    disk: Path
    firmware: Firmware = Firmware.BIOS
    bus: Bus = Bus.VIRTIO
    memory: int = 768
    read_only: bool = False
    forgetful: bool = False
    """What is written to the disk is gone with the machine."""
    write_log: Path | None = None
    """A new file that gets every write to the disk and every flush, in order (`writelog`)."""
    secure_boot: Path | None = None
    """Folder of certificates that UEFI knows (PK.pem, KEK.pem, db.pem). It starts only what db signed."""
    network: Network = Network.HOST
    clock: datetime | None = None
    """What its clock says when it is switched on, UTC; without it, the time."""
    direct: Direct | None = None
    second: Path | None = None
    """Another disk beside the first, raw, on virtio; nothing starts from it."""
    netboot: Path | None = None
    """A folder with `install.ipxe`: what its firmware starts from the network if the disk starts nothing."""

    def __post_init__(self) -> None:
        if self.secure_boot is not None and self.firmware is not Firmware.UEFI:
            raise UserError(f"{self.firmware} has no Secure Boot", hint="choose UEFI")
        if self.write_log is not None and self.bus not in _LOGGED:
            raise UserError(f"the writes of {self.bus} are not logged well", hint="choose virtio or sata")


@dataclass(frozen=True)
class Surfaces:
    """Where the machine can be seen and touched: files in its folder."""

    console: Path
    """What its first serial line said."""
    shell: Path
    """A socket on its second serial line."""
    variables: Path
    """What its UEFI firmware remembers; made from the empty one if it is not there."""


def command(hardware: Hardware, surfaces: Surfaces) -> list[str]:
    """QEMU's command line for one boot.

    Raises:
        OSError: UEFI firmware is wanted and not installed.
        StepFailed: it can't be given its certificates.
    """
    words = ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"]
    managed = ",smm=on" if hardware.secure_boot else ""
    words += [
        "-machine",
        f"q35,sata=off,smbus=off{managed}",
        "-cpu",
        "max",
        "-smp",
        "1",
        "-m",
        str(hardware.memory),
    ]
    words += ["-accel", f"tcg,tb-size={_TRANSLATED_MIB}"]
    if hardware.firmware is Firmware.UEFI:
        words += uefi(surfaces.variables, hardware.secure_boot)
    words += ["-chardev", f"file,id=console,path={surfaces.console}", "-serial", "chardev:console"]
    words += ["-chardev", f"socket,id=shell,path={surfaces.shell},server=on,wait=off"]
    words += ["-serial", "chardev:shell"]
    words += [*_network(hardware), "-device", "i6300esb"]
    if hardware.clock is not None:
        words += ["-rtc", f"base={hardware.clock:%Y-%m-%dT%H:%M:%S}"]
    if hardware.direct is not None:
        direct = hardware.direct
        words += ["-kernel", str(direct.kernel), "-initrd", str(direct.initrd), "-append", direct.arguments]
    words += _drive(hardware)
    for device in (_DISKS if hardware.write_log is None else _LOGGED)[hardware.bus]:
        words += ["-device", device]
    if hardware.second is not None:
        second = {"driver": "raw", "node-name": "second", "file": _file(hardware.second)}
        words += ["-blockdev", json.dumps(second), "-device", "virtio-blk-pci,drive=second"]
    return words


def _network(hardware: Hardware) -> list[str]:
    net, card = "user,id=net", "virtio-net-pci,netdev=net"
    if hardware.network is Network.NOWHERE:
        net = "hubport,id=net,hubid=0"
    elif hardware.netboot is not None:
        net += f",tftp={hardware.netboot},bootfile=install.ipxe"
        card += ",bootindex=2"
    return ["-netdev", net, "-device", card]


def uefi(variables: Path, secure_boot: Path | None = None) -> list[str]:
    """Options for UEFI firmware that remembers in the file `variables`; it is made if it is not there.

    With `secure_boot`, a folder of certificates, it is made with them in it. Only code of the firmware itself
    can then write it (system management mode), as in a real machine.

    Raises:
        OSError: the firmware is not installed.
        StepFailed: it can't be given its certificates.
    """
    if secure_boot is None:
        if not variables.exists():
            shutil.copyfile(_OVMF_VARIABLES, variables)
        return _flash(_OVMF, variables)
    if not variables.exists():
        _enrol(secure_boot, variables)
    guarded = ("-global", "driver=cfi.pflash01,property=secure,value=on")
    return [*guarded, *_flash(_SECURE_OVMF, variables)]


def _flash(firmware: Path, variables: Path) -> list[str]:
    return [
        *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={firmware}"),
        *("-drive", f"if=pflash,format=raw,unit=1,file={variables}"),
    ]


def _enrol(certificates: Path, variables: Path) -> None:
    """What a person does in firmware's menu, or with the signed variables, on a real machine."""
    program = Path(sys.executable).with_name("virt-fw-vars")
    words: list[str | Path] = [program, "--input", _OVMF_VARIABLES, "--output", variables]
    for option, name in (("--set-pk", "PK"), ("--add-kek", "KEK"), ("--add-db", "db")):
        words += [option, _OWNER, certificates / f"{name}.pem"]
    done = subprocess.run([*words, "--secure-boot"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailed(
            f"firmware can't be given the keys in {certificates}: {done.stderr.strip()[-300:]}",
            hint="make keys with `warmroot image create-keys`",
        )


def _drive(hardware: Hardware) -> list[str]:
    if not hardware.forgetful:
        return ["-blockdev", json.dumps(_block_device(hardware))]
    path = str(hardware.disk).replace(",", ",,")
    return ["-drive", f"file={path},format=raw,if=none,id=disk,snapshot=on,cache=unsafe"]


def _block_device(hardware: Hardware) -> dict[str, object]:
    """The disk's image. Nothing is flushed: the page cache of this computer outlives QEMU, as a disk outlives
    a reset, and what a power cut leaves is made from a log of the writes.
    """
    image = _file(hardware.disk)
    form = "qcow2" if hardware.disk.suffix == ".qcow2" else "raw"
    if hardware.write_log is None:
        return {"driver": form, "node-name": "disk", "read-only": hardware.read_only, "file": image}
    hardware.write_log.write_bytes(b"")
    return {
        "driver": "blklogwrites",
        "node-name": "disk",
        "file": {"driver": form, "file": image},
        "log": {"driver": "raw", "file": _file(hardware.write_log)},
        "log-sector-size": 512,
        "log-super-update-interval": 1,
    }


def _file(path: Path) -> dict[str, object]:
    return {"driver": "file", "filename": str(path), "cache": {"no-flush": True}}
