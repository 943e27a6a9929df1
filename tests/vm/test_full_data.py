"""A node whose data partition has no space: it boots, and says what is wrong."""

import pytest

from testbed.machine.disk import Disk
from testbed.vm import fulldata
from tests.vm.worker import Worker, machine_status, removed
from warmroot.disk import layout

pytestmark = [pytest.mark.long, pytest.mark.image, pytest.mark.vm, pytest.mark.timeout(1200)]


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
