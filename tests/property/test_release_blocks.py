"""The delta plan keeps its promises for every mix of local, repeated, moved and new blocks."""

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from warmroot.release.blocks import MAX_GAP, MAX_RANGE, BlockSet, LeafIndex, plan
from warmroot.release.verity import HASH


def leaf(content: int) -> bytes:
    return hashlib.sha256(content.to_bytes(4, "big")).digest()


def leaves(contents) -> bytes:
    return b"".join(map(leaf, contents))


slot = st.lists(st.integers(0, 24), max_size=60)
"""A slot as a list of contents; a small alphabet, so that blocks repeat and move."""


def planned(new, good, target, **limits):
    index = LeafIndex({"A": leaves(good), "B": leaves(target)})
    present = BlockSet(len(new))
    for block, content in enumerate(new):
        if block < len(target) and target[block] == content:
            present.add(block)
    return plan(leaves(new), index, target="B", present=present, **limits), present


def fetched(result):
    return [block for wanted in result.fetch for block in range(wanted.start, wanted.start + wanted.count)]


def span(copies):
    return [block for copy in copies for block in range(copy.dst, copy.dst + copy.count)]


@given(new=slot, good=slot, target=slot)
def test_applying_a_plan_gives_the_new_root(new, good, target):
    result, _ = planned(new, good, target)
    disk = {"A": list(good), "B": list(target) + [-1] * max(0, len(new) - len(target))}

    def copy(copies):
        for one in copies:
            for step in range(one.count):
                content = disk[one.slot][one.src + step]
                assert content == new[one.dst + step], "a copy read a block that was overwritten"
                disk["B"][one.dst + step] = content

    copy(result.reuse)
    for block in fetched(result):
        disk["B"][block] = new[block]
    copy(result.repeat)
    assert disk["B"][: len(new)] == new


@given(new=slot, good=slot, target=slot, max_gap=st.integers(0, 9), max_range=st.integers(1, 20))
def test_every_block_is_covered_exactly_once(new, good, target, max_gap, max_range):
    result, present = planned(new, good, target, max_gap=max_gap, max_range=max_range)
    covered = span(result.reuse) + fetched(result) + span(result.repeat)
    assert len(covered) == len(set(covered))
    assert set(covered) | {block for block in range(len(new)) if block in present} == set(range(len(new)))
    assert all(wanted.count <= max_range for wanted in result.fetch)


@given(new=slot, good=slot, target=slot)
def test_ranges_begin_and_end_with_a_block_that_is_nowhere_else(new, good, target):
    """Merging adds gaps only, never edges, and never leaves two ranges that should be one."""
    result, _ = planned(new, good, target)
    moved_back = {c for i, c in enumerate(new) if c in target and target.index(c) >= i}
    for wanted in result.fetch:
        for edge in (wanted.start, wanted.start + wanted.count - 1):
            assert new[edge] not in good
            assert new[edge] not in moved_back or target.index(new[edge]) < edge
    for before, after in pairwise(result.fetch):
        assert after.start - (before.start + before.count) > MAX_GAP


@given(new=slot, good=slot)
def test_no_content_is_asked_for_twice_but_inside_a_gap(new, good):
    result, _ = planned(new, good, [], max_gap=0)
    contents = [new[block] for block in fetched(result)]
    assert len(contents) == len(set(contents)) == len(set(new) - set(good))


@given(slots=st.dictionaries(st.sampled_from("AB"), slot), content=st.integers(0, 40))
def test_the_index_finds_what_is_there_and_nothing_else(slots, content):
    found = LeafIndex({name: leaves(contents) for name, contents in slots.items()}).find(leaf(content))
    if found is None:
        assert all(content not in contents for contents in slots.values())
    else:
        name, block = found
        assert slots[name][block] == content


@given(size=st.integers(1, 300), data=st.data())
def test_a_block_set_is_a_set(size, data):
    model = data.draw(st.sets(st.integers(0, size - 1)))
    blocks = BlockSet(size)
    for block in model:
        blocks.add(block)
    assert {block for block in range(-1, size + 9) if block in blocks} == model
    assert len(blocks) == len(model)


def test_a_root_that_is_mostly_new_comes_in_few_large_ranges():
    """So there is no need of a second way, one that fetches the whole image."""
    new = list(range(3000))
    known = new[1::3]  # scattered: a third of the blocks need not come, yet no range ends at them
    fetch = planned(new, known, [])[0].fetch
    assert [(wanted.start, wanted.count) for wanted in fetch[:-1]] == [(0, MAX_RANGE), (1025, MAX_RANGE)]
    assert fetch[-1].start + fetch[-1].count == 3000


def test_an_index_of_hashes_that_collide_in_their_first_bytes_still_tells_them_apart():
    same = [bytes(8) + bytes([n]) * (HASH - 8) for n in range(50)]
    index = LeafIndex({"A": b"".join(same)})
    assert [index.find(one) for one in same] == [("A", n) for n in range(50)]
