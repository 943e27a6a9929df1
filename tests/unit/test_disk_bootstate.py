"""BOOTSTATE: the tools that know FAT agree with ours, and the copies are where the proxy writes them."""

import shutil
import subprocess

import pytest

from warmroot.disk import arguments, bootstate
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import ARGUMENT_OFFSETS, BOOTSTATE_BYTES, COPY_OFFSETS
from warmroot.errors import ForeignDisk

RECORD = BootRecord(7, Slot.A, Slot.B, 3)


def reader(image: bytes):
    return lambda offset, length: image[offset : offset + length]


def test_both_copies_are_the_record():
    assert bootstate.read(reader(bootstate.image(RECORD))) == (RECORD.encode(), RECORD.encode())


def test_the_image_has_the_partitions_size_and_is_always_the_same():
    assert len(bootstate.image(RECORD)) == BOOTSTATE_BYTES
    assert bootstate.image(RECORD) == bootstate.image(RECORD)


def test_the_copies_lie_in_different_4_kib_blocks():
    blocks = [offset // 4096 for offset in (*COPY_OFFSETS, *ARGUMENT_OFFSETS.values())]
    assert len(set(blocks)) == len(blocks)


@pytest.mark.skipif(shutil.which("fsck.fat") is None, reason="fsck.fat (package dosfstools) is not installed")
def test_fsck_finds_nothing(tmp_path):
    path = tmp_path / "bootstate"
    path.write_bytes(bootstate.image(RECORD))
    checked = subprocess.run(["fsck.fat", "-n", "-v", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "4 files, 4/251 clusters" in checked.stdout
    assert "12 bit entries" in checked.stdout
    assert "4096 bytes per cluster" in checked.stdout


@pytest.mark.skipif(shutil.which("mtype") is None, reason="mtools is not installed")
@pytest.mark.parametrize("number", range(4))
def test_mtools_read_at_a_name_what_the_proxy_writes_at_an_offset(tmp_path, number):
    image = bytearray(bootstate.image(RECORD))
    written = BootRecord(8, Slot.B).encode() if number < 2 else arguments.encode(["mitigations=auto"])
    offset = (*COPY_OFFSETS, *ARGUMENT_OFFSETS.values())[number]
    image[offset : offset + 512] = written
    path = tmp_path / "bootstate"
    path.write_bytes(image)
    name = f"::/{bootstate.NAMES[number]}"
    assert subprocess.run(["mtype", "-i", path, name], capture_output=True, check=True).stdout == written
    listed = subprocess.run(["mdir", "-b", "-i", path, "::/"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == [f"::/{name}" for name in bootstate.NAMES]


def test_our_own_image_passes_the_check():
    bootstate.check(reader(bootstate.image(RECORD)))


@pytest.mark.parametrize("offset", [13, 514, 1026, 1536, 1536 + 26])
def test_a_file_system_that_leads_grub_elsewhere_is_foreign(offset):
    image = bytearray(bootstate.image(RECORD))
    image[offset] ^= 1
    with pytest.raises(ForeignDisk, match="BOOTSTATE"):
        bootstate.check(reader(bytes(image)))
