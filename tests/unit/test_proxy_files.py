"""The data partition's small files: whole or not there, and never a reason to crash."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from os_proxy.backends.files import DataFolder
from os_proxy.core import receipts
from os_proxy.core.receipts import (
    FALLBACKS_KEPT,
    FallbackCause,
    FallbackNote,
    Fallbacks,
    Floor,
    RebootKind,
    RebootNote,
    Receipt,
    SlotContent,
    encode,
)
from warmroot.errors import ReadOnlyDisk

NOTES = [
    (receipts.receipt, Receipt("sha256:1", "1.0", 7, SlotContent.VERIFIED)),
    (receipts.reboot_note, RebootNote("r1", "boot", "sha256:1", RebootKind.ACTIVATE, 4)),
    (receipts.fallbacks, Fallbacks((FallbackNote("sha256:1", FallbackCause.FELL_BACK, 1.5),))),
    (receipts.floor, Floor(7, ("aa", "bb"))),
]


@pytest.mark.parametrize(("read", "note"), NOTES)
def test_a_note_is_read_as_it_was_written(read, note):
    assert read(encode(note)) == note


@given(data=st.one_of(st.none(), st.binary(max_size=200), st.text(max_size=50).map(str.encode)))
def test_garbage_is_unknown_and_no_crash(data):
    assert [read(data) for read, _ in NOTES] == [None, None, Fallbacks(), Floor()]


@pytest.mark.parametrize(("read", "note"), NOTES)
def test_every_torn_note_is_unknown(read, note):
    whole = encode(note)
    assert {read(whole[:length]) for length in range(len(whole))} == {read(None)}


def test_the_floor_never_sinks_and_remembers_a_few():
    floor = Floor(9, ("old",))
    for number in range(20):
        floor = floor.raised(f"root{number}", number)
    assert (floor.release_seq, floor.confirmed[-1], len(floor.confirmed)) == (19, "root19", 8)
    assert dataclasses.replace(floor).raised("root0", 1).release_seq == 19


def test_each_release_that_was_given_up_is_remembered_until_it_is_cleared():
    first = FallbackNote("sha256:1", FallbackCause.FELL_BACK, 1.0)
    second = FallbackNote("sha256:2", FallbackCause.ROLLED_BACK, 2.0)

    both = Fallbacks().noting(first).noting(second)

    assert (both.of("sha256:1"), both.of("sha256:2"), both.newest) == (first, second, second)
    assert both.without("sha256:2").notes == (first,)
    assert both.noting(first).notes == (second, first)


def test_the_memory_of_what_was_given_up_is_bounded_and_forgets_the_oldest():
    memory = Fallbacks()
    for number in range(FALLBACKS_KEPT + 1):
        memory = memory.noting(FallbackNote(f"sha256:{number}", FallbackCause.FELL_BACK, 0.0))

    assert len(memory.notes) == FALLBACKS_KEPT
    assert memory.of("sha256:0") is None


def test_a_file_is_replaced_whole(tmp_path):
    folder = DataFolder(tmp_path)
    folder.write("receipts/A.json", b"old")
    folder.write("receipts/A.json", b"new")
    assert (folder.read("receipts/A.json"), folder.names("receipts")) == (b"new", ["receipts/A.json"])


def test_a_file_that_is_not_there_is_none(tmp_path):
    folder = DataFolder(tmp_path / "nowhere")
    assert (folder.read("floor.json"), folder.names("manifests")) == (None, [])


def test_a_write_that_cannot_be_kept_changes_nothing(tmp_path, monkeypatch):
    folder = DataFolder(tmp_path)
    folder.write("floor.json", b"old")

    def refuse(*_):
        raise OSError(30, "read-only")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(ReadOnlyDisk):
        folder.write("floor.json", b"new")
    assert folder.read("floor.json") == b"old"


def test_a_spool_keeps_bytes_and_leaves_nothing_behind(tmp_path):
    folder = DataFolder(tmp_path)
    with folder.spool("boot.part") as spool:
        spool.put(0, b"kernel")
        spool.put(6, b"initrd")
        assert spool.get(3, 6) == b"nelini"
    assert list(tmp_path.iterdir()) == []
