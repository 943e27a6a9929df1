import random
import struct
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.vm.writelog import SECTOR, Crash, Flush, Write, length, prefixes, read, reordered
from warmroot.errors import StepFailed

FLUSH, FUA, DISCARD = 1, 2, 4


def log(path, *entries, counted=None):
    """As QEMU's block/blklogwrites.c lays it out: (sector, flags, data)."""
    count = len(entries) if counted is None else counted
    out = struct.pack("<QQQI", 0x6A736677736872, 1, count, SECTOR).ljust(SECTOR, b"\0")
    for sector, flags, data in entries:
        nr = len(data) // SECTOR
        out += struct.pack("<QQQQ", sector, nr, flags, 0).ljust(SECTOR, b"\0")
        out += b"" if flags & DISCARD else data
    path.write_bytes(out)
    return path


A, B, C = (letter * SECTOR for letter in (b"a", b"b", b"c"))


def test_writes_and_flushes_come_in_their_order(tmp_path):
    path = log(tmp_path / "log", (3, 0, A), (0, FLUSH, b""), (9, DISCARD, B), (4, FUA, B + C))
    assert read(path) == [Write(3 * SECTOR, A), Flush(), Write(4 * SECTOR, B + C, durable=True)]


def test_a_log_that_is_being_written_tells_its_length(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"")
    assert length(path) == 0
    assert length(log(path, (3, 0, A), (0, FLUSH, b""))) == 2
    with path.open("ab") as file:
        file.write(b"of the next entry")
    assert length(path) == 2


def test_an_old_count_hides_no_write_that_the_log_holds(tmp_path):
    """QEMU 7.2 writes the count from several threads, and the oldest may be the last."""
    path = log(tmp_path / "log", (3, 0, A), (0, FLUSH, b""), (4, 0, B), counted=1)
    assert read(path) == [Write(3 * SECTOR, A), Flush(), Write(4 * SECTOR, B)]


def test_a_write_that_was_not_logged_whole_was_never_answered(tmp_path):
    path = log(tmp_path / "log", (3, 0, A), (4, 0, B + C), counted=1)
    path.write_bytes(path.read_bytes()[:-SECTOR])
    assert read(path) == [Write(3 * SECTOR, A)]


@pytest.mark.parametrize("nothing", [(0, 0, b""), (7, 0x100, A)])
def test_an_entry_that_says_nothing_is_not_read_over(tmp_path, nothing):
    path = log(tmp_path / "log", (3, 0, A), nothing, (4, 0, B))
    with pytest.raises(StepFailed, match="after entry 1 of 3"):
        read(path)


@pytest.mark.parametrize("cut", [0, 10, SECTOR + 8])
def test_what_is_no_whole_log_is_refused(tmp_path, cut):
    path = log(tmp_path / "log", (3, 0, A), (0, FLUSH, b""))
    path.write_bytes(path.read_bytes()[:cut] or b"x")
    with pytest.raises(StepFailed):
        read(path)


def test_a_controller_in_order_leaves_one_disk_for_each_write():
    events = [Write(0, A), Flush(), Write(SECTOR, B)]
    assert list(prefixes(events)) == [Crash(0, ()), Crash(1, (events[0],)), Crash(3, (events[0], events[2]))]


def test_a_crash_reads_as_the_disk_would():
    crash = Crash(2, (Write(0, A + B), Write(SECTOR, C)))
    assert crash.read(bytes(3 * SECTOR), 0) == A + C + bytes(SECTOR)
    assert crash.read(b"....", SECTOR - 2) == b"aacc"


WRITES = st.builds(
    lambda at, size, fill, durable: Write(at * SECTOR, bytes([fill]) * size * SECTOR, durable),
    st.integers(0, 7),
    st.integers(1, 4),
    st.integers(1, 255),
    st.booleans(),
)


@given(st.lists(st.one_of(WRITES, st.just(Flush())), max_size=12), st.integers(0, 2**32))
def test_no_crash_loses_what_was_flushed_or_has_what_was_not_yet_written(events, seed):
    for crash in islice(reordered(events, random.Random(seed)), 20):
        issued = [event for event in events[: crash.after] if isinstance(event, Write)]
        flushed = max((n for n, e in enumerate(events[: crash.after], 1) if isinstance(e, Flush)), default=0)
        settled = [event for event in events[:flushed] if isinstance(event, Write)]
        assert list(crash.kept[: len(settled)]) == settled
        rest = [event for event in events[flushed : crash.after] if isinstance(event, Write)]
        for durable in (event for event in rest if event.durable):
            assert durable in crash.kept
        for kept in crash.kept:
            end = kept.offset + len(kept.data)
            assert any(w.offset <= kept.offset and end <= w.offset + len(w.data) for w in issued)
            assert kept.data
            assert len(kept.data) % SECTOR == 0
