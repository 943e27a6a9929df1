"""BOOTSTATE: the tools that know FAT agree with ours, and the copies are where the proxy writes them."""

import shutil
import subprocess

import pytest

from warmroot.disk import bootstate
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import BOOTSTATE_BYTES, COPY_OFFSETS
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
    assert COPY_OFFSETS[0] // 4096 != COPY_OFFSETS[1] // 4096


@pytest.mark.skipif(shutil.which("fsck.fat") is None, reason="fsck.fat (package dosfstools) is not installed")
def test_fsck_finds_nothing(tmp_path):
    path = tmp_path / "bootstate"
    path.write_bytes(bootstate.image(RECORD))
    checked = subprocess.run(["fsck.fat", "-n", "-v", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "2 files, 2/251 clusters" in checked.stdout
    assert "12 bit entries" in checked.stdout
    assert "4096 bytes per cluster" in checked.stdout


@pytest.mark.skipif(shutil.which("mtype") is None, reason="mtools is not installed")
@pytest.mark.parametrize("copy", [0, 1])
def test_mtools_read_at_a_name_what_the_proxy_writes_at_an_offset(tmp_path, copy):
    image = bytearray(bootstate.image(RECORD))
    written = BootRecord(8, Slot.B).encode()
    image[COPY_OFFSETS[copy] : COPY_OFFSETS[copy] + 512] = written
    path = tmp_path / "bootstate"
    path.write_bytes(image)
    name = f"::/{bootstate.NAMES[copy]}"
    assert subprocess.run(["mtype", "-i", path, name], capture_output=True, check=True).stdout == written
    listed = subprocess.run(["mdir", "-b", "-i", path, "::/"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == ["::/env1", "::/env2"]


def test_our_own_image_passes_the_check():
    bootstate.check(reader(bootstate.image(RECORD)))


@pytest.mark.parametrize("offset", [13, 514, 1026, 1536, 1536 + 26])
def test_a_file_system_that_leads_grub_elsewhere_is_foreign(offset):
    image = bytearray(bootstate.image(RECORD))
    image[offset] ^= 1
    with pytest.raises(ForeignDisk, match="BOOTSTATE"):
        bootstate.check(reader(bytes(image)))
