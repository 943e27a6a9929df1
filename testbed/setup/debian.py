"""Tools of the system: which are missing, and the Debian packages that bring them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from testbed.setup.process import run


class Tier(IntEnum):
    """How much a machine needs. Each has all of those before it."""

    UNIT = 0
    DEMO = 1
    TEST = 2


@dataclass(frozen=True)
class Package:
    """A Debian package and the path that shows it, or its like on another system, to be there."""

    name: str
    tier: Tier
    proof: str
    """A program's name, or an absolute path, which may hold wildcards."""
    used_for: str


PACKAGES = (
    Package("erofs-utils", Tier.DEMO, "mkfs.erofs", "root images"),
    Package("mtools", Tier.DEMO, "mcopy", "boot images and BOOTSTATE"),
    Package("dosfstools", Tier.DEMO, "mkfs.fat", "boot images and BOOTSTATE"),
    Package("cryptsetup-bin", Tier.TEST, "veritysetup", "comparison of verity trees"),
    Package("cpio", Tier.TEST, "cpio", "comparison of initrds"),
    Package("fdisk", Tier.TEST, "sfdisk", "comparison of partition tables"),
    Package("qemu-system-x86", Tier.TEST, "qemu-system-x86_64", "firmware tests"),
    Package("qemu-system-data", Tier.TEST, "/usr/share/qemu/kvmvapic.bin", "firmware tests"),
    Package("seabios", Tier.TEST, "/usr/share/seabios/bios*.bin", "firmware tests, BIOS"),
    Package("ovmf", Tier.TEST, "/usr/share/OVMF/OVMF_CODE*.fd", "firmware tests, UEFI"),
    Package("grub-common", Tier.TEST, "grub-mkimage", "firmware tests"),
    Package("grub-pc-bin", Tier.TEST, "/usr/lib/grub/i386-pc/normal.mod", "firmware tests, BIOS"),
    Package("mmdebstrap", Tier.TEST, "mmdebstrap", "machine images of Debian packages"),
    Package("e2fsprogs", Tier.TEST, "mke2fs", "machine images"),
    Package("qemu-utils", Tier.TEST, "qemu-img", "machine images"),
    Package("osslsigncode", Tier.TEST, "osslsigncode", "machine images, Secure Boot"),
    Package("sbsigntool", Tier.TEST, "sbverify", "machine images, comparison of signatures"),
    Package("openjdk-17-jdk-headless", Tier.DEMO, "/usr/lib/jvm/*17*/bin/javac", "Java archives"),
    Package("maven", Tier.DEMO, "mvn", "Java applications"),
    Package("iproute2", Tier.TEST, "ip", "real kubelets"),
    Package("containerd", Tier.TEST, "containerd", "real kubelets"),
    Package("runc", Tier.TEST, "runc", "real kubelets"),
    Package("containernetworking-plugins", Tier.TEST, "/usr/lib/cni/bridge", "real kubelets"),
    Package("busybox-static", Tier.TEST, "/bin/busybox", "real kubelets, images of containers"),
    Package("catatonit", Tier.TEST, "/usr/bin/catatonit", "real kubelets, images of containers"),
    Package("nginx-light", Tier.TEST, "nginx", "comparison of serving speed"),
    Package("chromium", Tier.TEST, "chromium", "the dashboard in a browser"),
    Package("chromium-driver", Tier.TEST, "chromedriver", "the dashboard in a browser"),
    Package("grub-efi-amd64-bin", Tier.TEST, "/usr/lib/grub/x86_64-efi/normal.mod", "firmware tests, UEFI"),
)

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def present(proof: str) -> bool:
    """Whether a program (also in sbin, which a user's PATH may lack) or a path exists."""
    if not proof.startswith("/"):
        return shutil.which(proof, path=os.pathsep.join((os.environ.get("PATH", ""), *_SBIN))) is not None
    return any(Path("/").glob(proof.removeprefix("/")))


def missing(tier: Tier, has: Callable[[str], bool] = present) -> tuple[Package, ...]:
    """Packages of a tier whose proof is not there."""
    return tuple(package for package in PACKAGES if package.tier <= tier and not has(package.proof))


def names(packages: Iterable[Package]) -> str:
    """Names, one space between."""
    return " ".join(package.name for package in packages)


def command(packages: Iterable[Package]) -> str:
    """What an administrator types."""
    return f"sudo apt-get install --no-install-recommends {names(packages)}"


def administrator() -> list[str] | None:
    """The prefix with which apt-get may run without asking anybody; None if it may not, or is no Debian."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


def install(
    packages: Iterable[Package], prefix: list[str], each_line: Callable[[str], None] = lambda _: None
) -> None:
    """Installs packages with apt-get.

    Raises:
        StepFailed: apt-get failed.
    """
    packages = tuple(packages)
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    hint = "by hand: " + command(packages)
    run([*apt, "update"], each_line=each_line, hint=hint)
    chosen = names(packages).split()
    run([*apt, "install", "-y", "--no-install-recommends", *chosen], each_line=each_line, hint=hint)
