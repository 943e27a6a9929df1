"""`testbed vm` refuses what it can't boot before it starts anything."""

import pytest

from images.secureboot import keys
from testbed.setup import debian
from testbed.vm import cli
from testbed.vm.hardware import Bus, Firmware, Hardware, Surfaces, command
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
