"""The boot record: what holds for every record, every pair of sectors, and every torn write."""

from hypothesis import given
from hypothesis import strategies as st

from warmroot.disk.bootrecord import (
    GEN_WIDTH,
    MAX_GEN,
    SECTOR,
    TRIES,
    BootRecord,
    Slot,
    Source,
    choose,
    decode,
    newest,
)
from warmroot.disk.envblock import SIGNATURE

SLOTS = st.sampled_from(Slot)
GENS = st.integers(0, MAX_GEN)


@st.composite
def records(draw, gens=GENS):
    good = draw(SLOTS)
    return BootRecord(
        draw(gens), good, draw(st.sampled_from([None, good.other])), draw(st.integers(0, TRIES))
    )


@st.composite
def steps(draw):
    """Two records that follow one another: written by the proxy, or a try counted by the boot loader."""
    old = draw(records(st.integers(0, MAX_GEN - 1)))
    kind = draw(st.sampled_from(["prepare", "activate", "confirm", "try"]))
    if kind == "try" and old.next is not None and old.left > 0:
        return old, BootRecord(old.gen, old.good, old.next, old.left - 1)
    if kind == "confirm" and old.next is not None:
        return old, old.succeed(good=old.next, next=None)
    if kind == "activate":
        return old, old.succeed(next=old.good.other, left=TRIES)
    return old, old.succeed(next=None)


sectors = st.one_of(
    records().map(BootRecord.encode),
    st.binary(min_size=SECTOR, max_size=SECTOR),
    st.binary(max_size=SECTOR - len(SIGNATURE)).map(lambda tail: (SIGNATURE + tail).ljust(SECTOR, b"#")),
    st.text("genodxtlfA B=-:\n\\#013\0", max_size=200).map(
        lambda text: (SIGNATURE + text.encode()).ljust(SECTOR, b"#")
    ),
    st.tuples(records(), st.integers(0, SECTOR * 8 - 1)).map(
        lambda pair: (int.from_bytes(pair[0].encode(), "big") ^ 1 << pair[1]).to_bytes(SECTOR, "big")
    ),
)


@given(records())
def test_decoding_gives_back_what_was_encoded(record):
    assert decode(record.encode()) == record
    assert len(record.encode()) == SECTOR


@given(steps(), st.integers(0, SECTOR), st.booleans())
def test_a_torn_write_reads_as_the_old_record_the_new_one_or_garbage(step, cut, front_first):
    old, new = (record.encode() for record in step)
    torn = new[:cut] + old[cut:] if front_first else old[:cut] + new[cut:]
    assert decode(torn) in (None, *step)


@given(steps(), st.integers(0, SECTOR))
def test_a_power_cut_between_or_in_the_two_writes_leaves_the_old_or_the_new_record(step, cut):
    old, new = (record.encode() for record in step)
    torn = new[:cut] + old[cut:]
    assert newest(torn, old)[1] in step
    assert newest(new, torn)[1] == step[1]


@given(sectors, sectors, st.booleans())
def test_only_a_slot_that_is_good_or_on_trial_boots(copy1, copy2, writable):
    choice = choose(copy1, copy2, writable=writable)
    if choice.record is None:
        assert (choice.slot, choice.source) == (Slot.A, Source.NONE)
    else:
        assert choice.slot in (choice.record.good, choice.record.next)


@given(sectors, sectors, st.booleans())
def test_tries_never_grow_and_a_trial_always_costs_one(copy1, copy2, writable):
    before = newest(copy1, copy2)[1]
    choice = choose(copy1, copy2, writable=writable)
    after = newest(*choice.copies)[1]
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert (after.gen, after.good, after.next) == (before.gen, before.good, before.next)
        assert after.left <= before.left
        if choice.slot != before.good:
            assert after.left == before.left - 1


@given(sectors, sectors)
def test_three_boots_that_nobody_confirms_end_at_the_good_slot(copy1, copy2):
    record = newest(copy1, copy2)[1]
    for _ in range(TRIES):
        copy1, copy2 = choose(copy1, copy2).copies
    assert choose(copy1, copy2).slot == (Slot.A if record is None else record.good)
    assert choose(copy1, copy2).copies == (copy1, copy2)


@given(
    records(), st.one_of(st.just(bytes(SECTOR)), st.binary(min_size=SECTOR, max_size=SECTOR)), st.booleans()
)
def test_with_one_copy_lost_the_other_decides(record, lost, first_lost):
    sector = record.encode()
    whole = choose(sector, sector)
    choice = choose(lost, sector) if first_lost else choose(sector, lost)
    assert (choice.slot, choice.record) == (whole.slot, whole.record)
    assert choice.source is (Source.COPY2 if first_lost else Source.COPY1)


@given(records(), records())
def test_of_two_valid_copies_the_higher_generation_decides(one, two):
    source, record = newest(one.encode(), two.encode())
    assert record == max((one, two), key=lambda candidate: candidate.gen)
    assert source is (Source.COPY2 if two.gen > one.gen else Source.COPY1)


@given(records(), records())
def test_generations_compare_as_strings_as_they_do_as_numbers(one, two):
    """GRUB has only the string comparison."""
    text = [f"{record.gen:0{GEN_WIDTH}d}" for record in (one, two)]
    assert (text[1] > text[0]) == (two.gen > one.gen)


@given(records(), st.integers(0, len(SIGNATURE) * 8 - 1))
def test_a_damaged_signature_is_garbage(record, bit):
    sector = bytearray(record.encode())
    sector[bit // 8] ^= 1 << bit % 8
    assert decode(bytes(sector)) is None


@given(sectors, sectors, st.booleans())
def test_the_choice_is_a_function_of_the_sectors_alone(copy1, copy2, writable):
    assert choose(copy1, copy2, writable=writable) == choose(copy1, copy2, writable=writable)


@given(sectors, sectors)
def test_a_disk_that_cannot_be_written_boots_the_good_slot_and_stays_as_it_is(copy1, copy2):
    choice = choose(copy1, copy2, writable=False)
    assert choice.slot == (Slot.A if choice.record is None else choice.record.good)
    assert choice.copies == (copy1, copy2)
