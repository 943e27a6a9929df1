"""The real GRUB, started by real firmware, decides as the model does, and leaves the same sectors behind."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm import batch, states_disk
from tests.vm.batch import Answer
from tests.vm.firmware import Firmware, Machine
from tests.vm.states import State, every_state
from warmroot.disk.bootrecord import SECTOR, Choice, Source, choose

pytestmark = [pytest.mark.vm, pytest.mark.timeout(2400)]

CHUNK = 512
"""States in one boot. GRUB gets slower with every state that it has seen; a boot costs less than that."""
SECONDS = 1200
"""Far more than needed, for a machine that does other things as well: a hang ends here, not a slow run."""
FIRMWARES = pytest.mark.parametrize("firmware", Firmware, ids=lambda firmware: firmware.value)


def an_answer(choice: Choice) -> Answer:
    record = choice.record.encode() if choice.record else b"end=\n"
    end = record.split(b"end=")[1].split(b"\n")[0].decode()
    return Answer(choice.slot.value, choice.source.value, end)


def trials(states: Sequence[State]) -> list[State]:
    """The states in which GRUB starts a trial if it can count it."""
    return [
        state
        for state in states
        if choose(state.copy1, state.copy2) != choose(state.copy1, state.copy2, writable=False)
    ]


class Asked:
    """Some states on one disk, and a machine that asks GRUB about them."""

    def __init__(self, firmware: Firmware, states: Sequence[State], work: Path, **options):
        self.states = batch.padded(states)
        self.disk = states_disk.build(work / "disk", self.states, batch.loader(len(self.states)))
        self.machine = Machine(firmware, self.disk.path, work, **options)

    def disagreements(self, expected: Sequence[Choice]) -> list[str]:
        output = self.machine.finish(SECONDS)
        answers = batch.answers(output)
        assert "ASKED_ALL" in output, f"GRUB stopped after {len(answers)} states: {output[-400:]!r}"
        assert sorted(answers) == list(range(len(self.states))), "a state has no answer"
        found = []
        for number, (choice, copies) in enumerate(zip(expected, self.disk.copies(), strict=True)):
            if (answers[number], copies) != (an_answer(choice), choice.copies):
                found.append(
                    f"{self.states[number]}: GRUB says {answers[number]}, the model {an_answer(choice)}; "
                    f"GRUB left {copies}, the model {choice.copies}"
                )
        return found


def disagreements(
    firmware: Firmware, states: Sequence[State], work: Path, *, readonly: bool = False
) -> list[str]:
    """What GRUB and the model disagree about; two machines at a time."""
    found: list[str] = []
    chunks = list(enumerate(states[at : at + CHUNK] for at in range(0, len(states), CHUNK)))
    for pair in (chunks[at : at + 2] for at in range(0, len(chunks), 2)):
        running: list[Asked] = []
        try:
            for number, chunk in pair:
                folder = work / str(number)
                folder.mkdir()
                running.append(Asked(firmware, chunk, folder, readonly=readonly))
                running[-1].machine.start()
            for asked in running:
                found += asked.disagreements(
                    [choose(one.copy1, one.copy2, writable=not readonly) for one in asked.states]
                )
                asked.disk.path.unlink()
        finally:
            for asked in running:
                asked.machine.kill()
    return found


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
