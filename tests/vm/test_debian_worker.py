"""The Debian worker on real firmware: it is built, it boots, it is switched, broken, and comes back."""

import json
import subprocess

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from images import recipe as recipes
from images.build import build
from images.parts import Debian
from images.timing import Steps
from os_proxy.core import trials
from os_proxy.core.trials import Ending
from testbed.vm.hardware import Bus, Firmware
from tests.vm.worker import TO_THE_KERNEL, machine_status, removed
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import COPY_OFFSETS
from warmroot.errors import StepFailed
from warmroot.release.repository import check_boot, check_root

pytestmark = [pytest.mark.image, pytest.mark.vm, pytest.mark.timeout(1200)]
GOOD = BootRecord(1, Slot.A)
TRIAL = GOOD.succeed(next=Slot.B, left=3)
WRITE = (
    "dd if=/run/record of=/dev/disk/by-partlabel/bootstate bs=512 count=1 seek={} "
    "oflag=direct,dsync conv=notrunc status=none"
)


def packages_of(release):
    return json.loads((release.dir / "packages.json").read_text())["packages"]


def write_record(machine, record):
    """As the proxy does it: copy 1, then copy 2, one durable sector each."""
    text = record.encode().decode().replace("\n", "\\n")
    done = machine.run(
        f"set -e; printf '{text}' >/run/record\n"
        + "\n".join(WRITE.format(offset // 512) for offset in COPY_OFFSETS)
    )
    assert done.status == 0, done.output


def test_a_release_of_packages_is_whole_and_lists_what_is_in_it(first_release):
    check_root(first_release.dir / "root.img", first_release.manifest)
    check_boot(first_release.dir / "boot.img", first_release.manifest)
    listed = {one["name"]: one["version"] for one in packages_of(first_release)}
    assert {"systemd", "containerd", "runc", "libc6"} <= set(listed)
    kernel = next(name for name in listed if name.startswith("linux-image-"))
    assert kernel.removeprefix("linux-image-").startswith(first_release.manifest.kernel.partition("-")[0])


def test_the_bill_of_a_release_is_valid_cyclonedx_and_has_each_package(first_release):
    bill = (first_release.dir / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    named = {(part["name"], part["version"]) for part in json.loads(bill)["components"]}
    assert named == {(one["name"], one["version"]) for one in packages_of(first_release)}


def test_nothing_of_the_build_and_of_its_machine_is_left(first_release, tmp_path):
    tree = tmp_path / "tree"
    extract = ["fsck.erofs", f"--extract={tree}", "--no-preserve", first_release.dir / "root.img"]
    subprocess.run(extract, capture_output=True, check=True)
    assert [list((tree / name).iterdir()) for name in ("var", "run", "tmp", "dev", "boot")] == [[]] * 5
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert not (tree / "etc/apt").exists()
    assert (tree / "etc/resolv.conf").readlink().parts[:2] == ("..", "run"), "not the builder's"
    assert "IMAGE_ID=debian-worker" in (tree / "usr/lib/os-release").read_text()
    removed(tree)


@pytest.mark.parametrize(
    ("firmware", "bus"),
    [(Firmware.UEFI, Bus.NVME), (Firmware.BIOS, Bus.SATA)],
    ids=["UEFI, NVMe", "BIOS, SATA"],
)
def test_the_initrd_finds_its_disk_on_every_bus_and_verifies_the_root(worker, firmware, bus):
    with worker.on(firmware=firmware, bus=bus) as machine:
        machine.wait_for("warmroot: slot=A source=1", TO_THE_KERNEL)
        machine.wait_for("warmroot-initrd: .* hands over to systemd", TO_THE_KERNEL)
        assert f"hash={worker.root_hash}" in machine.console()
        assert "FAILED" not in machine.console()
        assert "DATA_LOST" not in machine.console()


def test_a_system_is_switched_by_one_sector_tried_confirmed_and_survives_its_guard(worker):
    worker.fill(Slot.B)
    with worker.on() as machine:
        first = machine_status(machine)
        assert (first["slot"], first["state"], first["failed"]) == ("A", "good", "none")
        assert machine.run("echo kept > /etc/marker; systemctl start warmroot-boot-guard").status == 0
        assert machine.running, "the guard leaves a confirmed system alone"
        write_record(machine, TRIAL)
        machine.reboot()
    with worker.on() as machine:
        second = machine_status(machine)
        assert (second["slot"], second["state"], second["failed"]) == ("B", "trial", "none")
        assert second["boot"] != first["boot"]
        assert machine.run("cat /etc/marker").output.strip() == "kept"
        assert worker.record().left == 2
        write_record(machine, worker.record().succeed(good=Slot.B, next=None))
        assert machine.run("/usr/lib/warmroot/on-trial").status == 1
        assert worker.record().good is Slot.B
        hardened(machine)


def hardened(machine):
    """What a booted worker must be like; more belongs into the hardening report."""
    assert machine.run("systemctl show -p WatchdogDevice --value").output.strip() == "/dev/watchdog0"
    assert machine.run("touch /usr/x").status != 0
    assert machine.run("stat -c '%a %U:%G' /usr/sbin/unix_chkpwd").output == "2755 root:shadow"
    assert machine.run("findmnt -no FSTYPE,OPTIONS /").output.startswith("erofs ro")
    sockets = [line.split() for line in machine.run("ss -Htuln").output.splitlines()]
    reachable = [(kind, at) for kind, _, _, _, at, *_ in sockets if not at.startswith("127.0.0.1:")]
    assert all(kind == "udp" and at.endswith(":68") for kind, at in reachable), reachable  # DHCP's answers
    assert machine.run("dmsetup status root").output.split()[-1] == "V"


HANG = "echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze"
"""Nothing feeds the watchdog when PID 1 stands still."""


@pytest.mark.long
def test_a_trial_that_is_not_confirmed_or_ends_in_emergency_or_hangs_is_taken_back(worker):
    """The guard's service is started by hand: its timer waits ten minutes."""
    worker.fill(Slot.B)
    worker.set_record(TRIAL)
    for left, command, says in (
        (
            2,
            "systemctl start --no-block warmroot-boot-guard; sleep 0.1",
            "a system on trial is unconfirmed, route=",
        ),
        (
            1,
            "systemctl start --no-block emergency.service; sleep 0.1",
            "a system on trial is emergency",
        ),
        (0, HANG, None),
    ):
        with worker.on() as machine:
            assert machine_status(machine)["slot"] == "B"
            machine.send(command)
            machine.wait_end(180)
            assert says is None or says in machine.console()
            assert says is not None or "Restarting system" not in machine.console(), "the watchdog reset it"
        assert worker.record().left == left
    with worker.on() as machine:
        assert machine_status(machine)["slot"] == "A"
        noted = machine.run("cat /data/warmroot/boots").output
    *trial, now = trials.read(noted.encode())
    assert [boot.slot for boot in (*trial, now)] == [Slot.B] * 3 + [Slot.A], noted
    ended = [trials.ending([*trial[:count], now], Slot.B, now.id)[0] for count in (1, 2, 3)]
    assert ended == [Ending.NOT_CONFIRMED, Ending.EMERGENCY, Ending.WAS_RESET]


def test_a_disk_that_cannot_be_written_boots_the_good_slot_and_says_so(worker):
    worker.fill(Slot.B)
    worker.set_record(TRIAL)
    with worker.on(read_only=True) as machine:
        machine.wait_for("warmroot: slot=A", TO_THE_KERNEL)
        machine.wait_for("DATA_READ_ONLY", TO_THE_KERNEL)
        machine.wait_for("hands over to systemd", TO_THE_KERNEL)
    assert worker.record() == TRIAL


def test_a_package_that_does_not_exist_is_named_and_nothing_is_left(tmp_path):
    recipe = recipes.find("debian-worker")
    wrong = recipe.model_copy(update={"debian": Debian(suite="trixie", packages=("no-such-package",))})
    heard = []
    with pytest.raises(StepFailed, match="Unable to locate package no-such-package") as raised:
        build(wrong, tmp_path / "out", Steps(heard.append))
    assert "correct debian.packages" in raised.value.hint
    assert {report.step for report in heard} == {"packages"}, "before anything that takes longer"
    assert list(tmp_path.iterdir()) == []
