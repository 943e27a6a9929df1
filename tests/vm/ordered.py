"""A machine that does what its OSInstance orders, and every write that it makes on the way."""

import re
import time
from contextlib import contextmanager
from pathlib import Path

from testbed.controlplane.pki import HOST_OF_GUESTS
from testbed.machine.disk import Disk
from testbed.releases.server import ReleaseServer
from testbed.vm import joined, writelog
from testbed.vm.writelog import Event, Flush
from tests.installation import install
from tests.vm.worker import UP, machine_status
from tests.waiting import until
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import BOOTSTATE, COPY_OFFSETS
from warmroot.errors import NotFound
from warmroot.kube.cluster import NODE, OSINSTANCE

NAME = "vm-1"
STAGED = 600
"""Seconds to fetch, verify, write and read back a root under QEMU's translator."""
CHANGE = [0, "flush", 1, "flush"]
"""A change of the boot record: copy 1, and once it is durable copy 2."""
TRY = [0, 1, "flush"]
"""GRUB counts a try: it can't flush; the kernel that it starts does."""


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


@contextmanager
def an_instance(cluster, control_plane):
    """Our kinds in the cluster, with a Node and an OSInstance for the machine."""
    install(control_plane)
    cluster.create(NODE, {"metadata": {"name": NAME}})
    body = {"apiVersion": OSINSTANCE.api_version, "kind": "OSInstance", "metadata": {"name": NAME}}
    new = body | {"spec": {"os": "workers", "goal": "None"}}
    until(lambda: cluster.create(OSINSTANCE, new), forgive=(NotFound,))  # a kind is served after a moment
    try:
        yield Instance(cluster)
    finally:
        for kind in (OSINSTANCE, NODE):
            cluster.delete(kind, NAME)


def process_of(machine, unit):
    """What the kernel says of a service's process."""
    return machine.run(f"cat /proc/$(systemctl show -p MainPID --value {unit})/status").output


def update(line, worker, control_plane, instance, first, second) -> tuple[list[Event], list[Event]]:
    """Stages the second release, switches to it and confirms it, all by order.

    Gives all that was written: until the machine reset to try the release, and from then on, GRUB included.
    """
    armed, tried = worker.folder / "armed.log", worker.folder / "tried.log"
    with ReleaseServer(line.repository) as served:
        source = served.url.replace("127.0.0.1", HOST_OF_GUESTS)
        with worker.on(write_log=armed) as machine:
            machine_status(machine)
            zeroes = machine.run("cat /sys/block/vda/queue/write_zeroes_max_bytes").output
            assert zeroes.strip() == "0", "this QEMU does not log that well"
            joined.join(machine, NAME, joined.proxy(control_plane, NAME))
            status = instance.reaches("Idle", 120)
            assert status["booted"]["digest"] == first.digest
            assert re.search(r"^CapEff:\t0+$", process_of(machine, "warmroot-proxy"), re.MULTILINE)
            assert (status["good"], status["slots"]["A"]["version"]) == ("A", first.manifest.version)
            instance.order("Stage", second, source)
            staged = instance.reaches("Staged", STAGED)
            assert staged["staging"]["bytesReused"] > staged["staging"]["bytesFetched"]
            instance.order("Activate", second, source, reboot="r1")
            machine.wait_end(180)
        assert worker.record() == BootRecord(worker.record().gen, Slot.A, Slot.B, 3)
        with worker.on(write_log=tried) as machine:
            assert machine_status(machine)["slot"] == "B"
            on_trial = instance.reaches("Trial", UP)
            assert on_trial["booted"]["digest"] == second.digest
            instance.order("Confirm", second, source)
            confirmed = instance.reaches("Confirmed", 120)
            assert (confirmed["good"], confirmed["next"]) == ("B", "-")
            assert machine.run("/usr/lib/warmroot/on-trial").status == 1
            assert machine.run("systemctl --failed --no-legend").output == ""
    assert worker.record().good is Slot.B
    return writelog.read(armed), writelog.read(tried)


def record_changes(events: list[Event], disk: Path) -> list[int | str]:
    """In the order of the log: which copy of the boot record was written, and `flush` between."""
    with Disk(disk, writable=False) as opened:
        home = opened.layout()[BOOTSTATE]
    said: list[int | str] = []
    for event in events:
        if isinstance(event, Flush):
            if said and said[-1] != "flush":
                said.append("flush")
        elif home.start <= event.offset < home.end:
            assert len(event.data) == 512, "a state change is one sector"
            said.append(COPY_OFFSETS.index(event.offset - home.start))
    return said
