"""A disk that becomes one power cut after another, and what a machine that booted it said."""

import dataclasses
import random
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.disk import install
from testbed.machine.disk import Disk
from testbed.vm import replay
from testbed.vm.powercut import Judge, Verdict
from testbed.vm.replay import Boot, ReplayedDisk, boots
from testbed.vm.writelog import Crash, Flush, Write, extents, reordered
from tests.examples import examples
from tests.unit.test_vm_powercut import ARMED, GOOD, PLANNED, Release, record, staged
from tests.unit.test_vm_writelog import WRITES
from warmroot.disk.bootrecord import Slot, choose

BASE = bytes(range(256)) * 24
EVENTS = st.lists(st.one_of(WRITES, st.just(Flush())), max_size=12)


@examples(60)
@given(EVENTS, st.integers(0, 2**32))
def test_the_disk_has_the_bytes_of_each_crash_whatever_it_was_before(tmp_path_factory, events, seed):
    folder = tmp_path_factory.mktemp("replay")
    (folder / "base").write_bytes(BASE)
    disk = ReplayedDisk(folder / "base", folder / "disk", events)
    for crash in islice(reordered(events, random.Random(seed)), 6):
        disk.become(crash)
        assert (folder / "disk").read_bytes() == crash.read(BASE, 0)
    assert (folder / "base").read_bytes() == BASE


def test_digests_are_equal_where_disks_are(tmp_path):
    (tmp_path / "base").write_bytes(BASE)
    one, same, other = Write(512, b"1" * 512), Write(512, BASE[512:1024]), Write(1024, b"2" * 512)
    disk = ReplayedDisk(tmp_path / "base", tmp_path / "disk", [one, same, other])
    digests = []
    for kept in ((), (one,), (one, same), (same,), (other,), (one, other), (other, one)):
        disk.become(Crash(0, kept))
        digests.append(disk.digest())
    untouched, first, undone, rewritten, second, both, turned = digests
    assert untouched == undone == rewritten
    assert both == turned
    assert len({untouched, first, second, both}) == 4


@given(EVENTS)
def test_extents_are_the_sectors_that_are_written_and_lie_apart(events):
    found = extents(events)
    written = {
        n for e in events if isinstance(e, Write) for n in range(e.offset, e.offset + len(e.data), 512)
    }
    assert {n for begin, end in found for n in range(begin, end, 512)} == written
    assert all(end < begin for (_, end), (begin, _) in pairwise(found))


def test_each_distinct_disk_is_booted_once(tmp_path, monkeypatch):
    (tmp_path / "base").write_bytes(BASE)
    events = [Write(0, b"1" * 512), Write(0, b"2" * 512), Write(0, b"1" * 512)]
    monkeypatch.setattr(replay, "_boot", lambda disk, home: disk.read_bytes()[:1])
    crashes = [Crash(n, tuple(events[:n])) for n in range(4)]
    got = list(boots(tmp_path / "base", events, crashes, tmp_path))
    assert [crash for crash, _ in got] == crashes
    assert sorted(boot for _, boot in got if boot) == [b"\0", b"1", b"2"]


CONSOLE = """SeaBIOS
warmroot: slot=B source=1 record=00000005:A:B:2
[    1.2] some kernel line
warmroot-initrd: 2.91 slot=B hash=0badc0de
warmroot-initrd: 3.50 root verified block by block from here on
warmroot-initrd: 3.77 hands over to systemd
"""


def test_a_console_tells_what_was_decided_and_how_far_it_came():
    assert Boot.of(CONSOLE, 9.5) == Boot("B", "1", "00000005:A:B:2", "B", "0badc0de", True, False, 9.5)
    early = CONSOLE.partition("warmroot-initrd: 3.77")[0]
    assert Boot.of(early, 150.0) == Boot("B", "1", "00000005:A:B:2", "B", "0badc0de", False, False, 150.0)
    assert Boot.of(CONSOLE.replace("3.50 root", "3.50 DATA_LOST"), 9.5).data_lost
    assert Boot.of("", 150.0) == Boot("", "", "", "", "", False, False, 150.0)


@pytest.fixture
def verdict(tmp_path):
    old, new = (Release(tmp_path, fill) for fill in (b"o", b"n"))
    install(tmp_path / "disk", PLANNED, {Slot.A: old.files}, GOOD, grub=None)
    events = [*staged(new), Flush(), *record(ARMED)]
    with Disk(tmp_path / "disk", writable=False) as disk:
        judge = Judge(disk, [old.manifest, new.manifest])
        return judge.verdict(Crash(len(events), tuple(one for one in events if isinstance(one, Write))))


def as_the_model_says(verdict):
    root = verdict.release.root.root_hash.hex()
    return Boot("B", "1", f"{ARMED.gen:08d}:A:B:2", "B", root, True, False, 9.0)


def test_a_boot_that_is_as_the_model_says_differs_in_nothing(verdict):
    assert as_the_model_says(verdict).differs(verdict) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"up": False},
        {"slot": "A"},
        {"source": "2"},
        {"record": f"{ARMED.gen:08d}:A:B:3"},
        {"root_slot": "A"},
        {"root_hash": "00"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_not_as_the_model_says_is_told(verdict, change):
    boot = dataclasses.replace(as_the_model_says(verdict), **change)
    assert str(next(iter(change.values()))) in boot.differs(verdict)


def test_a_disk_that_the_model_gives_up_never_counts_as_up(verdict):
    boot = as_the_model_says(verdict)
    assert "not whole" in boot.differs(Verdict(verdict.choice, None))
    assert "garbage" in boot.differs(Verdict(choose(b"", b""), verdict.release))
