"""A real proxy process on a real disk file, over HTTP: it stages, survives SIGKILL, ends when it is told."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from os_proxy.backends.device import FileDevice, LaidOutDisk
from tests.proxy_node import NodeFolder, serving_object
from tests.unit.release_server import serving
from tests.unit.release_world import World, write_release
from warmroot.disk.bootrecord import Slot, newest
from warmroot.disk.layout import BLOCK, COPY_OFFSETS, root
from warmroot.release.manifest import digest

BLOCKS = 1000


class Bed:
    """A node that runs release 1, a repository that also has release 2, and the API."""

    def __init__(self, folder, api, one, url, knobs, world):
        self.api, self.one, self.url, self.knobs = api, one, url, knobs
        self.log = folder / "proxy.log"
        self.node = NodeFolder(folder / "node", root_mib=5)
        first = folder / "release-1"
        manifest = write_release(first, "1.0", 1, blocks=BLOCKS)
        self.node.install(first, manifest, digest(manifest.encode()), world.anchor)
        world.publish("2.0", 2, blocks=BLOCKS)
        built = folder / "built" / "2.0-2"
        self.root, self.digest = (
            (built / "root.img").read_bytes(),
            digest((built / "manifest.json").read_bytes()),
        )
        self.processes = []

    def order(self, goal, **more):
        release = {"version": "2.0", "digest": self.digest, "sources": [self.url]}
        self.one.order(goal=goal, release=release, **more)

    def start(self, *extra):
        with self.log.open("ab") as log:
            process = self.node.start(self.api, *extra, log=log)
        self.processes.append(process)
        return process

    def slot_b(self, length=None):
        start = self.node.layout[root(Slot.B)].start
        with self.node.disk.open("rb") as disk:
            disk.seek(start)
            return disk.read(length or len(self.root))

    def record(self):
        state = LaidOutDisk(FileDevice(self.node.disk)).bootstate
        return newest(*(state.read(offset, 512) for offset in COPY_OFFSETS))[1]

    def fetched(self):
        """Bytes of the root image that the server was asked for."""
        ranges = [span for path, span in self.knobs.seen if "/blobs/root/" in path and span]
        bounds = [map(int, span.removeprefix("bytes=").split("-")) for span in ranges]
        return sum(end - start + 1 for start, end in bounds)


@pytest.fixture
def bed(tmp_path):
    world = World(tmp_path)
    with serving(tmp_path / "repo") as (url, knobs), serving_object() as (api, one):
        bed = Bed(tmp_path, api, one, url, knobs, world)
        yield bed
        for process in bed.processes:
            process.kill()
            process.wait()


def test_a_node_stages_and_activates_over_http(bed):
    bed.start()
    bed.order("Stage")
    status = bed.one.wait_for(lambda status: status.get("phase") in ("Staged", "Failed"))
    assert (status["phase"], status.get("lastError"), bed.slot_b() == bed.root) == ("Staged", None, True)
    bed.order("Activate", reboot={"id": "r1", "deadline": "2999-01-01T00:00:00Z"})
    bed.one.wait_for(lambda status: status.get("rebootID") == "r1")
    assert bed.record().next is Slot.B


def test_a_killed_proxy_goes_on_and_fetches_nothing_twice(bed):
    """The limit on bandwidth makes the first attempt slow enough to be killed in its middle."""
    first = bed.start()
    bed.order("Stage", stagingBandwidth=128 * BLOCK)
    wait_until(lambda: bed.slot_b(BLOCK) == bed.root[:BLOCK], first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    slot = bed.slot_b()
    held = sum(slot[at : at + BLOCK] == bed.root[at : at + BLOCK] for at in range(0, BLOCKS * BLOCK, BLOCK))
    bed.knobs.seen.clear()
    bed.order("Stage")
    assert 0 < held < BLOCKS
    assert bed.start("--once").wait(60) == 0
    assert bed.slot_b() == bed.root
    assert bed.fetched() == (BLOCKS - held) * BLOCK


def test_a_foreign_disk_is_refused_at_start_and_not_written(bed):
    content = os.urandom(1 << 20)
    bed.node.disk.write_bytes(content)
    assert bed.start().wait(30) == 1
    assert bed.node.disk.read_bytes() == content
    assert json.loads(bed.log.read_text().splitlines()[-1])["reason"] == "ForeignDisk"


def test_the_proxy_ends_when_it_is_told_and_stays_small(bed):
    process = bed.start()
    bed.one.wait_for(lambda status: status.get("phase") == "Idle")
    loaded = Path(f"/proc/{process.pid}/maps").read_text()
    process.terminate()
    assert process.wait(20) == 0
    assert not [name for name in ("pydantic_core", "_rust.abi3") if name in loaded]


def wait_until(holds, process):
    """Polls the disk, which has nobody to notify us."""
    end = time.monotonic() + 60
    while not holds():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
