"""`testbed vm` refuses what it can't boot before it starts anything."""

import json
import shutil
import subprocess
from datetime import datetime
from typing import ClassVar

import pytest
import typer
from typer.testing import CliRunner

from images.disk import install
from images.secureboot import keys
from testbed.machine.disk import Disk
from testbed.setup import debian
from testbed.vm import cli, fulldata
from testbed.vm.hardware import Bus, Firmware, Hardware, Network, Surfaces, command
from tests.unit.test_vm_writelog import log
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import MIB
from warmroot.errors import StepFailed, UserError

FIRMWARE = pytest.mark.skipif(
    not debian.present("/usr/share/OVMF/OVMF_VARS_4M.fd"), reason="ovmf is not installed"
)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, r"is no disk \("), (b"", "no disk of ours"), (b"text" * 1000, "no disk of ours")],
)
def test_what_is_no_disk_of_ours_is_refused_with_how_to_make_one(tmp_path, content, says):
    disk = tmp_path / "disk.raw"
    if content is not None:
        disk.write_bytes(content)
    with pytest.raises(UserError, match=says) as raised:
        cli.vm(disk)
    assert "warmroot image build" in raised.value.hint


@pytest.mark.parametrize("bus", Bus)
def test_every_bus_gives_the_machine_its_one_disk(tmp_path, bus):
    surfaces = Surfaces(tmp_path / "console", tmp_path / "shell", tmp_path / "variables")
    words = command(Hardware(tmp_path / "disk", Firmware.BIOS, bus), surfaces)
    assert sum("drive=disk" in word for word in words) == 1
    assert "-no-reboot" in words


def test_a_disk_whose_writes_are_logged_has_no_command_for_zeros_and_one_that_has_is_refused(
    surfaces, tmp_path
):
    logged = Hardware(tmp_path / "disk", write_log=tmp_path / "log")
    assert "virtio-blk-pci,drive=disk,bootindex=1,write-zeroes=off" in command(logged, surfaces)
    with pytest.raises(UserError, match="not logged well"):
        Hardware(tmp_path / "disk", bus=Bus.NVME, write_log=tmp_path / "log")


def test_bios_has_no_secure_boot(tmp_path):
    with pytest.raises(UserError, match="BIOS has no Secure Boot"):
        cli.vm(tmp_path / "disk.raw", secure_boot=tmp_path)


@FIRMWARE
def test_firmware_with_secure_boot_guards_its_variables_and_starts_with_the_keys(tmp_path):
    keys.create(tmp_path / "keys", "Example Bank")
    surfaces = Surfaces(tmp_path / "console", tmp_path / "shell", tmp_path / "variables")
    words = command(Hardware(tmp_path / "disk", Firmware.UEFI, secure_boot=tmp_path / "keys"), surfaces)
    assert "driver=cfi.pflash01,property=secure,value=on" in words
    assert any("smm=on" in word for word in words)
    stored = surfaces.variables.read_bytes()
    assert all((tmp_path / "keys" / f"{name}.cer").read_bytes() in stored for name in keys.NAMES)


@FIRMWARE
def test_certificates_that_are_not_there_are_named(tmp_path):
    surfaces = Surfaces(tmp_path / "console", tmp_path / "shell", tmp_path / "variables")
    with pytest.raises(StepFailed, match="can't be given the keys"):
        command(Hardware(tmp_path / "disk", Firmware.UEFI, secure_boot=tmp_path / "none"), surfaces)


@pytest.fixture
def surfaces(tmp_path):
    return Surfaces(tmp_path / "console", tmp_path / "shell", tmp_path / "variables")


def after(words, option):
    return words[words.index(option) + 1]


def test_a_clock_is_what_the_machine_starts_with(tmp_path, surfaces):
    words = command(Hardware(tmp_path / "disk", clock=datetime(2001, 2, 3, 4, 5, 6)), surfaces)
    assert after(words, "-rtc") == "base=2001-02-03T04:05:06"
    assert "-rtc" not in command(Hardware(tmp_path / "disk"), surfaces)


def test_a_network_that_leads_nowhere_has_a_card_all_the_same(tmp_path, surfaces):
    words = command(Hardware(tmp_path / "disk", network=Network.NOWHERE), surfaces)
    assert after(words, "-netdev") == "hubport,id=net,hubid=0"
    assert "virtio-net-pci,netdev=net" in words


def test_the_network_is_started_from_after_the_disk(tmp_path, surfaces):
    words = command(Hardware(tmp_path / "disk", netboot=tmp_path), surfaces)
    assert after(words, "-netdev") == f"user,id=net,tftp={tmp_path},bootfile=install.ipxe"
    order = {word.partition(",")[0]: word[-1] for word in words if "bootindex" in word}
    assert order == {"virtio-blk-pci": "1", "virtio-net-pci": "2"}


def test_a_second_disk_hangs_beside_the_first_and_is_not_started_from(tmp_path, surfaces):
    words = command(Hardware(tmp_path / "disk", second=tmp_path / "other"), surfaces)
    drives = [json.loads(words[at + 1]) for at, word in enumerate(words) if word == "-blockdev"]
    assert [drive["file"]["filename"] for drive in drives] == [
        str(tmp_path / "disk"),
        str(tmp_path / "other"),
    ]
    assert "virtio-blk-pci,drive=second" in words


def test_an_overlay_is_named_as_what_it_is(tmp_path, surfaces):
    for name, form in (("disk.raw", "raw"), ("disk.qcow2", "qcow2")):
        words = command(Hardware(tmp_path / name), surfaces)
        assert json.loads(after(words, "-blockdev"))["driver"] == form


class Recorded:
    """In the place of a machine: keeps what it was made of, and runs until somebody pulls the plug."""

    made: ClassVar[list] = []

    def __init__(self, hardware, folder):
        self.hardware, self.running = hardware, True
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.running = False

    def console(self):
        return ""


@pytest.fixture
def machines(monkeypatch):
    monkeypatch.setattr(cli, "VirtualMachine", Recorded)
    monkeypatch.setattr(Recorded, "made", [])
    return Recorded.made


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk.raw"
    planned = layout.plan(boot_size=MIB, root_size=MIB, data_size=64 * MIB, esp_size=MIB)
    install(path, planned, {}, BootRecord(1, Slot.A), grub=None, notes={"/a": b"x" * 9000})
    return path


def run_vm(*words):
    app = typer.Typer()
    cli.register(app)
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-img", "debugfs", "mke2fs"))), reason="e2fsprogs or qemu-utils is missing"
)


@needs_tools
def test_each_fault_that_is_asked_for_is_the_machines(machines, disk):
    words = ("--clock", "2001-02-03", "--no-network", "--read-only", "--cut-power-after", "0", "--boots", "1")
    result = run_vm(disk, *words)
    (machine,) = machines
    about = machine.hardware
    assert (about.clock, about.network, about.read_only) == (datetime(2001, 2, 3), Network.NOWHERE, True)
    assert about.disk.suffix == ".qcow2", "what it writes is thrown away"
    assert "its plug was pulled after" in result.stderr


@needs_tools
def test_a_full_data_partition_is_full_and_still_whole_and_the_disk_itself_is_not_touched(
    machines, disk, monkeypatch
):
    before, looked = disk.read_bytes(), []
    with Disk(disk, writable=False) as opened:
        home = opened.layout()[layout.DATA]

    def look(machine, plug):
        image = f"{machine.hardware.disk}?offset={home.start}"
        checked = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True, check=False)
        looked.append((checked.returncode, fulldata._free(image) <= 2, checked.stdout))
        return False

    monkeypatch.setattr(cli, "_follow", look)
    run_vm(disk, "--full-data", "--boots", "1")
    assert looked[0][:2] == (0, True), looked
    assert disk.read_bytes() == before


WRITES = ((3, 0, b"a" * 512), (0, 1, b""), (3, 0, b"b" * 1024), (4, 0, b"c" * 512))
"""Sector, flags, data: sector 4 is written twice."""


@needs_tools
@pytest.mark.parametrize(("number", "sectors"), [(1, b"a."), (2, b"bb"), (3, b"bc"), (9, b"bc")])
def test_after_a_cut_at_a_write_the_machine_goes_on_with_these_writes_and_no_later_one(
    machines, disk, monkeypatch, number, sectors
):
    before, found = disk.read_bytes(), []

    def look(machine, plug):
        if plug.log is None:
            found.append(machine.hardware.disk.read_bytes())
            return False
        assert machine.hardware.write_log == plug.log
        log(plug.log, *WRITES)
        assert plug.due(0) == (number <= 3)
        return plug.due(0)

    monkeypatch.setattr(cli, "_follow", look)
    result = run_vm(disk, "--cut-power-at", number, "--boots", 2)
    old, (new,) = before[4 * 512 : 5 * 512], found
    kept = b"".join(old if letter == ord(".") else bytes([letter]) * 512 for letter in sectors)
    assert new == before[: 3 * 512] + kept + before[5 * 512 :]
    assert ("it made 3 writes only" in result.stderr) == (number > 3)
    assert disk.read_bytes() == before


@pytest.mark.parametrize("fault", ["--full-data", "--cut-power-at=7"])
def test_a_disk_that_is_kept_is_never_changed_by_us(disk, fault):
    with pytest.raises(UserError, match=f"{fault.partition('=')[0]} would change DISK itself"):
        run_vm(disk, fault, "--keep")


def test_a_plug_is_pulled_once(disk):
    with pytest.raises(UserError, match="the plug is pulled once"):
        run_vm(disk, "--cut-power-at", 3, "--cut-power-after", 3)


def test_every_fault_is_documented():
    said = " ".join(run_vm("--help").output.split())
    for option in (
        "overlay",
        "read-only",
        "clock",
        "no-network",
        "cut-power-after",
        "cut-power-at",
        "full-data",
    ):
        assert f"--{option}" in said


def test_what_a_forgetful_machine_writes_goes_beside_its_disk_whatever_that_is_called(tmp_path):
    surfaces = Surfaces(tmp_path / "console", tmp_path / "shell", tmp_path / "variables")
    words = command(Hardware(tmp_path / "a,b", forgetful=True), surfaces)
    (drive,) = (words[at + 1] for at, word in enumerate(words) if word == "-drive")
    assert drive.startswith(f"file={tmp_path}/a,,b,format=raw,")
    assert "snapshot=on" in drive
    assert "-blockdev" not in words
