"""A whole slot written, verified and read back, against `dd` and one hash pass over the same bytes.

The limit is what a disk and one core must do in any case: write every byte once, past the cache and with an
fsync, and hash it once. We hash twice and read the medium once more; threads and O_DIRECT must hide that.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import Row
from os_proxy.backends.bootstate import GrubBootState
from os_proxy.backends.device import FileDevice, LaidOutDisk
from os_proxy.backends.files import DataFolder
from os_proxy.backends.host import SystemClock
from os_proxy.backends.staging import Limits, Surroundings, stage
from os_proxy.core.receipts import Receipt, SlotContent
from os_proxy.core.seen import Booted, Seen
from os_proxy.core.steps import Write
from tests.proxy_node import NodeFolder
from tests.proxy_world import make_image
from warmroot.disk.bootrecord import Slot
from warmroot.release.source import open_sources

MIB = 1024 * 1024
SIZE_MIB = 128
BLOCKS = SIZE_MIB * MIB // 4096
RUNS = 3


def _publish(image: Any, folder: Path) -> None:
    for path, data in ((image.manifest.root.path, image.root), (image.manifest.boot.path, image.boot)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def _stage(folder: Path, image: Any, repository: Path) -> float:
    node = NodeFolder(folder, root_mib=SIZE_MIB + 8, boot_mib=8)
    disk = LaidOutDisk(FileDevice(node.disk))
    # The slot held another release before: nothing is to be found by scanning it.
    old = Receipt("sha256:" + "0" * 64, "0", 0, SlotContent.VERIFIED)
    seen = Seen(
        boot=GrubBootState(disk.bootstate).read(),
        booted=Booted(Slot.A, bytes(32), "boot"),
        receipts={Slot.B: old},
    )
    ports = Surroundings(
        disk=disk,
        boot_state=GrubBootState(disk.bootstate),
        files=DataFolder(node.data),
        clock=SystemClock(),
        wait=time.sleep,
        open_sources=lambda _: open_sources([f"file://{repository}"]),
    )
    disk.slot(Slot.B).root.write(0, bytes(SIZE_MIB * MIB))  # blocks are allocated, as on a partition
    disk.slot(Slot.B).root.flush()
    began = time.perf_counter()
    stage(Write(Slot.B, image.release, image.manifest), seen, ports, Limits(), lambda _: None)
    return time.perf_counter() - began


def _dd(folder: Path, source: Path, options: list[str]) -> float:
    target = folder / "dd.img"
    target.write_bytes(bytes(SIZE_MIB * MIB))
    subprocess.run(["sync", str(target)], check=True)
    began = time.perf_counter()
    subprocess.run(
        ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=notrunc,fsync", "status=none", *options],
        check=True,
    )
    return time.perf_counter() - began


def _hash(data: bytes) -> float:
    began = time.perf_counter()
    hashlib.sha256(data).digest()
    return time.perf_counter() - began


def run() -> list[Row]:
    """The best of some runs of each, taken in turn."""
    image = make_image(1, blocks=BLOCKS, boot_size=4 * MIB)
    written = len(image.root) + len(image.boot)
    ours, direct, hashed = [], [], []
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-") as name:
        folder = Path(name)
        _publish(image, folder / "repository")
        source = folder / "repository" / image.manifest.root.path
        for number in range(RUNS):
            ours.append(_stage(folder / f"node-{number}", image, folder / "repository"))
            direct.append(_dd(folder, source, ["oflag=direct"]))
            hashed.append(_hash(image.root))
    speed = written / MIB / min(ours)
    limit = len(image.root) / MIB / (min(direct) + min(hashed))
    against = f"dd oflag=direct conv=fsync {min(direct):.2f} s + one sha256 pass {min(hashed):.2f} s"
    return [
        Row("slot", "slot write, verified and read back", speed, "MiB/s", None, "higher", against),
        Row("slot", "dd and one hash pass", limit, "MiB/s", None, "higher"),
        Row("slot", "share of dd and one hash pass", speed / limit, "ratio", 0.8, "higher", against),
    ]
