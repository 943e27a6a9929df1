"""A stock Debian worker to hold ours against: Debian's cloud image, with our kernel, containerd and kubelet.

It has the packages of Debian's own `genericcloud` image of trixie, as its builder names them in the classes
SYSTEM_BOOT, CLOUD, GENERIC, EXTRAS, TIME_SYSTEMD and AMD64, on debootstrap's minbase and without recommended
packages (salsa.debian.org/cloud-team/debian-cloud-images, `config_space/13/package_config`, read in a copy of
July 2026); Debian's default initramfs, a writable ext4 root, the kernel's arguments of its
`grub-cloud-amd64`, and cloud-init with a NoCloud seed. What is laid on top is what our own image has: a
kubelet, its unit, settings and packages.

What is not Debian's is in its favour: GRUB has no menu to show and no file system to search, there is no EFI
system partition to check and mount, and cloud-init finds its data on the disk, not in a network.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from images import command, grub, kubelet
from images.debian import bootstrap
from images.debian.system import inside
from images.parts import Debian, KubeletProgram
from images.tree import content
from testbed.vm import shell
from warmroot.disk import gpt, layout
from warmroot.disk.layout import ALIGN, MIB, Layout, Partition

SUITE = "trixie"
KERNEL = "linux-image-cloud-amd64"
PACKAGES = (
    *("apparmor", "apt-utils", "e2fsprogs", "init", "iptables", "iputils-ping", "less", "libnss-myhostname"),
    *(
        "libnss-resolve",
        "libpam-systemd",
        "linux-sysctl-defaults",
        "nano",
        "netbase",
        "netplan.io",
        "polkitd",
    ),
    *("sudo", "systemd-resolved", "systemd-timesyncd", "unattended-upgrades", "vim-tiny", "whiptail", "zstd"),
    *("cloud-guest-utils", "cloud-init", "cloud-initramfs-growroot", "openssh-server", "ssh-import-id"),
    *("apt-listchanges", "bash-completion", "bind9-host", "ca-certificates", "curl", "ethtool", "man-db"),
    *("manpages", "pciutils", "psmisc", "reportbug", "screen", "socat", "tcpdump", "traceroute"),
    *("uuid-runtime", "vim", "xz-utils", "dosfstools", KERNEL),
)
"""`grub-cloud-amd64` alone is missing: it installs itself to a disk, and does nothing once a system runs."""
_ROOT_SIZE = 3 << 30
_ROOT_GUID = "00000000-0000-4000-8000-0000000000de"
_ARGUMENTS = "console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0"
_GRUB = """
serial --unit=0 --speed=115200
terminal_output serial
regexp --set=1:disk -- '^\\(([^,)]+)' "$cmdpath"
linux ($disk,gpt2)/boot/vmlinuz-{kernel} root=PARTUUID={guid} ro {arguments}
initrd ($disk,gpt2)/boot/initrd.img-{kernel}
boot
"""
_UNITS = ("systemd-networkd.service", "systemd-resolved.service", *kubelet.UNITS, shell.UNIT)
_SEED = "var/lib/cloud/seed/nocloud"


def build(folder: Path, name: str, program: KubeletProgram, version: str) -> Path:
    """A raw disk, in the folder, of a worker with this host name and kubelet.

    Raises:
        UserError, NotInstalled, StepFailed: as `warmroot image build`.
    """
    tree, disk = folder / "stock-tree", folder / "stock.raw"
    debian = Debian(suite=SUITE, packages=(*PACKAGES, *kubelet.PACKAGES))
    bootstrap.install(debian, tree, ["--variant=minbase"], {})
    kubelet.install(tree, program, version)
    _put_files(tree, name)
    inside("enabling units", tree, "systemctl", "enable", *_UNITS)
    _settle(tree)
    (kernel,) = (path.name.removeprefix("vmlinuz-") for path in (tree / "boot").glob("vmlinuz-*"))
    _write_disk(tree, disk, kernel)
    return disk


def _put_files(tree: Path, name: str) -> None:
    node = files("images") / "node"
    for source, place in kubelet.FILES.items():
        _put(tree, place, (node / source).read_bytes())
    for file in shell.FILES:
        _put(tree, file.path[1:], content(file), int(file.mode, 8))
    root = f"PARTUUID={_ROOT_GUID} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n"
    _put(tree, "etc/fstab", root.encode())
    _put(tree, "etc/default/locale", b"LANG=C.UTF-8\n")
    _put(tree, "etc/modprobe.d/blacklist.conf", b"blacklist pcspkr\nblacklist floppy\n")
    about = {"instance-id": f"i-{name}", "local-hostname": name}
    _put(tree, f"{_SEED}/meta-data", json.dumps(about).encode())
    _put(tree, f"{_SEED}/user-data", b"#cloud-config\n")


def _put(tree: Path, name: str, data: bytes, mode: int = 0o644) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def _settle(tree: Path) -> None:
    """What Debian's builder takes out at its end."""
    for pattern in (
        "etc/ssh/ssh_host_*",
        "var/lib/dbus/machine-id",
        "var/lib/apt/lists/*_*",
        "etc/apt/*.d/*mmdebstrap*",
    ):
        for path in tree.glob(pattern):
            path.unlink()
    for name in ("etc/hostname", "etc/machine-id"):
        (tree / name).write_text("")
    names = tree / "etc/resolv.conf"
    names.unlink(missing_ok=True)
    names.symlink_to("../run/systemd/resolve/stub-resolv.conf")


def _write_disk(tree: Path, disk: Path, kernel: str) -> None:
    core = Partition(layout.BIOS_GRUB, 1, layout.TYPE_BIOS_GRUB, _guid(1), ALIGN, 2 * MIB)
    root = Partition("root", 2, layout.TYPE_ROOT_X86_64, _ROOT_GUID, core.end, _ROOT_SIZE)
    planned = Layout((core, root), root.end + ALIGN)
    script = _GRUB.format(kernel=kernel, guid=_ROOT_GUID, arguments=_ARGUMENTS)
    loader = grub.build({"grub.cfg": script}, extra_modules=("ext2",))
    image = disk.with_suffix(".ext4")
    # GRUB of Debian 12 does not read file systems with these two features, which trixie's own does.
    ext4 = ("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file", "-d", tree)
    command.run("making the stock root", [*ext4, image, f"{_ROOT_SIZE // 1024}k"], package="e2fsprogs")
    with disk.open("xb") as file:
        file.truncate(planned.disk_size)
        for offset, data in [*gpt.write(planned), *grub.bios_pieces(loader, planned)]:
            file.seek(offset)
            file.write(data)
    place = (f"of={disk}", "bs=1M", f"seek={root.start // MIB}", "conv=notrunc,sparse", "status=none")
    command.run("copying the stock root", ["dd", f"if={image}", *place], package="coreutils")
    image.unlink()


def _guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"
