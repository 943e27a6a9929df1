"""The scripts of `images/node` run here as they run on a node: by bash, on a file in a device's place."""

import random
import subprocess
from importlib.resources import files

import pytest

from tests.vm.states import every_state
from warmroot.disk.bootrecord import decode, newest
from warmroot.disk.layout import BOOTSTATE_BYTES, COPY_OFFSETS

SCRIPT = files("images") / "node" / "record"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    device = tmp_path_factory.mktemp("record") / "bootstate"
    device.write_bytes(bytes(BOOTSTATE_BYTES))

    def said(copies):
        with device.open("r+b") as file:
            for offset, copy in zip(COPY_OFFSETS, copies, strict=True):
                file.seek(offset)
                file.write(copy)
        done = subprocess.run(["bash", SCRIPT, device], capture_output=True, text=True, check=False)
        assert "nvalid argument" not in done.stderr, "this file system takes no direct reads"
        return done.stdout.strip()

    return said


def spelt(record):
    return f"{record.gen:08d}:{record.good}:{record.next or '-'}:{record.left}" if record else ""


def ours(copy):
    """Whether these are bytes that proxy and GRUB write."""
    record = decode(copy)
    return record is not None and record.encode() == copy


def test_the_nodes_own_script_reads_the_record_that_the_boot_loader_reads(ask):
    """Every state that our own writers can leave, torn or lost copies too; the rest it takes for lost."""
    states = random.Random(7).sample(every_state(), 150)
    compared = 0
    for state in states:
        copies = (state.copy1, state.copy2)
        if all(ours(copy) or decode(copy) is None for copy in copies):
            assert ask(copies) == spelt(newest(*copies)[1]), state
            compared += 1
    assert compared > 100


def test_bytes_that_none_of_ours_wrote_count_as_lost(ask):
    states = [state for state in every_state() if decode(state.copy1) and not ours(state.copy1)]
    assert states
    for state in random.Random(7).sample(states, min(20, len(states))):
        assert ask((state.copy1, bytes(512))) == "", state
