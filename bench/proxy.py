"""Resident memory of a real proxy process: while it stages over loopback HTTP, and when it is idle again."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.report import Row
from tests.proxy_node import NodeFolder, serving_object
from tests.unit.release_server import serving
from tests.unit.release_world import World, write_release
from warmroot.release.manifest import digest

SIZE_MIB = 96
BLOCKS = SIZE_MIB * 1024 * 1024 // 4096
GOAL_MIB = 64.0


def _status(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


class Children(threading.Thread):
    """The largest child process that was seen: the trust check, whose memory is given back."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.peak = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        """Looks every few milliseconds."""
        while not self.over.wait(0.02):
            try:
                children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
                self.peak = max([self.peak, *(_status(int(child), "VmHWM") for child in children)])
            except OSError:
                continue


def run() -> list[Row]:
    """One staging of a release of which nothing is on the node."""
    with tempfile.TemporaryDirectory(prefix="warmroot-bench-") as name:
        folder = Path(name)
        world = World(folder)
        first = folder / "first"
        manifest = write_release(first, "1.0", 1, blocks=BLOCKS)
        node = NodeFolder(folder / "node", root_mib=SIZE_MIB + 4)
        node.install(first, manifest, digest(manifest.encode()), world.anchor)
        world.publish("2.0", 2, blocks=BLOCKS)
        wanted = digest((folder / "built/2.0-2/manifest.json").read_bytes())
        with serving(folder / "repo") as (url, _), serving_object() as (api, one):
            return _measure(folder, node, api, one, {"version": "2.0", "digest": wanted, "sources": [url]})


def _measure(folder: Path, node: Any, api: str, one: Any, release: dict[str, object]) -> list[Row]:
    with (folder / "proxy.log").open("wb") as log:
        process = node.start(api, log=log)
    children = Children(process.pid)
    children.start()
    try:
        one.wait_for(lambda status: status.get("phase") == "Idle")
        idle = _status(process.pid, "VmRSS")
        one.order(goal="Stage", release=release)
        began = time.perf_counter()
        done = one.wait_for(lambda status: status.get("phase") in ("Staged", "Failed"), 300)
        seconds = time.perf_counter() - began
        if done["phase"] != "Staged":
            raise RuntimeError(f"the benchmark's node could not stage: {done.get('lastError')}")
        peak, after = _status(process.pid, "VmHWM"), _status(process.pid, "VmRSS")
        writes = len(one.patches)
    finally:
        children.over.set()
        process.terminate()
        process.wait()
    against = f"{SIZE_MIB} MiB fetched over loopback HTTP in {seconds:.1f} s"
    return [
        Row("proxy", "peak resident memory while staging", peak, "MiB", GOAL_MIB, "lower", against),
        Row("proxy", "resident before the first staging", idle, "MiB"),
        Row("proxy", "resident when idle again", after, "MiB", GOAL_MIB, "lower"),
        Row(
            "proxy",
            "peak of the trust check's child process",
            children.peak,
            "MiB",
            None,
            "lower",
            "seconds long",
        ),
        Row("proxy", "status writes up to Staged", writes, "writes", 15, "lower"),
    ]
