"""The shipped `grub.cfg`, from firmware to a kernel's command line, one power cycle per boot."""

import re

import pytest
import typer
from typer.testing import CliRunner

from images.build import sums
from images.disk import install
from images.grub import build, scripts
from testbed.vm import cli
from tests.vm.firmware import Firmware, Machine
from tests.vm.standin import boot_image, kernel
from warmroot.disk import arguments, bootstate, layout
from warmroot.disk.bootrecord import BootRecord, Slot, choose
from warmroot.disk.layout import MIB
from warmroot.nodeconfig import arguments_revision

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
FIRMWARES = pytest.mark.parametrize("firmware", Firmware, ids=lambda firmware: firmware.value)
SECONDS = 180
PLANNED = layout.plan(boot_size=MIB, root_size=MIB, data_size=MIB, esp_size=8 * MIB)
GOOD = BootRecord(4, Slot.A)
TRIAL = GOOD.succeed(next=Slot.B, left=3)


@pytest.fixture(scope="module")
def grub():
    return build()


class Node:
    """A disk and the firmware that starts it."""

    def __init__(self, firmware, path):
        self.firmware, self.path = firmware, path
        self.before = ()

    def copies(self):
        with self.path.open("rb") as disk:

            def read_at(offset, length):
                disk.seek(PLANNED[layout.BOOTSTATE].start + offset)
                return disk.read(length)

            return bootstate.read(read_at)

    def write(self, offset, data):
        """Writes into BOOTSTATE from outside."""
        with self.path.open("r+b") as disk:
            disk.seek(PLANNED[layout.BOOTSTATE].start + offset)
            disk.write(data)

    def boot(self):
        """What a person would see on the serial line, and whether the disk now is what the model says."""
        expected = choose(*self.copies())
        machine = Machine(self.firmware, self.path, self.path.parent, before=self.before)
        try:
            output = machine.start().finish(SECONDS)
        finally:
            machine.kill()
        assert self.copies() == expected.copies
        assert f"warmroot: slot={expected.slot} source={expected.source}" in output
        loaded = re.search(r"^wr\.slot=.*$|wr\.slot=.*$", output, re.MULTILINE)
        return loaded[0] if loaded else re.search(r"warmroot: LOAD_FAILED slot=.", output)[0]


@pytest.fixture
def node(tmp_path, grub):
    def make(firmware, record, *, slots=(Slot.A, Slot.B), files=None):
        root = tmp_path / "root.img"
        root.write_bytes(b"root")
        releases = {}
        for slot in slots:
            contents = {
                "vmlinuz": kernel(),
                "initrd": b"initrd" * 100,
                "slot.cfg": f'set slotargs="wr.hash={slot.value * 4} quiet"\n'.encode(),
            }
            contents["sums"] = sums(contents)
            if files is not None and slot is Slot.B:
                contents = files(contents)
            releases[slot] = (boot_image(tmp_path / f"boot-{slot}.img", contents), root)
        install(tmp_path / "disk", PLANNED, releases, record, grub=grub)
        return Node(firmware, tmp_path / "disk")

    return make


@FIRMWARES
def test_the_good_slot_boots_with_its_own_arguments_and_writes_nothing(firmware, node):
    assert node(firmware, GOOD).boot() == "wr.slot=A wr.hash=AAAA quiet"


@FIRMWARES
def test_a_trial_boots_and_costs_one_try(firmware, node):
    machine = node(firmware, TRIAL)
    assert machine.boot() == "wr.slot=B wr.hash=BBBB quiet"
    assert machine.copies() == (BootRecord(5, Slot.A, Slot.B, 2).encode(),) * 2


@FIRMWARES
def test_a_slot_that_cannot_be_loaded_is_given_up_after_three_tries(firmware, node):
    machine = node(firmware, TRIAL, slots=(Slot.A,))
    boots = [machine.boot() for _ in range(4)]
    assert boots == ["warmroot: LOAD_FAILED slot=B"] * 3 + ["wr.slot=A wr.hash=AAAA quiet"]


@pytest.mark.parametrize("lost", ["vmlinuz", "initrd", "slot.cfg", "sums"])
def test_a_slot_that_lacks_one_file_costs_a_try_and_starts_nothing(lost, node):
    machine = node(
        Firmware.BIOS, TRIAL, files=lambda all_: {name: all_[name] for name in all_ if name != lost}
    )
    assert machine.boot() == "warmroot: LOAD_FAILED slot=B"
    assert machine.copies() == (BootRecord(5, Slot.A, Slot.B, 2).encode(),) * 2


@FIRMWARES
def test_each_slot_is_started_with_the_kernel_arguments_that_are_its_own(firmware, node):
    machine = node(firmware, TRIAL.succeed(next=Slot.B, left=1))
    words = ["mitigations=auto", "isolcpus=2-31"]
    machine.write(layout.ARGUMENT_OFFSETS[Slot.B], arguments.encode(words))
    started = f"wr.slot=B wr.hash=BBBB quiet wr.args={arguments_revision(words)} {' '.join(words)}"
    assert [machine.boot(), machine.boot()] == [started, "wr.slot=A wr.hash=AAAA quiet"]


def test_a_good_slot_whose_further_arguments_are_damaged_starts_with_its_own(node):
    machine = node(Firmware.BIOS, GOOD)
    machine.write(layout.ARGUMENT_OFFSETS[Slot.A], arguments.encode(["mitigations=auto"])[:300])
    machine.write(layout.ARGUMENT_OFFSETS[Slot.A], bytes(40))
    assert machine.boot() == "wr.slot=A wr.hash=AAAA quiet"


@FIRMWARES
def test_a_lost_boot_record_boots_slot_a(firmware, node):
    machine = node(firmware, TRIAL)
    for offset in layout.COPY_OFFSETS:
        machine.write(offset, bytes(512))
    assert machine.boot() == "wr.slot=A wr.hash=AAAA quiet"


@FIRMWARES
def test_the_record_is_that_of_the_disk_that_firmware_started_from(firmware, node, tmp_path):
    """Another disk of ours comes first and says the opposite."""
    machine = node(firmware, BootRecord(9, Slot.B))
    other = tmp_path / "other"
    install(other, PLANNED, {}, GOOD, grub=None)
    machine.before = (other,)
    assert machine.boot() == "wr.slot=B wr.hash=BBBB quiet"


def test_a_cut_at_a_numbered_write_falls_between_the_two_copies_of_the_boot_record(node):
    """`testbed vm` with the real GRUB, which counts a try in one sector of each copy."""
    machine, app = node(Firmware.BIOS, TRIAL), typer.Typer()
    cli.register(app)
    last = []
    for number in (1, 2):
        words = [str(machine.path), "--cut-power-at", str(number), "--boots", "1"]
        said = CliRunner().invoke(app, words, catch_exceptions=False).stderr
        found = re.search(rf"its disk kept {number} writes, the last one of 512 bytes at (\d+)", said)
        assert found, said
        last.append(int(found[1]))
    state = PLANNED[layout.BOOTSTATE].start
    assert set(last) == {state + offset for offset in layout.COPY_OFFSETS}
    assert machine.copies() == (TRIAL.encode(),) * 2, "the disk itself is as it was"


def test_gen_compared_as_a_number_would_be_wrong(tmp_path):
    """Why decide.cfg compares strings: for GRUB, 00000008 is no number and 00000018 is 1."""
    script = scripts()["grub.cfg"].split("# $cmdpath")[0] + (
        'for pair in "8 7" "8 10" "18 7"; do\n'
        '  regexp --set=1:a --set=2:b -- "(.*) (.*)" "$pair"\n'
        "  set a=000000$a\n  set b=000000$b\n  set number=no\n  set string=no\n"
        "  if [ $a -gt $b ]; then set number=yes; fi\n"
        '  if [ $a ">" $b ]; then set string=yes; fi\n'
        '  echo "COMPARED $pair $number $string"\ndone\noutb 0x501 0x10\n'
    )
    script = script.replace('"8 7" "8 10" "18 7"', '"08 07" "08 10" "18 07"')
    path = tmp_path / "disk"
    install(path, PLANNED, {}, GOOD, grub=build({"grub.cfg": script}, extra_modules=("iorw",)))
    output = Machine(Firmware.BIOS, path, tmp_path).start().finish(SECONDS)
    assert re.findall(r"COMPARED (.*)", output) == ["08 07 no yes", "08 10 no no", "18 07 no yes"]
