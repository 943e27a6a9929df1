"""The way into a slot and back with several threads on a real file: what is wrong is found and named."""

import os
import threading
import time

import pytest

from os_proxy.backends.device import FileDevice
from os_proxy.backends.host import SystemClock
from os_proxy.backends.pace import TokenBucket
from os_proxy.backends.readback import RUN, Hashing, check_root, leaves, side_by_side
from os_proxy.backends.transfer import Tally, Target, fetch_ranges
from warmroot.errors import DiskCorrupt, Tampered
from warmroot.release.blocks import BlockRange
from warmroot.release.source import FileSource
from warmroot.release.verity import BLOCK, build

BLOCKS = 3 * RUN + 5
"""Several reads of the disk, the last one short."""


@pytest.fixture(scope="module")
def data():
    return os.urandom(BLOCKS * BLOCK)


@pytest.fixture(scope="module")
def tree(data):
    return build([data], data_blocks=BLOCKS, salt=b"salt")


@pytest.fixture
def root(tmp_path, data, tree):
    """A root partition that holds what it should."""
    path = tmp_path / "root"
    path.write_bytes(data + tree.encode())
    device = FileDevice(path)
    yield device
    device.close()


def nothing():
    pass


@pytest.mark.parametrize("threads", [1, 3])
def test_a_root_that_was_kept_is_accepted_and_progress_is_told_for_each_read(root, tree, threads):
    told = []
    check_root(root, Hashing(tree), threads=threads, observe=lambda: told.append(1))
    assert len(told) == 4


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block", [0, RUN - 1, RUN, BLOCKS - 1])
def test_one_changed_bit_anywhere_is_found_and_its_block_named(root, data, tree, threads, block):
    at = (block + 1) * BLOCK - 1
    root.write(at, bytes([data[at] ^ 1]))
    with pytest.raises(DiskCorrupt, match=f"block {block} of the root"):
        check_root(root, Hashing(tree), threads=threads, observe=nothing)


def test_the_first_of_several_changed_blocks_is_named(root, tree):
    for block in (2 * RUN, RUN + 1):
        root.write(block * BLOCK, bytes(BLOCK))
    with pytest.raises(DiskCorrupt, match=f"block {RUN + 1} of the root"):
        check_root(root, Hashing(tree), threads=3, observe=nothing)


def test_a_tree_that_was_not_kept_is_found(root, tree):
    root.write(BLOCKS * BLOCK + 9, b"?")
    with pytest.raises(DiskCorrupt, match="verity tree"):
        check_root(root, Hashing(tree), threads=3, observe=nothing)


def test_a_scan_gives_the_hashes_in_the_order_of_the_blocks(root, tree):
    assert leaves(root, Hashing(tree), threads=3, observe=nothing) == tree.levels[0]


def test_one_thread_is_the_callers_own():
    assert list(side_by_side(lambda _: threading.get_ident(), [1, 2], 1)) == [threading.get_ident()] * 2


def test_results_come_in_order_whoever_is_ready_first():
    first_may_end = threading.Event()

    def work(item):
        if item == 0:
            assert first_may_end.wait(10)
        else:
            first_may_end.set()
        return item

    assert list(side_by_side(work, range(9), 2)) == list(range(9))


def test_of_a_range_with_a_wrong_block_all_before_it_is_written_and_nothing_after(tmp_path, data, tree):
    """The source hands out whole reads here, which are written without being put together first."""
    wrong = RUN + 3
    served = bytearray(data)
    served[wrong * BLOCK] ^= 1
    (tmp_path / "root.img").write_bytes(served)
    slot = tmp_path / "slot"
    slot.write_bytes(bytes(len(data)))
    clock = SystemClock()
    with pytest.raises(Tampered, match=f"block {wrong} is not the one that was signed"):
        fetch_ranges(
            [BlockRange(0, BLOCKS)],
            sources=[FileSource(tmp_path)],
            path="root.img",
            target=Target(FileDevice(slot), Hashing(tree)),
            tally=Tally(len(data), clock),
            bucket=TokenBucket(lambda: None, clock, time.sleep),
            in_flight=3,
            observe=nothing,
        )
    assert slot.read_bytes() == data[: wrong * BLOCK] + bytes((BLOCKS - wrong) * BLOCK)
