"""The unified kernel image of a release: kernel, initrd and both slots' command lines, to be signed as one.

A release doesn't know which slot it will be in, and under Secure Boot nobody may add a word to a signed
command line. So there are two of them, as profiles: `@0` is slot A's, `@1` is slot B's, and GRUB names one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from images import command
from images.secureboot.programs import Programs, sections
from warmroot.disk.bootrecord import Slot

SIGNED = "wr.signed=1"
"""Tells a node that nobody can add to its command line."""
NAME = "uki.efi"
"""Its name in a boot image; `images/boot/start-signed.cfg` starts it."""


def build(
    programs: Programs,
    *,
    kernel: bytes,
    initrd: bytes,
    version: str,
    os_release: str,
    arguments: Sequence[str],
) -> bytes:
    """The image, unsigned. `version` is the kernel's, `arguments` are its command line but for the slot.

    Raises:
        StepFailed: ukify failed.
    """
    parts: Mapping[str, bytes] = {
        "stub": programs.stub,
        "empty": programs.empty,
        "ukify": programs.ukify,
        "linux": kernel,
        "initrd": initrd,
        "os-release": os_release.encode(),
        "ukify.conf": b"",
    }
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for part, data in parts.items():
            (work / part).write_bytes(data)
        second = work / "slot-b"
        _ukify(work, Slot.B, arguments, "empty", second)
        whole = [
            *(f"--linux={work / 'linux'}", f"--initrd={work / 'initrd'}", f"--uname={version}"),
            *(f"--os-release=@{work / 'os-release'}", f"--join-profile={second}"),
        ]
        _ukify(work, Slot.A, arguments, "stub", work / NAME, *whole)
        return (work / NAME).read_bytes()


def command_lines(image: bytes) -> dict[Slot, str]:
    """The command lines in an image.

    Raises:
        StepFailed: it is none.
    """
    lines = [data.rstrip(b"\0").decode() for name, _, data in sections(image) if name == ".cmdline"]
    return dict(zip(Slot, lines, strict=False))


def _ukify(work: Path, slot: Slot, arguments: Sequence[str], head: str, out: Path, *more: str) -> None:
    """One run of ukify, with this Python and without the configuration of this machine."""
    command.run(
        "making the unified kernel image",
        [
            *(sys.executable, work / "ukify", "build", f"--config={work / 'ukify.conf'}"),
            *(f"--stub={work / head}", "--efi-arch=x64", f"--profile=ID=slot-{slot.value.lower()}"),
            *(f"--cmdline={' '.join([f'wr.slot={slot}', SIGNED, *arguments])}", f"--output={out}", *more),
        ],
        package="python3",
    )
