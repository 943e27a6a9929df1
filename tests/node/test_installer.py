"""The installer of the PXE set, run as a machine runs it: on a file in a disk's place, from a folder in a
server's. `tests/vm/test_install.py` does it with firmware, network and disk.
"""

import hashlib
import random
import subprocess
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest

from images import pxe
from images import recipe as recipes
from images.build import Format, build
from images.pxe import Piece
from tests.unit.test_images_recipe import tree
from warmroot.errors import UserError
from warmroot.release.manifest import Boot, Manifest, Root, Skew

MIB = 1 << 20
STAND_IN = "stand-in-for-it"
MANIFEST = Manifest(
    product="small",
    arch="amd64",
    version="1.2.3",
    release_seq=1,
    min_seq=0,
    root=Root(8192, 1, b"salt", bytes(32)),
    boot=Boot(4096, bytes(32)),
    kernel="6.12",
    kubelet="1.37.2",
    kubernetes=Skew("1.37", "1.40"),
    config_schema=1,
    allow_downgrade_from=None,
)
SHIM = """#!/bin/bash
applet=$1
shift
case $applet in
  find | insmod | ip | modprobe | mount | sleep | sync | xargs) echo "$applet $*" >>{home}/did ;;
  reboot) echo reboot >>{home}/did; kill -KILL "$PPID" ;;
  timeout) shift; exec "$@" ;;
  udhcpc) exec test -e {home}/network ;;
  wget) cat "{home}/served/${{@: -1}}" ;;
  *) exec "$applet" "$@" ;;
esac
"""


def disk_image() -> bytes:
    """11 MiB: something in the first, the third, the seventh, and the last; zeros between."""
    chance = random.Random(5)
    image = bytearray(11 * MIB)
    for at in (0, 2 * MIB + 5, 6 * MIB, 11 * MIB - 512):
        image[at : at + 512] = chance.randbytes(512)
    return bytes(image)


@dataclass
class Bench:
    """A machine's files, and what it says."""

    home: Path
    arguments: str = "console=ttyS0 wr.source=set"
    disks: dict[str, bytes] = field(default_factory=lambda: {"vda": bytes(11 * MIB)})

    def __post_init__(self):
        built = self.home / "built"
        built.mkdir()
        (built / "disk.raw").write_bytes(disk_image())
        pxe.write(built, MANIFEST, b"kernel", b"installer")
        (built / "pxe").rename(self.home / "set")
        (self.home / "served").mkdir()
        (self.home / "set").rename(self.home / "served" / "set")
        self.network = self.home / "network"
        self.network.touch()

    @property
    def chunks(self):
        return self.home / "served" / "set" / "chunks"

    def disk(self, name="vda"):
        return (self.home / "dev" / name).read_bytes()

    def list(self):
        initrd = (self.home / "served" / "set" / "initrd").read_bytes()
        return initrd[initrd.index(b"release ") : initrd.index(b"\n\0")].decode() + "\n"

    def boot(self) -> str:
        """What it said until it started over."""
        for name in ("dev", "run", "bin"):
            (self.home / name).mkdir(exist_ok=True)
        for name, content in self.disks.items():
            (self.home / "dev" / name).write_bytes(content)
            about = self.home / "sys/class/block" / name
            (about / "device").mkdir(parents=True, exist_ok=True)
            (about / "size").write_text(f"{len(content) // 512}\n")
            (about / "ro").write_text("0\n")
        for card in ("lo", "eth0"):
            (self.home / "sys/class/net" / card).mkdir(parents=True, exist_ok=True)
        for name, text in (("disk.list", self.list()), ("cmdline", self.arguments), ("console", "")):
            (self.home / name).write_text(text)
        (self.home / "modules").write_text("/af_packet.ko\n")
        (self.home / "bin" / STAND_IN).write_text(SHIM.format(home=self.home))
        (self.home / "bin" / STAND_IN).chmod(0o755)
        # Never by its own name: a shell that is a busybox would mount and reboot here, whatever PATH says.
        script = (files("images") / "boot" / "install").read_text().replace("busybox", STAND_IN)
        for place in ("/proc/cmdline", "/sys/class", "/dev/console", "/dev/$disk", "/run/", "/modules"):
            script = script.replace(
                place, f"{self.home}{place.removeprefix('/proc')}".replace("/dev/con", "/con")
            )
        script = script.replace("</disk.list", f"<{self.home}/disk.list")
        script = script.replace("PATH=/bin:/sbin", f"PATH={self.home}/bin:/usr/bin:/bin")
        subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=60)
        return (self.home / "console").read_text()


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_a_disk_becomes_the_image_bit_by_bit_and_the_machine_starts_it(bench):
    said = bench.boot()
    assert "installed small 1.2.3 on vda, and starts it" in said
    assert bench.disk() == disk_image()
    assert (bench.home / "did").read_text().splitlines()[-1] == "reboot"


def test_what_was_between_the_ends_of_a_disk_does_not_shine_through(bench):
    bench.disks = {"vda": bytes(MIB) + b"\xa5" * (9 * MIB) + bytes(MIB)}
    assert "installed" in bench.boot()
    assert bench.disk() == disk_image()


def test_a_larger_disk_keeps_what_is_behind_the_image(bench):
    bench.disks = {"vda": bytes(13 * MIB)}
    assert "installed" in bench.boot()
    assert bench.disk() == disk_image() + bytes(2 * MIB)


def test_the_first_mebibyte_is_written_last(bench):
    kinds = [line.split() for line in bench.list().splitlines()]
    assert [words[1] for words in kinds if words[0] in ("data", "zero")][-1] == "0"
    assert kinds[0] == [
        "release",
        "small",
        "1.2.3",
        f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}",
    ]
    assert kinds[1] == ["sectors", str(11 * MIB // 512)]


@pytest.mark.parametrize("which", range(4))
def test_a_chunk_with_other_bytes_is_refused_and_the_disk_starts_nothing(bench, which):
    chunk = sorted(bench.chunks.iterdir())[which]
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    said = bench.boot()
    assert f"FAILED set/chunks/{chunk.name} is not what this installer was made for" in said
    assert "installed small" not in said
    assert bench.disk()[:MIB] == bytes(MIB)


@pytest.mark.parametrize("how", ["gone", "shorter", "longer"])
def test_a_chunk_that_is_not_whole_is_refused(bench, how):
    chunk = sorted(bench.chunks.iterdir())[0]
    data = chunk.read_bytes()
    chunk.unlink()
    if how != "gone":
        chunk.write_bytes(data[:-1] if how == "shorter" else data + b"x" * 5 * MIB)
    said = bench.boot()
    assert ("can't be fetched" if how == "gone" else "is not what this installer was made for") in said
    assert bench.disk()[:MIB] == bytes(MIB)


@pytest.mark.parametrize("at", [0, MIB - 1, 10 * MIB, 11 * MIB - 1])
def test_a_disk_that_is_not_empty_is_left_alone_unless_it_is_given_up(bench, at):
    full = bytearray(11 * MIB)
    full[at] = 1
    bench.disks = {"vda": bytes(full)}
    assert "FAILED vda is not empty, and nothing is written" in bench.boot()
    assert bench.disk() == bytes(full)
    bench.arguments += " wr.overwrite"
    assert "vda is not empty, and is overwritten" in bench.boot()
    assert bench.disk() == disk_image()


def test_a_disk_that_is_given_up_starts_nothing_once_the_first_byte_is_written(bench):
    bench.disks = {"vda": b"\xa5" * (11 * MIB)}
    bench.arguments += " wr.overwrite"
    last = [line.split()[3] for line in bench.list().splitlines() if line.startswith("data")][-1]
    (bench.chunks / last).unlink()
    assert "FAILED" in bench.boot()
    assert bench.disk()[:MIB] == bytes(MIB)


def test_one_of_several_disks_has_to_be_named(bench):
    bench.disks = {"vda": bytes(11 * MIB), "vdb": bytes(11 * MIB)}
    assert "FAILED there are several disks: vda vdb; name one with wr.disk=" in bench.boot()
    bench.arguments += " wr.disk=/dev/vdb"
    assert "installed small 1.2.3 on vdb" in bench.boot()
    assert (bench.disk("vda"), bench.disk("vdb")) == (bytes(11 * MIB), disk_image())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"disks": {}}, "there is no disk that can be written"),
        ({"disks": {"vda": bytes(10 * MIB)}}, "vda has 10 MiB, and small 1.2.3 needs 11"),
        ({"arguments": "wr.source=set wr.disk=sdz"}, "sdz is no disk that can be written; there are: vda"),
        ({"arguments": "quiet"}, "lack wr.source=URL"),
        ({"network": None}, "no network card got an address"),
    ],
)
def test_what_a_machine_lacks_is_said_and_nothing_is_written(bench, changes, says):
    for name, value in changes.items():
        setattr(bench, name, value)
    if "network" in changes:
        (bench.home / "network").unlink()
    said = bench.boot()
    assert f"FAILED {says}" in said or says in said
    assert "starts over in 60 s" in said
    assert all(bench.disk(name) == content for name, content in bench.disks.items())


def test_zeros_that_follow_one_another_are_one_piece():
    pieces = [Piece(1, 4, None), Piece(5, 4, None), Piece(9, 4, "ab"), Piece(13, 2, None), Piece(0, 1, None)]
    assert [str(piece) for piece in pxe.joined(pieces)] == [
        "zero 1 8",
        "data 9 4 ab",
        "zero 13 2",
        "zero 0 1",
    ]


def test_a_recipe_of_files_alone_has_no_installer(tmp_path):
    with pytest.raises(UserError, match="pxe needs a recipe with debian"):
        build(recipes.parse(tree()), tmp_path / "out", formats=[Format.PXE])
    assert list(tmp_path.iterdir()) == []


def test_network_drivers_need_a_kernel_of_a_package():
    with pytest.raises(UserError, match="networkModules needs package"):
        recipes.parse(tree(kernel={"version": "1", "stub": {}, "networkModules": ["virtio_net"]}))
