"""What booted, from the kernel's own files; and a reboot that is asked for by a command."""

import pytest

from os_proxy.backends.host import LinuxHost
from os_proxy.core.seen import Booted
from os_proxy.main import product_of
from warmroot.disk.bootrecord import Slot
from warmroot.errors import ForeignDisk, NodeError, UserError


@pytest.fixture
def proc(tmp_path):
    def make(line):
        (tmp_path / "sys/kernel/random").mkdir(parents=True)
        (tmp_path / "sys/kernel/random/boot_id").write_text("b-1\n")
        (tmp_path / "cmdline").write_text(line)
        return tmp_path

    return make


def test_slot_root_hash_and_boot_id_are_the_kernels(proc):
    host = LinuxHost(proc(f"quiet wr.slot=B wr.hash={'ab' * 32} wr.off=8192 panic=10\n"), ["true"])
    assert host.booted() == Booted(Slot.B, b"\xab" * 32, "b-1", 8192)


@pytest.mark.parametrize(
    "line", ["quiet", "wr.slot=C wr.hash=" + "ab" * 32, "wr.slot=A wr.hash=zz", "wr.slot=A"]
)
def test_a_kernel_that_is_not_ours_is_refused(proc, line):
    with pytest.raises(ForeignDisk):
        LinuxHost(proc(line), ["true"]).booted()


def test_the_reboot_command_runs_once_a_reboot_is_wanted(tmp_path):
    LinuxHost(tmp_path, ["touch", str(tmp_path / "asked")]).reboot("order r1")
    assert (tmp_path / "asked").exists()


@pytest.mark.parametrize("command", [["false"], ["/nowhere/reboot"]])
def test_a_reboot_that_is_refused_has_a_name(tmp_path, command):
    with pytest.raises(NodeError, match="reboot command"):
        LinuxHost(tmp_path, command).reboot("order r1")


def test_the_product_is_the_images_own(tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text('NAME="x"\nIMAGE_ID="warmroot"\n')
    assert product_of(tmp_path) == "warmroot"


def test_an_image_without_a_product_asks_for_one(tmp_path):
    with pytest.raises(UserError, match="IMAGE_ID"):
        product_of(tmp_path)
