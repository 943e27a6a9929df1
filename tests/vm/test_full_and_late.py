"""A node whose data partition has no space, and whose clock is wrong: it boots, and says what is wrong."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from images import datafs
from testbed.machine.disk import Disk
from testbed.vm import fulldata, joined
from tests.vm.test_proxy_on_a_machine import NAME, instance  # noqa: F401  (a fixture)
from tests.vm.worker import UP, Worker, machine_status, removed
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot

pytestmark = [pytest.mark.long, pytest.mark.image, pytest.mark.vm, pytest.mark.timeout(1200)]
TRIAL = BootRecord(2, Slot.A, Slot.B, 3)
LATE = timedelta(days=200)
"""Past every expiry of a repository's metadata but its root's, before that of the cluster's certificates."""


def data_of(path):
    with Disk(path, writable=False) as disk:
        return disk.layout()[layout.DATA]


def test_a_machine_that_never_found_space_boots_and_says_so(small_release, tmp_path):
    worker = Worker.of(small_release.built.dir, tmp_path)
    fulldata.fill(worker.path, data_of(worker.path))
    with worker.on() as machine:
        status = machine_status(machine)
        assert "DATA_FULL /dev/vda8 has no space left" in machine.console()
        assert (status["slot"], status["state"]) == ("A", "good")
        assert machine.run("touch /etc/x /var/x").status == 0, "in memory"
    removed(tmp_path)


@pytest.mark.api
def test_a_trial_without_space_and_with_a_wrong_clock_is_confirmed(
    worker,
    first_release,
    control_plane,
    instance,  # noqa: F811
):
    joined_and_full(worker, first_release, control_plane)
    worker.fill(Slot.B)
    worker.set_record(TRIAL)
    clock = datetime.now(UTC) + LATE
    with worker.on(clock=clock) as machine:
        status = machine_status(machine)
        assert (status["slot"], status["state"]) == ("B", "trial")
        assert "DATA_FULL" not in machine.console(), "what is there is used as it is"
        said = machine.run("date +%s; df --output=avail /data | tail -n 1").output.split()
        assert int(said[0]) > time.time() + (LATE - timedelta(days=1)).total_seconds()
        assert int(said[1]) < 64, "KiB"
        on_trial = instance.reaches("Trial", UP)
        assert on_trial["booted"]["digest"] == first_release.digest
        instance.order("Confirm", first_release, "https://nowhere.invalid")
        confirmed = instance.reaches("Confirmed", 120)
        assert (confirmed["good"], confirmed["next"]) == ("B", "-")
    assert worker.record().good is Slot.B


def joined_and_full(worker, release, plane):
    """A node that ran for a while: its places are there, its slots are known, and no block is free."""
    manifest = (release.dir / "manifest.json").read_bytes()
    own = {f"/etc/upper{path.removeprefix('/etc')}": file for path, file in joined.proxy(plane, NAME).items()}
    notes = {path: file.data for path, file in own.items()}
    notes |= datafs.installed(Slot.A, manifest) | datafs.installed(Slot.B, manifest)
    notes |= {f"/{place}/.there": b"" for place in ("etc/work", "var/tmp", "var-work")}
    home = data_of(worker.path)
    datafs.make(worker.path, home, notes)
    fulldata.fill(worker.path, home)
