"""An installed disk: what was asked for is where the layout says, and nothing is half made."""

import shutil
import subprocess

import pytest

from images.disk import install
from images.grub import GrubImages
from warmroot.disk import bootstate, gpt, layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import MIB
from warmroot.errors import UserError

PLANNED = layout.plan(boot_size=MIB, root_size=2 * MIB, data_size=64 * MIB, esp_size=4 * MIB)
RECORD = BootRecord(1, Slot.A)
NO_GRUB = GrubImages(b"\xeb" * 512, b"core" * 300, b"MZ program")


@pytest.fixture
def release(tmp_path):
    boot, root = tmp_path / "boot.img", tmp_path / "root.img"
    boot.write_bytes(b"boot" * 1000)
    root.write_bytes(b"root" * (300 * 1024))
    return boot, root


def part(disk, label):
    return disk.read_bytes()[PLANNED[label].start : PLANNED[label].end]


def test_table_record_and_slots_are_where_the_layout_says(tmp_path, release):
    disk = tmp_path / "disk"
    install(disk, PLANNED, {Slot.B: release}, RECORD, grub=None)
    data = disk.read_bytes()
    assert gpt.read(lambda offset, length: data[offset : offset + length], len(data)) == PLANNED
    assert part(disk, layout.BOOTSTATE) == bootstate.image(RECORD)
    assert part(disk, "boot-B") == release[0].read_bytes().ljust(MIB, b"\0")
    assert part(disk, "root-B") == release[1].read_bytes().ljust(2 * MIB, b"\0")
    assert not any(part(disk, "root-A"))


def test_the_file_takes_only_the_space_of_what_is_in_it(tmp_path, release):
    disk = tmp_path / "disk"
    install(disk, PLANNED, {Slot.A: release}, RECORD, grub=None)
    assert disk.stat().st_size == PLANNED.disk_size
    assert disk.stat().st_blocks * 512 < 4 * MIB


@pytest.mark.skipif(shutil.which("mcopy") is None, reason="mtools is not installed")
@pytest.mark.skipif(shutil.which("mkfs.fat") is None, reason="dosfstools is not installed")
def test_grub_is_where_bios_and_uefi_look_for_it(tmp_path, release):
    disk = tmp_path / "disk"
    install(disk, PLANNED, {Slot.A: release}, RECORD, grub=NO_GRUB)
    sector = disk.read_bytes()[:512]
    assert sector[0x5C:0x64] == (PLANNED[layout.BIOS_GRUB].start // 512).to_bytes(8, "little")
    assert sector[446:] == gpt.write(PLANNED)[0][1][446:]
    assert part(disk, layout.BIOS_GRUB).startswith(b"core")
    esp = tmp_path / "esp"
    esp.write_bytes(part(disk, layout.ESP))
    program = subprocess.run(["mtype", "-i", esp, "::/EFI/BOOT/BOOTX64.EFI"], capture_output=True, check=True)
    assert program.stdout == NO_GRUB.efi
    assert subprocess.run(["fsck.fat", "-n", esp], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(shutil.which("mcopy") is None, reason="mtools is not installed")
@pytest.mark.skipif(shutil.which("mkfs.fat") is None, reason="dosfstools is not installed")
def test_equal_inputs_give_equal_disks(tmp_path, release):
    for name in ("one", "two"):
        install(tmp_path / name, PLANNED, {Slot.A: release}, RECORD, grub=NO_GRUB)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_that_exists_is_never_overwritten(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"precious")
    with pytest.raises(UserError, match="exists already"):
        install(disk, PLANNED, {}, RECORD, grub=None)
    assert disk.read_bytes() == b"precious"


def test_an_image_that_does_not_fit_leaves_no_disk_behind(tmp_path, release):
    disk = tmp_path / "disk"
    release[0].write_bytes(bytes(MIB + 1))
    with pytest.raises(UserError, match="partition boot-A only"):
        install(disk, PLANNED, {Slot.A: release}, RECORD, grub=None)
    assert not disk.exists()
