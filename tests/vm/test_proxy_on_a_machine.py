"""The proxy as a service of a real node: real verity, real disk, real systemd, the real API server.

Orders come as an operator gives them. What the disk says is read from outside, while the machine is off.
"""

import random
import re
import time
from itertools import chain, islice

import pytest

from testbed.controlplane.pki import HOST_OF_GUESTS
from testbed.machine.disk import Disk
from testbed.releases.server import ReleaseServer
from testbed.vm import joined, writelog
from testbed.vm.powercut import Judge
from testbed.vm.writelog import Flush, prefixes, reordered
from tests.installation import install
from tests.vm.worker import UP, machine_status
from tests.waiting import until
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import BOOTSTATE, COPY_OFFSETS
from warmroot.errors import NotFound
from warmroot.kube.cluster import NODE, OSINSTANCE

pytestmark = [pytest.mark.image, pytest.mark.vm, pytest.mark.api, pytest.mark.timeout(1800)]
NAME = "vm-1"
STAGED = 600
"""Seconds to fetch, verify, write and read back a root under QEMU's translator."""


@pytest.fixture
def instance(cluster, control_plane):
    install(control_plane)
    cluster.create(NODE, {"metadata": {"name": NAME}})
    body = {"apiVersion": OSINSTANCE.api_version, "kind": "OSInstance", "metadata": {"name": NAME}}
    new = body | {"spec": {"os": "workers", "goal": "None"}}
    until(lambda: cluster.create(OSINSTANCE, new), forgive=(NotFound,))  # a kind is served after a moment
    yield Instance(cluster)
    for kind in (OSINSTANCE, NODE):
        cluster.delete(kind, NAME)


class Instance:
    """The OSInstance of the machine, as its operator sees it."""

    def __init__(self, cluster):
        self._cluster = cluster

    def order(self, goal, release, source, reboot=None):
        about = {"version": release.manifest.version, "digest": release.digest, "sources": [source]}
        spec = {"goal": goal, "release": about}
        if reboot is not None:
            deadline = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            spec["reboot"] = {"id": reboot, "deadline": deadline}
        self._cluster.patch(OSINSTANCE, NAME, {"spec": spec})

    def status(self):
        return self._cluster.get(OSINSTANCE, NAME).get("status") or {}

    def reaches(self, phase, seconds):
        """The status, once it has this phase; fails at once on an error that only a person can mend."""

        def there():
            status = self.status()
            error = status.get("lastError") or {}
            assert not error or error.get("retryAt"), error
            return status if status.get("phase") == phase else None

        return until(there, seconds, lambda: f"{phase}; the status is {self.status()}")


def process_of(machine, unit):
    """What the kernel says of a service's process."""
    return machine.run(f"cat /proc/$(systemctl show -p MainPID --value {unit})/status").output


def test_a_node_stages_switches_and_confirms_a_release_by_order_and_survives_every_power_cut(
    line, first_release, worker, control_plane, instance, tmp_path, tally
):
    second = line.build()
    log = tmp_path / "writes.log"
    with ReleaseServer(line.repository) as served:
        source = served.url.replace("127.0.0.1", HOST_OF_GUESTS)
        with worker.on(write_log=log) as machine:
            machine_status(machine)
            joined.join(machine, NAME, joined.proxy(control_plane, NAME))
            status = instance.reaches("Idle", 120)
            assert status["booted"]["digest"] == first_release.digest
            assert re.search(r"^CapEff:\t0+$", process_of(machine, "warmroot-proxy"), re.MULTILINE)
            assert (status["good"], status["slots"]["A"]["version"]) == ("A", first_release.manifest.version)
            instance.order("Stage", second, source)
            staged = instance.reaches("Staged", STAGED)
            assert staged["staging"]["bytesReused"] > staged["staging"]["bytesFetched"]
            instance.order("Activate", second, source, reboot="r1")
            machine.wait_end(180)
        assert worker.record() == BootRecord(worker.record().gen, Slot.A, Slot.B, 3)
        with worker.on() as machine:
            assert machine_status(machine)["slot"] == "B"
            on_trial = instance.reaches("Trial", UP)
            assert on_trial["booted"]["digest"] == second.digest
            instance.order("Confirm", second, source)
            confirmed = instance.reaches("Confirmed", 120)
            assert (confirmed["good"], confirmed["next"]) == ("B", "-")
            assert machine.run("/usr/lib/warmroot/on-trial").status == 1
            assert machine.run("systemctl --failed --no-legend").output == ""
    assert worker.record().good is Slot.B
    events = writelog.read(log)
    assert_state_changes_are_single_sectors(events, worker)
    tally("power cuts of a machine that staged and armed a release", judged(events, first_release, second))


def assert_state_changes_are_single_sectors(events, worker):
    """Copy 1, a flush, copy 2, a flush: for each change, and nothing else is ever written there."""
    with Disk(worker.path, writable=False) as disk:
        home = disk.layout()[BOOTSTATE]
    said = []
    for event in events:
        if isinstance(event, Flush):
            if said and said[-1] != "flush":
                said.append("flush")
        elif home.start <= event.offset < home.end:
            assert len(event.data) == 512
            said.append(COPY_OFFSETS.index(event.offset - home.start))
    change = [0, "flush", 1, "flush"]
    assert said == change * (len(said) // 4), said
    assert said, "activation arms the trial"


def judged(events, first, second):
    """Every prefix of the log, and 10,000 disks that kept anything of what was not flushed."""
    crashes = chain(prefixes(events), islice(reordered(events, random.Random(7)), 10_000))
    with Disk(first.dir / "disk.raw", writable=False) as disk:
        verdicts = Judge(disk, [first.manifest, second.manifest]).judge(crashes)
    assert verdicts.broken == []
    assert min(verdicts.by_slot.values()) > 0
    return verdicts.judged
