"""The judge must see what would not come up; that all of a real log does come up is shown in tests/vm."""

import dataclasses
import hashlib
import io
import random
from itertools import islice

import pytest

from images.disk import install
from testbed.machine.disk import Disk
from testbed.vm.powercut import Judge
from testbed.vm.writelog import Crash, Flush, Write, prefixes, reordered
from tests.unit.test_images_sbom import manifest
from warmroot.disk import layout
from warmroot.disk.bootrecord import BootRecord, Slot
from warmroot.disk.layout import COPY_OFFSETS, MIB
from warmroot.release import verity
from warmroot.release.manifest import Boot, Root

PLANNED = layout.plan(boot_size=MIB, root_size=MIB, data_size=MIB, esp_size=MIB)
GOOD = BootRecord(1, Slot.A)
STATE = PLANNED[layout.BOOTSTATE].start


class Release:
    """Two images of a few blocks, and their manifest."""

    def __init__(self, folder, fill):
        data, boot = fill * (8 * 4096), fill * 4096
        tree = verity.build(io.BytesIO(data), data_blocks=8, salt=b"s" * 32)
        self.root_bytes, self.boot_bytes = data + tree.encode(), boot
        self.manifest = dataclasses.replace(
            manifest(),
            root=Root(len(self.root_bytes), 8, tree.salt, tree.root_hash),
            boot=Boot(len(boot), hashlib.sha256(boot).digest()),
        )
        self.files = folder / f"boot-{fill.hex()}", folder / f"root-{fill.hex()}"
        for path, content in zip(self.files, (self.boot_bytes, self.root_bytes), strict=True):
            path.write_bytes(content)


@pytest.fixture
def world(tmp_path):
    old, new = (Release(tmp_path, fill) for fill in (b"o", b"n"))
    install(tmp_path / "disk", PLANNED, {Slot.A: old.files}, GOOD, grub=None)
    with Disk(tmp_path / "disk", writable=False) as disk:
        yield new, Judge(disk, [old.manifest, new.manifest])


def record(state):
    """A change of the boot record as the proxy makes it: a copy, a flush, the other copy, a flush."""
    events = []
    for offset in COPY_OFFSETS:
        events += [Write(STATE + offset, state.encode()), Flush()]
    return events


def staged(new):
    begin = PLANNED[layout.root(Slot.B)].start
    pieces = [new.root_bytes[at : at + 8192] for at in range(0, len(new.root_bytes), 8192)]
    events = [Write(begin + 8192 * number, piece) for number, piece in enumerate(pieces)]
    return [*events, Write(PLANNED[layout.boot(Slot.B)].start, new.boot_bytes)]


ARMED = GOOD.succeed(next=Slot.B, left=3)


def test_staging_then_a_flush_then_arming_comes_up_in_a_whole_slot_whatever_the_disk_lost(world):
    new, judge = world
    events = [*staged(new), Flush(), *record(ARMED)]
    for crashes in (prefixes(events), islice(reordered(events, random.Random(1)), 500)):
        verdicts = judge.judge(crashes)
        assert verdicts.broken == []
        assert min(verdicts.by_slot.values()) > 0
        assert verdicts.trials == verdicts.by_slot[Slot.B]


def test_arming_without_a_flush_before_it_is_found_out(world):
    new, judge = world
    verdicts = judge.judge(islice(reordered([*staged(new), *record(ARMED)], random.Random(1)), 500))
    assert any("slot B is chosen and not whole" in reason for reason in verdicts.broken)


def test_both_copies_torn_at_once_is_found_out(world):
    _, judge = world
    garbage = tuple(Write(STATE + offset, b"#" * 512) for offset in COPY_OFFSETS)
    assert "both copies" in judge.judge([Crash(2, garbage)]).broken[0]


def test_a_write_into_the_slot_that_boots_is_found_out(world):
    _, judge = world
    stray = Write(PLANNED[layout.root(Slot.A)].start + 4096, b"?" * 512)
    assert "slot A is chosen and not whole" in judge.judge([Crash(1, (stray,))]).broken[0]
