"""A machine boots from its disk's own bytes, and only from bytes that verify."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.machine.boot import Behaviour, kernel, load
from testbed.machine.console import Console
from testbed.machine.disk import Disk, boot_record, copies, volume
from testbed.machine.fat import Fat
from testbed.machine.faults import rot
from testbed.machine.firmware import Hung, NoDisk, Panicked, Running, Surfaces, Unloadable, power_on
from tests.unit.machine_images import MISSING, make_boot, make_disk_at, run
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import BOOTSTATE, COPY_OFFSETS, MIB
from warmroot.errors import DiskCorrupt
from warmroot.release.verity import BLOCK

pytestmark = pytest.mark.erofs
if MISSING:
    pytest.skip(f"{', '.join(MISSING)} not installed; `make setup` brings them", allow_module_level=True)


@pytest.fixture
def make_disk(tmp_path):
    def make(record: BootRecord, a: str = "ok", b: str = "ok") -> Path:
        return make_disk_at(tmp_path / "disk.img", record, a=a, b=b)

    return make


@pytest.fixture
def surfaces(tmp_path):
    return Surfaces(tmp_path / "proc", tmp_path / "root", Console(tmp_path / "console.log"))


TRIAL_OF_B = BootRecord(7, Slot.A, Slot.B, 3)


def test_the_good_slot_runs_and_nothing_is_written(make_disk, surfaces):
    disk = make_disk(BootRecord(1, Slot.A))
    before = disk.read_bytes()
    outcome = power_on(disk, surfaces)
    assert isinstance(outcome, Running)
    assert (outcome.slot, outcome.trial, outcome.system) == (Slot.A, False, "Stub OS A")
    assert disk.read_bytes() == before


def test_a_running_system_finds_its_command_line_and_a_fresh_boot_id(make_disk, surfaces):
    disk = make_disk(BootRecord(1, Slot.A))
    boot_ids = set()
    for _ in range(2):
        outcome = power_on(disk, surfaces)
        boot_ids.add((surfaces.proc / "sys/kernel/random/boot_id").read_text().strip())
    with Disk(disk) as opened:
        expected = load(opened, Slot.A)
    assert isinstance(outcome, Running)
    assert len(boot_ids) == 2 and outcome.boot_id in boot_ids
    assert (surfaces.proc / "cmdline").read_text().split() == [
        "wr.slot=A",
        f"wr.hash={expected.root_hash.hex()}",
        f"wr.off={expected.hash_offset}",
    ]


def test_a_trial_counts_one_try_in_both_copies_before_its_kernel_starts(make_disk, surfaces):
    disk = make_disk(TRIAL_OF_B)
    outcome = power_on(disk, surfaces)
    assert isinstance(outcome, Running) and outcome.trial and outcome.slot is Slot.B
    with Disk(disk) as opened:
        assert copies(opened) == (BootRecord(7, Slot.A, Slot.B, 2).encode(),) * 2


@pytest.mark.parametrize(("behaviour", "kind"), [("panic", Panicked), ("hang", Hung)])
def test_three_trials_that_end_badly_lead_back_to_the_good_slot(make_disk, surfaces, behaviour, kind):
    disk = make_disk(TRIAL_OF_B, b=behaviour)
    outcomes = [power_on(disk, surfaces) for _ in range(4)]
    assert [type(outcome) for outcome in outcomes] == [kind, kind, kind, Running]
    assert outcomes[3].slot is Slot.A
    assert "no tries left, back to the good slot A" in surfaces.console.path.read_text()


def test_one_flipped_bit_in_the_root_panics_the_kernel(make_disk, surfaces):
    disk = make_disk(TRIAL_OF_B)
    block = rot(disk, Slot.B, seed=1)
    outcome = power_on(disk, surfaces)
    assert isinstance(outcome, Panicked)
    assert outcome.why == f"verity: data block {block} is corrupted"


def test_a_tree_that_does_not_hash_up_panics_the_kernel(make_disk, surfaces):
    disk = make_disk(TRIAL_OF_B)
    with Disk(disk) as opened:
        at = load(opened, Slot.B).hash_offset + BLOCK
        part = volume(opened, layout.root(Slot.B))
        part.write(at, bytes([part.read(at, 1)[0] ^ 1]))
    assert isinstance(power_on(disk, surfaces), Panicked)


def test_a_slot_without_a_kernel_uses_a_try(make_disk, surfaces):
    disk = make_disk(TRIAL_OF_B)
    with Disk(disk) as opened:
        volume(opened, layout.boot(Slot.B)).write(0, bytes(BLOCK))
    assert isinstance(power_on(disk, surfaces), Unloadable)
    record = boot_record(disk)
    assert record is not None and record.left == 2


def test_a_lost_boot_record_boots_slot_a_and_is_left_as_it_is(make_disk, surfaces):
    disk = make_disk(BootRecord(1, Slot.B))
    with Disk(disk) as opened:
        for offset in COPY_OFFSETS:
            volume(opened, BOOTSTATE).write(offset, bytes(512))
    outcome = power_on(disk, surfaces)
    assert isinstance(outcome, Running) and outcome.slot is Slot.A
    assert boot_record(disk) is None


def test_a_foreign_disk_starts_nothing_and_is_not_written(tmp_path, surfaces):
    disk = tmp_path / "foreign.img"
    disk.write_bytes(bytes(MIB))
    assert isinstance(power_on(disk, surfaces), NoDisk)
    assert disk.read_bytes() == bytes(MIB)


@pytest.mark.parametrize("kilobytes", [1024, 16 * 1024])
def test_files_of_any_length_are_read_from_fat12_and_fat16(tmp_path, kilobytes):
    image = tmp_path / "fat.img"
    image.touch()
    with image.open("r+b") as file:
        file.truncate(kilobytes * 1024)
    bits = "16" if kilobytes > 8192 else "12"
    run("mkfs.fat", "-F", bits, "-s", "1" if bits == "12" else "4", str(image))
    contents = {"empty": b"", "one.txt": b"x", "large.bin": bytes(range(251)) * 1000}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
        run("mcopy", "-i", str(image), str(tmp_path / name), "::/")
    data = image.read_bytes()
    fat = Fat(lambda offset, length: data[offset : offset + length])
    assert sorted(fat.names()) == sorted(contents)
    assert {name: fat.read(name) for name in contents} == contents


def test_a_chain_of_clusters_that_leaves_the_volume_is_refused(tmp_path):
    image = make_boot(tmp_path, "ok", bytes(32), BLOCK)
    data = bytearray(image.read_bytes())
    entry = data.index(b"SLOT    CFG")
    data[entry + 26 : entry + 28] = b"\xff\x7f"
    with pytest.raises(DiskCorrupt, match="broken chain"):
        Fat(lambda offset, length: bytes(data[offset : offset + length])).read("slot.cfg")


def test_a_damaged_stub_kernel_is_refused():
    assert kernel(b"WARMROOT-STUB-KERNEL\nbehaviour=hang\nboot_seconds=2\n").behaviour is Behaviour.HANG
    for broken in (b"\x7fELF", b"WARMROOT-STUB-KERNEL\n", b"WARMROOT-STUB-KERNEL\nbehaviour=dance\n"):
        with pytest.raises(DiskCorrupt):
            kernel(broken)
