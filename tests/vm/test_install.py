"""A machine with an empty disk whose firmware starts the PXE set from the network, and what a liar can do."""

import hashlib
import shutil

import pytest

from images.pxe import NAME
from testbed.controlplane.pki import HOST_OF_GUESTS
from testbed.releases.server import ReleaseServer
from testbed.vm.hardware import Direct, Hardware, Network
from testbed.vm.machine import VirtualMachine
from tests.vm.worker import TO_THE_KERNEL, machine_status, removed

pytestmark = [pytest.mark.long, pytest.mark.image, pytest.mark.vm, pytest.mark.timeout(1200)]
MIB = 1 << 20
INSTALLED = 400
"""Seconds, on a busy machine, to fetch and write a small system under QEMU's translator."""


@pytest.fixture
def place(small_release, tmp_path):
    """The served set with a script that names the server, and an empty disk of the image's size."""
    built = small_release.built.dir
    shutil.copytree(built / NAME, tmp_path / NAME, copy_function=shutil.copyfile)
    resized(tmp_path / "disk.raw", (built / "disk.raw").stat().st_size)
    yield tmp_path
    removed(tmp_path)


def address(server):
    return f"{server.url.replace('127.0.0.1', HOST_OF_GUESTS)}/{NAME}"


def digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def installer(place, server, words="", **more):
    """A machine that was given kernel and initrd already."""
    files = place / NAME
    source = f"wr.source={address(server)}" if server else ""
    direct = Direct(files / "vmlinuz", files / "initrd", f"console=ttyS0 panic=10 {source} {words}")
    return VirtualMachine(Hardware(place / "disk.raw", direct=direct, **more), place / "vm")


def resized(path, size):
    with path.open("wb") as disk:
        disk.truncate(size)
    return path


def test_firmware_finds_an_empty_disk_starts_the_installer_and_then_the_disk_in_slot_a(place, small_release):
    original = small_release.built.dir / "disk.raw"
    hardware = Hardware(place / "disk.raw", netboot=place / NAME)
    with ReleaseServer(place) as server:
        script = place / NAME / "install.ipxe"
        script.write_text(script.read_text().replace("http://SERVER/pxe", address(server)))
        with VirtualMachine(hardware, place / "vm") as machine:
            machine.wait_for("warmroot-install: .* installs small 13.0.1, sha256:", TO_THE_KERNEL)
            assert small_release.built.digest in machine.console()
            machine.wait_for("installed small 13.0.1 on vda, and starts it", INSTALLED)
            machine.wait_end(60)
        assert digest(place / "disk.raw") == digest(original), "the disk is the image, bit by bit"
        with VirtualMachine(hardware, place / "vm") as machine:
            status = machine_status(machine)
        assert (status["slot"], status["state"]) == ("A", "good")
        with installer(place, server) as machine:
            machine.wait_for("FAILED vda is not empty, and nothing is written", TO_THE_KERNEL)


def refused(place, server, why, words="", **more):
    with installer(place, server, words, **more) as machine:
        machine.wait_for(f"warmroot-install: .* FAILED {why}", TO_THE_KERNEL)
        machine.wait_for("starts over in 60 s", 30)


def test_a_machine_that_lacks_something_says_what_and_writes_nothing(place):
    """Disk, then network, then server: in the order in which the installer needs them."""
    disk, files = place / "disk.raw", place / NAME
    size = disk.stat().st_size
    with ReleaseServer(place) as server:
        refused(place, None, "the kernel's arguments lack wr.source=URL")
        refused(place, server, "there is no disk that can be written", read_only=True)
        refused(place, server, "sdq is no disk that can be written; there are: vda", "wr.disk=/dev/sdq")
        resized(disk, 64 * MIB)
        refused(place, server, "vda has 64 MiB, and small 13.0.1 needs [0-9]+")
        resized(disk, size)
        second = resized(place / "second.raw", size)
        refused(place, server, "there are several disks: vda vdb; name one with wr.disk=", second=second)
        refused(place, server, "no network card got an address", network=Network.NOWHERE)
        (files / "chunks").rename(files / "elsewhere")
        refused(place, server, ".*/chunks/[0-9a-f]{64} can't be fetched: .*404")
    for one in (disk, second):
        assert digest(one) == digest(resized(place / "empty", size)), f"{one.name} was written to"


def test_one_changed_byte_on_the_server_is_refused_and_the_disk_starts_nothing(place):
    chunk = max((place / NAME / "chunks").iterdir(), key=lambda path: path.name)
    data = chunk.read_bytes()
    changed = data[:-1] + bytes([data[-1] ^ 1])
    chunk.write_bytes(changed)
    with ReleaseServer(place) as server, installer(place, server) as machine:
        machine.wait_for(f"FAILED .*/chunks/{chunk.name} is not what this installer was made for", INSTALLED)
    with (place / "disk.raw").open("rb") as disk:
        assert disk.read(MIB) == bytes(MIB), "no partition table, no boot code"
        assert changed not in iter(lambda: disk.read(len(changed)), b"")
