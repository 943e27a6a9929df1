"""The Kubernetes half of a worker: a kubelet, and what it and containerd need to find in the root.

The kubelet is a file that the recipe names, or is compiled (`kubelet_modules`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from images import kubelet_modules, pause
from images.debian.system import Installed, inside
from images.kubelet_modules import VERSION
from images.parts import KubeletProgram
from warmroot.errors import UserError

PACKAGES = ("catatonit", "conntrack", "containerd", "containernetworking-plugins", "iptables", "runc")
"""Debian packages that it needs."""
UNITS = ("containerd.service", "warmroot-pause.service", "kubelet.service")
PROGRAM = "usr/bin/kubelet"
PAUSE = "usr/share/warmroot/pause.tar"
"""warmroot-pause.service imports it."""
_MODULE = "k8s.io/kubernetes"
FILES = {
    "kubelet.service": "usr/lib/systemd/system/kubelet.service",
    "kubelet.yaml": "usr/share/warmroot/kubelet.yaml",
    "containerd.toml": "etc/containerd/config.toml",
    "cni.conf": "usr/lib/tmpfiles.d/warmroot-cni.conf",
    "warmroot-pause.service": "usr/lib/systemd/system/warmroot-pause.service",
}
"""What it brings from `images/node`, and where to."""


def check(program: KubeletProgram, version: str) -> None:
    """Refuses before the long work what would fail after it.

    Raises:
        UserError: the version is none that we can compile.
        NotInstalled: there is no Go to compile it with.
    """
    if program.file is not None:
        return
    if version != VERSION:
        raise UserError(
            f"kubeletProgram.modules compiles {VERSION}, and the recipe names {version}",
            hint=f"name {VERSION}, or give the program of your version with kubeletProgram.file",
        )
    kubelet_modules.find_go()


def install(
    tree: Path, program: KubeletProgram, version: str, doing: Callable[[str], None] = lambda _: None
) -> tuple[Installed, ...]:
    """Puts the kubelet into a tree that has the packages, and what it is to find; gives what came with it.

    `doing` hears what is compiled.

    Raises:
        UserError: the file can't be read, or it is a kubelet of another version.
        StepFailed: the kubelet does not compile.
    """
    try:
        source = program.file or kubelet_modules.compiled(each_line=doing)
        shutil.copyfile(source, tree / PROGRAM)
    except OSError as error:
        raise UserError(
            f"kubeletProgram.file: {error.filename} can't be read: {error.strerror}",
            hint="a relative path begins at the recipe's folder",
        ) from error
    (tree / PROGRAM).chmod(0o755)
    said = inside("asking for the kubelet's version", tree, f"/{PROGRAM}", "--version").strip()
    if said != f"Kubernetes v{version}":
        raise UserError(
            f"kubeletProgram says {said!r}, and the recipe names {version}",
            hint="name its version in kubelet: it goes into the signed manifest",
        )
    (tree / "etc/kubernetes/kubelet.conf.d").mkdir(parents=True)
    (tree / PAUSE).parent.mkdir(parents=True, exist_ok=True)
    pause.write(tree / "usr/bin/catatonit", tree / PAUSE)
    _make_writable(tree / "opt")
    return (Installed("kubelet", version, "amd64", _MODULE, version, kind="golang"),)


def _make_writable(opt: Path) -> None:
    """Plugins of a cluster's network put their programs below /opt, which is the only place that all of them
    agree on, so it is on the data partition.
    """
    opt.rmdir()
    opt.symlink_to("var/opt")
