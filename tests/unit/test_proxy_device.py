"""Disk files and block devices: one sector in one piece, past the cache, nothing outside of a partition."""

import os
import subprocess
from pathlib import Path

import pytest

from os_proxy.backends import device as devices
from os_proxy.backends.bootstate import GrubBootState
from os_proxy.backends.device import FileDevice, LaidOutDisk, Window, partition_node
from warmroot.disk import bootstate, gpt, layout
from warmroot.disk.bootrecord import BootRecord, Slot, decode
from warmroot.errors import Bug, DiskFull, ForeignDisk, ReadOnlyDisk, SlotRefused, UserError

MIB = 1024 * 1024


@pytest.fixture
def disk_file(tmp_path):
    path = tmp_path / "disk.img"
    write_disk(path)
    return path


def write_disk(path):
    wanted = layout.plan(boot_size=MIB, root_size=MIB, data_size=MIB, esp_size=MIB)
    with path.open("wb") as file:
        file.truncate(wanted.disk_size)
        for offset, data in gpt.write(wanted):
            file.seek(offset)
            file.write(data)
        file.seek(wanted[layout.BOOTSTATE].start)
        file.write(bootstate.image(BootRecord(1, Slot.A)))
    return wanted


@pytest.fixture(params=["direct", "buffered"])
def device(request, tmp_path, monkeypatch):
    """A device of 1 MiB, once as the file system gives it and once where it refuses O_DIRECT."""
    if request.param == "buffered":
        monkeypatch.setattr(devices, "_direct_or_none", lambda *_: None)
    path = tmp_path / "device"
    path.write_bytes(bytes(MIB))
    opened = FileDevice(path)
    yield opened
    opened.close()


@pytest.mark.parametrize(("offset", "length"), [(0, 4096), (1, 10), (4000, 200), (MIB - 1, 1), (0, MIB)])
def test_what_is_written_anywhere_is_read_again(device, offset, length):
    data = os.urandom(length)
    device.write(offset, data)
    device.flush()
    assert device.read(offset, length) == data


def test_a_sector_is_written_through_alone(device):
    device.write(0, b"a" * 4096)
    device.write_through(512, b"b" * 512)
    assert device.read(0, 1536) == b"a" * 512 + b"b" * 512 + b"a" * 512


def test_only_whole_sectors_are_written_through(device):
    with pytest.raises(Bug):
        device.write_through(0, b"short")


def test_a_large_transfer_goes_in_pieces(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(3 * MIB))
    data = os.urandom(2 * MIB + 4096)
    device = FileDevice(path)
    device.write(4096, data)
    assert device.read(4096, len(data)) == data


def test_a_boot_record_write_is_one_write_of_one_sector(disk_file, monkeypatch):
    seen = []
    real = os.pwritev

    def pwritev(descriptor, buffers, offset):
        seen.append((sum(len(buffer) for buffer in buffers), offset))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "pwritev", pwritev)
    disk = LaidOutDisk(FileDevice(disk_file))
    GrubBootState(disk.bootstate).activate(Slot.B)
    start = disk.layout[layout.BOOTSTATE].start
    assert seen == [(512, start + offset) for offset in layout.COPY_OFFSETS]


def test_the_five_verbs_change_the_disks_own_bytes(disk_file):
    disk = LaidOutDisk(FileDevice(disk_file))
    state = GrubBootState(disk.bootstate)
    state.activate(Slot.B)
    state.confirm(Slot.B)
    state.disarm()
    copies = [disk.bootstate.read(offset, 512) for offset in layout.COPY_OFFSETS]
    assert [decode(copy) for copy in copies] == [BootRecord(4, Slot.B)] * 2


def test_a_window_cannot_be_left(device):
    window = Window(device, 4096, 4096)
    for offset, length in ((-1, 1), (4096, 1), (4000, 200)):
        with pytest.raises(Bug):
            window.write(offset, bytes(length))
        with pytest.raises(Bug):
            window.read(offset, length)


def test_a_foreign_disk_is_refused_and_not_written(tmp_path):
    path = tmp_path / "foreign"
    content = os.urandom(4 * MIB)
    path.write_bytes(content)
    with pytest.raises(ForeignDisk):
        LaidOutDisk(FileDevice(path))
    assert path.read_bytes() == content


def test_a_disk_without_our_bootstate_is_foreign(disk_file):
    with disk_file.open("r+b") as file:
        file.seek(LaidOutDisk(FileDevice(disk_file)).layout[layout.BOOTSTATE].start)
        file.write(bytes(512))
    with pytest.raises(ForeignDisk):
        LaidOutDisk(FileDevice(disk_file))


def test_a_missing_disk_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        FileDevice(tmp_path / "nowhere")


def test_two_proxies_never_work_on_one_disk(disk_file):
    first, second = FileDevice(disk_file), FileDevice(disk_file)
    first.lock()
    with pytest.raises(UserError, match="another proxy"):
        second.lock()


@pytest.mark.parametrize(("number", "expected"), [(28, DiskFull), (30, ReadOnlyDisk), (5, ReadOnlyDisk)])
def test_what_the_kernel_refuses_has_a_name(device, monkeypatch, number, expected):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwritev", refuse)
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(expected):
        device.write(0, bytes(4096))
    with pytest.raises(expected):
        device.write_through(0, bytes(512))


def _loop(path):
    done = subprocess.run(
        ["losetup", "--find", "--show", "--partscan", str(path)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture
def loop_disk(disk_file):
    if os.geteuid():
        pytest.skip("needs root for a loop device")
    node = _loop(disk_file)
    if not node:
        pytest.skip("no loop device to be had")
    try:
        if not list(Path("/sys/block", Path(node).name).glob("*/partition")):
            pytest.skip("the kernel scans no partitions of loop devices here")
        yield Path(node)
    finally:
        subprocess.run(["losetup", "--detach", node], check=True)


def test_a_slot_of_a_block_device_is_opened_for_us_alone(loop_disk):
    disk = LaidOutDisk(FileDevice(loop_disk), path=loop_disk)
    node = partition_node(loop_disk, disk.layout[layout.root(Slot.B)].number)
    with disk.exclusive(Slot.B) as slot:
        slot.root.write(0, b"x" * 4096)
        slot.root.flush()
        with pytest.raises(SlotRefused):
            FileDevice(node, exclusive=True)
    assert disk.slot(Slot.B).root.read(0, 4096) == b"x" * 4096
