"""One damaged region at a time, and what the machine does: the rows of docs/damage.md.

A row that says nothing of a person must come up by itself, in a verified slot.
"""

import re
from pathlib import Path

import pytest

from testbed.machine.disk import Disk
from testbed.vm.hardware import Firmware
from tests.vm.worker import TO_THE_KERNEL
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import ARGUMENT_OFFSETS, BIOS_GRUB, BOOTSTATE, COPY_OFFSETS, DATA, ESP, boot, root
from warmroot.errors import ProgramDied

pytestmark = [pytest.mark.long, pytest.mark.image, pytest.mark.vm, pytest.mark.timeout(1200)]
PAGE = Path(__file__).parents[2] / "docs" / "damage.md"
TRIAL = BootRecord(2, Slot.A, Slot.B, 3)
SILENCE = 25
"""Seconds after which a machine that said nothing will say nothing."""


def comes_up(worker, slot, *, firmware=Firmware.BIOS, says=()):
    """Boots until systemd has the machine, in this slot."""
    with worker.on(firmware=firmware) as machine:
        machine.wait_for(f"warmroot: slot={slot}", TO_THE_KERNEL)
        machine.wait_for("hands over to systemd", TO_THE_KERNEL)
        said = machine.console()
    for pattern in says:
        assert re.search(pattern, said), said
    assert f"slot={slot} hash=" in said


def never_starts(worker, *, firmware):
    """Not even GRUB speaks, which does at once where it is whole."""
    with worker.on(firmware=firmware) as machine, pytest.raises(ProgramDied, match="never said"):
        machine.wait_for("warmroot: slot=", SILENCE)


def gives_up_the_trial(worker, *, says, tries=3):
    """Each start of the trial resets by itself and costs a try; then the good slot comes up."""
    for left in reversed(range(tries)):
        with worker.on() as machine:
            machine.wait_for(says, TO_THE_KERNEL)
            machine.wait_end(90)
        assert worker.record().left == left
    comes_up(worker, Slot.A)


def test_boot_code_of_bios(worker):
    worker.garble(BIOS_GRUB, 512, 4096)
    never_starts(worker, firmware=Firmware.BIOS)
    comes_up(worker, Slot.A, firmware=Firmware.UEFI)


def test_boot_code_of_uefi(worker):
    worker.garble(ESP, 0, 4 << 20)
    never_starts(worker, firmware=Firmware.UEFI)
    comes_up(worker, Slot.A)


def test_one_copy_of_the_boot_record(worker):
    worker.fill(Slot.B)
    worker.set_record(BootRecord(2, Slot.B))
    worker.spoil(BOOTSTATE, COPY_OFFSETS[0] + 40)
    comes_up(worker, Slot.B)


def test_both_copies_of_the_boot_record(worker):
    worker.set_record(BootRecord(2, Slot.A))
    for offset in COPY_OFFSETS:
        worker.spoil(BOOTSTATE, offset + 40)
    comes_up(worker, Slot.A, says=["source=none"])


def test_kernel_arguments_of_a_slot(worker):
    worker.set_record(BootRecord(2, Slot.A))
    worker.spoil(BOOTSTATE, ARGUMENT_OFFSETS[Slot.A] + 40)
    comes_up(worker, Slot.A)


def test_file_system_around_the_boot_record(worker):
    worker.garble(BOOTSTATE, 0, 512)
    comes_up(worker, Slot.A, says=["source=none"])


@pytest.mark.parametrize("where", ["first", "backup"])
def test_header_of_a_partition_table(worker, where):
    with Disk(worker.path) as disk:
        at = 512 if where == "first" else disk.size - 512
        disk.write(at + 16, bytes([disk.read(at + 16, 1)[0] ^ 1]))
    comes_up(worker, Slot.A)


def test_first_partition_table(worker):
    with Disk(worker.path) as disk:
        disk.write(512, b"\xa5" * (33 * 512))
    with worker.on() as machine:
        machine.wait_for("LOAD_FAILED", TO_THE_KERNEL)
        machine.wait_end(90)


def test_backup_partition_table(worker):
    with Disk(worker.path) as disk:
        disk.write(disk.size - 33 * 512, b"\xa5" * (33 * 512))
    comes_up(worker, Slot.A)


@pytest.mark.parametrize("name", ["vmlinuz", "initrd", "slot.cfg"])
def test_boot_partition_of_the_trial(worker, name):
    worker.fill(Slot.B)
    worker.set_record(TRIAL)
    worker.spoil_file(boot(Slot.B), name)
    gives_up_the_trial(worker, says="LOAD_FAILED slot=B")


def test_root_of_the_trial(worker):
    worker.fill(Slot.B)
    worker.set_record(TRIAL)
    worker.spoil(root(Slot.B), 1024)
    gives_up_the_trial(worker, says="is corrupted")


def test_the_slot_that_is_not_booted(worker):
    worker.fill(Slot.B)
    worker.garble(root(Slot.B), 0, 1 << 20)
    worker.garble(boot(Slot.B), 0, 1 << 20)
    comes_up(worker, Slot.A)


def test_root_of_the_good_slot(worker):
    worker.spoil(root(Slot.A), 1024)
    with worker.on() as machine:
        machine.wait_for("is corrupted", TO_THE_KERNEL)
        machine.wait_end(90)


def test_boot_partition_of_the_good_slot(worker):
    worker.spoil_file(boot(Slot.A), "vmlinuz")
    with worker.on() as machine:
        machine.wait_for("LOAD_FAILED slot=A", TO_THE_KERNEL)
        machine.wait_end(90)


def test_data(worker):
    worker.garble(DATA, 0, 1 << 20)
    comes_up(worker, Slot.A, says=["DATA_LOST"])


def test_every_row_of_the_page_is_a_test_and_every_test_a_row():
    rows = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    tests = {name for name in globals() if name.startswith("test_")} - {
        "test_every_row_of_the_page_is_a_test_and_every_test_a_row"
    }
    assert rows == tests
