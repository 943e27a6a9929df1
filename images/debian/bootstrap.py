"""From packages to a tree: mmdebstrap unpacks and configures them; the kernel is fetched beside them.

The kernel's package is not installed: its scripts would build an initrd of Debian's kind, and pull in what
builds it. What it needs from them is little, and `system` does it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from images import command
from images.debian import mirror
from images.parts import Debian
from warmroot.errors import StepFailed, UserError

REQUIRED = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "udev",
    "kmod",
    "util-linux",
    "mount",
    "dmsetup",
    "busybox-static",
)
"""What an image of ours can't do without: its init, and what the initrd is made of."""
BESIDE = "beside"
"""Folder of what is fetched besides the kernel."""
_LEFT_OUT = ("doc", "man", "info", "locale", "lintian", "bug")
_FETCH = """
set -e
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
cd "$WARMROOT_FETCHED"
apt-cache depends "$WARMROOT_KERNEL" > depends
of_the_day=$(awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }' depends)
apt-get -q download "${of_the_day:-$WARMROOT_KERNEL}"
mkdir "$WARMROOT_BESIDE"
cd "$WARMROOT_BESIDE"
for package in $WARMROOT_PACKAGES_BESIDE; do apt-get -q download "$package"; done
"""
"""A package such as linux-image-amd64 only depends on that of the day, which is the one to fetch."""


def check(debian: Debian) -> None:
    """Refuses before the long work what would fail after it.

    Raises:
        UserError: this process may not make files of other owners.
        NotInstalled: this machine has no Debian mirror, or no keys of Debian's.
        StepFailed: apt failed.
    """
    if os.geteuid() != 0:
        raise UserError(
            "a recipe with debian needs root: its files belong to several users", hint="run it with sudo"
        )
    _sources(debian)


def bootstrap(
    debian: Debian,
    kernel: str,
    tree: Path,
    fetched: Path,
    *,
    doing: Callable[[str], None] = lambda _: None,
    beside: Sequence[str] = (),
) -> Path:
    """Fills the new folder `tree`, and gives the kernel's package, which lies in the new folder `fetched`.

    `doing` hears what mmdebstrap says. Packages in `beside` are fetched into its folder `BESIDE`, and not
    installed either.

    Raises:
        NotInstalled: mmdebstrap or apt is missing.
        StepFailed: there is no such package, no network, or a signature is not Debian's.
    """
    fetched.mkdir()
    needed = debian.model_copy(update={"packages": (*REQUIRED, *debian.packages)})
    options = ["--variant=essential", f"--customize-hook={_FETCH}"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _LEFT_OUT]
    asked = {
        "WARMROOT_FETCHED": str(fetched.resolve()),
        "WARMROOT_KERNEL": kernel,
        "WARMROOT_BESIDE": BESIDE,
        "WARMROOT_PACKAGES_BESIDE": " ".join(beside),
    }
    install(needed, tree, options, asked, doing)
    found = sorted(fetched.glob("*.deb"))
    if len(found) != 1:
        raise StepFailed(f"no package of the kernel {kernel} was fetched", hint="check kernel.package")
    return found[0]


def install(
    debian: Debian,
    tree: Path,
    options: Sequence[str],
    environment: Mapping[str, str],
    doing: Callable[[str], None] = lambda _: None,
) -> None:
    """Fills the new folder `tree` with packages, without those that they only recommend.

    `options` are mmdebstrap's, its hooks see `environment`, and `doing` hears what it says.

    Raises:
        NotInstalled: mmdebstrap or apt is missing.
        StepFailed: there is no such package, no network, or a signature is not Debian's.
    """
    # In a file: a proxy's password must neither be seen in the list of processes nor in an error.
    network = tree.with_name("network.conf")
    network.touch(0o600)
    network.write_text(mirror.network())
    command.run(
        "installing Debian packages",
        [
            *("mmdebstrap", "--mode=root", "--format=directory"),
            # A tree that a power cut tears is not used, but made anew.
            "--dpkgopt=force-unsafe-io",
            *(f"--aptopt={network}", '--aptopt=APT::Install-Recommends "false"', *options),
            f"--include={','.join(sorted(set(debian.packages)))}",
            debian.suite,
            tree,
            *_sources(debian),
        ],
        package="mmdebstrap",
        environment={
            # It starts a Python for each package: the system's, not one that this process was started with.
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SOURCE_DATE_EPOCH": str(command.EPOCH),
            **environment,
        },
        each_line=lambda line: doing(line.removeprefix("I: ")) if line.startswith("I: ") else None,
        hint="if a package was not found, correct debian.packages or kernel.package; else see that"
        " `apt-get update` works on this machine, and that the disk is not full",
    )


def fields(package: Path, *names: str) -> Mapping[str, str]:
    """Control fields of a package file, by name.

    Raises:
        NotInstalled: dpkg is missing.
        StepFailed: it is no package.
    """
    said = command.run("reading a package", ["dpkg-deb", "--field", package, *names], package="dpkg")
    return {name: value for name, _, value in (line.partition(": ") for line in said.splitlines())}


def _sources(debian: Debian) -> list[str]:
    signed = f"[signed-by={mirror.keyring()}]"
    if debian.mirrors:
        return [f"deb {signed} {line}" for line in debian.mirrors]
    return [f"deb {signed} {one.address} {one.suite} main" for one in mirror.archives(debian.suite)]
