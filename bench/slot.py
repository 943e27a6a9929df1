"""A whole slot written, verified and read back, against `dd` and one hash pass over the same bytes.

The limit is what a disk and one core must do in any case: write every byte once, past the cache and with an
fsync, and hash it once. We hash twice and read the medium once more; threads and O_DIRECT must hide that.
A disk that can't do more while it is busy leaves nothing to hide behind: so `dd` also reads its bytes back,
and the last row says what share of the disk's own time for both, without any hashing, we reach.
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
RUNS = 7
"""Of each; a disk that others use too varies a lot from one run to the next."""


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


def _dd(folder: Path, source: Path) -> tuple[float, float]:
    """Seconds to write, with the same durability as ours, and to read back past the cache."""
    target = folder / "dd.img"
    target.write_bytes(bytes(SIZE_MIB * MIB))
    subprocess.run(["sync", str(target)], check=True)
    began = time.perf_counter()
    write = [f"if={source}", f"of={target}", "oflag=direct", "conv=notrunc,fsync"]
    subprocess.run(["dd", "bs=1M", "status=none", *write], check=True)
    written = time.perf_counter()
    subprocess.run(["dd", "bs=1M", "status=none", f"if={target}", "of=/dev/null", "iflag=direct"], check=True)
    return written - began, time.perf_counter() - written


def _hash(data: bytes) -> float:
    began = time.perf_counter()
    hashlib.sha256(data).digest()
    return time.perf_counter() - began


def run() -> list[Row]:
    """The best of some runs of each, taken in turn."""
    image = make_image(1, blocks=BLOCKS, boot_size=4 * MIB)
    written = len(image.root) + len(image.boot)
    ours, written_by_dd, read_by_dd, hashed = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-") as name:
        folder = Path(name)
        _publish(image, folder / "repository")
        source = folder / "repository" / image.manifest.root.path
        for number in range(RUNS):
            ours.append(_stage(folder / f"node-{number}", image, folder / "repository"))
            wrote, read = _dd(folder, source)
            written_by_dd.append(wrote)
            read_by_dd.append(read)
            hashed.append(_hash(image.root))
    direct, read_back, once = min(written_by_dd), min(read_by_dd), min(hashed)
    speed = written / MIB / min(ours)
    limit = len(image.root) / MIB / (direct + once)
    floor = len(image.root) / MIB / (direct + read_back)
    peer = f"dd oflag=direct conv=fsync {direct:.2f} s"
    against = f"{peer} + one sha256 pass {once:.2f} s"
    disk = f"{peer} + dd iflag=direct {read_back:.2f} s"
    return [
        Row("slot", "slot write, verified and read back", speed, "MiB/s", None, "higher", against),
        Row("slot", "dd and one hash pass", limit, "MiB/s", None, "higher"),
        Row("slot", "share of dd and one hash pass", speed / limit, "ratio", 0.8, "higher", against),
        Row("slot", "share of dd and dd reading it back", speed / floor, "ratio", None, "higher", disk),
    ]
