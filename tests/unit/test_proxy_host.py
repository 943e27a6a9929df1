"""What booted, from the kernel's own files; and a reboot that is asked for by a command."""

import os
from pathlib import Path

import pytest

from os_proxy.backends.host import LinuxHost, VerityRoot
from os_proxy.backends.reboot import CommandReboot, SystemdReboot
from os_proxy.backends.settings import CommandBringer, Settings
from os_proxy.core.seen import Booted
from os_proxy.main import product_of
from warmroot.disk.bootrecord import Slot
from warmroot.errors import ForeignDisk, NodeError, UserError

NOBODY = CommandReboot(["false"])


def linux(proc, reboot=NOBODY, verity=None, run="/nowhere"):
    settings = Settings(Path("/nowhere"), Path(run), CommandBringer(["false"]))
    return LinuxHost(proc, reboot, settings, verity)


@pytest.fixture
def proc(tmp_path):
    def make(line):
        (tmp_path / "sys/kernel/random").mkdir(parents=True)
        (tmp_path / "sys/kernel/random/boot_id").write_text("b-1\n")
        (tmp_path / "cmdline").write_text(line)
        return tmp_path

    return make


def test_slot_root_hash_and_boot_id_are_the_kernels(proc):
    host = linux(proc(f"quiet wr.slot=B wr.hash={'ab' * 32} wr.off=8192 panic=10\n"), NOBODY)
    assert host.booted() == Booted(Slot.B, b"\xab" * 32, "b-1", 8192)


@pytest.mark.parametrize(
    "line", ["quiet", "wr.slot=C wr.hash=" + "ab" * 32, "wr.slot=A wr.hash=zz", "wr.slot=A"]
)
def test_a_kernel_that_is_not_ours_is_refused(proc, line):
    with pytest.raises(ForeignDisk):
        linux(proc(line), NOBODY).booted()


def test_the_reboot_command_runs_once_a_reboot_is_wanted(tmp_path):
    linux(tmp_path, CommandReboot(["touch", str(tmp_path / "asked")])).reboot("order r1")
    assert (tmp_path / "asked").exists()


@pytest.mark.parametrize("command", [["false"], ["/nowhere/reboot"]])
def test_a_reboot_that_is_refused_has_a_name(tmp_path, command):
    with pytest.raises(NodeError, match="reboot command"):
        linux(tmp_path, CommandReboot(command)).reboot("order r1")


def test_the_product_is_the_images_own(tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text('NAME="x"\nIMAGE_ID="warmroot"\n')
    assert product_of(tmp_path) == "warmroot"


def test_an_image_without_a_product_asks_for_one(tmp_path):
    with pytest.raises(UserError, match="IMAGE_ID"):
        product_of(tmp_path)


@pytest.fixture
def verified(tmp_path):
    """A sys file system in which the device of `tmp_path` has a device-mapper name."""

    def make(name):
        device = tmp_path.stat().st_dev
        folder = tmp_path / f"sys/dev/block/{os.major(device)}:{os.minor(device)}/dm"
        folder.mkdir(parents=True)
        (folder / "uuid").write_text(f"{name}\n")
        return VerityRoot(tmp_path, tmp_path / "sys")

    return make


def test_a_root_that_the_kernel_holds_against_its_hash_is_taken(proc, verified):
    root = verified(f"warmroot-{'ab' * 32}")
    assert linux(proc(f"wr.slot=B wr.hash={'ab' * 32}"), NOBODY, root).booted().slot is Slot.B


@pytest.mark.parametrize("name", ["warmroot-" + "cd" * 32, "CRYPT-VERITY-" + "ab" * 32, ""])
def test_a_root_that_is_held_against_something_else_is_refused(proc, verified, name):
    with pytest.raises(NodeError, match="holds the root against"):
        linux(proc(f"wr.slot=B wr.hash={'ab' * 32}"), NOBODY, verified(name)).booted()


def test_a_root_without_verity_is_refused(proc, tmp_path):
    with pytest.raises(NodeError, match="not on dm-verity"):
        linux(proc(f"wr.slot=B wr.hash={'ab' * 32}"), NOBODY, VerityRoot(tmp_path, tmp_path)).booted()


def test_a_system_bus_that_is_not_there_has_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    with pytest.raises(NodeError, match="systemd was not asked"):
        SystemdReboot().ask("order r1")
