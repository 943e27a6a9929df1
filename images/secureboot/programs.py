"""Programs of Debian's that our signed chain is made of, from the same release as the system's packages.

They are fetched beside the tree, for nothing of them is in the root: shim goes to the EFI partition, the stub
becomes the head of the kernel image, and ukify (which needs the stub of its own version) joins that.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pefile

from images import command
from warmroot.errors import StepFailed

STUB_PACKAGE = "systemd-boot-efi"
PACKAGES = (STUB_PACKAGE, "systemd-ukify", "shim-unsigned")
_STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
_EMPTY = "usr/lib/systemd/boot/efi/addonx64.efi.stub"
_SHIM = "usr/lib/shim/shimx64.efi"
_UKIFY = "usr/bin/ukify"
_SYMBOL = 18
"""Bytes of a COFF symbol; the names of sections that are longer than eight bytes come after all of them."""


@dataclass(frozen=True)
class Programs:
    """Bytes of programs. `ukify` is a Python script, `empty` an EFI program that only carries sections."""

    stub: bytes
    empty: bytes
    shim: bytes
    ukify: bytes


def unpack(packages: Path) -> Programs:
    """The programs out of `PACKAGES`, files in a folder.

    Raises:
        StepFailed: one is not there, or holds something else than it did.
    """
    with tempfile.TemporaryDirectory() as work:
        for package in sorted(packages.glob("*.deb")):
            command.run(f"unpacking {package.name}", ["dpkg-deb", "--extract", package, work], package="dpkg")
        try:
            return Programs(*((Path(work) / name).read_bytes() for name in (_STUB, _EMPTY, _SHIM, _UKIFY)))
        except OSError as error:
            raise StepFailed(
                f"{', '.join(PACKAGES)} have no {Path(error.filename).relative_to(work)}",
                hint="Secure Boot needs packages as Debian trixie has them; see debian.suite",
            ) from error


def section(program: bytes, name: str) -> tuple[int, bytes]:
    """A section of an EFI program: its offset in the file, and its bytes.

    Raises:
        StepFailed: it is no EFI program, or has no such section.
    """
    for found, at, data in sections(program):
        if found == name:
            return at, data
    raise StepFailed(f"an EFI program has no section {name}", hint="use the packages that the recipe names")


def sections(program: bytes) -> list[tuple[str, int, bytes]]:
    """Name, offset in the file, and bytes of all sections of an EFI program, in order.

    Raises:
        StepFailed: it is no EFI program.
    """
    try:
        parsed = pefile.PE(data=program, fast_load=True)
    except pefile.PEFormatError as error:
        raise StepFailed(f"not an EFI program: {error}", hint="use the packages of Debian") from error
    header = parsed.FILE_HEADER
    names = header.PointerToSymbolTable + _SYMBOL * header.NumberOfSymbols
    found = []
    for one in parsed.sections:
        name = one.Name.rstrip(b"\0")
        if name[:1] == b"/" and name[1:].isdigit():
            name = program[names + int(name[1:]) :].partition(b"\0")[0]
        at, size = one.PointerToRawData, min(one.Misc_VirtualSize, one.SizeOfRawData)
        found.append((name.decode("latin-1"), at, program[at : at + size]))
    return found


def without_vendor(shim: bytes) -> bytes:
    """A shim that trusts firmware's keys alone, as if it had been built without a distribution's certificate.

    Debian's has Debian's in it: whoever can write the EFI partition could put Debian's own signed GRUB in
    place of ours, and that starts any kernel of Debian's with any initrd. What Debian revoked stays in it:
    a shim with neither list leaves LoadImage to the firmware (shim.c, shim_init), which would not start the
    unsigned kernel that is inside a signed image.

    Raises:
        StepFailed: this is no shim as we know it.
    """
    at, table = section(shim, ".vendor_cert")
    certificate, revoked, begins, revoked_begins = struct.unpack_from("<4I", table)
    whole = revoked_begins + revoked <= len(table)
    if not revoked or begins != 16 or revoked_begins != begins + certificate or not whole:
        raise StepFailed("shim's table of certificates is of an unknown form", hint="report this")
    return shim[:at] + bytes(4) + shim[at + 4 :]


def generations(text: bytes) -> Mapping[str, int]:
    """Security generations by component, from SBAT's lines (shim's SBAT.md)."""
    rows = [line.split(",") for line in text.rstrip(b"\0 \n").decode("ascii", "replace").splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def least_generations(shim: bytes) -> Mapping[str, int]:
    """What shim demands of the programs that it starts, by component.

    Raises:
        StepFailed: this is no shim as we know it.
    """
    _, levels = section(shim, ".sbatlevel")
    version, automatic = struct.unpack_from("<2I", levels)
    if version != 0:
        raise StepFailed("shim's list of generations is of an unknown form", hint="report this")
    return generations(levels[4 + automatic :].partition(b"\0")[0])
