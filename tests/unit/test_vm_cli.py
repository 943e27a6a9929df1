"""`testbed vm` refuses what it can't boot before it starts anything."""

import pytest

from testbed.vm import cli
from testbed.vm.hardware import Bus, Firmware, Hardware, Surfaces, command
from warmroot.errors import UserError


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
