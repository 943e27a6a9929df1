"""GRUB's environment block: the corners in which a damaged sector still means something to GRUB.

`tests/vm` asks the real GRUB about the same blocks; these examples name the rules.
"""

import pytest

from warmroot.disk.bootrecord import BootRecord, Slot, choose, decode
from warmroot.disk.envblock import SECTOR, SIGNATURE, load, pack, save

RECORD = BootRecord(8, Slot.A, Slot.B, 3)


def block(text: bytes) -> bytes:
    return (SIGNATURE + text).ljust(SECTOR, b"#")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (b"a=1\nb=2\n", {b"a": b"1", b"b": b"2"}),
        (b"a=1\na=2\n", {b"a": b"2"}),
        (b"# a=1\nb=2\n", {b"b": b"2"}),
        (b"a=1", {}),
        (b"a=1\nb\n", {b"a": b"1"}),
        (b"a\nb=2\n", {b"a\nb": b"2"}),
        (b"a=1\\\n2\n", {b"a": b"1\n2"}),
        (b"a=\\1\\\\\n", {b"a": b"1\\"}),
        (b"a=1\0x\nb\0y=2\n", {b"a": b"1", b"b": b"2"}),
        (b"a=1\r\n", {b"a": b"1\r"}),
        (b"a=\n", {b"a": b""}),
    ],
)
def test_load_sees_what_grub_sees(text, seen):
    assert load(block(text)) == seen


@pytest.mark.parametrize("damaged", [b"", bytes(SECTOR), block(b"a=1\n")[1:], b"X" + block(b"a=1\n")[1:]])
def test_without_signature_or_a_whole_sector_nothing_is_loaded_or_saved(damaged):
    assert load(damaged) is None
    assert save(damaged, {b"a": b"1"}) is None


def test_packed_values_are_loaded_again():
    assert load(pack({b"a": b"1", b"b": b""})) == {b"a": b"1", b"b": b""}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a=1\nb=2\n", b"a=7\nb=2\n"),
        (b"b=2\n", b"b=2\na=7\n"),
        (b"a=1\na=1\n", b"a=7\na=1\n"),
        (b"a=123\nb=2\n", b"a=7\nb=2\n"),
        (b"a=\nb=2\n", b"a=7\nb=2\n"),
        (b"xa=1\n", b"xa=1\na=7\n"),
    ],
)
def test_save_overwrites_the_first_line_or_appends_one(before, after):
    assert save(block(before), {b"a": b"7"}) == block(after)


def test_a_shorter_value_in_a_full_block_leaves_padding_behind():
    full = (SIGNATURE + b"a=123\nb=").ljust(SECTOR - 1, b"x") + b"\n"
    assert save(full, {b"a": b"7"}) == full.replace(b"a=123", b"a=7") + b"##"


def test_save_refuses_a_block_without_room():
    full = SIGNATURE + b"b=".ljust(SECTOR - len(SIGNATURE) - 1, b"x") + b"\n"
    assert save(full, {b"a": b"7"}) is None
    assert save(full, {b"b": b"7"}) is not None


def test_save_refuses_a_block_whose_padding_lost_a_bit():
    damaged = bytearray(RECORD.encode())
    damaged[400] ^= 1
    assert decode(bytes(damaged)) == RECORD
    assert save(bytes(damaged), {b"left": b"2"}) is None


def test_a_trial_that_cannot_be_counted_boots_the_good_slot():
    damaged = bytearray(RECORD.encode())
    damaged[400] ^= 1
    choice = choose(bytes(damaged), bytes(SECTOR))
    assert (choice.slot, choice.record, choice.copies) == (Slot.A, RECORD, (bytes(damaged), bytes(SECTOR)))


def test_counting_a_try_mends_the_other_copy():
    torn = RECORD.encode().replace(b"good=A", b"good=B")
    choice = choose(torn, RECORD.encode())
    assert choice.copies == (BootRecord(8, Slot.A, Slot.B, 2).encode(),) * 2
