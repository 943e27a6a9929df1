"""Secure Boot with keys of our own: what they signed starts, and nothing else does, whoever signed it."""

import subprocess

import pytest

from images.build import sums
from images.debian import bootstrap
from images.diff import between
from images.parts import SecureBoot
from images.recipe import Compression
from images.secureboot import keys, loaders, programs, signing, uki
from testbed.machine.disk import Disk, volume
from testbed.machine.fat import Fat
from testbed.vm.hardware import Firmware
from tests.vm.worker import FOREIGN, TO_THE_KERNEL, Worker, machine_status, removed
from warmroot.disk import arguments, layout
from warmroot.disk.bootrecord import BootRecord, Slot

pytestmark = [pytest.mark.image, pytest.mark.vm, pytest.mark.timeout(900)]
GOOD = BootRecord(1, Slot.A)
FROM_FIRMWARE = 90
"""Seconds, on a busy machine, until firmware or shim has refused."""


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Keys of our own."""
    folder = tmp_path_factory.mktemp("secure-boot") / "keys"
    keys.create(folder, "Example Bank")
    return folder


@pytest.fixture(scope="module")
def signed(line, bank):
    """A release of the shipped recipe, signed."""
    made = line.build(disk=True, secure_boot=SecureBoot(keys=bank), compression=Compression.LZ4)
    yield made
    removed(made.dir)


@pytest.fixture
def machine_of(signed, bank, tmp_path):
    """A machine that was installed with it, and whose firmware has our keys alone."""
    yield Machine(Worker.of(signed.dir, tmp_path), bank)
    removed(tmp_path)


class Machine:
    def __init__(self, worker, bank):
        self.worker, self.bank = worker, bank
        with Disk(worker.path, writable=False) as disk:
            self.esp = f"{worker.path}@@{disk.layout()[layout.ESP].start}"

    def on(self):
        return self.worker.on(firmware=Firmware.UEFI, secure_boot=self.bank)

    def image(self, slot):
        with Disk(self.worker.path) as disk:
            return Fat(volume(disk, layout.boot(slot)).read).read(uki.NAME)

    def replace(self, slot, image):
        """Puts another image of the same size into a slot, with the sum that GRUB looks at."""
        before = self.image(slot)
        assert len(image) == len(before)
        with Disk(self.worker.path) as disk:
            home = volume(disk, layout.boot(slot))
            whole = home.read(0, home.size)
            for old, new in (
                (before, image),
                (sums({uki.NAME: before}), sums({uki.NAME: image})),
            ):
                home.write(whole.index(old), new)

    def loader(self, name):
        words = ["mtype", "-i", self.esp, f"::/EFI/BOOT/{name}"]
        return subprocess.run(words, capture_output=True, check=True).stdout

    def replace_loader(self, name, program):
        path = self.worker.folder / name
        path.write_bytes(program)
        subprocess.run(["mcopy", "-o", "-i", self.esp, path, f"::/EFI/BOOT/{name}"], check=True)


def flipped(program):
    """The same with one bit of its code changed."""
    at, data = programs.section(program, ".text")
    at += len(data) // 2
    return program[:at] + bytes([program[at] ^ 1]) + program[at + 1 :]


def test_equal_parts_and_keys_give_equal_images_and_loaders(line, signed, bank):
    parts = programs.unpack(line.folder / "fetched" / bootstrap.BESIDE)

    def build():
        what = {"kernel": parts.shim, "initrd": b"initrd", "version": "6.12", "os_release": "ID=warmroot\n"}
        return signing.sign(uki.build(parts, arguments=["wr.hash=00"], **what), keys.load(bank))

    first = build()
    assert first == build()
    assert loaders.build(parts, keys.load(bank)) == loaders.build(parts, keys.load(bank))
    assert uki.command_lines(first) == {slot: f"wr.slot={slot} {uki.SIGNED} wr.hash=00" for slot in Slot}


def test_the_kernels_arguments_of_a_signed_release_can_be_compared(first_release, signed):
    difference = between(first_release.dir, signed.dir)
    assert difference.kernel_arguments == ()
    head = next(change for change in difference.packages if change.name == "systemd-boot-efi")
    assert (head.before, head.after is not None) == (None, True)


@pytest.mark.long
def test_a_signed_trial_comes_up_in_its_slot_with_signed_arguments_alone_and_costs_a_try(machine_of):
    machine_of.worker.fill(Slot.B)
    machine_of.worker.set_record(GOOD.succeed(next=Slot.B, left=3))
    with Disk(machine_of.worker.path) as disk:
        # Under Secure Boot nobody reads them: with this one a shell would come up, and no status line.
        place = layout.ARGUMENT_OFFSETS[Slot.B]
        volume(disk, layout.BOOTSTATE).write(place, arguments.encode(["init=/bin/sh"]))
    with machine_of.on() as machine:
        status = machine_status(machine)
        said = machine.console()
    assert (status["slot"], status["state"], status["failed"]) == ("B", "trial", "none")
    assert "EFI stub: UEFI Secure Boot is enabled." in said
    assert f"slot=B hash={machine_of.worker.root_hash}" in said
    assert machine_of.worker.record().left == 2


def test_a_trial_with_one_changed_byte_is_refused_costs_its_try_and_the_good_slot_starts(machine_of):
    """The byte is in the kernel. GRUB's own sum is right: who can change a file can change its sum."""
    machine_of.worker.fill(Slot.B)
    image = bytearray(machine_of.image(Slot.B))
    at, kernel = programs.section(bytes(image), ".linux")
    image[at + len(kernel) // 2] ^= 1
    machine_of.replace(Slot.B, bytes(image))
    machine_of.worker.set_record(GOOD.succeed(next=Slot.B, left=1))
    with machine_of.on() as machine:
        machine.wait_for("LOAD_FAILED slot=B", TO_THE_KERNEL)
        assert "bad shim signature" in machine.console()
        machine.wait_end(90)
    assert machine_of.worker.record().left == 0
    with machine_of.on() as machine:
        machine.wait_for("hands over to systemd", TO_THE_KERNEL)
        assert f"slot=A hash={machine_of.worker.root_hash}" in machine.console()


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "says"),
    [("BOOTX64.EFI", "Access Denied"), ("grubx64.efi", "Security Violation")],
    ids=["shim", "GRUB"],
)
def test_a_loader_with_one_changed_byte_is_not_started(machine_of, name, says):
    machine_of.replace_loader(name, flipped(machine_of.loader(name)))
    with machine_of.on() as machine:
        machine.wait_for(says, FROM_FIRMWARE)
        assert "warmroot: slot=" not in machine.console()


@pytest.mark.long
@pytest.mark.parametrize(
    ("by_vendor", "says"), [(True, "GNU  ?GRUB|to GRUB!"), (False, "Security Violation")]
)
def test_what_the_distribution_signed_starts_with_its_own_shim_alone(machine_of, line, bank, by_vendor, says):
    """Debian's GRUB in place of ours would start Debian's kernels with anybody's initrd."""
    beside = line.folder / "fetched" / bootstrap.BESIDE
    package = next(beside.glob(f"{FOREIGN}_*.deb"))
    subprocess.run(["dpkg-deb", "--extract", package, machine_of.worker.folder], check=True)
    foreign = machine_of.worker.folder / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
    machine_of.replace_loader("grubx64.efi", foreign.read_bytes())
    if by_vendor:
        its_own = programs.unpack(beside).shim
        machine_of.replace_loader("BOOTX64.EFI", signing.sign(its_own, keys.load(bank)))
    with machine_of.on() as machine:
        machine.wait_for(says, FROM_FIRMWARE)
