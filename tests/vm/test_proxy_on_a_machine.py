"""The proxy as a service of a real node: real verity, real disk, real systemd, the real API server.

Orders come as an operator gives them. What the disk says is read from outside, while the machine is off.
"""

import random
from itertools import chain, islice

import pytest

from testbed.machine.disk import Disk
from testbed.vm.powercut import Judge
from testbed.vm.replay import boots
from testbed.vm.sample import spread
from testbed.vm.writelog import prefixes, reordered
from tests.vm.ordered import CHANGE, TRY, an_instance, record_changes, update

pytestmark = [pytest.mark.image, pytest.mark.vm, pytest.mark.api, pytest.mark.timeout(1800)]
REPLAYED = 10_000
BOOTED = 12
"""Real boots of cut disks here; `make bench NAME=powercuts` makes hundreds."""


@pytest.fixture
def instance(cluster, control_plane):
    with an_instance(cluster, control_plane) as made:
        yield made


def test_a_node_stages_switches_and_confirms_a_release_by_order_and_survives_every_power_cut(
    line, first_release, worker, control_plane, instance, tmp_path, tally
):
    second = line.build()
    armed, tried = update(line, worker, control_plane, instance, first_release, second)
    switch, confirmation = (record_changes(events, worker.path) for events in (armed, tried))
    assert switch == CHANGE * (len(switch) // len(CHANGE))
    assert switch, f"activation arms the trial; of {len(armed)} events none does"
    assert confirmation == [*TRY, *CHANGE]
    events = [*armed, *tried]
    base = first_release.dir / "disk.raw"
    with Disk(base, writable=False) as disk:
        judge = Judge(disk, [first_release.manifest, second.manifest])
        verdicts = judge.judge(chain(prefixes(events), islice(reordered(events, random.Random(7)), REPLAYED)))
        assert verdicts.broken == []
        assert min(verdicts.by_slot.values()) > 0
        sample = spread(events, disk, random.Random(8), BOOTED)
        booted = [(crash, boot) for crash, boot in boots(base, events, sample, tmp_path) if boot]
        assert [boot.differs(judge.verdict(crash)) for crash, boot in booted] == [""] * len(booted)
    assert {boot.slot for _, boot in booted} == {"A", "B"}
    assert not any(boot.data_lost for _, boot in booted)
    tally("power cuts of a machine that staged, armed and confirmed a release", verdicts.judged)
    tally("of them booted with real firmware, kernel and verified root", len(booted))
