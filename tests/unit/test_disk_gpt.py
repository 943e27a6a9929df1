"""The partition table: the tools of util-linux agree with ours, and no foreign disk is taken for ours."""

import shutil
import subprocess
from collections.abc import Callable

import pytest

from warmroot.disk import gpt, layout
from warmroot.disk.layout import MIB, Layout
from warmroot.errors import ForeignDisk

PLANNED = layout.plan(boot_size=2 * MIB, root_size=3 * MIB, data_size=MIB, esp_size=4 * MIB)


def a_disk(planned: Layout = PLANNED) -> bytearray:
    disk = bytearray(planned.disk_size)
    for offset, piece in gpt.write(planned):
        disk[offset : offset + len(piece)] = piece
    return disk


def read(disk: bytearray) -> Layout:
    return gpt.read(lambda offset, length: bytes(disk[offset : offset + length]), len(disk))


def resealed(change: Callable[[bytearray], None]) -> bytearray:
    """A disk whose entries were changed by a tool that knows how to compute checksums."""
    entries = bytearray(dict(gpt.write(PLANNED))[2 * gpt.SECTOR])
    change(entries)
    disk = a_disk()
    original, gpt._pack_entries = gpt._pack_entries, lambda wanted: bytes(entries)
    try:
        for offset, piece in gpt.write(PLANNED):
            disk[offset : offset + len(piece)] = piece
    finally:
        gpt._pack_entries = original
    return disk


def test_what_was_written_is_read_back():
    assert read(a_disk()) == PLANNED


def test_equal_layouts_give_equal_bytes():
    assert gpt.write(PLANNED) == gpt.write(PLANNED)


@pytest.mark.skipif(shutil.which("sfdisk") is None, reason="sfdisk (package fdisk) is not installed")
def test_sfdisk_sees_what_we_planned(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(a_disk())
    dump = subprocess.run(["sfdisk", "--dump", path], capture_output=True, text=True, check=True).stdout
    seen = [line.split(" : ")[1].replace(" ", "") for line in dump.splitlines() if " : start=" in line]
    assert seen == [
        f"start={p.start // 512},size={p.size // 512},type={p.type_guid.upper()},"
        f'uuid={p.guid.upper()},name="{p.label}"'
        for p in PLANNED.partitions
    ]
    assert f"label-id: {layout.DISK_GUID.upper()}" in dump
    verified = subprocess.run(["sfdisk", "--verify", path], capture_output=True, text=True, check=True)
    assert "No errors detected" in verified.stdout
    assert verified.stderr == ""


@pytest.mark.parametrize("offset", [512, 530, 1024, 1024 + 128 * 7 + 60, 1024 + 128 * 100])
def test_a_damaged_first_table_is_read_from_its_backup(offset):
    disk = a_disk()
    disk[offset] ^= 0x10
    assert read(disk) == PLANNED


def test_a_damaged_backup_does_not_matter_while_the_first_table_is_whole():
    disk = a_disk()
    disk[-512:] = bytes(512)
    assert read(disk) == PLANNED


def test_a_larger_disk_keeps_the_layout_of_its_image():
    disk = a_disk() + bytearray(MIB)
    assert read(disk) == PLANNED


def test_boot_code_in_the_first_sector_is_none_of_the_tables_business():
    disk = a_disk()
    disk[: gpt.BOOT_CODE_BYTES] = b"\xeb" * gpt.BOOT_CODE_BYTES
    assert read(disk) == PLANNED


def test_both_tables_damaged_is_a_foreign_disk():
    disk = a_disk()
    disk[600] ^= 1
    disk[512 + 16] ^= 1
    disk[-512 + 16] ^= 1
    with pytest.raises(ForeignDisk, match="first table has a wrong header checksum"):
        read(disk)


def test_an_empty_disk_is_foreign():
    with pytest.raises(ForeignDisk, match="no boot signature"):
        read(bytearray(MIB))


def test_a_disk_that_is_too_short_is_foreign():
    with pytest.raises(ForeignDisk, match="describes a larger disk"):
        read(a_disk()[: -2 * MIB])


def test_an_mbr_with_another_partition_is_foreign():
    disk = a_disk()
    disk[446 + 16 + 4] = 0x83
    with pytest.raises(ForeignDisk, match="not a protective MBR"):
        read(disk)


@pytest.mark.parametrize(
    ("at", "value", "named"),
    [
        (56, "Bios", "no partition with the label bios|label is Bios, not bios"),
        (128 * 2 + 56, "BOOTSTATE", "label is BOOTSTATE, not bootstate"),
        (128 * 3 + 56, "boot-X", "no partition with the label boot-A"),
        (128 * 5 + 56, "boot-C", "label is boot-C, not boot-B"),
    ],
)
def test_another_label_is_foreign_and_named(at, value, named):
    def rename(entries: bytearray) -> None:
        entries[at : at + 72] = value.encode("utf-16-le").ljust(72, b"\0")

    with pytest.raises(ForeignDisk, match=named):
        read(resealed(rename))


@pytest.mark.parametrize(
    ("at", "named"),
    [(0, "type_guid is"), (16, "guid is"), (32, "start is|size is"), (40, "size is"), (48, "attributes")],
)
def test_another_field_of_a_partition_is_foreign_and_named(at, named):
    def flip(entries: bytearray) -> None:
        entries[128 * 2 + at] ^= 1

    with pytest.raises(ForeignDisk, match=named):
        read(resealed(flip))


def test_slots_of_different_sizes_are_foreign():
    def shrink(entries: bytearray) -> None:
        entries[128 * 6 + 41] -= 8

    with pytest.raises(ForeignDisk, match=r"root-B.*size is"):
        read(resealed(shrink))


def test_one_partition_more_is_foreign():
    def add(entries: bytearray) -> None:
        entries[128 * 8 : 128 * 9] = entries[:128]

    with pytest.raises(ForeignDisk, match="there are 9 partitions"):
        read(resealed(add))


@pytest.mark.skipif(shutil.which("sfdisk") is None, reason="sfdisk (package fdisk) is not installed")
@pytest.mark.parametrize(
    ("table_at", "named"),
    [("first-lba: 34\n", "the disk's GUID is"), ("", "is not where or not as large as ours")],
)
def test_a_disk_that_another_tool_made_is_foreign(tmp_path, table_at, named):
    path = tmp_path / "disk"
    path.write_bytes(bytes(PLANNED.disk_size))
    table = (
        "label: gpt\n"
        + table_at
        + "".join(
            f"start={p.start // 512},size={p.size // 512},type={p.type_guid},name={p.label},uuid={p.guid}\n"
            for p in PLANNED.partitions
        )
    )
    subprocess.run(["sfdisk", "-q", path], input=table, text=True, check=True)
    with pytest.raises(ForeignDisk, match=named):
        read(bytearray(path.read_bytes()))


@pytest.mark.skipif(shutil.which("sfdisk") is None, reason="sfdisk (package fdisk) is not installed")
def test_a_disk_that_sfdisk_made_to_our_plan_is_ours(tmp_path):
    """Ours is a matter of content, not of the tool: an image that was written anew byte for byte is taken."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(PLANNED.disk_size))
    dumped = tmp_path / "ours"
    dumped.write_bytes(a_disk())
    dump = subprocess.run(["sfdisk", "--dump", dumped], capture_output=True, check=True).stdout
    subprocess.run(["sfdisk", "-q", path], input=dump, check=True)
    assert read(bytearray(path.read_bytes())) == PLANNED
