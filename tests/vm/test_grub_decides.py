"""The real GRUB, started by real firmware, decides as the model does, and leaves the same sectors behind."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from testbed.vm.hardware import Firmware
from tests.vm import batch, states_disk
from tests.vm.batch import Asked, disagreements
from tests.vm.states import State, every_state
from warmroot.disk.bootrecord import SECTOR, Choice, Source, choose

pytestmark = [pytest.mark.vm, pytest.mark.timeout(2400)]

FIRMWARES = pytest.mark.parametrize("firmware", Firmware, ids=lambda firmware: firmware.value)


def trials(states: Sequence[State]) -> list[State]:
    """The states in which GRUB starts a trial if it can count it."""
    return [
        state
        for state in states
        if choose(state.copy1, state.copy2) != choose(state.copy1, state.copy2, writable=False)
    ]


@FIRMWARES
def test_grub_and_the_model_agree_on_every_state(firmware, tmp_path, tally):
    states = every_state()
    assert disagreements(firmware, states, tmp_path)[:5] == []
    tally(f"boot record states agreed with GRUB, {firmware.value}", len(states))


@FIRMWARES
def test_on_a_disk_that_cannot_be_written_no_trial_starts_and_nothing_changes(firmware, tmp_path, tally):
    states = trials(every_state())[::4]
    assert disagreements(firmware, states, tmp_path, readonly=True)[:5] == []
    tally(f"read-only boot record states agreed with GRUB, {firmware.value}", len(states))


def refused_write(state: State, refused: Source) -> Choice:
    """The model's choice if one copy's sector refuses to be written, put together from both extremes."""
    written, unwritten = (choose(state.copy1, state.copy2, writable=yes) for yes in (True, False))
    copies = (state.copy1, written.copies[1]) if refused is Source.COPY1 else (written.copies[0], state.copy2)
    return replace(unwritten if refused is written.source else written, copies=copies)


@FIRMWARES
def test_a_try_counts_only_if_it_sticks_in_the_copy_that_decided(firmware, tmp_path, tally):
    armed = trials(every_state())
    states = batch.padded(armed[:: len(armed) // states_disk.UNIT + 1])
    asked = Asked(firmware, states, tmp_path)
    refused = [list(Source)[number % 2] for number in range(len(states))]
    offsets = [
        where[0 if copy is Source.COPY1 else 1] for where, copy in zip(asked.disk.where, refused, strict=True)
    ]
    asked.machine.refuse_writes = tuple(offset // SECTOR for offset in offsets)
    expected = [refused_write(state, copy) for state, copy in zip(states, refused, strict=True)]
    try:
        asked.machine.start()
        assert asked.disagreements(expected) == []
    finally:
        asked.machine.kill()
    tally(f"half-writable boot record states agreed with GRUB, {firmware.value}", len(states))
