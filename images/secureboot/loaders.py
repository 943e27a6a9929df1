"""What firmware starts under Secure Boot: shim, and GRUB after it, both with our signature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from images import grub
from images.secureboot.keys import SigningKey
from images.secureboot.programs import Programs, generations, least_generations, section, without_vendor
from images.secureboot.signing import sign
from warmroot.disk import layout
from warmroot.disk.layout import Layout
from warmroot.errors import UserError

_DEBIANS_OWN = "x86_64-efi/monolithic/grubx64.efi"
"""In the package of GRUB's modules; its SBAT says which holes these no longer have."""
_OURS = "grub.warmroot,1,warmroot,grub,1,https://warmroot.io/\n"
_SHIM, _GRUB = "BOOTX64.EFI", "grubx64.efi"


@dataclass(frozen=True)
class SignedLoaders:
    """Two EFI programs. BIOS finds nothing to start: it checks no signature."""

    shim: bytes
    grub: bytes

    def pieces(self, disk: Layout) -> list[tuple[int, bytes]]:
        """What belongs on a disk, as (byte offset, bytes).

        Raises:
            NotInstalled, StepFailed: the tools of FAT are missing or failed.
        """
        esp = disk[layout.ESP]
        return [(esp.start, grub.esp_image({_SHIM: self.shim, _GRUB: self.grub}, esp.size))]


def build(programs: Programs, key: SigningKey, *, modules: Path = grub.MODULES) -> SignedLoaders:
    """Both programs, signed.

    Raises:
        UserError: GRUB's modules are missing, or shim would refuse what is made of them.
        NotInstalled, StepFailed: a tool is missing or failed.
    """
    shim = without_vendor(programs.shim)
    sbat = security_level(shim, modules)
    return SignedLoaders(sign(shim, key), sign(grub.signed_program(sbat + _OURS, modules=modules), key))


def security_level(shim: bytes, modules: Path = grub.MODULES) -> str:
    """SBAT lines of GRUB's modules, as their own package states them.

    Raises:
        UserError: there are none, or shim asks for more. A machine would stop without a word.
        StepFailed: shim is of an unknown form.
    """
    path = modules / _DEBIANS_OWN
    try:
        _, data = section(path.read_bytes(), ".sbat")
    except OSError as error:
        raise UserError(
            f"{path} can't be read: {error.strerror}", hint="install grub-efi-amd64-bin"
        ) from error
    found, wanted = generations(data).get("grub", 0), least_generations(shim).get("grub", 0)
    if found < wanted:
        raise UserError(
            f"GRUB's modules are of security generation {found}, and shim starts none below {wanted}",
            hint="bring grub-efi-amd64-bin up to date",
        )
    return data.rstrip(b"\0 \n").decode() + "\n"
