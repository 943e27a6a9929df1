"""What is booted for real must have all that can go wrong in it: changes of the record above all."""

import random

import pytest

from images.disk import install
from testbed.machine.disk import Disk
from testbed.vm.powercut import Judge
from testbed.vm.sample import spread
from testbed.vm.writelog import Flush, Write, prefixes
from tests.unit.test_vm_powercut import ARMED, GOOD, PLANNED, STATE, Release, record, staged
from warmroot.disk.bootrecord import Slot, decode
from warmroot.disk.layout import COPY_OFFSETS

CONFIRMED = ARMED.succeed(good=Slot.B, next=None)


@pytest.fixture
def world(tmp_path):
    old, new = (Release(tmp_path, fill) for fill in (b"o", b"n"))
    install(tmp_path / "disk", PLANNED, {Slot.A: old.files}, GOOD, grub=None)
    events = [*staged(new), Flush(), *record(ARMED), *record(CONFIRMED)]
    with Disk(tmp_path / "disk", writable=False) as disk:
        yield events, disk, Judge(disk, [old.manifest, new.manifest])


def test_no_two_have_the_same_writes_and_they_come_in_the_logs_order(world):
    events, disk, _ = world
    chosen = spread(events, disk, random.Random(1), 60)
    assert len({crash.kept for crash in chosen}) == len(chosen) == 60
    assert [crash.after for crash in chosen] == sorted(crash.after for crash in chosen)
    assert all(0 <= crash.after <= len(events) for crash in chosen)


def test_a_large_sample_has_every_prefix_around_a_change_and_torn_sectors_of_each(world):
    events, disk, judge = world
    chosen = spread(events, disk, random.Random(1), 200)
    kept = {crash.kept for crash in chosen}
    changes = [
        n
        for n, one in enumerate(events)
        if isinstance(one, Write) and one.offset >= STATE and len(one.data) == 512
    ]
    before_and_after = {n for change in changes for n in (change, change + 1)}
    writes = [tuple(one for one in events[:n] if isinstance(one, Write)) for n in sorted(before_and_after)]
    assert set(writes) <= kept
    torn = [judge.copies(crash) for crash in chosen]
    for number in range(len(COPY_OFFSETS)):
        assert any(decode(copies[number]) is None for copies in torn)


def test_a_small_sample_still_has_all_kinds(world):
    events, disk, judge = world
    chosen = spread(events, disk, random.Random(1), 12)
    assert len(chosen) == 12
    assert {judge.verdict(crash).choice.slot for crash in chosen} == set(Slot)
    whole = {crash.kept for crash in prefixes(events)}
    assert any(crash.kept in whole for crash in chosen)
    assert any(crash.kept not in whole for crash in chosen)


def test_all_of_an_honest_log_comes_up_whatever_is_chosen(world):
    events, disk, judge = world
    assert judge.judge(spread(events, disk, random.Random(2), 200)).broken == []
